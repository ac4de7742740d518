package siege

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"gatehouse/appliance/api"
	"gatehouse/appliance/client"
	"gatehouse/cmd/chaos/history"
)

// traffic is what clients ask while nodes are broken. It stops between rounds,
// so that what is there can be held against what was answered.
type traffic struct {
	*stand
	document, selfie []byte
	canary           string
	prefix           string // of keys, for this round

	stop    context.CancelFunc
	all     sync.WaitGroup
	mu      sync.Mutex
	refused []string // answers that nothing explains
	made    int      // sessions of writers
	decided int
	failed  int // verifications
	pending map[string]bool
	sent    map[string]*verification // by session key
	drain   chan struct{}            // closed: begin nothing new
}

// ask one thing and record it. An error tells that it was refused, or that the
// answer is not known.
func (t *traffic) ask(ctx context.Context, limit time.Duration, op history.Op, do func(context.Context) (history.Answer, error)) (history.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	call := t.ops.Begin(op)
	a, err := do(ctx)
	switch outcome(op.Kind, err) {
	case history.OK:
		a.Missing = err != nil
		call.OK(a)
		return a, nil
	case history.Failed:
		call.Failed(err)
		if p := (*client.Problem)(nil); errors.As(err, &p) && p.Status != http.StatusTooManyRequests {
			t.unexpected(fmt.Sprintf("%s of %s was refused with %d: %v", op.Kind, op.Session, p.Status, err))
		}
	default:
		call.Unknown(err)
	}
	return history.Answer{}, err
}

func (t *traffic) unexpected(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.refused) < 20 { // more say nothing new
		t.refused = append(t.refused, what)
	}
}

// outcome of a call. A conflict may be with what an earlier try of the same
// call has done.
func outcome(k history.Kind, err error) history.Outcome {
	var p *client.Problem
	var dial *net.OpError
	switch {
	case err == nil:
		return history.OK
	case errors.As(err, &p):
		switch {
		case p.Status == http.StatusNotFound && k == history.Read:
			return history.OK
		case p.Status >= 500 || p.Status == http.StatusConflict:
			return history.Unknown
		}
		return history.Failed
	case errors.As(err, &dial) && dial.Op == "dial":
		return history.Failed // nothing was sent
	}
	return history.Unknown
}

// answer is a session as the history has it.
func answer(s *api.Session, err error) (history.Answer, error) {
	if err != nil {
		return history.Answer{}, err
	}
	a := history.Answer{ID: s.Id, State: string(s.State), Failure: text(s.Failure), Evidence: map[string]string{}}
	for _, e := range s.Evidence {
		a.Evidence[string(e.Slot)] = e.Id
	}
	if s.Decision != nil {
		b, err := json.Marshal(s.Decision)
		if err != nil {
			return a, err
		}
		a.Decision = string(b)
	}
	return a, nil
}

// request of a session; it is the same each time it is tried.
func (t *traffic) request(key string) api.SessionRequest {
	reference := t.canary + " " + key
	return api.SessionRequest{Kind: api.SessionRequestKindIdentity, SubjectRef: &reference,
		Consent: api.Consent{Channel: api.ConsentChannelBranch, TextVersion: "1", GivenAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}}
}
