package siege

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"gatehouse/appliance/api"
	"gatehouse/appliance/client"
	"gatehouse/cmd/chaos/history"
)

// eraseOne of so many persons is erased.
const eraseOne = 6

// worker is a branch that verifies one person after the other, each step at a
// node of chance.
type worker struct {
	*traffic
	clients []*client.Client
	number  int
	random  *rand.Rand
	made    int
}

// verification is what is known of one.
type verification struct {
	key, id, subject string
	pictures         map[api.Slot][]byte
	state            string
	erased           bool
}

func (w *worker) run(ctx context.Context) {
	for ctx.Err() == nil && !w.draining() {
		w.made++
		v := &verification{key: fmt.Sprintf("%sv%d-%d", w.prefix, w.number, w.made), pictures: map[api.Slot][]byte{}}
		v.pictures[api.SlotDocumentFront] = marked(w.document, w.canary+" document "+v.key)
		v.pictures[api.SlotSelfie] = marked(w.selfie, w.canary+" selfie "+v.key)
		w.mu.Lock()
		w.pending[v.key], w.sent[v.key] = true, v
		w.mu.Unlock()
		settled := w.verify(ctx, v)
		w.mu.Lock()
		if settled {
			delete(w.pending, v.key)
			w.decided++
			if v.state == string(api.SessionStateFailed) || v.state == string(api.SessionStateExpired) {
				w.failed++
			}
		}
		w.mu.Unlock()
	}
}

// verify one person from the beginning to the end; false where ctx ended first.
func (w *worker) verify(ctx context.Context, v *verification) bool {
	if w.random.IntN(4) == 0 {
		if !w.whole(ctx, v) {
			return false
		}
	} else if !w.steps(ctx, v) {
		return false
	}
	for !settled(v.state) { // an expired session is, before it is submitted
		if _, ok := w.until(ctx, v, history.Op{Kind: history.Read}, func(ctx context.Context, c *client.Client) (*api.Session, error) {
			return c.Session(ctx, v.id, 5*time.Second)
		}); !ok {
			return false
		}
	}
	if v.state == "approved" || v.state == "rejected" || v.state == "review" {
		limit, cancel := context.WithTimeout(ctx, askTime)
		_, _ = w.clients[w.random.IntN(len(w.clients))].Result(limit, v.id, api.PurposeReview) // that it can be read is checked after the round
		cancel()
	}
	if w.random.IntN(eraseOne) > 0 {
		return true
	}
	asked := false
	if _, ok := w.until(ctx, v, history.Op{Kind: history.Erase}, func(ctx context.Context, c *client.Client) (*api.Session, error) {
		_, err := c.EraseSubject(ctx, v.subject, api.ErasureReasonSubjectRequest)
		// Nobody else erases this person: an earlier try did, whose answer was lost.
		if p := (*client.Problem)(nil); asked && errors.As(err, &p) && p.Status == http.StatusGone {
			err = nil
		}
		asked = true
		return nil, err
	}); !ok {
		return false
	}
	v.erased = true
	_, ok := w.until(ctx, v, history.Op{Kind: history.Read}, func(ctx context.Context, c *client.Client) (*api.Session, error) {
		return c.Session(ctx, v.id, 0)
	})
	return ok
}

// whole verification in one call.
func (w *worker) whole(ctx context.Context, v *verification) bool {
	form := client.Verification{Session: w.request(v.key)}
	sums := map[string]string{}
	for slot, to := range map[api.Slot]**client.Picture{api.SlotDocumentFront: &form.DocumentFront, api.SlotSelfie: &form.Selfie} {
		p, err := picture(v.pictures[slot])
		if err != nil {
			w.unexpected(err.Error())
			return false
		}
		*to, sums[string(slot)] = p, sum(v.pictures[slot])
	}
	_, ok := w.until(ctx, v, history.Op{Kind: history.Verify, Pictures: sums}, func(ctx context.Context, c *client.Client) (*api.Session, error) {
		return c.Verify(ctx, v.key, time.Second, form)
	})
	return ok
}

