package client

import (
	"context"
	"net/http"

	"gatehouse/appliance/api"
)

// Status tells where the node stands.
func (c *Client) Status(ctx context.Context) (*api.Status, error) {
	return ask[api.Status](ctx, c, get("v1", "status"))
}

// Setup trades the one-time code for the first administrator.
func (c *Client) Setup(ctx context.Context, key string, s api.SetupRequest) (*api.Enrolled, error) {
	r, err := post("v1", "setup").keyed(key).sending(s)
	if err != nil {
		return nil, err
	}
	return ask[api.Enrolled](ctx, c, r)
}

// CreateTenant creates a tenant with its first administrator.
func (c *Client) CreateTenant(ctx context.Context, key string, t api.TenantRequest) (*api.Enrolled, error) {
	r, err := post("v1", "tenants").keyed(key).sending(t)
	if err != nil {
		return nil, err
	}
	return ask[api.Enrolled](ctx, c, r)
}

// Tenants gives all of them.
func (c *Client) Tenants(ctx context.Context) (*api.Tenants, error) {
	return ask[api.Tenants](ctx, c, get("v1", "tenants"))
}

// CreateClient registers a caller.
func (c *Client) CreateClient(ctx context.Context, key string, n api.ClientRequest) (*api.Enrolled, error) {
	r, err := post("v1", "clients").keyed(key).sending(n)
	if err != nil {
		return nil, err
	}
	return ask[api.Enrolled](ctx, c, r)
}

// Clients gives a page of the tenant's callers.
func (c *Client) Clients(ctx context.Context, cursor string) (*api.Clients, error) {
	return ask[api.Clients](ctx, c, get("v1", "clients").with("cursor", cursor))
}

// RevokeClient ends a caller's credential at once.
func (c *Client) RevokeClient(ctx context.Context, client string) (*api.Client, error) {
	return ask[api.Client](ctx, c, request{method: http.MethodDelete, path: []string{"v1", "clients", client}})
}

// SealStatus tells whether the node is sealed, and its slots.
func (c *Client) SealStatus(ctx context.Context) (*api.Seal, error) {
	return ask[api.Seal](ctx, c, get("v1", "seal"))
}

// Seal has the node wipe every key from its memory.
func (c *Client) Seal(ctx context.Context) (*api.Seal, error) {
	return ask[api.Seal](ctx, c, post("v1", "seal", "close"))
}

// Unseal gives the node what opens a slot. It is never repeated by itself: each
// wrong one counts.
func (c *Client) Unseal(ctx context.Context, u api.UnsealRequest) (*api.Seal, error) {
	r, err := post("v1", "seal", "open").sending(u)
	if err != nil {
		return nil, err
	}
	return ask[api.Seal](ctx, c, r)
}

// AddSlot adds another way to unseal.
func (c *Client) AddSlot(ctx context.Context, s api.SlotRequest) (*api.SlotAdded, error) {
	r, err := post("v1", "seal", "slots").sending(s)
	if err != nil {
		return nil, err
	}
	return ask[api.SlotAdded](ctx, c, r)
}

// RemoveSlot removes a slot.
func (c *Client) RemoveSlot(ctx context.Context, slot string) (*api.Seal, error) {
	return ask[api.Seal](ctx, c, request{method: http.MethodDelete, path: []string{"v1", "seal", "slots", slot}})
}
