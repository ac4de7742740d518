package state_test

import (
	"crypto/rand"
	"testing"

	"gatehouse/store/command"
	"gatehouse/store/state"
)

// BenchmarkApply applies what make bench-cluster writes: events that hold 1 KiB
// for a person, 64 a batch, with a commit every 512. No limit of the machine
// stands beside it: it is there to see what one entry costs, and allocates.
func BenchmarkApply(b *testing.B) {
	const batch = 64
	w := founded(b)
	w.ok(w.create("ses_1", "sub_1", ""))
	value := make([]byte, 1024)
	_, _ = rand.Read(value) // it never fails
	index := uint64(len(w.log))
	c := w.command(command.Type_RECORD, "ten_a", nil)
	c.Events[0].Subject, c.Events[0].Openings = "sub_1", value
	c.Events[0].ObjectType, c.Events[0].ObjectId, c.Events[0].ObjectSha256 = "evidence", "evd_06h2dld5pc3h1bn17kbmt9qk6c", hash("evidence")
	c.Events[0].Reason, c.Events[0].Route = "review", "GET /v1/sessions/{session}/evidence/{slot}"
	data, err := command.Encode(c)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		all := make([]state.Entry, 0, batch)
		for range batch {
			index++
			all = append(all, state.Entry{Index: index, Term: 1, Data: data})
		}
		if _, err := w.s.Apply(all); err != nil {
			b.Fatal(err)
		}
		if n%8 == 7 {
			if err := w.s.Commit(); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/entry")
}
