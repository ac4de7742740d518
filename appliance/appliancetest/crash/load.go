package crash

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"gatehouse/appliance/api"
	"gatehouse/appliance/client"
)

// worker is one branch system. It works on one session after the other; what a
// crash left open it takes up again under the same key.
type worker struct {
	name     string
	key      string // API key
	random   *rand.Rand
	report   *Report
	document []byte
	selfie   []byte
	sessions []*session
	made     int
	heads    [][]byte // checkpoints of the tenant's log, as received

	client *client.Client // of the node as it runs now
}

// load works until ctx ends or the node is gone.
func (w *worker) load(ctx context.Context) {
	for ctx.Err() == nil {
		if err := w.once(ctx); err != nil && w.unexpected(ctx, err) {
			return
		}
	}
}

// unexpected tells whether there is no use in going on. A refusal that nothing
// explains is reported.
func (w *worker) unexpected(ctx context.Context, err error) bool {
	p := (*client.Problem)(nil)
	if !errors.As(err, &p) {
		return true // the node is gone
	}
	if p.Status != 429 && p.Status != 503 && ctx.Err() == nil {
		w.report.broken(Damage, "%s: refused with %d %s: %s", w.name, p.Status, p.Type, p.Detail)
	}
	pause(ctx, max(p.RetryAfter, 10*time.Millisecond))
	return p.Status != 429 && p.Status != 503 // the queue is full; sealed
}

// once takes one step with the open session, or something beside it.
func (w *worker) once(ctx context.Context) error {
	if old := w.settled(); old != nil && w.random.IntN(3) == 0 {
		return w.look(ctx, old)
	}
	return w.advance(ctx, w.open())
}

// openSessions of one worker at a time, so that a verification never runs
// alone.
const openSessions = 2

// open gives the session to work on: one that is left open, or a new one.
func (w *worker) open() *session {
	var left []*session
	for _, s := range w.sessions {
		if !settled(s.state) || s.erasing && !s.erased {
			left = append(left, s)
		}
	}
	if len(left) == openSessions || len(left) > 0 && w.random.IntN(2) == 0 {
		return left[w.random.IntN(len(left))]
	}
	w.made++
	name := fmt.Sprintf("%s-%d", w.name, w.made)
	s := &session{state: api.SessionStateCreated, key: "create-" + name, submitKey: "submit-" + name, single: w.random.IntN(3) == 0,
		evidence: map[api.Slot]*evidence{}, pictures: map[api.Slot][]byte{
			api.SlotDocumentFront: marked(w.document, "document of "+name),
			api.SlotSelfie:        marked(w.selfie, "selfie of "+name)}}
	w.sessions = append(w.sessions, s)
	return s
}

// settled gives an earlier session at random, nil where there is none.
func (w *worker) settled() *session {
	if len(w.sessions) == 0 {
		return nil
	}
	if s := w.sessions[w.random.IntN(len(w.sessions))]; settled(s.state) && !s.erasing {
		return s
	}
	return nil
}

// request is always the same for one session.
func (s *session) request() api.SessionRequest {
	reference := "reference of " + s.key
	return api.SessionRequest{Kind: api.SessionRequestKindIdentity, SubjectRef: &reference,
		Consent: api.Consent{Channel: api.ConsentChannelBranch, TextVersion: "1", GivenAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}}
}

var slots = [...]api.Slot{api.SlotDocumentFront, api.SlotSelfie}

// advance takes the next step with a session.
func (w *worker) advance(ctx context.Context, s *session) error {
	switch {
	case s.erasing:
		return w.erase(ctx, s)
	case s.single && !s.submitted:
		return w.verify(ctx, s)
	case s.id == "":
		return w.take(s)(w.client.CreateSession(ctx, s.key, s.request()))
	}
	for _, slot := range slots {
		if !s.submitted && s.evidence[slot] == nil {
			return w.put(ctx, s, slot)
		}
	}
	if !s.submitted {
		return w.take(s)(w.client.Submit(ctx, s.submitKey, s.id, time.Duration(w.random.IntN(200))*time.Millisecond))
	}
	return w.take(s)(w.client.Session(ctx, s.id, time.Duration(w.random.IntN(200))*time.Millisecond))
}

