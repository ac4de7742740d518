package health

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestDisk(t *testing.T) {
	dir := t.TempDir()
	var free uint64
	d := &Disk{dir: dir, reserve: 1 << 30, freeSpace: func(string) (uint64, uint64, error) { return free, 1 << 40, nil }}
	laid := func() bool {
		_, err := os.Stat(filepath.Join(dir, "ballast"))
		return err == nil
	}
	for _, step := range []struct {
		free    uint64
		full    bool
		ballast bool
	}{
		{3 << 30, false, true},
		{1 << 30, false, true},
		{1<<30 - 1, true, true},
		{3 << 29, true, true}, // not before there is twice the reserve
		{2<<30 + 1, false, true},
		{129 << 20, true, true},
		{127 << 20, true, false}, // thrown off
		{200 << 20, true, false},
		{3 << 30, false, true},
	} {
		free = step.free
		if err := d.Look(); err != nil {
			t.Fatal(err)
		}
		if d.Full() != step.full || laid() != step.ballast {
			t.Errorf("%d MiB free: full %v, ballast %v, want %+v", free>>20, d.Full(), laid(), step)
		}
		if got, total := d.Space(); got != free || total != 1<<40 {
			t.Errorf("%d of %d", got, total)
		}
	}
	broken := errors.New("broken")
	d.freeSpace = func(string) (uint64, uint64, error) { return 0, 0, broken }
	if err := d.Look(); !errors.Is(err, broken) || d.Full() {
		t.Errorf("%v, full %v", err, d.Full())
	}
	if _, err := NewDisk(filepath.Join(dir, "nothing"), 0); err == nil {
		t.Error("a directory that is not there")
	}
}
