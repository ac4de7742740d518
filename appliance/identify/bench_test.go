package identify_test

import (
	"context"
	"testing"

	"gatehouse/appliance/identify"
)

// some templates: a gallery of a middle-sized branch bank takes a hundred times
// as long.
const some = 10_000

// Galleries from the templates of the state: each is opened.
func BenchmarkRebuild(b *testing.B) {
	w := founded(b)
	w.many(home, 0, some)
	b.ResetTimer()
	for range b.N {
		w.loaded().Drop()
	}
	b.ReportMetric(float64(b.N*some)/b.Elapsed().Seconds(), "templates/s")
}

// Galleries from a snapshot: none is.
func BenchmarkLoad(b *testing.B) {
	w := founded(b)
	w.many(home, 0, some)
	w.saved()
	b.ResetTimer()
	for range b.N {
		w.loaded().Drop()
	}
	b.ReportMetric(float64(b.N*some)/b.Elapsed().Seconds(), "templates/s")
}

// What a verification waits for, where nobody else asks.
func BenchmarkIdentify(b *testing.B) {
	w := founded(b)
	w.many(home, 0, some)
	k := w.loaded()
	p := probe(some/2, 1)
	for b.Loop() {
		f, err := k.Identify(context.Background(), home, "sub_x", p)
		if err != nil || f.Subjects.Compared != some {
			b.Fatalf("%+v, %v", f, err)
		}
	}
}

// The same, and then only those since.
func BenchmarkAgain(b *testing.B) {
	w := founded(b)
	w.many(home, 0, some)
	k := w.loaded()
	p := probe(some/2, 1)
	was, err := k.Identify(context.Background(), home, "sub_x", p)
	if err != nil {
		b.Fatal(err)
	}
	var last *identify.Found
	for b.Loop() {
		if last, err = k.Again(context.Background(), home, "sub_x", p, was); err != nil {
			b.Fatal(err)
		}
	}
	if last.Searched != was.Searched {
		b.Error(last.Searched)
	}
}
