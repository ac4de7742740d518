// Command chaos kills the real binary at random moments and at named ones, again
// and again, breaks the machines that three of them run on, and prints what was
// lost. 'make chaos' runs it.
//
// It must never count a kill or a round whose outcome was not checked.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"gatehouse/appliance/appliancetest/crash"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

// settings of a run, and what its scenarios share.
type settings struct {
	binary, samples, dir, figures string
	kills, rounds, minutes        int
	nemesis, doc                  string
	seed                          uint64
	document, selfie              []byte
}

func run(ctx context.Context) error {
	var s settings
	flag.StringVar(&s.binary, "binary", "./gatehouse", "the `FILE` that 'make' builds; three builds its own")
	flag.StringVar(&s.samples, "samples", "build/assets/samples", "portraits in this `DIR`")
	flag.StringVar(&s.dir, "keep", "build/chaos", "run in a new directory in this `DIR`, on a real disk; one of a failed run is kept")
	flag.StringVar(&s.figures, "figures", "build/figures", "keep the figures in this `DIR`")
	flag.IntVar(&s.kills, "kills", 200, "kill `N` times under load")
	flag.Uint64Var(&s.seed, "seed", uint64(time.Now().UnixNano()), "`N` chooses the moments and the load")
	flag.IntVar(&s.rounds, "rounds", 0, "three: at most `N` rounds (default 0: as many as there is time for)")
	flag.IntVar(&s.minutes, "minutes", 20, "three: begin no round after `N` minutes")
	flag.StringVar(&s.nemesis, "nemesis", "", "three: only these `NAMES`, with commas")
	flag.StringVar(&s.doc, "doc", "", "three: write the page to this `FILE`")
	flag.Parse()
	what := flag.Arg(0)
	if what != "" { // flags may come after it, too
		if err := flag.CommandLine.Parse(flag.Args()[1:]); err != nil {
			return err
		}
	}
	if flag.NArg() > 0 || s.kills < 1 || s.rounds < 0 || s.minutes < 1 || !slices.Contains([]string{"", "cluster", "failover", "three"}, what) {
		return errors.New("usage: go run ./cmd/chaos [--kills N] [--seed N] [--keep DIR] [cluster|failover|three [--rounds N] [--minutes N] [--nemesis NAMES] [--doc FILE]]")
	}
	for _, path := range []*string{&s.binary, &s.dir} {
		var err error
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(s.dir, "run-")
	if err != nil {
		return err
	}
	s.dir = dir
	if what == "three" {
		s.binary = filepath.Join(dir, "gatehouse")
		if err := withPoints(ctx, s.binary); err != nil {
			return err
		}
	}
	if err := s.pictures(ctx); err != nil {
		return err
	}
	if what == "cluster" {
		if err := s.cluster(ctx); err != nil {
			return fmt.Errorf("%w\nkept in %s", err, s.dir)
		}
		return os.RemoveAll(s.dir)
	}
	f := &figures{dir: s.figures}
	if what == "failover" {
		if err := errors.Join(s.failover(ctx, f), f.err); err != nil {
			return fmt.Errorf("%w\nkept in %s", err, s.dir)
		}
		return os.RemoveAll(s.dir)
	}
	fmt.Printf("chaos: seed %d, in %s\n", s.seed, s.dir)
	if what == "three" {
		if err := errors.Join(s.three(ctx, f), f.err); err != nil {
			return fmt.Errorf("%w\nkept in %s; three --seed %d runs it again", err, s.dir, s.seed)
		}
		return os.RemoveAll(s.dir)
	}
	if err := errors.Join(s.scenarios(ctx, f), f.err); err != nil {
		return fmt.Errorf("%w\nkept in %s; --seed %d runs it again", err, s.dir, s.seed)
	}
	return os.RemoveAll(s.dir)
}

// pictures makes a specimen document of the portrait whose other picture is the
// selfie.
func (s *settings) pictures(ctx context.Context) (err error) {
	file := filepath.Join(s.dir, "passport.jpg")
	c := exec.CommandContext(ctx, s.binary, "specimen", "--portrait", filepath.Join(s.samples, "obama.jpg"), "--seed", "1", "--out", file)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s specimen: %w: %s; build it with make, or name it with --binary", s.binary, err, out)
	}
	if s.document, err = os.ReadFile(file); err != nil {
		return err
	}
	s.selfie, err = os.ReadFile(filepath.Join(s.samples, "obama2.jpg"))
	return err
}

// config of one scenario.
func (s *settings) config(name string, kills int) crash.Config {
	return crash.Config{Binary: s.binary, Dir: filepath.Join(s.dir, name), Document: s.document, Selfie: s.selfie, Kills: kills, Seed: s.seed,
		Progress: func(kill int, r *crash.Report) {
			if kill%10 == 0 {
				fmt.Printf("%s: %d of %d kills, %d promises broken\n", name, kill, kills, len(r.Broken))
			}
		}}
}
