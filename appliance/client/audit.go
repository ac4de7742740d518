package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
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
	return c.ClosedEvents(ctx, log, 0, from, limit)
}

// ClosedEvents is AuditEvents of an epoch that a recovery has closed; 0: of the
// present one.
func (c *Client) ClosedEvents(ctx context.Context, log api.Log, epoch int, from int64, limit int) (*api.AuditEvents, error) {
	r := get("v1", "audit", "events").with("log", string(log)).with("epoch", number(epoch)).with("from", strconv.FormatInt(from, 10)).with("limit", number(limit))
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

// SearchAudit gives a page of the events that match. Nothing is verified here.
func (c *Client) SearchAudit(ctx context.Context, q api.AuditQuery) (*api.AuditFound, error) {
	r, err := post("v1", "audit", "search").sending(q)
	if err != nil {
		return nil, err
	}
	return ask[api.AuditFound](ctx, c, r)
}

// ExportAudit writes a bundle to w; progress (nil: not asked for) is told how
// much of it came, and how much there is. why is needed where personal data are
// disclosed. Nothing is verified here. What was written before an error is no
// bundle.
func (c *Client) ExportAudit(ctx context.Context, part api.AuditRange, why api.Purpose, w io.Writer, progress func(done, total int64)) error {
	r, err := post("v1", "audit", "exports").sending(part)
	if err != nil {
		return err
	}
	if why != "" {
		r = r.purpose(why)
	}
	r.long = true // the range is read once before the first byte
	resp, err := c.send(ctx, r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body := &failing{r: resp.Body}
	n, err := io.Copy(&told{w: w, total: resp.ContentLength, progress: progress}, body)
	switch {
	case body.err != nil:
		return c.unreachable(ctx, body.err)
	case err != nil:
		return err
	case resp.ContentLength >= 0 && n != resp.ContentLength:
		return fmt.Errorf("%w: %d bytes of a bundle of %d", ErrAnswer, n, resp.ContentLength)
	}
	return nil
}

// told counts what is written.
type told struct {
	w           io.Writer
	done, total int64
	progress    func(done, total int64)
}

func (t *told) Write(b []byte) (int, error) {
	n, err := t.w.Write(b)
	if t.done += int64(n); t.progress != nil {
		t.progress(t.done, t.total)
	}
	return n, err
}

// CosignAudit gives the node a checkpoint that a witness has cosigned.
func (c *Client) CosignAudit(ctx context.Context, q api.CosignRequest) (*api.Cosigned, error) {
	r, err := post("v1", "audit", "cosignatures").sending(q)
	if err != nil {
		return nil, err
	}
	return ask[api.Cosigned](ctx, c, r)
}

// AuditTrust gives the policy that pins the node's keys of the logs.
func (c *Client) AuditTrust(ctx context.Context) ([]byte, error) {
	return c.read(ctx, get("v1", "audit", "trust"), maxKey)
}

// RotateAuditKey has the logs signed by a new key, and the present one beside it.
func (c *Client) RotateAuditKey(ctx context.Context) (*api.AuditKeys, error) {
	return ask[api.AuditKeys](ctx, c, post("v1", "audit", "keys", "rotate"))
}

// RetireAuditKey ends the overlap; early: before auditors had their time.
func (c *Client) RetireAuditKey(ctx context.Context, early bool) (*api.AuditKeys, error) {
	r := request{method: http.MethodPost, path: []string{"v1", "audit", "keys", "retire"}}
	if early {
		r = r.with("early", "true")
	}
	return ask[api.AuditKeys](ctx, c, r)
}
