package watch_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gatehouse/cluster"
	"gatehouse/cluster/watch"
)

// probing runs a probe of a folder.
func probing(t *testing.T, dir string) (*watch.Disk, context.CancelFunc, <-chan error) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	d, ran := watch.NewDisk(dir), make(chan error, 1)
	go func() { ran <- d.Run(ctx) }()
	t.Cleanup(stop)
	return d, stop, ran
}

func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 10 s", what)
		}
	}
}

func TestProbe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d, stop, ran := probing(t, dir)
	until(t, "a first write", func() bool { _, p99 := d.Latency(); return p99 > 0 })
	if p50, p99 := d.Latency(); p50 > p99 || p99 > 10*time.Second {
		t.Errorf("p50 %v, p99 %v", p50, p99)
	}
	stop()
	must(t, <-ran)
	if i, err := os.Stat(filepath.Join(dir, "probe")); err != nil || i.Size() != 512 || i.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", i, err)
	}
}

func TestProbeThatFails(t *testing.T) {
	t.Parallel()
	_, stop, ran := probing(t, filepath.Join(t.TempDir(), "none"))
	defer stop()
	if err := <-ran; !errors.Is(err, cluster.ErrDisk) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// That a disk is full is no failure of it.
func TestProbeOfAFullDisk(t *testing.T) {
	t.Parallel()
	dir := mounted(t, "-t", "tmpfs", "-o", "size=64k", "none")
	fill(t, filepath.Join(dir, "all"), 0)
	d, stop, ran := probing(t, dir)
	until(t, "a write that finds no room", func() bool { _, p99 := d.Latency(); return p99 > 0 })
	stop()
	must(t, <-ran)
}

// Of linux/fs.h.
const (
	fiFreeze = 0xc0045877
	fiThaw   = 0xc0045878
)

// frozen stops all writes to a file system, as a disk that does not answer does,
// until thaw is called.
func frozen(t *testing.T, dir string) (thaw func()) {
	t.Helper()
	f, err := os.Open(dir)
	must(t, err)
	if err := unix.IoctlSetInt(int(f.Fd()), fiFreeze, 0); err != nil {
		f.Close()
		t.Skipf("the file system cannot be frozen: %v", err)
	}
	thaw = sync.OnceFunc(func() {
		if err := unix.IoctlSetInt(int(f.Fd()), fiThaw, 0); err != nil {
			t.Errorf("thaw: %v", err)
		}
		f.Close()
	})
	late := time.AfterFunc(30*time.Second, thaw) // whatever the test does
	t.Cleanup(func() { late.Stop(); thaw() })
	return thaw
}

func TestProbeOfADiskThatHangs(t *testing.T) {
	t.Parallel()
	image := filepath.Join(t.TempDir(), "image")
	must(t, os.WriteFile(image, nil, 0o600))
	must(t, os.Truncate(image, 16*mib))
	if out, err := exec.Command("mkfs.ext4", "-q", image).CombinedOutput(); err != nil {
		t.Skipf("no ext4 can be made here: %v: %s", err, out)
	}
	dir := mounted(t, "-o", "loop", image)
	d, stop, ran := probing(t, dir)
	until(t, "a first write", func() bool { _, p99 := d.Latency(); return p99 > 0 })
	thaw := frozen(t, dir)
	n := trio(true)
	c := n.config()
	c.Stall, c.Stalled = 500*time.Millisecond, d.Stalled
	ctx, end := context.WithCancel(t.Context())
	defer end()
	go watch.New(c).Run(ctx)
	until(t, "a stall that is seen", func() bool { return d.Stalled() > 500*time.Millisecond })
	until(t, "a hand-over", func() bool { return len(get(n, &n.handed)) == 1 })
	stop() // does not wait for the disk
	must(t, <-ran)
	thaw()

	// And a probe whose disk comes back goes on.
	d, stop, ran = probing(t, dir)
	until(t, "a first write", func() bool { _, p99 := d.Latency(); return p99 > 0 })
	thaw = frozen(t, dir)
	until(t, "a stall that is seen", func() bool { return d.Stalled() > 200*time.Millisecond })
	thaw()
	until(t, "the write's end", func() bool { _, p99 := d.Latency(); return p99 > 200*time.Millisecond })
	if got := d.Stalled(); got > 200*time.Millisecond {
		t.Errorf("stalled for %v", got)
	}
	stop()
	must(t, <-ran)
}
