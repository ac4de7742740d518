package main

import (
	"context"
	"errors"
	"io"
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

const (
	// copyBlock is what a node reads of its state, and writes of another's, at once.
	copyBlock = 1 << 20
	// copyRoom is written again and again: the disk need not have room for a third state.
	copyRoom = 2 << 30
)

// copyFile reads a file and writes it to another place as a plain program would that
// keeps to a rate, in bytes a second: past the cache, for so long at most, on one core.
func (s *scaleRun) copyFile(ctx context.Context, path string, rate float64, within time.Duration) (err error) {
	in, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECT, 0)
	if err != nil {
		return err
	}
	defer in.Close()
	to := filepath.Join(s.dir, "copied")
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|unix.O_DIRECT, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close(), os.Remove(to)) }()
	b, err := unix.Mmap(-1, 0, copyBlock, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE) // O_DIRECT asks for whole pages
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unix.Munmap(b)) }()
	begin := time.Now()
	for at := int64(0); time.Since(begin) < within && ctx.Err() == nil; at += copyBlock {
		if n, err := in.ReadAt(b, at); n < copyBlock {
			if errors.Is(err, io.EOF) { // what is left is no measurement any more
				return nil
			}
			return err
		}
		if _, err := out.WriteAt(b, at%copyRoom); err != nil {
			return err
		}
		time.Sleep(time.Until(begin.Add(time.Duration(float64(at+copyBlock) / rate * float64(time.Second)))))
	}
	return ctx.Err()
}
