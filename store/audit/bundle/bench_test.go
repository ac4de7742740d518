package bundle_test

import (
	"io"
	"testing"
)

const benchLeaves = 100_000

func BenchmarkExport(b *testing.B) {
	w := newWorld(b).grow(b, benchLeaves, 60_000, benchLeaves)
	e := w.export(b, 0, benchLeaves)
	for b.Loop() {
		p, err := e.Prepare(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if err := p.Write(b.Context(), io.Discard); err != nil {
			b.Fatal(err)
		}
		b.SetBytes(p.Size())
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchLeaves, "ns/leaf")
}

func BenchmarkVerify(b *testing.B) {
	w := newWorld(b).grow(b, benchLeaves, 60_000, benchLeaves)
	bundle := write(b, w.export(b, 0, benchLeaves))
	b.SetBytes(int64(len(bundle)))
	b.ReportAllocs()
	for b.Loop() {
		good(b, bundle, w.options())
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchLeaves, "ns/leaf")
}
