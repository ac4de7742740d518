package raftlog

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"gatehouse/store/disk"
)

// FS is what a log needs of a disk.
type FS interface {
	// MakeDir makes a folder and its name durable, if it is not there.
	MakeDir(path string) error
	// List gives the names in a folder, in any order.
	List(path string) ([]string, error)
	// Create makes an empty file; one that is there is an error.
	Create(path string) (File, error)
	// Open opens a file that is there, to read and write.
	Open(path string) (File, error)
	// Rename replaces what is at to.
	Rename(from, to string) error
	Remove(path string) error
	// SyncDir makes the names in a folder durable.
	SyncDir(path string) error
}

// File of an FS. Reads and writes may come at once.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Size() (int64, error)
	Truncate(size int64) error
	// Sync makes the content and the size durable.
	Sync() error
}

// system is the real disk.
type system struct{ flag int }

func (system) MakeDir(path string) error    { return disk.MkdirAll(path) }
func (system) Rename(from, to string) error { return os.Rename(from, to) }
func (system) Remove(path string) error     { return os.Remove(path) }
func (system) SyncDir(path string) error    { return disk.SyncDir(path) }

func (system) List(path string) ([]string, error) {
	all, err := os.ReadDir(path)
	names := make([]string, len(all))
	for i, e := range all {
		names[i] = e.Name()
	}
	return names, err
}

func (system) Create(path string) (File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return systemFile{f}, nil
}

func (s system) Open(path string) (File, error) {
	f, err := os.OpenFile(path, s.flag, 0)
	if err != nil {
		return nil, err
	}
	return systemFile{f}, nil
}

type systemFile struct{ *os.File }

func (f systemFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, fmt.Errorf("%s is not a file", f.Name())
	}
	return info.Size(), nil
}

// Sync is fdatasync: of the inode it writes what is needed to find the content,
// and not the times.
func (f systemFile) Sync() error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if errors.Is(err, unix.EINTR) { // a signal came before anything was done, as os.File.Sync has it
			continue
		}
		if err != nil {
			return fmt.Errorf("%w: fdatasync of %s: %w", disk.ErrSync, f.Name(), err)
		}
		return nil
	}
}
