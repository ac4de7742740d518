package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// diskSize where none is said. The file is sparse: it takes what is written.
	diskSize = 1 << 30
	// diskMin: a journal and room for something (mke2fs(8)).
	diskMin = 32 << 20
	diskMax = 64 << 30
	// filler is the file that fills a disk, in its root.
	filler = ".filler"
	// unmountTime: a process that was killed may still hold the disk for a
	// moment.
	unmountTime = 10 * time.Second
)

// makeDisk makes the image of a disk and mounts it. No block is kept for root,
// so that full is full, and nothing is written behind the machine's back.
func makeDisk(ctx context.Context, image, mount string, size int64) (device string, err error) {
	var host unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(image), &host); err != nil {
		return "", &os.PathError{Op: "statfs", Path: filepath.Dir(image), Err: err}
	}
	if free := int64(host.Bavail) * host.Frsize; free < size {
		return "", fmt.Errorf("%w: a disk of %d bytes may fill the %d that are free in %s", ErrConfig, size, free, filepath.Dir(image))
	}
	f, err := os.OpenFile(image, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		return "", err
	}
	if _, err := command(ctx, "", "mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,nodiscard", image); err != nil {
		return "", err
	}
	if err := os.Mkdir(mount, 0o700); err != nil {
		return "", err
	}
	if _, err := command(ctx, "", "mount", "-t", "ext4", "-o", "loop,noatime,noinit_itable", image, mount); err != nil {
		return "", err
	}
	var s unix.Stat_t
	if err := unix.Stat(mount, &s); err != nil {
		return "", &os.PathError{Op: "stat", Path: mount, Err: err}
	}
	return fmt.Sprintf("%d:%d", unix.Major(s.Dev), unix.Minor(s.Dev)), nil
}

// unmount a disk, whose loop device goes with it.
func unmount(mount string) error {
	for end := time.Now().Add(unmountTime); ; time.Sleep(50 * time.Millisecond) {
		_, err := command(context.Background(), "", "umount", mount)
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}

// FreezeDisk makes each write and each fsync of a machine hang. What it had
// written is synced first.
func (l *Lab) FreezeDisk(ctx context.Context, m *Machine) (*Fault, error) {
	return l.begin("frozen disk", m.Name, "", Freeze, "freeze "+m.Name, func() (func() error, error) {
		thaw := func() error { return thaw(m.Data()) }
		if _, err := command(ctx, "", "fsfreeze", "--freeze", m.Data()); err != nil {
			_ = thaw() // one that was cut off may have frozen it
			return nil, err
		}
		return thaw, nil
	})
}

func thaw(mount string) error {
	_, err := command(context.Background(), "", "fsfreeze", "--unfreeze", mount)
	return err
}

// refill: what is freed on a full disk is taken within this time (ours), as by
// others who write to it too.
const refill = 100 * time.Millisecond

// FillDisk leaves so many bytes, at most, on the disk of a machine, until the
// end: what the program frees is taken.
func (l *Lab) FillDisk(ctx context.Context, m *Machine, leave int64) (*Fault, error) {
	if leave < 0 {
		return nil, fmt.Errorf("%w: to leave %d bytes", ErrConfig, leave)
	}
	path := filepath.Join(m.Data(), filler)
	return l.begin("full disk", m.Name, fmt.Sprintf("%d B left", leave), Machines, "fill "+m.Name, func() (func() error, error) {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, err
		}
		if err := fill(ctx, f, leave); err != nil {
			return nil, errors.Join(err, f.Close(), os.Remove(path))
		}
		filling, stop := context.WithCancel(context.WithoutCancel(ctx))
		done := make(chan error, 1)
		go func() {
			var err error
			for err == nil && filling.Err() == nil {
				select {
				case <-filling.Done():
				case <-time.After(refill):
					err = fill(filling, f, leave)
				}
			}
			if filling.Err() != nil {
				err = nil
			}
			done <- errors.Join(err, f.Close())
		}()
		stopped := false
		return func() (err error) {
			if !stopped {
				stop()
				err, stopped = <-done, true
			}
			if gone := os.Remove(path); !errors.Is(gone, os.ErrNotExist) {
				err = errors.Join(err, gone)
			}
			return err
		}, nil
	})
}

// fill lets a file grow until its file system has no more than leave bytes. The
// blocks are reserved and not written: the image stays as small as it was.
func fill(ctx context.Context, f *os.File, leave int64) error {
	here, err := f.Stat()
	if err != nil {
		return err
	}
	size := here.Size()
	for ctx.Err() == nil {
		var s unix.Statfs_t
		if err := unix.Fstatfs(int(f.Fd()), &s); err != nil {
			return &os.PathError{Op: "statfs", Path: f.Name(), Err: err}
		}
		more := int64(s.Bavail)*s.Frsize - leave
		if more <= 0 {
			return nil
		}
		// The map of the file's blocks takes some too: then less, down to one.
		for {
			err := unix.Fallocate(int(f.Fd()), 0, size, more)
			if err == nil {
				size += more
				break
			}
			if errors.Is(err, unix.ENOSPC) {
				if more <= s.Frsize {
					return nil
				}
				more = max(s.Frsize, more/2)
				continue
			}
			if !errors.Is(err, unix.EINTR) {
				return &os.PathError{Op: "fallocate", Path: f.Name(), Err: err}
			}
		}
	}
	return ctx.Err()
}
