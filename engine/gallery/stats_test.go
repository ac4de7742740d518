package gallery_test

import (
	"math/rand/v2"
	"testing"

	"gatehouse/engine/gallery"
)

// TestMemory: a template takes its float32 values, a byte a dimension for its
// codes, half a byte for its sketch and little else.
func TestMemory(t *testing.T) {
	const dimension = 704
	rows := 70000
	if testing.Short() {
		rows = 9000
	}
	g := open(t, gallery.Config{Dimension: dimension})
	if s := g.Stats(); s.Bytes != 0 || s.Segments != 0 || s.Templates != 0 {
		t.Errorf("an empty gallery has %+v", s)
	}
	r := rand.New(rand.NewPCG(1, 1))
	draw := kinds(1, dimension)[1].make
	few := [][]float32{draw(r), draw(r), draw(r)}
	segments, room, last := 0, 0, int64(0)
	for n := range rows {
		if n == room { // segments of 1,024 rows, 2,048 and so on, up to 65,536
			room += min(1024<<segments, 65536)
			segments++
		}
		enrol(t, g, uint64(n+1), few[n%len(few)])
		if n%997 > 0 && n != rows-1 {
			continue
		}
		s := g.Stats()
		if s.Segments != segments || s.Templates != n+1 || s.Bytes < last || s.Kernel != g.Kernel {
			t.Fatalf("%d templates: %+v, want %d segments and no fewer than %d bytes", n+1, s, segments, last)
		}
		last = s.Bytes
		// Seven arrays of a segment begin on pages of their own, and rows of the
		// sketch come in blocks of sixteen.
		least, most := int64(n+1)*(5*dimension), int64(n+16)*(5*dimension)*115/100+int64(segments)*7*4096
		if s.Bytes < least || s.Bytes > most {
			t.Fatalf("%d templates take %d bytes, want %d to %d", n+1, s.Bytes, least, most)
		}
	}
	if s := g.Stats(); !testing.Short() && float64(s.Bytes) > 1.15*float64(rows)*(5*dimension) {
		t.Errorf("%d templates take %d bytes, %.2f times their values and codes", rows, s.Bytes, float64(s.Bytes)/float64(rows*5*dimension))
	}
}

// TestCompact closes the holes of every segment of which more than a quarter is
// gone, those that follow an empty one too.
func TestCompact(t *testing.T) {
	const rows = 1024 + 2048 + 4096 + 100
	for name, test := range map[string]struct {
		removed  func(n uint64) bool
		segments int
		left     int // holes
	}{
		"nothing":                    {func(uint64) bool { return false }, 4, 0},
		"a quarter of the first":     {func(n uint64) bool { return n <= 256 }, 4, 256},
		"more than a quarter":        {func(n uint64) bool { return n <= 257 }, 4, 0},
		"the first":                  {func(n uint64) bool { return n <= 1024 }, 3, 0},
		"the first two":              {func(n uint64) bool { return n <= 3072 }, 2, 0},
		"the first and half of next": {func(n uint64) bool { return n <= 2048 }, 3, 0},
		"every other":                {func(n uint64) bool { return n%2 == 0 }, 4, 50}, // the last has more room than rows
		"all but the last":           {func(n uint64) bool { return n < rows }, 1, 99},
	} {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 1))
			draw := kinds(1, 8)[1].make
			g := open(t, gallery.Config{Dimension: 8})
			var m naive
			for n := uint64(1); n <= rows; n++ {
				m.enrol(n, draw(r))
				enrol(t, g, n, m.vectors[n-1])
			}
			for i := rows - 1; i >= 0; i-- {
				if n := m.numbers[i]; test.removed(n) {
					m.remove(i)
					if err := g.Remove(n); err != nil {
						t.Fatal(err)
					}
				}
			}
			before := g.Stats()
			if err := g.Compact(); err != nil {
				t.Fatal(err)
			}
			s := g.Stats()
			if s.Segments != test.segments || s.Removed != test.left || s.Templates != len(m.numbers) || s.Bytes > before.Bytes {
				t.Errorf("%+v, want %d segments, %d removed, %d templates, at most %d bytes", s, test.segments, test.left, len(m.numbers), before.Bytes)
			}
			// It goes on.
			m.enrol(rows+1, draw(r))
			enrol(t, g, rows+1, m.vectors[len(m.vectors)-1])
			probe := draw(r)
			q := gallery.Query{K: 20, Min: -1}
			if d := differ(search(t, g, probe, q), answer(m.all(probe), q)); d != "" {
				t.Error(d)
			}
		})
	}
}
