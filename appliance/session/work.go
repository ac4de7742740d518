package session

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/appliance/access"
	"gatehouse/appliance/act"
	"gatehouse/appliance/identify"
	"gatehouse/appliance/jobs"
	"gatehouse/appliance/problem"
	"gatehouse/appliance/verify"
	"gatehouse/cluster"
	"gatehouse/cluster/replica"
	"gatehouse/engine/face"
	"gatehouse/engine/picture"
	"gatehouse/store/audit"
	"gatehouse/store/command"
	"gatehouse/store/keys"
	"gatehouse/store/state"
)

// Submit hands a session to the workers; it answers when the submission is
// agreed on.
func (s *Service) Submit(ctx context.Context, c access.Caller, session string, idem *act.Idempotency) error {
	row, err := s.session(c.Tenant, session)
	if err != nil {
		return err
	}
	if row.State == state.Erased {
		return problem.New(problem.SubjectErased, "the person was erased")
	}
	release, err := s.Jobs.Reserve(row.Batch)
	if err != nil {
		return s.overloaded(row.Batch)
	}
	defer release()
	e := act.Event(c, audit.SessionSubmit, "session", row.Id)
	e.Subject = row.Subject
	a, err := s.Propose(ctx, c, command.Type_SUBMIT, &command.Submit{Session: row.Id, Node: s.Assign()}, idem, e)
	if err != nil || a.Replay != nil {
		return err
	}
	if row, err = s.session(c.Tenant, session); err != nil {
		return err
	}
	s.add(row)
	return nil
}

// add a job that is this node's.
func (s *Service) add(row *command.Session) {
	if row.State == state.Submitted && row.Node == s.Node {
		s.Jobs.Add(jobs.Job{Tenant: row.Tenant, Session: row.Id, Attempt: row.Attempt, Batch: row.Batch, Suspect: row.Deaths > 0})
	}
}

func (s *Service) overloaded(batch bool) error {
	stats := s.Jobs.Stats()
	p := problem.New(problem.Overloaded, "%d verifications wait", stats.Waiting+stats.Batch)
	p.After = s.Jobs.RetryAfter(batch)
	return p
}

// Room says, before evidence is taken in, whether a submission would be.
func (s *Service) Room(batch bool) error {
	if s.Jobs.Full(batch) {
		return s.overloaded(batch)
	}
	return nil
}

// Resume puts this node's jobs of the state back into the queue, after a start.
// One that a worker had in hand when the process died has died once, whichever
// node it was given to meanwhile: this node alone knows it.
func (s *Service) Resume(ctx context.Context) error {
	died, err := s.Jobs.UnderWay()
	if err != nil {
		return err
	}
	rows, err := s.assigned()
	if err != nil {
		return err
	}
	for _, row := range rows {
		if died[row.Id] {
			if row, err = s.died(ctx, row); err != nil {
				return err
			}
			delete(died, row.Id)
		}
		s.add(row)
	}
	for id := range died { // decided elsewhere, or erased
		if err := s.Jobs.Settle(id); err != nil {
			return err
		}
	}
	return nil
}

// died counts a death, once, and gives what the session is then. A count that is
// refused as stale was of a job that another node has just moved or decided; one
// whose outcome is not known may have been made.
func (s *Service) died(ctx context.Context, row *command.Session) (*command.Session, error) {
	for before := row.Deaths; row.State == state.Submitted && row.Deaths == before; {
		err := ignoreStale(s.retry(ctx, row, "worker_died", row.Node))
		if errors.Is(err, cluster.ErrUnavailable) {
			err = s.Cluster.Read(ctx)
		}
		if err != nil {
			return nil, err
		}
		if row, err = s.session(row.Tenant, row.Id); err != nil {
			return nil, err
		}
	}
	return row, s.Jobs.Settle(row.Id)
}

// assigned jobs of the state, the oldest first.
func (s *Service) assigned() (rows []*command.Session, err error) {
	if err := s.State.View(func(v *state.View) (err error) { rows, err = v.Jobs(); return err }); err != nil {
		return nil, err
	}
	slices.SortFunc(rows, func(a, b *command.Session) int { return cmp.Compare(a.SubmittedNs, b.SubmittedNs) })
	return rows, nil
}

// Reconcile adds this node's jobs that the pool does not have: those that
// another node has assigned to it, and those whose submission was agreed on
// after its caller was told that it is not known.
func (s *Service) Reconcile() error {
	rows, err := s.assigned()
	for _, row := range rows {
		s.add(row)
	}
	return err
}

