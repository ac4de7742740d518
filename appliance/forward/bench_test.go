package forward_test

import (
	"path/filepath"
	"testing"
	"time"
)

// One operation is one event, from the log to the sink's confirmation.
func BenchmarkForward(b *testing.B) {
	for _, kind := range []string{"syslog", "file"} {
		b.Run(kind, func(b *testing.B) {
			l := newLogs()
			l.add(tenant, b.N)
			sink := "file://" + filepath.Join(b.TempDir(), "e")
			if kind == "syslog" {
				sink = newReceiver(b).open().sink("")
			}
			h := newHarness(b, l, sink)
			b.ReportAllocs()
			b.ResetTimer()
			h.begin()
			for h.Status()[0].Sent < uint64(b.N) {
				time.Sleep(time.Millisecond)
			}
			b.StopTimer()
			h.end()
		})
	}
}