// take gives what puts an answer into the ledger.
func (w *worker) take(s *session) func(*api.Session, error) error {
	return func(a *api.Session, err error) error {
		if err != nil {
			return err
		}
		if wrong := s.acknowledge(a); wrong != "" {
			w.report.broken(Lost, "session %s: %s", s.id, wrong)
		}
		return nil
	}
}

func (w *worker) verify(ctx context.Context, s *session) error {
	v := client.Verification{Session: s.request()}
	for slot, to := range map[api.Slot]**client.Picture{api.SlotDocumentFront: &v.DocumentFront, api.SlotSelfie: &v.Selfie} {
		p, err := picture(s.pictures[slot])
		if err != nil {
			return err
		}
		*to = p
	}
	a, err := w.client.Verify(ctx, s.key, time.Duration(w.random.IntN(500))*time.Millisecond, v)
	if err != nil {
		return err
	}
	for _, e := range a.Evidence {
		if s.evidence[e.Slot] == nil {
			s.stored(e)
		}
	}
	return w.take(s)(a, nil)
}

func picture(b []byte) (*client.Picture, error) {
	return client.NewPicture(bytes.NewReader(b), int64(len(b)))
}

// put uploads a picture. Where the answer was lost it is put again, and the
// same bytes have no second effect.
func (w *worker) put(ctx context.Context, s *session, slot api.Slot) error {
	p, err := picture(s.pictures[slot])
	if err != nil {
		return err
	}
	e, err := w.client.PutEvidence(ctx, s.id, slot, p)
	if err != nil {
		return err
	}
	s.stored(*e)
	return nil
}

// look at an earlier session, or at the log; now and then, erase a person.
func (w *worker) look(ctx context.Context, s *session) error {
	switch n := w.random.IntN(12); {
	case s.erased:
		return w.take(s)(w.client.Session(ctx, s.id, 0))
	case n == 0:
		return w.erase(ctx, s)
	case n < 4:
		return w.compare(ctx, s, slots[w.random.IntN(len(slots))])
	case n < 6 && s.decision != nil:
		_, err := w.client.Result(ctx, s.id, api.PurposeReview)
		if err == nil {
			s.resultReads++
		}
		return err
	case n < 8:
		_, err := w.client.Subject(ctx, s.subject, api.PurposeCompliance)
		if err == nil {
			s.subjectReads++
		}
		return err
	case n < 10 && !s.single:
		return w.repeat(ctx, s)
	}
	head, err := w.client.Checkpoint(ctx, "")
	if err == nil {
		w.heads = append(w.heads, head)
	}
	return err
}

// repeat the creation: the answer is of the same session, as it was made.
func (w *worker) repeat(ctx context.Context, s *session) error {
	a, err := w.client.CreateSession(ctx, s.key, s.request())
	if err == nil && (a.Id != s.id || a.Subject != s.subject) {
		w.report.broken(Twice, "the key of session %s gave %s of subject %s", s.id, a.Id, a.Subject)
	}
	return err
}

// compare reads a picture back.
func (w *worker) compare(ctx context.Context, s *session, slot api.Slot) error {
	e := s.evidence[slot]
	if e == nil {
		return nil
	}
	var b bytes.Buffer
	if _, err := w.client.Evidence(ctx, s.id, slot, api.PurposeReview, &b); err != nil {
		return err
	}
	e.reads++
	if sha256.Sum256(b.Bytes()) != e.sum {
		w.report.broken(Lost, "evidence %s: %d other bytes came back", e.id, b.Len())
	}
	return nil
}

// erase a person. Done once more where the answer was lost.
func (w *worker) erase(ctx context.Context, s *session) error {
	if !s.erasing {
		s.erasing, s.fresh = true, true
	} else if a, err := w.client.Session(ctx, s.id, 0); err != nil {
		return err
	} else if a.State == api.SessionStateErased {
		s.erased = true
		return w.take(s)(a, nil)
	}
	if _, err := w.client.EraseSubject(ctx, s.subject, api.ErasureReasonSubjectRequest); err != nil {
		return err
	}
	s.erased, s.state = true, api.SessionStateErased
	return nil
}