// suspected is the attempt from which on a job is blamed for the loss of a node
// that had it. What a worker had in hand the node counts itself when it is back
// (Resume), and what only waited has done nothing; but what ends a whole machine
// leaves no word of it, and must not go round for ever. Evidence that is asked for
// again makes eleven attempts at most (state.Tries).
const suspected = 16

// Take gives the jobs of a node that is gone to those that are there.
func (s *Service) Take(ctx context.Context, node string, to func() string) error {
	rows, err := s.assigned()
	if err != nil {
		return err
	}
	for _, row := range rows {
		if row.Node != node {
			continue
		}
		move := s.reassign
		if row.Attempt >= suspected {
			move = s.retry
		}
		if err := ignoreStale(move(ctx, row, "node_lost", to())); err != nil {
			return err
		}
	}
	return nil
}

// HandOver gives this node's jobs that no worker has in hand to another one,
// those among them that another node has just agreed on.
func (s *Service) HandOver(ctx context.Context, to func() string) error {
	if err := s.Cluster.Read(ctx); err != nil {
		return err
	}
	rows, err := s.assigned()
	if err != nil {
		return err
	}
	for _, row := range rows {
		next := to()
		if row.Node != s.Node || next == s.Node || s.Jobs.Running(row.Id) {
			continue
		}
		if err := ignoreStale(s.reassign(ctx, row, "node_stops", next)); err != nil {
			return err
		}
	}
	return nil
}

// reassign gives a job that has not failed to another node.
func (s *Service) reassign(ctx context.Context, row *command.Session, reason, node string) error {
	e := act.Event(access.Caller{}, audit.SessionReassign, "session", row.Id)
	e.Subject, e.Reason, e.Facts = row.Subject, reason, map[string]string{"node": node}
	_, err := s.Propose(ctx, access.Caller{Tenant: row.Tenant}, command.Type_REASSIGN, &command.Reassign{Session: row.Id, Attempt: row.Attempt, Node: node}, nil, e)
	return err
}

// retry counts a death, and gives the job to a node where it was not the last.
func (s *Service) retry(ctx context.Context, row *command.Session, reason, node string) error {
	c := access.Caller{Tenant: row.Tenant}
	e := act.Event(c, audit.SessionRetry, "session", row.Id)
	e.Subject, e.Reason, e.Facts = row.Subject, reason, map[string]string{"attempt": strconv.Itoa(int(row.Attempt))}
	if row.Deaths+1 >= state.MaxAttempts { // it was the last
		e.Action, e.Result = string(audit.SessionFail), string(audit.Failed)
	}
	_, err := s.Propose(ctx, c, command.Type_RETRY, &command.Retry{Session: row.Id, Attempt: row.Attempt, Reason: reason, Node: node}, nil, e)
	return err
}

// Work is one attempt at a job: the evidence is read back, verified, and the
// decision agreed on, in one command with its events.
func (s *Service) Work(ctx context.Context, j jobs.Job) error {
	c := access.Caller{Tenant: j.Tenant}
	row, err := s.session(j.Tenant, j.Session)
	if err != nil {
		return err
	}
	if row.State != state.Submitted || row.Attempt != j.Attempt {
		return nil // erased meanwhile
	}
	start := time.Now()
	in, err := s.gather(ctx, row)
	if errors.Is(err, replica.ErrUnreached) {
		return s.unreached(ctx, row, err)
	}
	if err != nil {
		return s.later(err)
	}
	s.Observe("gather", time.Since(start).Seconds())
	var found *identify.Found
	m, err := s.Verify.Measure(ctx, *in, func(ctx context.Context, t face.Template) (err error) {
		found, err = s.Faces.Identify(ctx, row.Tenant, row.Subject, t)
		return err
	})
	var refused *verify.InputError
	if errors.As(err, &refused) {
		return s.later(s.giveBack(ctx, c, row, refused))
	}
	if err != nil {
		return s.later(err)
	}
	for stage, ms := range m.TimingsMS() {
		s.Observe(stage, ms/1000)
	}
	start = time.Now()
	defer func() { s.Observe("commit", time.Since(start).Seconds()) }()
	return s.later(s.decide(ctx, c, row, m, found))
}

