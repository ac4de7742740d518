package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Ability is something that a kernel may lack.
type Ability string

const (
	Machines   Ability = "machines"  // namespaces, virtual links, ext4 in a file; Kill, KillAt, Pause, FillDisk and ClockOffset need no more
	Partition  Ability = "partition" // Cut, CutOneWay, Split
	SlowLink   Ability = "slow link"
	Latency    Ability = "latency" // of a slow link
	Freeze     Ability = "frozen disk"
	SlowDevice Ability = "slow disk"
)

// Abilities tells of each why it cannot be had, as an ErrAbsent; nil where it
// can.
type Abilities map[Ability]error

const (
	// So many synced writes at so many operations a second take probeTime at
	// least (0.5 s measured, and 0.03 s without the limit).
	probeWrites = 25
	probeRate   = 200
	probeTime   = probeWrites * time.Second / probeRate
)

// Probe tries everything once, on a machine of its own in a new directory
// beside dir's files, which takes under a second. The error is ErrRoot, or of
// dir.
func Probe(ctx context.Context, dir string) (Abilities, error) {
	if os.Geteuid() != 0 {
		return nil, ErrRoot
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return nil, err
	}
	if dir, err = os.MkdirTemp(filepath.Dir(dir), "probe-"); err != nil {
		return nil, err
	}
	able, err := probe(ctx, dir)
	if err != nil {
		return nil, err
	}
	return able, os.RemoveAll(dir)
}

func absent(err error) error {
	if err == nil || errors.Is(err, ErrAbsent) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrAbsent, err)
}

// probe with no ability left out. That something cannot be removed again is an
// error, whatever else it says.
func probe(ctx context.Context, dir string) (able Abilities, err error) {
	l, err := open(ctx, Config{Dir: dir}, nil)
	if err == nil {
		able, err = l.probe(ctx)
		if failed := l.Close(); failed != nil {
			return nil, failed
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		able = Abilities{}
		for _, a := range []Ability{Machines, Partition, SlowLink, Latency, Freeze, SlowDevice} {
			able[a] = absent(err)
		}
	}
	return able, nil
}

func (l *Lab) probe(ctx context.Context) (Abilities, error) {
	m, err := l.AddMachine(ctx, diskMin)
	if err != nil {
		return nil, err
	}
	tried := func(f *Fault, err error) error {
		if err == nil {
			err = f.End()
		}
		return absent(err)
	}
	return Abilities{
		Machines:   nil,
		Partition:  tried(l.CutOneWay(ctx, m.Place, l.clients[0])),
		SlowLink:   tried(l.Slow(ctx, m, Link{BytesPerSecond: 1 << 20})),
		Latency:    tried(l.Slow(ctx, m, Link{Latency: time.Millisecond})),
		Freeze:     tried(l.FreezeDisk(ctx, m)),
		SlowDevice: absent(l.probeSlow(ctx, m)),
	}, nil
}

// probeSlow measures, as a limit that is taken may limit nothing.
func (l *Lab) probeSlow(ctx context.Context, m *Machine) error {
	f, err := l.SlowDisk(ctx, m, probeRate)
	if err != nil {
		return err
	}
	p, err := m.Start(ctx, Command{Argv: []string{"/usr/bin/dd", "if=/dev/zero", "of=" + filepath.Join(m.Data(), "probe"), "bs=4096", fmt.Sprintf("count=%d", probeWrites), "oflag=dsync"}})
	if err != nil {
		return errors.Join(err, f.End())
	}
	select {
	case <-p.Ended():
		err = p.Err()
	case <-time.After(commandTime):
		err = p.Kill()
	}
	if took := time.Since(p.Began()); err == nil && took < probeTime {
		err = fmt.Errorf("%w: %d writes took %v at %d a second", ErrAbsent, probeWrites, took, probeRate)
	}
	return errors.Join(err, f.End())
}
