package health

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"gatehouse/store/disk"
)

const (
	// The ballast is given back when even the log is short of room, so that
	// the node can still write why it stops (CockroachDB does so).
	ballast      = 64 << 20
	ballastBelow = 128 << 20
	lookEvery    = 2 * time.Second
)

// Disk watches the room where the data lie.
type Disk struct {
	dir         string
	free, total atomic.Uint64
	full        atomic.Bool
	freeSpace   func(string) (free, total uint64, err error)
	reserve     uint64
	noBallast   bool // only Look, which one caller at a time runs, reads it
}

// NewDisk watches dir. The log and the audit must keep room when evidence has
// none: new evidence is refused below keep bytes, and taken again above twice
// it.
func NewDisk(dir string, keep uint64) (*Disk, error) {
	d := &Disk{dir: dir, freeSpace: disk.Free, reserve: keep}
	return d, d.Look()
}

// Space that is free, and in all, in bytes.
func (d *Disk) Space() (free, total uint64) { return d.free.Load(), d.total.Load() }

// Full says whether new evidence must be refused.
func (d *Disk) Full() bool { return d.full.Load() }

// Look at the room now.
func (d *Disk) Look() error {
	free, total, err := d.freeSpace(d.dir)
	if err != nil {
		return err
	}
	d.free.Store(free)
	d.total.Store(total)
	if free < d.reserve {
		d.full.Store(true)
	} else if free > 2*d.reserve {
		d.full.Store(false)
	}
	return d.weigh(free)
}

// weigh lays the ballast down where there is room, and throws it off where
// there is none.
func (d *Disk) weigh(free uint64) error {
	path := filepath.Join(d.dir, "ballast")
	_, err := os.Stat(path)
	switch {
	case err == nil && free < ballastBelow:
		return os.Remove(path)
	case errors.Is(err, os.ErrNotExist) && !d.noBallast && free > max(2*d.reserve, ballast+2*ballastBelow):
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("ballast: %w", err)
		}
		// Where the filesystem cannot pre-allocate there is no ballast.
		if err := unix.Fallocate(int(f.Fd()), 0, 0, ballast); err != nil {
			d.noBallast = true
			err = errors.Join(f.Close(), os.Remove(path))
			return err
		}
		return f.Close()
	}
	return nil
}

// Run looks at intervals.
func (d *Disk) Run(ctx context.Context, failed func(error)) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := d.Look(); err != nil {
				failed(err)
			}
		}
	}
}
