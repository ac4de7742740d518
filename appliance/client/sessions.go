package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"gatehouse/appliance/api"
)

// maxPicture is the contract's 20 MiB.
const maxPicture = 20 << 20

// CreateSession begins a verification. Where key, the idempotency key, is
// empty, here and below, a random one is made.
func (c *Client) CreateSession(ctx context.Context, key string, s api.SessionRequest) (*api.Session, error) {
	r, err := post("v1", "sessions").keyed(key).sending(s)
	if err != nil {
		return nil, err
	}
	return ask[api.Session](ctx, c, r)
}

// Sessions gives a page of the tenant's sessions; limit 0 is the node's own.
func (c *Client) Sessions(ctx context.Context, cursor string, limit int) (*api.Sessions, error) {
	return ask[api.Sessions](ctx, c, get("v1", "sessions").with("cursor", cursor).with("limit", number(limit)))
}

// Session gives one session; with wait, when it is decided or after that time.
func (c *Client) Session(ctx context.Context, session string, wait time.Duration) (*api.Session, error) {
	return ask[api.Session](ctx, c, get("v1", "sessions", session).wait(wait))
}

// PutEvidence uploads a picture as it is read.
func (c *Client) PutEvidence(ctx context.Context, session string, slot api.Slot, picture *Picture) (*api.Evidence, error) {
	return ask[api.Evidence](ctx, c, request{method: http.MethodPut, path: []string{"v1", "sessions", session, "evidence", string(slot)}, body: picture.body()})
}

// Evidence writes a picture that was uploaded to w and gives its media type.
// What was written before an error is not the picture.
func (c *Client) Evidence(ctx context.Context, session string, slot api.Slot, why api.Purpose, w io.Writer) (string, error) {
	resp, err := c.send(ctx, get("v1", "sessions", session, "evidence", string(slot)).purpose(why))
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body := &failing{r: resp.Body}
	n, err := io.Copy(w, io.LimitReader(body, maxPicture+1))
	switch {
	case body.err != nil:
		return "", c.unreachable(ctx, body.err)
	case err != nil:
		return "", err
	case n > maxPicture:
		return "", fmt.Errorf("%w: the picture has more than %d bytes", ErrAnswer, maxPicture)
	}
	return resp.Header.Get("Content-Type"), nil
}

// failing remembers that it was the reading that failed, not the writing.
type failing struct {
	r   io.Reader
	err error
}

func (f *failing) Read(b []byte) (int, error) {
	n, err := f.r.Read(b)
	if err != nil && err != io.EOF {
		f.err = err
	}
	return n, err
}

// Submit has the evidence verified.
func (c *Client) Submit(ctx context.Context, key, session string, wait time.Duration) (*api.Session, error) {
	return ask[api.Session](ctx, c, post("v1", "sessions", session, "submit").wait(wait).keyed(key))
}

// Verify does a whole verification in one call.
func (c *Client) Verify(ctx context.Context, key string, wait time.Duration, v Verification) (*api.Session, error) {
	r := post("v1", "verifications").wait(wait).keyed(key)
	var err error
	if r.body, err = v.body(r.key); err != nil {
		return nil, err
	}
	return ask[api.Session](ctx, c, r)
}

// Result gives what was read from the document and seen of the person.
func (c *Client) Result(ctx context.Context, session string, why api.Purpose) (*api.Result, error) {
	return ask[api.Result](ctx, c, get("v1", "sessions", session, "result").purpose(why))
}

// Subject gives what is held of a person.
func (c *Client) Subject(ctx context.Context, subject string, why api.Purpose) (*api.Subject, error) {
	return ask[api.Subject](ctx, c, get("v1", "subjects", subject).purpose(why))
}

// EraseSubject erases a person.
func (c *Client) EraseSubject(ctx context.Context, subject string, why api.ErasureReason) (*api.Erasure, error) {
	r := request{method: http.MethodDelete, path: []string{"v1", "subjects", subject}}
	return ask[api.Erasure](ctx, c, r.with("reason", string(why)))
}

// number is empty for 0: the parameter is left out.
func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}
