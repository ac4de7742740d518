package gallery_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"gatehouse/engine/gallery"
	"gatehouse/engine/specimen"
)

func benchGallery(b *testing.B, dimension, rows int) *gallery.Gallery {
	b.Helper()
	faces := specimen.NewTemplates(1, dimension)
	g := open(b, gallery.Config{Dimension: dimension})
	for n := range uint64(rows) {
		enrol(b, g, n+1, faces.Template(n, 0))
	}
	return g
}

func BenchmarkEnrol(b *testing.B) {
	for _, dimension := range []int{704, 512, 128} {
		b.Run(fmt.Sprint(dimension), func(b *testing.B) {
			r := rand.New(rand.NewPCG(1, 1))
			draw := kinds(1, dimension)[1].make
			var some []gallery.Template
			for range 64 {
				some = append(some, template(draw(r)))
			}
			g := open(b, gallery.Config{Dimension: dimension})
			n := uint64(0)
			for b.Loop() {
				if n%100_000 == 0 { // a new one, that memory does not run out
					g.Close()
					g = open(b, gallery.Config{Dimension: dimension})
				}
				n++
				if err := g.Enrol(n, some[n%64]); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// BenchmarkSearch reports the bytes of the sketch that were compared a second: a
// row's half a byte a dimension, for each probe.
func BenchmarkSearch(b *testing.B) {
	const rows = 100_000
	for _, dimension := range []int{704, 512, 128} {
		g := benchGallery(b, dimension, rows)
		faces := specimen.NewTemplates(1, dimension)
		for _, probes := range []int{1, 16} {
			b.Run(fmt.Sprintf("%d/%dx%d", rows, dimension, probes), func(b *testing.B) {
				n := uint64(0)
				for b.Loop() {
					b.StopTimer()
					batch := make([]gallery.Template, probes)
					for i := range batch {
						n++
						batch[i] = template(faces.Template(n*97%(2*rows), 1)) // every other is enrolled
					}
					b.StartTimer()
					if _, err := g.SearchBatch(b.Context(), batch, gallery.Query{K: 10, Min: 0.3}); err != nil {
						b.Fatal(err)
					}
				}
				s := b.Elapsed().Seconds()
				b.ReportMetric(float64(b.N)*rows*float64(dimension)/2*float64(probes)/s/1e9, "GB/s")
				b.ReportMetric(float64(b.N*probes)/s, "searches/s")
			})
		}
		g.Close()
	}
}

func BenchmarkReadSnapshot(b *testing.B) {
	const rows = 50_000
	for _, dimension := range []int{704, 128} {
		g := benchGallery(b, dimension, rows)
		data := snapshotOf(b, g, rows)
		b.Run(fmt.Sprint(dimension), func(b *testing.B) {
			for b.Loop() {
				again, _, err := gallery.ReadSnapshot(b.Context(), g.Config, bytes.NewReader(data), int64(len(data)), nil)
				if err != nil {
					b.Fatal(err)
				}
				again.Close()
			}
			b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
