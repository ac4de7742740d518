package lab_test

import (
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gatehouse/cmd/chaos/lab"
)

func TestFreezeDisk(t *testing.T) {
	t.Parallel()
	w := open(t, 2, lab.Freeze)
	eventually(t, "something is written", func() bool { return w.must(t, 0).Writes > 3 })
	frozen, err := w.FreezeDisk(t.Context(), w.m[0])
	ok(t, err)
	_, err = w.FreezeDisk(t.Context(), w.m[0])
	is(t, err, lab.ErrActive)
	time.Sleep(100 * time.Millisecond)
	before, other := w.must(t, 0).Writes, w.must(t, 1).Writes
	time.Sleep(500 * time.Millisecond)
	if n := w.must(t, 0).Writes - before; n != 0 {
		t.Errorf("%d writes to a frozen disk", n)
	}
	if w.must(t, 1).Writes == other {
		t.Error("the other machine does not write")
	}

	// A process that is killed meanwhile dies when the disk goes on.
	killed := make(chan error, 1)
	go func() { killed <- w.p[0].Kill() }()
	select {
	case err := <-killed:
		t.Errorf("a process that hangs in a write was killed: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	ok(t, frozen.End())
	ok(t, <-killed)
	w.start(t, 0)
	eventually(t, "it writes again", func() bool { return w.must(t, 0).Writes > 3 })
}

func TestFillDisk(t *testing.T) {
	t.Parallel()
	w := open(t, 1)
	const leave = 256 << 10
	full, err := w.FillDisk(t.Context(), w.m[0], leave)
	ok(t, err)
	eventually(t, "the disk is full", func() bool { return w.must(t, 0).Failed == "full" })
	if n := w.must(t, 0).Writes; n < 10 {
		t.Errorf("%d writes found room, of %d bytes that were left", n, leave)
	}
	var image unix.Stat_t
	ok(t, unix.Stat(filepath.Join(w.m[0].Dir(), "disk.img"), &image))
	if image.Blocks*512 > image.Size/2 {
		t.Errorf("the image takes %d bytes", image.Blocks*512)
	}
	ok(t, full.End())
	eventually(t, "there is room again", func() bool { return w.must(t, 0).Failed == "" })
}

func TestSlowDisk(t *testing.T) {
	t.Parallel()
	w := open(t, 1, lab.SlowDevice)
	rate := func() float64 {
		began, before := time.Now(), w.must(t, 0).Writes
		time.Sleep(time.Second)
		return float64(w.must(t, 0).Writes-before) / time.Since(began).Seconds()
	}
	fast := rate()
	slow, err := w.SlowDisk(t.Context(), w.m[0], 10)
	ok(t, err)
	time.Sleep(200 * time.Millisecond)
	if got := rate(); got > 10 || got > fast/2 {
		t.Errorf("%.1f writes a second of %.1f", got, fast)
	}
	ok(t, slow.End())
	eventually(t, "it is fast again", func() bool { return rate() > 2*10 || rate() > fast/2 })
}
