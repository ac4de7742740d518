package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// diskBlock of one write or read.
const diskBlock = 4 << 20

// diskSpeed writes a file of a size and syncs it, then reads it, uncached; in
// seconds.
func (s *scaleRun) diskSpeed(ctx context.Context, size int64) (write, read float64, err error) {
	path := filepath.Join(s.dir, "sequential")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(path)) }()
	b := bytesOf(diskBlock) // no disk makes less of them
	begin := time.Now()
	for at := int64(0); at < size; at += diskBlock {
		if err := ctx.Err(); err != nil {
			return 0, 0, err
		}
		if _, err := f.Write(b[:min(diskBlock, size-at)]); err != nil {
			return 0, 0, err
		}
	}
	if err := f.Sync(); err != nil {
		return 0, 0, err
	}
	write = time.Since(begin).Seconds()
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		return 0, 0, err
	}
	begin = time.Now()
	for at := int64(0); at < size; at += diskBlock {
		if err := ctx.Err(); err != nil {
			return 0, 0, err
		}
		if _, err := f.ReadAt(b[:min(diskBlock, size-at)], at); err != nil {
			return 0, 0, err
		}
	}
	return write, time.Since(begin).Seconds(), nil
}