// decide has the decision agreed on, with all that were enrolled before it in
// view. From the last look at the gallery until the face is in it no other
// decision of the tenant is made: of two verifications of one new face the later
// finds the earlier. Where somebody was enrolled beside the lane, as after a
// change of leader, the state asks for another look.
func (s *Service) decide(ctx context.Context, c access.Caller, row *command.Session, m *verify.Measured, found *identify.Found) error {
	if found == nil { // no face
		r, err := m.Decide(ctx, nil)
		if err != nil {
			return err
		}
		return ignoreStale(s.complete(ctx, c, row, r, 0))
	}
	leave, err := s.Faces.Lane(row.Tenant)
	if err != nil {
		return err
	}
	defer leave()
	for {
		if found, err = s.Faces.Again(ctx, row.Tenant, row.Subject, m.Template(), found); err != nil {
			return err
		}
		r, err := m.Decide(ctx, &found.Likeness)
		if err != nil {
			return err
		}
		err = s.complete(ctx, c, row, r, found.Searched)
		if r := (act.Refused{}); errors.As(err, &r) && r.Refusal == state.SearchAgain && ctx.Err() == nil {
			continue // each time somebody else was decided
		}
		if err != nil {
			return ignoreStale(err)
		}
		return s.Faces.Sync(row.Tenant)
	}
}

// later says that a sealed node, a gallery that is still loaded, a key-ring that is on
// its way or a log that does not answer is no fault of the job, and that nobody waits
// for one whose person was erased meanwhile.
func (s *Service) later(err error) error {
	switch {
	case errors.Is(err, keys.ErrSealed), errors.Is(err, identify.ErrLoading):
		return fmt.Errorf("%w: %w", jobs.ErrLater, err)
	case errors.Is(err, keys.ErrUnknownKey):
		s.Log.Warn("the keys of a verification are not here yet", "error", err)
		return fmt.Errorf("%w: %w", jobs.ErrAside, err)
	case errors.Is(err, cluster.ErrUnavailable):
		// It may have been agreed on. Where it was not, Reconcile finds it.
		s.Log.Warn("the outcome of a verification is not known yet", "error", err)
		return nil
	case errors.Is(err, problem.New(problem.SubjectErased, "")), errors.Is(err, keys.ErrErased):
		return nil
	}
	return err
}

// unreachedTries of a job, after which each of seven nodes may have looked for the
// evidence (state.MaxMembers); they are few beside those that suspected counts.
const unreachedTries = 7

// unreached evidence is not whole here, and cannot be had now: there is no room for it,
// or a node that has it does not answer. Another node may have it, which is asked at
// once the first time; later, and where all have tried, it waits.
func (s *Service) unreached(ctx context.Context, row *command.Session, cause error) error {
	s.Log.Warn("the evidence of a verification cannot be had here now", "session", row.Id, "error", cause)
	to := s.Elsewhere()
	if to == s.Node || row.Attempt > unreachedTries {
		return fmt.Errorf("%w: %w", jobs.ErrAside, cause)
	}
	if row.Attempt > 1 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(jobs.AsideTime):
		}
	}
	return s.later(ignoreStale(s.reassign(ctx, row, "evidence_unreached", to)))
}

// gather reads the evidence of a session back.
func (s *Service) gather(ctx context.Context, row *command.Session) (*verify.Evidence, error) {
	in := &verify.Evidence{}
	for _, e := range sorted(row.Evidence) {
		if e.Refused != "" {
			continue
		}
		b, err := s.read(ctx, row, e)
		if err != nil {
			return nil, err
		}
		switch e.Slot {
		case "document_front":
			in.Document = b
		case "document_back":
			in.DocumentBack = b
		case "selfie":
			in.Selfie = b
		default:
			in.Frames = append(in.Frames, b)
		}
	}
	return in, nil
}

func sorted(all []*command.Evidence) []*command.Evidence {
	return slices.SortedFunc(slices.Values(all), func(a, b *command.Evidence) int { return strings.Compare(a.Slot, b.Slot) })
}

func (s *Service) read(ctx context.Context, row *command.Session, e *command.Evidence) ([]byte, error) {
	if e.Size > int64(picture.DefaultLimits().Bytes) {
		return nil, problem.New(problem.Damaged, "the evidence in %s has an impossible size", e.Slot)
	}
	r, err := s.open(ctx, row, e)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b := make([]byte, e.Size)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, s.stored(err, e.Slot)
	}
	return b, nil
}