func (w *worker) steps(ctx context.Context, v *verification) bool {
	if _, ok := w.until(ctx, v, history.Op{Kind: history.Create}, func(ctx context.Context, c *client.Client) (*api.Session, error) {
		return c.CreateSession(ctx, v.key, w.request(v.key))
	}); !ok {
		return false
	}
	for _, slot := range []api.Slot{api.SlotDocumentFront, api.SlotSelfie} {
		p, err := picture(v.pictures[slot])
		if err != nil {
			w.unexpected(err.Error())
			return false
		}
		if settled(v.state) {
			return true
		}
		if _, ok := w.until(ctx, v, history.Op{Kind: history.Evidence, Pictures: map[string]string{string(slot): sum(v.pictures[slot])}}, func(ctx context.Context, c *client.Client) (*api.Session, error) {
			e, err := c.PutEvidence(ctx, v.id, slot, p)
			if err != nil {
				return nil, err
			}
			return &api.Session{Id: v.id, Evidence: []api.Evidence{*e}}, nil
		}); !ok {
			return false
		}
	}
	if settled(v.state) {
		return true
	}
	_, ok := w.until(ctx, v, history.Op{Kind: history.Submit, Key: "submit " + v.key}, func(ctx context.Context, c *client.Client) (*api.Session, error) {
		return c.Submit(ctx, "submit "+v.key, v.id, time.Duration(w.random.IntN(1000))*time.Millisecond)
	})
	return ok
}

// until it is answered: at a node of chance first, then at the next.
func (w *worker) until(ctx context.Context, v *verification, op history.Op, do func(context.Context, *client.Client) (*api.Session, error)) (history.Answer, bool) {
	op.Client, op.Session = w.number, v.key
	first := w.random.IntN(len(w.clients))
	for try := 0; ; try++ {
		c := w.clients[(first+try)%len(w.clients)]
		a, err := w.ask(ctx, askTime, op, func(ctx context.Context) (history.Answer, error) {
			s, err := do(ctx, c)
			if err != nil || s == nil {
				return history.Answer{}, err
			}
			if op.Kind == history.Create || op.Kind == history.Verify {
				v.id, v.subject = s.Id, s.Subject
			}
			a, err := answer(s, nil)
			if op.Kind == history.Create {
				a = history.Answer{ID: s.Id}
			}
			return a, err
		})
		if err == nil {
			if a.State != "" {
				v.state = a.State
			}
			return a, true
		}
		// A conflict is with what an earlier try has done, or the time of the
		// session is over; the session says which.
		if p := (*client.Problem)(nil); errors.As(err, &p) && p.Status == http.StatusConflict && op.Kind != history.Read && v.id != "" {
			if a, ok := w.until(ctx, v, history.Op{Kind: history.Read}, func(ctx context.Context, c *client.Client) (*api.Session, error) {
				return c.Session(ctx, v.id, 0)
			}); ok && settled(a.State) {
				return a, true
			}
		}
		if !pause(ctx, min(time.Duration(try+1)*200*time.Millisecond, 2*time.Second)) {
			return a, false
		}
	}
}

func settled(state string) bool {
	switch state {
	case "approved", "rejected", "review", "failed", "expired", "erased":
		return true
	}
	return false
}

func picture(b []byte) (*client.Picture, error) {
	return client.NewPicture(bytes.NewReader(b), int64(len(b)))
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// marked gives a JPEG a comment of its own, so that no two are the same bytes.
func marked(jpeg []byte, text string) []byte {
	// After SOI: COM, whose length counts itself (ISO/IEC 10918-1, B.2.4.5).
	segment := append([]byte{0xff, 0xfe}, binary.BigEndian.AppendUint16(nil, uint16(2+len(text)))...)
	return bytes.Join([][]byte{jpeg[:2], segment, []byte(text), jpeg[2:]}, nil)
}
