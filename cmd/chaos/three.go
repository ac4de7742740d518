package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"time"

	"gatehouse/cmd/chaos/lab"
	"gatehouse/cmd/chaos/siege"
)

// recovery is the promise: any one node may fail, and the service answers again.
const recovery = 5 * time.Second

// thaw is the same where the leader's disk hangs: it is given four seconds to
// answer first (cluster/watch).
const thaw = 10 * time.Second

// withPoints builds the program so that it dies at the points where it is told
// to (package killpoint).
func withPoints(ctx context.Context, to string) error {
	c := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-tags", "killpoints", "-o", to, "./cmd/gatehouse")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("building gatehouse with the tag killpoints, in the root of the repository: %w: %s", err, out)
	}
	return nil
}

// three nodes under faults, and what was found.
func (s *settings) three(ctx context.Context, f *figures) error {
	began := time.Now()
	r, err := siege.Run(ctx, siege.Config{Binary: s.binary, Dir: s.dir, Document: s.document, Selfie: s.selfie, Seed: s.seed,
		Nemesis: s.nemesis, Rounds: s.rounds, Time: time.Duration(s.minutes) * time.Minute,
		Tell: func(format string, args ...any) {
			fmt.Printf("%7.1f s  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
		}})
	if errors.Is(err, lab.ErrRoot) || errors.Is(err, lab.ErrAbsent) {
		fmt.Println("three: SKIPPED:", err)
		f.skip("chaos_three_rounds", "rounds", "no-lab")
		return nil
	}
	if r == nil {
		return err
	}
	for _, skipped := range r.Skipped {
		fmt.Printf("three: %s was left out: %v\n", skipped.Nemesis, skipped.Why)
	}
	s.threeFigures(r, f)
	if s.doc != "" && err == nil {
		err = os.WriteFile(s.doc, page(r), 0o644)
	}
	return err
}

func (s *settings) threeFigures(r *siege.Report, f *figures) {
	f.info("chaos_three_rounds", float64(len(r.Rounds)), "rounds")
	writes, verified, undecided := 0, 0, 0
	for _, one := range r.Rounds {
		writes, verified, undecided = writes+one.Writes, verified+one.Verified, undecided+one.Failed
	}
	f.info("chaos_three_writes", float64(writes), "sessions")
	f.info("chaos_three_verifications", float64(verified), "verifications")
	f.info("chaos_three_failed", float64(undecided), "verifications")
	for _, one := range []struct {
		name, unit string
		sorts      []siege.What
	}{
		{"lost", "promises", []siege.What{siege.Lost}},
		{"twice", "keys", []siege.What{siege.Twice}},
		{"not_linearizable", "rounds", []siege.What{siege.Order, siege.Undecided}},
		{"state_differs", "indexes", []siege.What{siege.Hash}},
		{"forks", "logs", []siege.What{siege.Fork}},
		{"keys_differ", "logs", []siege.What{siege.Keys}},
		{"pictures_missing", "pictures", []siege.What{siege.Picture}},
		{"plain_text", "files", []siege.What{siege.Plain}},
		{"check_findings", "findings", []siege.What{siege.Damage}},
		{"not_whole", "rounds", []siege.What{siege.Away, siege.Unfinished}},
		{"violations", "violations", nil},
	} {
		f.goal("chaos_three_"+one.name, float64(r.Count(one.sorts...)), one.unit, "<=", 0)
	}
	var gaps, frozen []time.Duration
	for _, one := range r.Rounds {
		switch {
		case one.Nemesis == "freeze-leader":
			frozen = append(frozen, one.Gap)
		case promised(one.Round):
			gaps = append(gaps, one.Gap)
		}
	}
	if len(frozen) > 0 {
		f.goal("chaos_three_frozen_leader_max", seconds(slices.Max(frozen)), "s", "<=", thaw.Seconds())
	}
	if len(gaps) > 0 {
		f.info("chaos_three_unavailable_p50", seconds(at(gaps, 0.5)), "s")
		f.goal("chaos_three_unavailable_max", seconds(slices.Max(gaps)), "s", "<=", recovery.Seconds())
	}
}

// promised tells whether one node alone is hit: the others must go on. A leader
// that is hit while another is behind leaves nobody to go on with.
func promised(r siege.Round) bool {
	return len(r.Faults) == 1 && r.Faults[0].On != siege.All && (r.Faults[0].During != siege.Install || r.Faults[0].On != siege.Leader)
}
