package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"gatehouse/appliance/api"
)

const (
	// maxAnswer bytes of JSON: 200 leaves of 16 KiB, the largest page, fit
	// four times.
	maxAnswer = 16 << 20
	// maxProblem is as much as a request's JSON may have.
	maxProblem = 64 << 10
)

// request is one call, as it is written down before it is sent.
type request struct {
	method string
	path   []string // its elements, unescaped
	query  url.Values
	header http.Header
	key    string // Idempotency-Key
	body   *body  // nil where there is none
	long   bool   // its answer may take longer than answerTimeout
}

// body can be read from the beginning as often as the request is sent.
type body struct {
	contentType string
	size        int64
	open        func() io.Reader
}

// get, post: the two that most operations are.
func get(path ...string) request { return request{method: http.MethodGet, path: path} }

func post(path ...string) request { return request{method: http.MethodPost, path: path} }

// keyed adds the idempotency key; an empty one is replaced by a random one.
func (r request) keyed(key string) request {
	if r.key = key; key == "" {
		r.key = rand.Text()
	}
	return r
}

func (r request) with(name, value string) request {
	if value == "" {
		return r
	}
	if r.query == nil {
		r.query = url.Values{}
	}
	r.query.Set(name, value)
	return r
}

func (r request) wait(d time.Duration) request {
	if d <= 0 {
		return r
	}
	return r.with("wait", d.String())
}

func (r request) purpose(p api.Purpose) request {
	r.header = http.Header{"Purpose": {string(p)}}
	return r
}

// safe to send again: it changes nothing, or at most once.
func (r request) safe() bool {
	return r.method == http.MethodGet || r.method == http.MethodPut || r.key != ""
}

// once sends the request one time.
func (c *Client) once(ctx context.Context, r request) (*http.Response, error) {
	server, _ := c.server()
	address := server.String()
	for _, e := range r.path {
		if e == "" || e == "." || e == ".." {
			return nil, fmt.Errorf("%w: %q; give the id as it was printed", ErrName, e)
		}
		address += "/" + url.PathEscape(e)
	}
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	var sent atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { sent.Store(true) }})
	req, err := http.NewRequestWithContext(ctx, r.method, address, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrName, err)
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	if r.key != "" {
		req.Header.Set("Idempotency-Key", r.key)
	}
	if r.body != nil {
		req.Header.Set("Content-Type", r.body.contentType)
		req.Body, req.ContentLength = io.NopCloser(pieces{r.body.open()}), r.body.size
	}
	caller := c.http
	if r.long {
		caller = c.long
	}
	resp, err := caller.Do(req)
	if err != nil {
		if err = c.unreachable(ctx, err); !sent.Load() {
			err = unsent{err}
		}
		return nil, err
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		defer resp.Body.Close()
		return nil, refusal(resp)
	}
	return resp, nil
}

// pieces of a body, each no larger than a record of TLS (RFC 8446, 5.1). Read at
// once a picture would be one frame of HTTP/2, and a node gives no sign of life
// before it has a whole one: over a slow line it would seem to hang.
type pieces struct{ io.Reader }

func (p pieces) Read(b []byte) (int, error) { return p.Reader.Read(b[:min(len(b), 16<<10)]) }

// refusal reads the problem document of an answer.
func refusal(resp *http.Response) error {
	p := &Problem{Status: resp.StatusCode, Title: http.StatusText(resp.StatusCode), RetryAfter: retryAfter(resp.Header.Get("Retry-After"), time.Now()),
		Detail: fmt.Sprintf("the node answered %d and did not say why", resp.StatusCode), RequestID: resp.Header.Get("X-Request-Id")}
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || kind != "application/problem+json" {
		p.Next = "check that the address is of a Gatehouse node"
		return p
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxProblem))
	if err != nil {
		return p
	}
	var doc api.Problem
	if err := json.Unmarshal(b, &doc); err != nil || doc.Detail == "" {
		return p
	}
	text := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	p.Type, p.Title, p.Detail = doc.Type, doc.Title, doc.Detail
	p.Field, p.Limit, p.Next = text(doc.Field), text(doc.Limit), text(doc.Next)
	if id := text(doc.RequestId); id != "" {
		p.RequestID = id
	}
	return p
}

// retryAfter reads seconds or a date (RFC 9110, 10.2.3); 0 is "not said". What
// may be tried at once is said as the shortest time.
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(strings.TrimSpace(text), 10, 31); err == nil {
		return max(time.Duration(seconds)*time.Second, time.Millisecond)
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(at.Sub(now), time.Millisecond)
	}
	return 0
}

// ask sends a request and reads the JSON of its answer. Members that this
// client does not know are passed over: the node may be newer.
func ask[T any](ctx context.Context, c *Client, r request) (*T, error) {
	b, err := c.read(ctx, r, maxAnswer)
	if err != nil {
		return nil, err
	}
	v := new(T)
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber() // numbers of an event or a result stay as they were written
	if err := d.Decode(v); err != nil {
		return nil, fmt.Errorf("%w: %w; check that node and client are of one version", ErrAnswer, err)
	}
	return v, nil
}

// read sends a request and gives the whole body of its answer.
func (c *Client) read(ctx context.Context, r request, limit int64) ([]byte, error) {
	resp, err := c.send(ctx, r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%w: it has more than %d bytes", ErrAnswer, limit)
	}
	return b, nil
}

// sending puts v into the request as JSON.
func (r request) sending(v any) (request, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return r, fmt.Errorf("writing the request: %w", err)
	}
	r.body = &body{contentType: "application/json", size: int64(len(b)), open: func() io.Reader { return bytes.NewReader(b) }}
	return r, nil
}
