package engine_test

import (
	"errors"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatehouse/engine"
	"gatehouse/engine/enginetest"
)

// usage is what the process holds on to.
type usage struct {
	goroutines, descriptors int
	resident                int64 // bytes
}

func measure(t *testing.T) usage {
	t.Helper()
	runtime.GC()
	debug.FreeOSMemory()
	files, err := os.ReadDir("/proc/self/fd")
	status, err2 := os.ReadFile("/proc/self/status")
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return usage{runtime.NumGoroutine(), len(files), kib << 10}
}

// grown fails where the process holds more than it did, of memory more than
// slack bytes. Goroutines that are just ending get the time to.
func (before usage) grown(t *testing.T, slack int64) {
	t.Helper()
	after := measure(t)
	for range 50 {
		if after.goroutines <= before.goroutines && after.descriptors <= before.descriptors {
			break
		}
		time.Sleep(100 * time.Millisecond)
		after = measure(t)
	}
	t.Logf("goroutines %d, then %d; descriptors %d, then %d; resident %.1f MB, then %.1f MB",
		before.goroutines, after.goroutines, before.descriptors, after.descriptors, float64(before.resident)/1e6, float64(after.resident)/1e6)
	if after.goroutines > before.goroutines {
		t.Errorf("%d goroutines, %d before", after.goroutines, before.goroutines)
	}
	if after.descriptors > before.descriptors {
		t.Errorf("%d open files, %d before", after.descriptors, before.descriptors)
	}
	// The race detector's own memory hides the engine's.
	if grew := after.resident - before.resident; grew > slack && !raceDetector {
		t.Errorf("memory grew by %d bytes, at most %d are allowed", grew, slack)
	}
}

// Engines come and go and leave nothing behind.
func TestTwoHundredEngines(t *testing.T) {
	warmUp, rounds := 20, 200
	if testing.Short() {
		warmUp, rounds = 3, 10
	}
	c := engine.Config{Runtime: enginetest.Runtime(t), Pack: enginetest.Pack(t)}
	p := scaled(sample(t, "obama"), 300)
	round := func() {
		e, err := engine.Open(c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := look(t.Context(), e.Faces, p); err != nil {
			t.Error(err)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
	var before usage
	for i := range rounds {
		if i == warmUp {
			before = measure(t)
		}
		round()
	}
	before.grown(t, 64<<20)
}
