package client

import (
	"context"
	"net/http"

	"gatehouse/appliance/api"
)

// Cluster tells how the nodes stand.
func (c *Client) Cluster(ctx context.Context) (*api.Cluster, error) {
	return ask[api.Cluster](ctx, c, get("v1", "cluster"))
}

// Invite lets one node join, or take the place of one.
func (c *Client) Invite(ctx context.Context, i api.InvitationRequest) (*api.Invitation, error) {
	r, err := post("v1", "cluster", "invitations").sending(i)
	if err != nil {
		return nil, err
	}
	return ask[api.Invitation](ctx, c, r)
}

// Transfer lets another node lead.
func (c *Client) Transfer(ctx context.Context, t api.TransferRequest) (*api.Cluster, error) {
	r, err := post("v1", "cluster", "transfer").sending(t)
	if err != nil {
		return nil, err
	}
	return ask[api.Cluster](ctx, c, r)
}

// RotateAuthority begins to replace the authority that certifies the nodes.
func (c *Client) RotateAuthority(ctx context.Context) (*api.Cluster, error) {
	return ask[api.Cluster](ctx, c, post("v1", "cluster", "authority", "rotate"))
}

// Finalise has the cluster use what all its nodes know.
func (c *Client) Finalise(ctx context.Context) (*api.Cluster, error) {
	return ask[api.Cluster](ctx, c, post("v1", "cluster", "finalise"))
}

// ChangeMember changes what the cluster knows of a node.
func (c *Client) ChangeMember(ctx context.Context, node string, m api.MemberChange) (*api.Cluster, error) {
	r, err := request{method: http.MethodPut, path: []string{"v1", "cluster", "members", node}}.sending(m)
	if err != nil {
		return nil, err
	}
	return ask[api.Cluster](ctx, c, r)
}

// RemoveMember removes a node for good.
func (c *Client) RemoveMember(ctx context.Context, node string) (*api.Cluster, error) {
	return ask[api.Cluster](ctx, c, request{method: http.MethodDelete, path: []string{"v1", "cluster", "members", node}})
}