// giveBack asks for evidence again that is no usable picture.
func (s *Service) giveBack(ctx context.Context, c access.Caller, row *command.Session, refused *verify.InputError) error {
	slot := map[verify.Input]string{verify.DocumentFront: "document_front", verify.DocumentBack: "document_back", verify.Selfie: "selfie"}[refused.Input]
	if refused.Input == verify.Frame {
		var frames []string
		for _, e := range sorted(row.Evidence) {
			if strings.HasPrefix(e.Slot, "liveness_frame_") && e.Refused == "" {
				frames = append(frames, e.Slot)
			}
		}
		slot = frames[refused.Index]
	}
	reason := code(refused.Err)
	e := act.Event(c, audit.SessionReturn, "session", row.Id)
	e.Subject, e.Result, e.Reason, e.Facts = row.Subject, string(audit.Refused), reason, map[string]string{"slot": slot}
	for _, kept := range row.Evidence {
		if kept.Slot == slot && kept.Tries >= state.Tries(slot) { // the last one: it is over
			e.Action, e.Result = string(audit.SessionFail), string(audit.Failed)
		}
	}
	_, err := s.Propose(ctx, c, command.Type_RETURN, &command.Return{Session: row.Id, Attempt: row.Attempt, Slot: slot, Reason: reason + ":" + slot}, nil, e)
	return ignoreStale(err)
}

// code of a picture's refusal.
func code(err error) string {
	for e, c := range map[error]string{picture.ErrEmpty: "picture_empty", picture.ErrUnsupported: "picture_format", picture.ErrTooLarge: "picture_too_large",
		picture.ErrTruncated: "picture_cut_off", picture.ErrCorrupt: "picture_damaged", picture.ErrAnimated: "picture_animated"} {
		if errors.Is(err, e) {
			return c
		}
	}
	return "picture_unusable"
}

// Failed ends a session whose work came to an error that is not the picture's.
func (s *Service) Failed(j jobs.Job, cause error) {
	s.Log.Error("a verification failed", "session", j.Session, "attempt", j.Attempt, "error", cause)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c := access.Caller{Tenant: j.Tenant}
	e := act.Event(c, audit.SessionFail, "session", j.Session)
	e.Result, e.Reason = string(audit.Failed), "internal_error"
	var p *problem.Problem
	if errors.As(cause, &p) && p.Kind == problem.Damaged {
		e.Reason = "evidence_damaged"
	}
	if _, err := s.Propose(ctx, c, command.Type_FAIL, &command.Fail{Session: j.Session, Attempt: j.Attempt, Reason: e.Reason}, nil, e); err != nil && ignoreStale(err) != nil {
		s.Log.Error("a failure could not be recorded; the session is tried again", "session", j.Session, "error", err)
	}
}

// ignoreStale: somebody else has settled it, or it was erased.
func ignoreStale(err error) error {
	if r := (act.Refused{}); errors.As(err, &r) && r.Refusal == state.StaleAttempt {
		return nil
	}
	return err
}

// complete has the decision agreed on, with everything that it rests on.
func (s *Service) complete(ctx context.Context, c access.Caller, row *command.Session, r *verify.Result, searched uint64) error {
	u, _, err := s.subject(row.Tenant, row.Subject)
	if err != nil {
		return err
	}
	d := Decision{Outcome: outcome(r.Decision), Score: r.Score, Reasons: []Reason{}, Signals: r.Signals, Rules: r.Rules, Models: r.Models, TimingsMS: r.TimingsMS}
	p := &command.Complete{Session: row.Id, Attempt: row.Attempt, Outcome: d.Outcome, Searched: searched, Result: &command.Result{Session: row.Id, Rules: r.Rules}}
	for _, reason := range r.Reasons {
		d.Reasons = append(d.Reasons, Reason{reason.Rule, reason.Signal, outcome(reason.Outcome), reason.Text})
		p.Reasons = append(p.Reasons, reason.Code)
	}
	if p.Result.Summary, err = sealJSON(u, place("results", "summary", row.Id), d); err != nil {
		return err
	}
	if p.Result.Detail, err = sealJSON(u, place("results", "detail", row.Id), Detail{r.Document, &r.Face, r.Likeness}); err != nil {
		return err
	}
	if len(r.Template.Vector) > 0 {
		p.Template = &command.Template{Session: row.Id, Model: r.Template.Model}
		vector := identify.Bytes(r.Template.Vector)
		p.Template.Sealed, err = u.Seal(identify.Place(r.Template.Model, row.Id), vector)
		clear(vector)
		if err != nil {
			return err
		}
	}
	events, err := s.decided(c, u, row, r, d.Outcome, p.Reasons)
	if err != nil {
		return err
	}
	_, err = s.Propose(ctx, c, command.Type_COMPLETE, p, nil, events...)
	return err
}

func sealJSON(u *keys.Subject, at keys.Place, v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return u.Seal(at, b)
}
