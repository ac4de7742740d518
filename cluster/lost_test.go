package cluster_test

import (
	"slices"
	"testing"
	"time"
)

// BenchmarkLeaderLost cuts the leader off while all write, and measures for how long
// the two others take no write.
func BenchmarkLeaderLost(b *testing.B) {
	c := networked(b)
	var away []float64
	for b.Loop() {
		leader := c.leader(b)
		rest := c.others(leader)
		l := &load{told: &told{}}
		l.from(b, rest...)
		time.Sleep(300 * time.Millisecond)
		c.lose(leader, rest[0])
		c.lose(leader, rest[1])
		c.lose(rest[0], leader)
		c.lose(rest[1], leader)
		begun, before := time.Now(), l.latest.Load()
		for !rest[0].node.Leading() && !rest[1].node.Leading() || l.latest.Load() <= before+8 {
			time.Sleep(time.Millisecond)
		}
		away = append(away, time.Since(begun).Seconds())
		l.end()
		c.heal()
		c.same(b)
	}
	slices.Sort(away)
	b.Logf("%.2f", away)
	b.ReportMetric(away[len(away)/2], "p50-s")
	b.ReportMetric(away[len(away)-1], "max-s")
}
