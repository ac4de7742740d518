package watch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"gatehouse/cluster"
)

const (
	probeEvery = time.Second
	probeSize  = 512 // the smallest sector that a disk writes whole
	probesKept = 100 // for the percentiles: the last minute and a half
)

// Disk asks the disk for a small synced write each second, as nothing else says
// of an idle node that its disk hangs: DIR/probe, which holds nothing.
type Disk struct {
	path   string
	origin time.Time
	began  atomic.Int64 // of the write under way, ns after origin; 0: none

	mu   sync.Mutex
	last []time.Duration // the newest last
}

// NewDisk probes the file system of a folder, once Run is called.
func NewDisk(dir string) *Disk {
	return &Disk{path: filepath.Join(dir, "probe"), origin: time.Now().Add(-1)}
}

// Stalled is how long the write under way has taken; 0: none is. It does not
// wait.
func (d *Disk) Stalled() time.Duration {
	if began := d.began.Load(); began != 0 {
		return time.Since(d.origin) - time.Duration(began)
	}
	return 0
}

// Latency of the last 100 writes: half, and 99 of 100, took no longer; 0 before
// the first.
func (d *Disk) Latency() (p50, p99 time.Duration) {
	d.mu.Lock()
	all := slices.Clone(d.last)
	d.mu.Unlock()
	if len(all) == 0 {
		return 0, 0
	}
	slices.Sort(all)
	rank := func(percent int) time.Duration { return all[(len(all)*percent+99)/100-1] }
	return rank(50), rank(99)
}

// Run probes until ctx ends; a write that hangs then is left behind. An error
// wraps cluster.ErrDisk: a write has failed, and none is tried again. That there
// is no room is none, as others watch that.
func (d *Disk) Run(ctx context.Context) error {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	asked, done := make(chan struct{}), make(chan error, 1)
	defer close(asked)
	go d.write(asked, done)
	for {
		start := time.Since(d.origin)
		d.began.Store(int64(start))
		asked <- struct{}{} // the last was answered
		select {
		case <-ctx.Done():
			return nil
		case err := <-done:
			d.began.Store(0)
			if err != nil && !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EDQUOT) {
				return fmt.Errorf("%w: the probe: %w", cluster.ErrDisk, err)
			}
			d.note(time.Since(d.origin) - start)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (d *Disk) note(took time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last = append(d.last, took)
	d.last = d.last[max(0, len(d.last)-probesKept):]
}

// write when asked: the one goroutine that a disk that hangs holds.
func (d *Disk) write(asked <-chan struct{}, done chan<- error) {
	var f *os.File
	block := make([]byte, probeSize)
	for range asked {
		var err error
		if f == nil {
			f, err = os.OpenFile(d.path, os.O_CREATE|os.O_WRONLY, 0o600)
		}
		if err == nil {
			block[0]++ // a disk might not write what it has
			if _, err = f.WriteAt(block, 0); err == nil {
				err = unix.Fdatasync(int(f.Fd()))
			}
		}
		done <- err
	}
	if f != nil {
		_ = f.Close() // it holds nothing
	}
}
