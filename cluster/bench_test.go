package cluster_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gatehouse/store/command"
)

// BenchmarkPropose measures commands of 1 KiB by so many clients, each of which
// waits for its answer, and beside it the least that a log must do: append the
// same bytes to a file and fdatasync. GOMAXPROCS comes from the environment.
func BenchmarkPropose(b *testing.B) {
	for _, clients := range []int{1, 16, 64} {
		b.Run(fmt.Sprint(clients, " clients"), func(b *testing.B) {
			m := founded(b)
			plain := appends(b, b.N/2+1)
			b.ResetTimer()
			start := time.Now()
			var next atomic.Int64
			var all sync.WaitGroup
			for range clients {
				all.Go(func() {
					for next.Add(1) <= int64(b.N) {
						if a, err := m.node.Propose(b.Context(), kilobyte()); err != nil || a.Refusal != "" {
							b.Error(a, err)
							return
						}
					}
				})
			}
			all.Wait()
			ours := float64(b.N) / time.Since(start).Seconds()
			b.StopTimer()
			m.close(b)
			plain = (plain + appends(b, b.N/2+1)) / 2 // before and after: the disk is not ours alone
			b.ReportMetric(ours, "writes/s")
			b.ReportMetric(plain, "fdatasyncs/s")
			b.ReportMetric(ours/plain, "ratio")
		})
	}
}

// kilobyte is an access event whose command has about 1 KiB.
func kilobyte() *command.Command {
	c := commandOf(command.Type_RECORD, nil, "access.result")
	c.Tenant = "ten_a"
	c.Events[0].Facts = map[string]string{"padding": strings.Repeat("x", 900)}
	return c
}

// appends writes as many times 1 KiB, each synced by itself, per second.
func appends(b *testing.B, n int) float64 {
	f, err := os.Create(filepath.Join(b.TempDir(), "log"))
	must(b, err)
	defer f.Close()
	kilobyte := make([]byte, 1024)
	start := time.Now()
	for range n {
		_, err := f.Write(kilobyte)
		must(b, err)
		must(b, unix.Fdatasync(int(f.Fd())))
	}
	return float64(n) / time.Since(start).Seconds()
}
