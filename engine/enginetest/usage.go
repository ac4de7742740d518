package enginetest

import (
	"errors"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Usage is what the process holds on to.
type Usage struct {
	goroutines, descriptors int
	resident                int64 // bytes
}

// Measure collects garbage and looks.
func Measure(t testing.TB) Usage {
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
	return Usage{runtime.NumGoroutine(), len(files), kib << 10}
}

// Grown fails where the process holds more than it did, of memory more than
// slack bytes. Goroutines that are just ending get the time to.
func (before Usage) Grown(t testing.TB, slack int64) {
	t.Helper()
	after := Measure(t)
	for range 50 {
		if after.goroutines <= before.goroutines && after.descriptors <= before.descriptors {
			break
		}
		time.Sleep(100 * time.Millisecond)
		after = Measure(t)
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
	if grew := after.resident - before.resident; grew > slack && !RaceDetector {
		t.Errorf("memory grew by %d bytes, at most %d are allowed", grew, slack)
	}
}
