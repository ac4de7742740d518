package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"gatehouse/appliance/appliancetest/crash"
)

// firstStarts: once at each step of a start, the rest at random moments.
const firstStarts = 38

// scenarios runs them all, the short ones first.
func (s *settings) scenarios(ctx context.Context, f *figures) error {
	r, err := crash.FirstStarts(ctx, s.config("first", firstStarts))
	if !s.told("first", r, err) {
		return err
	}
	f.goal("crash_first_start_kills", float64(r.Kills), "kills", ">=", firstStarts)
	f.goal("crash_first_start_broken", float64(len(r.Broken)), "directories", "<=", 0)
	r, err = crash.FullDisk(ctx, s.config("full", 0))
	if errors.Is(err, crash.ErrSkipped) {
		f.skip("crash_full_disk_broken", "promises", "no-small-disk")
	} else if !s.told("full", r, err) {
		return err
	} else {
		f.goal("crash_full_disk_broken", float64(len(r.Broken)), "promises", "<=", 0)
	}
	r, err = crash.Run(ctx, s.config("load", s.kills))
	if !s.told("load", r, err) {
		return err
	}
	fmt.Printf("acknowledged: %d sessions, %d pictures, %d decisions, %d of which found the face under another name, %d erasures; %d pictures read back, %d leaves hashed, %d checkpoints held against them, %d bundles verified in a row\n",
		r.Sessions, r.Evidence, r.Decisions, r.Duplicates, r.Erasures, r.Reads, r.Leaves, r.Checkpoints, r.Bundles)
	f.goal("crash_kills", float64(r.Kills), "kills", ">=", 200)
	f.goal("crash_acknowledged_lost", float64(r.Count(crash.Lost)), "promises", "<=", 0)
	f.goal("crash_decided_twice", float64(r.Count(crash.Twice)), "keys", "<=", 0)
	f.goal("crash_forks", float64(r.Count(crash.Fork)), "logs", "<=", 0)
	f.goal("crash_duplicates_missed", float64(r.Count(crash.Missed)), "faces", "<=", 0)
	f.goal("crash_check_findings", float64(r.Count(crash.Damage)), "findings", "<=", 0)
	f.info("crash_restart_p50", seconds(r.Restart(0.5)), "s")
	f.info("crash_restart_p99", seconds(r.Restart(0.99)), "s")
	return nil
}

// told prints what was broken; false where there is nothing to measure.
func (s *settings) told(name string, r *crash.Report, err error) bool {
	if r == nil {
		return false
	}
	for _, b := range r.Broken {
		fmt.Printf("%s: BROKEN %v\n", name, b)
	}
	return err == nil
}

func seconds(d time.Duration) float64 { return math.Round(d.Seconds()*1000) / 1000 }
