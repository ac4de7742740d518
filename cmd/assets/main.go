// Command assets makes build/assets from the packages pinned in assets.lock:
// the inference runtime, the default model pack, the font, the samples and
// every licence text. It is the only step of a build that fetches anything,
// and a changed byte anywhere stops it with the name of the file.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"
)

const usage = `Usage: go run ./cmd/assets [--lock FILE] [--out DIR] [--cache DIR] [--check]

Fetches what assets.lock pins (pip, npm, apt-get), verifies it, converts it and
writes it to build/assets. With everything in the cache it needs no network;
with the outputs in place it only verifies them.

`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := assets(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "assets:", err)
		stop()
		os.Exit(1)
	}
}

func assets(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("assets", flag.ExitOnError)
	lockPath := flags.String("lock", "assets.lock", "the `file` that pins every artefact")
	out := flags.String("out", "build/assets", "the `directory` to write")
	cacheDir := flags.String("cache", "", "the `directory` that keeps artefacts (default: gatehouse/assets in the user's cache)")
	checkOnly := flags.Bool("check", false, "verify the outputs and change nothing")
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), usage)
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	log := func(format string, args ...any) { fmt.Printf(format+"\n", args...) }
	start := time.Now()
	done := func(what string) {
		log("%s %s %s (%.1f s)", *out, what, *lockPath, time.Since(start).Seconds())
	}

	l, err := readLock(*lockPath)
	if err != nil {
		return err
	}
	p, err := newPlan(ctx, l, filepath.Dir(*lockPath), *checkOnly)
	if err != nil {
		return err
	}
	err = p.check(*out)
	if err == nil {
		done("matches")
		return nil
	}
	if *checkOnly {
		return fmt.Errorf("%w; run make assets", err)
	}
	if *cacheDir == "" {
		if *cacheDir, err = defaultCache(); err != nil {
			return err
		}
	}
	if err := p.build(ctx, l, cache{*cacheDir, log}, *out); err != nil {
		return err
	}
	if err := p.check(*out); err != nil {
		return fmt.Errorf("what was just written is wrong: %w", err)
	}
	done("made from")
	return nil
}
