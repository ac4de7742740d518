package lab

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// markers is where each run says what it makes; like that, it is gone after a
// reboot.
const markers = "/run/gatehouse-chaos"

// marker of a run. Its file is locked for as long as the run lives.
type marker struct {
	*os.File
	name string // of the run: gh-1a2b3c4d
}

// content of a marker.
type content struct {
	Dir string `json:"dir"` // that the run's mounts lie in
}

// mark says, before anything is made, whose names begin with the marker's and
// whose mounts lie in dir.
func mark(dir string) (*marker, error) {
	if err := os.MkdirAll(markers, 0o700); err != nil {
		return nil, err
	}
	for {
		var random [4]byte
		rand.Read(random[:])
		m, err := lock("gh-"+hex.EncodeToString(random[:]), os.O_CREATE|os.O_EXCL)
		if errors.Is(err, fs.ErrExist) || err == nil && m == nil { // a sweep saw it in the moment before it was locked
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := json.NewEncoder(m).Encode(content{dir}); err != nil {
			return nil, errors.Join(err, m.remove(), m.Close())
		}
		return m, nil
	}
}

// lock a marker; nil where its run lives, or it is gone.
func lock(name string, flag int) (*marker, error) {
	path := filepath.Join(markers, name)
	f, err := os.OpenFile(path, os.O_RDWR|flag, 0o600)
	if err != nil {
		return nil, err
	}
	m := &marker{f, name}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, f.Close()
	}
	var s unix.Stat_t
	if err = errors.Join(err, unix.Fstat(int(f.Fd()), &s)); err != nil {
		return nil, errors.Join(&os.PathError{Op: "lock", Path: path, Err: err}, f.Close())
	}
	if s.Nlink == 0 {
		return nil, f.Close()
	}
	return m, nil
}

func (m *marker) remove() error { return os.Remove(m.Name()) }

var prefixes = regexp.MustCompile(`^gh-[0-9a-f]{8}$`)

// Sweep removes the processes, mounts and namespaces that runs left which died
// before Close, and gives the names of those runs. It leaves their directories,
// and everything of a run that lives.
func Sweep(ctx context.Context) ([]string, error) {
	if os.Geteuid() != 0 {
		return nil, ErrRoot
	}
	entries, err := os.ReadDir(markers)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var swept []string
	for _, e := range entries {
		if !prefixes.MatchString(e.Name()) {
			continue
		}
		m, failed := lock(e.Name(), 0)
		if errors.Is(failed, fs.ErrNotExist) || failed == nil && m == nil {
			continue
		}
		if failed == nil {
			if failed = m.sweep(ctx); failed == nil {
				swept = append(swept, e.Name())
			}
			failed = errors.Join(failed, m.Close())
		}
		err = errors.Join(err, failed)
	}
	return swept, err
}

func (m *marker) sweep(ctx context.Context) error {
	var c content
	// One that was killed before it wrote this had not made anything.
	if err := json.NewDecoder(m).Decode(&c); err == nil && filepath.IsAbs(c.Dir) {
		if err := teardown(ctx, m.name, c.Dir); err != nil {
			return fmt.Errorf("what %s left: %w", m.name, err)
		}
	}
	return m.remove()
}

// teardown removes what has such names, and what is mounted in dir.
func teardown(ctx context.Context, prefix, dir string) error {
	disks, err := disksIn(dir)
	if err != nil {
		return err
	}
	groups := findGroups()
	for _, d := range disks {
		_ = thaw(d.path) // most are not frozen; those must be, for their processes to end
		groups.forget(d.device)
	}
	spaces, err := filepath.Glob(filepath.Join(namespaces, prefix+"-*"))
	for _, path := range spaces {
		err = errors.Join(err, killIn(ctx, filepath.Base(path)))
	}
	for _, d := range disks {
		err = errors.Join(err, unmount(d.path))
	}
	if err != nil { // the namespaces name the processes that are left, for the next sweep
		return err
	}
	for _, path := range spaces {
		_, failed := command(ctx, "", "ip", "netns", "del", filepath.Base(path))
		err = errors.Join(err, failed)
	}
	return errors.Join(err, groups.remove(prefix))
}

// disksIn gives the loop mounts of machines in dir.
func disksIn(dir string) (found []mount, err error) {
	all, err := mounted()
	for _, m := range all {
		machine, disk := filepath.Split(m.path)
		if m.kind == "ext4" && disk == "disk" && filepath.Dir(filepath.Clean(machine)) == dir {
			found = append(found, m)
		}
	}
	return found, err
}

// killIn kills what runs in a namespace, and waits until nothing does.
func killIn(ctx context.Context, namespace string) error {
	for end := time.Now().Add(killTime); ; time.Sleep(20 * time.Millisecond) {
		out, err := command(ctx, "", "ip", "netns", "pids", namespace)
		if err != nil {
			return err
		}
		pids := strings.Fields(out)
		if len(pids) == 0 {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%w: processes %v of %s", ErrStuck, pids, namespace)
		}
		for _, text := range pids {
			if pid, err := strconv.Atoi(text); err == nil && pid > 1 && pid != os.Getpid() {
				_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
			}
		}
	}
}
