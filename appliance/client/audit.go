package client

import (
	"context"
	"strconv"

	"gatehouse/appliance/api"
	"gatehouse/store/audit"
)

// maxKey bytes of a verifier key: a name of an origin's length, a hash and 33
// bytes in base64.
const maxKey = 4 << 10

// AuditEvents gives a page of a log; a negative from counts from the end. log
// is empty for the tenant's own, here and below.
func (c *Client) AuditEvents(ctx context.Context, log api.Log, from int64, limit int) (*api.AuditEvents, error) {
	r := get("v1", "audit", "events").with("log", string(log)).with("from", strconv.FormatInt(from, 10)).with("limit", number(limit))
	return ask[api.AuditEvents](ctx, c, r)
}

// AuditProof gives an event with the proof that it is in the log. Nothing is
// verified here.
func (c *Client) AuditProof(ctx context.Context, log api.Log, seq int64) (*api.AuditProof, error) {
	return ask[api.AuditProof](ctx, c, get("v1", "audit", "proof", strconv.FormatInt(seq, 10)).with("log", string(log)))
}

// AuditKey gives the key that the node says verifies its checkpoints.
func (c *Client) AuditKey(ctx context.Context, log api.Log) (string, error) {
	b, err := c.read(ctx, get("v1", "audit", "key").with("log", string(log)), maxKey)
	return string(b), err
}

// Checkpoint gives the signed head of the log. Nothing is verified here.
func (c *Client) Checkpoint(ctx context.Context, log api.Log) ([]byte, error) {
	return c.read(ctx, get("v1", "audit", "checkpoint").with("log", string(log)), audit.MaxCheckpoint)
}

// Consistency gives the proof that the log of size from is the beginning of
// that of size to. Nothing is verified here.
func (c *Client) Consistency(ctx context.Context, log api.Log, from, to int64) (*api.Consistency, error) {
	r := get("v1", "audit", "consistency").with("log", string(log)).with("from", strconv.FormatInt(from, 10)).with("to", strconv.FormatInt(to, 10))
	return ask[api.Consistency](ctx, c, r)
}
