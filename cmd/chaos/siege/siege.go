package siege

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"gatehouse/cmd/chaos/history"
	"gatehouse/cmd/chaos/lab"
)

const (
	// calm before a fault and after it is healed, with traffic.
	calm = 3 * time.Second
	// returnTime within which a healed cluster must be whole, unaided (ours). Copies of
	// pictures have healTime.
	returnTime = 60 * time.Second
	look       = 200 * time.Millisecond
)

// Config of a run.
type Config struct {
	Binary           string
	Dir              string // on a real disk
	Document, Selfie []byte // JPEG
	Seed             uint64
	Nemesis          string // names with commas; empty: all
	Rounds           int    // at most; 0: as many as there is time for
	Time             time.Duration
	Tell             func(format string, args ...any)
}

// Siege is one run.
type Siege struct {
	Config
	canary string
	report *Report
	stood  int // clusters so far
}

// Run rounds until there have been enough or the time is over. A cluster of
// which something is found is put away as it is, under Dir, and the next round
// has a new one. Errors: ErrNemesis, those of the lab, or a cluster that cannot
// be formed.
func Run(ctx context.Context, c Config) (*Report, error) {
	s := &Siege{Config: c, canary: "CANARY" + rand.Text(), report: &Report{Seed: c.Seed, Began: time.Now()}}
	able, err := lab.Probe(ctx, filepath.Join(c.Dir, "probe"))
	if err != nil {
		return nil, err
	}
	if err := able[lab.Machines]; err != nil {
		return nil, err
	}
	for _, n := range nemeses() {
		if err := able[n.needs]; err != nil {
			s.report.Skipped = append(s.report.Skipped, Skip{n.name, err})
		}
	}
	plan, err := NewPlan(c.Seed, c.Nemesis, able)
	if err != nil {
		return nil, err
	}
	end := time.Now().Add(c.Time)
	more := func() bool {
		n := len(s.report.Rounds)
		return ctx.Err() == nil && time.Now().Before(end) && (c.Rounds == 0 || n < c.Rounds)
	}
	for err == nil && more() {
		err = s.cluster(ctx, plan, more)
	}
	s.report.Took = time.Since(s.report.Began)
	if ctx.Err() != nil {
		err = nil // what was measured until then is told
	}
	return s.report, err
}

// cluster goes through rounds with one cluster until something is found.
func (s *Siege) cluster(ctx context.Context, plan *Plan, more func() bool) (err error) {
	s.stood++
	dir := filepath.Join(s.Dir, fmt.Sprintf("cluster-%d", s.stood))
	t, err := s.stand(ctx, dir)
	if err != nil {
		return err
	}
	found := len(s.report.Violations())
	defer func() {
		err = errors.Join(err, t.close(), s.searched(t))
		if len(s.report.Violations()) > found {
			s.report.Kept = append(s.report.Kept, dir)
			s.Tell("kept in %s", dir)
		} else if err == nil {
			err = os.RemoveAll(dir)
		}
	}()
	logs, err := t.logs(ctx)
	if err != nil {
		return err
	}
	j := &judge{Siege: s, stand: t, logs: logs, hashes: map[uint64]string{}}
	for again := true; again; again = more() && len(s.report.Violations()) == found {
		if err := s.round(ctx, j, plan.Next()); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	j.last(ctx)
	return nil
}

// round of traffic, faults, healing and judgement.
func (s *Siege) round(ctx context.Context, j *judge, r Round) error {
	out := &Result{Round: r, Began: time.Now()}
	s.report.Rounds = append(s.report.Rounds, out)
	j.result = out
	s.Tell("round %d: %s: %v", r.Number, r.Nemesis, r.Faults)
	t := &traffic{stand: j.stand, document: s.Document, selfie: s.Selfie, canary: s.canary, prefix: fmt.Sprintf("r%d-", r.Number),
		pending: map[string]bool{}, sent: map[string]*verification{}}
	before := len(j.ops.Ops())
	if err := t.begin(ctx, s.Seed+uint64(r.Number)); err != nil {
		return err
	}
	pause(ctx, calm)
	var err error
	if out.Struck, err = j.strike(ctx, r.Faults, s.Tell); err != nil && ctx.Err() == nil {
		j.found(Trouble, "%v", err)
	}
	healed := time.Now()
	steady := j.returns(ctx)
	out.Return = time.Since(healed)
	pause(ctx, calm)
	left := t.quiet()
	ops := slices.Clone(j.ops.Ops()[before:])
	if ctx.Err() != nil {
		s.report.Rounds = s.report.Rounds[:len(s.report.Rounds)-1] // one that was not checked does not count
		return nil
	}
	out.measure(ops, t)
	if steady {
		for _, key := range left {
			j.found(Unfinished, "verification %s is %s %v after everything was healed", key, t.sent[key].state, finishTime)
		}
		j.judge(ctx, t, ops)
	}
	if ctx.Err() != nil {
		s.report.Rounds = s.report.Rounds[:len(s.report.Rounds)-1]
		return nil
	}
	for _, what := range t.refused {
		j.found(Refused, "%s", what)
	}
	j.exits(out.Struck)
	s.Tell("round %d: no write for %.2f s at most, whole again after %.1f s, %d writes, %d verifications, %d violations",
		r.Number, out.Gap.Seconds(), out.Return.Seconds(), out.Writes, out.Verified, len(out.Violations))
	return j.note(out)
}

// note a round in the cluster's own list of them.
func (t *stand) note(r *Result) error {
	f, err := os.OpenFile(filepath.Join(t.dir, "rounds.jsonl"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(json.NewEncoder(f).Encode(r), f.Close())
}

// measure what the clients saw.
func (r *Result) measure(ops []history.Op, t *traffic) {
	var writes []history.Op
	for _, o := range ops {
		if o.Client == writerClient {
			writes = append(writes, o)
			if o.Outcome == history.OK {
				r.Writes++
			}
		}
	}
	r.Gap = history.Unavailable(writes, 0).At(1)
	r.Verified, r.Failed = t.decided, t.failed
}

// returns tells whether the cluster is whole again in time.
func (j *judge) returns(ctx context.Context) bool {
	end := time.Now().Add(returnTime)
	for {
		err := j.steady(ctx)
		if err == nil {
			return true
		}
		if time.Now().After(end) {
			j.found(Away, "%v after everything was healed: %v", returnTime, err)
			return false
		}
		if !pause(ctx, look) {
			return false
		}
	}
}
