package replica_test

import (
	"context"
	"fmt"
	"testing"

	"gatehouse/cluster/replica"
)

// What the second copy costs, over TLS on loopback and to the same disk.
func BenchmarkPut(b *testing.B) {
	for _, size := range []int{300 << 10, 5 << 20} {
		for _, nodes := range []int{1, 2, 3} {
			b.Run(fmt.Sprintf("%dKiB/%d", size>>10, nodes), func(b *testing.B) {
				a := build(b, nodes, nil).nodes[0]
				plain := random(size)
				b.SetBytes(int64(size))
				for b.Loop() {
					if _, err := a.put(plain); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// A node that lacks 100 pictures of 300 KB.
func BenchmarkHealing(b *testing.B) {
	b.SetBytes(100 * 300 << 10)
	for b.Loop() {
		b.StopTimer()
		c := build(b, 3, nil)
		for range 100 {
			c.name(keep(b, random(300<<10), c.nodes[1], c.nodes[2]))
		}
		b.StartTimer()
		if _, err := replica.Pass(c.nodes[0].Replica, context.Background()); err != nil || c.nodes[0].Stats().Healed != 100 {
			b.Fatal(err, c.nodes[0].Stats())
		}
	}
}

// Looking for 100,000 names that are all here, in files that the kernel knows.
func BenchmarkPass(b *testing.B) {
	c := build(b, 1, nil)
	for range 1000 {
		c.name(keep(b, []byte("x"), c.nodes[0]))
	}
	few := c.names()
	for range 99 {
		c.name(few...)
	}
	for b.Loop() {
		if _, err := replica.Pass(c.nodes[0].Replica, context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}
