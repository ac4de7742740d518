package gallery_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"testing"

	"gatehouse/engine/gallery"
)

// snapshot is format 1 as docs/formats.md has it, written apart from the product.
type snapshot struct {
	name, model string
	dimension   int
	rows        uint64 // that the head says
	index, last uint64
	numbers     []uint64
	vectors     [][]float32
}

func (s *snapshot) bytes() []byte {
	b := []byte("ghgallr1")
	b = binary.LittleEndian.AppendUint32(b, uint32(s.dimension))
	for _, x := range []uint64{s.rows, s.index, s.last} {
		b = binary.LittleEndian.AppendUint64(b, x)
	}
	b = binary.LittleEndian.AppendUint16(b, uint16(len(s.name)))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(s.model)))
	b = append(append(b, s.name...), s.model...)
	head := crc(b)
	b = binary.LittleEndian.AppendUint32(b, head)
	for at := 0; at < len(s.numbers); at += 1024 {
		to := min(at+1024, len(s.numbers))
		var c []byte
		for _, n := range s.numbers[at:to] {
			c = binary.LittleEndian.AppendUint64(c, n)
		}
		for _, v := range s.vectors[at:to] {
			for _, x := range v {
				c = binary.LittleEndian.AppendUint32(c, math.Float32bits(x))
			}
		}
		place := binary.LittleEndian.AppendUint64(nil, uint64(at/1024))
		place = binary.LittleEndian.AppendUint32(place, head)
		b = binary.LittleEndian.AppendUint32(append(b, c...), crc(append(place, c...)))
	}
	return b
}

func crc(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

func (s *snapshot) config() gallery.Config {
	return gallery.Config{Name: s.name, Model: s.model, Dimension: s.dimension, Workers: 2}
}

// small is what testdata/gallery.v1.bin holds.
func small() *snapshot {
	return &snapshot{name: "tenant-1/subjects", model: "model-a", dimension: 5, rows: 4, index: 77, last: 12,
		numbers: []uint64{3, 4, 9, 11},
		vectors: [][]float32{{1, 0, 0, 0, 0}, {0, -1, 0, 0, 0}, {0.6, 0, 0.8, 0, 0}, {0.5, 0.5, 0.5, 0.5, 0}}}
}

// random snapshot of rows that follow each other.
func random(r *rand.Rand, rows, dimension int) *snapshot {
	s := &snapshot{name: "n", model: "m", dimension: dimension, rows: uint64(rows), index: 1, last: uint64(rows)}
	draw := kinds(1, dimension)[1].make
	for i := range rows {
		s.numbers, s.vectors = append(s.numbers, uint64(i+1)), append(s.vectors, draw(r))
	}
	return s
}

func read(t testing.TB, c gallery.Config, b []byte, size int64) (*gallery.Gallery, uint64, error) {
	t.Helper()
	g, index, err := gallery.ReadSnapshot(context.Background(), c, bytes.NewReader(b), size, nil)
	if g != nil {
		t.Cleanup(g.Close)
	}
	return g, index, err
}

// refused wants ErrSnapshot and no gallery.
func refused(t *testing.T, what string, c gallery.Config, b []byte, size int64) {
	t.Helper()
	if g, _, err := read(t, c, b, size); !errors.Is(err, gallery.ErrSnapshot) || g != nil {
		t.Errorf("%s: %v, %v; want ErrSnapshot", what, g, err)
	}
}

func TestGoldenSnapshot(t *testing.T) {
	golden, err := os.ReadFile("testdata/gallery.v1.bin")
	if err != nil {
		t.Fatal(err)
	}
	s := small()
	if !bytes.Equal(golden, s.bytes()) {
		t.Fatal("format 1 has changed: give the new one another number")
	}
	h, err := gallery.ReadSnapshotHead(bytes.NewReader(golden), int64(len(golden)))
	if err != nil || h.Name != s.name || h.Model != s.model || h.Dimension != 5 || h.Rows != 4 || h.Index != 77 {
		t.Fatalf("head is %+v, %v", h, err)
	}
	g, index, err := read(t, s.config(), golden, int64(len(golden)))
	if err != nil || index != 77 || g.Newest() != 12 || g.Len() != 4 {
		t.Fatalf("index %d, %v", index, err)
	}
	found, err := g.Search(t.Context(), gallery.Template{Model: "model-a", Vector: []float32{1, 0, 0, 0, 0}}, gallery.Query{K: 9, Min: -1})
	want := []gallery.Candidate{{3, 1}, {9, float64(float32(0.6))}, {11, 0.5}, {4, 0}}
	if d := differ(found, want); d != "" || err != nil {
		t.Fatal(d, err)
	}
	if !bytes.Equal(snapshotOf(t, g, 77), golden) {
		t.Fatal("what was read is not written again to equal bytes")
	}
	// It goes on where its writer was.
	v := gallery.Template{Model: "model-a", Vector: []float32{0, 0, 0, 0, 1}}
	if err := g.Enrol(12, v); !errors.Is(err, gallery.ErrOrder) {
		t.Fatalf("a number that was taken: %v", err)
	}
	if err := errors.Join(g.Enrol(13, v), g.Remove(4)); err != nil || g.Len() != 4 {
		t.Fatal(err, g.Len())
	}
}

func TestEmptySnapshot(t *testing.T) {
	s := &snapshot{model: "m", dimension: 7, last: 5, index: 9}
	g, index, err := read(t, s.config(), s.bytes(), int64(len(s.bytes())))
	if err != nil || index != 9 || g.Len() != 0 || g.Newest() != 5 {
		t.Fatal(g, index, err)
	}
}

// TestDamagedSnapshot has each bit of each byte flipped, and is cut everywhere.
func TestDamagedSnapshot(t *testing.T) {
	s := small()
	good := s.bytes()
	for i := range good {
		for bit := range 8 {
			b := bytes.Clone(good)
			b[i] ^= 1 << bit
			refused(t, fmt.Sprintf("bit %d of byte %d flipped", bit, i), s.config(), b, int64(len(b)))
		}
		refused(t, fmt.Sprintf("cut at %d", i), s.config(), good[:i], int64(i))
		refused(t, fmt.Sprintf("lost after %d", i), s.config(), good[:i], int64(len(good)))
	}
	refused(t, "a byte more", s.config(), append(bytes.Clone(good), 0), int64(len(good)+1))
	refused(t, "size 0", s.config(), good, 0)
	refused(t, "negative size", s.config(), good, -1)
	refused(t, "largest size", s.config(), good, math.MaxInt64)
	refused(t, "format 2", s.config(), []byte(strings.Replace(string(good), "ghgallr1", "ghgallr2", 1)), int64(len(good)))
}

// TestDamagedChunks: three chunks, of which one byte is another, or which stand
// in another's place.
func TestDamagedChunks(t *testing.T) {
	r := rand.New(rand.NewPCG(seed(t), 0))
	s := random(r, 2*1024+10, 3)
	good := s.bytes()
	size := int64(len(good))
	if _, _, err := read(t, s.config(), good, size); err != nil {
		t.Fatal(err)
	}
	const head, chunk = 40 + 2 + 4, 1024*(8+12) + 4
	for name, at := range map[string]int{
		"first number": head, "last number": head + 8*1023, "first value": head + 8*1024, "last value": head + chunk - 5, "sum": head + chunk - 1,
		"second chunk": head + chunk + 9000, "third chunk": head + 2*chunk + 20, "last byte": len(good) - 1,
	} {
		b := bytes.Clone(good)
		b[at] ^= 0x10
		refused(t, name, s.config(), b, size)
	}
	for _, cut := range []int{head, head + 1, head + chunk - 4, head + chunk, head + 2*chunk, head + 2*chunk + 1, len(good) - 1} {
		refused(t, "cut", s.config(), good[:cut], int64(cut))
		refused(t, "lost", s.config(), good[:cut], size)
	}
	swapped := bytes.Clone(good)
	copy(swapped[head:], good[head+chunk:][:chunk])
	copy(swapped[head+chunk:], good[head:][:chunk])
	refused(t, "two chunks swapped", s.config(), swapped, size)
	twice := bytes.Clone(good)
	copy(twice[head+chunk:], good[head:][:chunk])
	refused(t, "a chunk twice", s.config(), twice, size)
	other := random(r, 2*1024+10, 3)
	other.index++
	mixed := append(bytes.Clone(good[:head+chunk]), other.bytes()[head+chunk:]...)
	refused(t, "chunks of another snapshot", s.config(), mixed, size)
}

// TestWrongSnapshot is whole, with right sums, and yet not what it must be.
func TestWrongSnapshot(t *testing.T) {
	nan := float32(math.NaN())
	for name, change := range map[string]func(s *snapshot){
		"number 0":           func(s *snapshot) { s.numbers[0] = 0 },
		"numbers fall":       func(s *snapshot) { s.numbers[2] = 4 },
		"number above last":  func(s *snapshot) { s.last = 10 },
		"NaN":                func(s *snapshot) { s.vectors[1][1] = nan },
		"not unit":           func(s *snapshot) { s.vectors[3][4] = 0.5 },
		"a removed, negated": func(s *snapshot) { s.vectors[3] = []float32{0, 0, float32(math.Copysign(0, -1)), 0, 0} },
		"no dimension":       func(s *snapshot) { s.dimension = 0 },
		"dimensions":         func(s *snapshot) { s.dimension = gallery.MaxDimension + 1 },
		"rows":               func(s *snapshot) { s.rows = gallery.MaxRows + 1 },
		"rows overflow":      func(s *snapshot) { s.rows = math.MaxUint64 },
		"fewer rows":         func(s *snapshot) { s.rows = 3 },
		"long name":          func(s *snapshot) { s.name = strings.Repeat("n", 513) },
		"long model":         func(s *snapshot) { s.model = strings.Repeat("n", 513) },
	} {
		s := small()
		change(s)
		b := s.bytes()
		refused(t, name, s.config(), b, int64(len(b)))
	}
	across := random(rand.New(rand.NewPCG(1, 1)), 1030, 2)
	across.numbers[1024] = 1024 // the first of the second chunk is the last of the first
	refused(t, "numbers fall across chunks", across.config(), across.bytes(), int64(len(across.bytes())))
}

func TestAnothersSnapshot(t *testing.T) {
	s := small()
	b := s.bytes()
	for name, change := range map[string]func(c *gallery.Config){
		"owner":     func(c *gallery.Config) { c.Name = "tenant-2/subjects" },
		"list":      func(c *gallery.Config) { c.Name = "tenant-1/blocklist" },
		"no name":   func(c *gallery.Config) { c.Name = "" },
		"model":     func(c *gallery.Config) { c.Model = "model-b" },
		"dimension": func(c *gallery.Config) { c.Dimension = 6 },
	} {
		c := s.config()
		change(&c)
		refused(t, "another "+name, c, b, int64(len(b)))
	}
}

// TestSnapshotLimitsComeFirst: a head of 52 bytes that claims ten million rows
// takes no memory for them.
func TestSnapshotLimitsComeFirst(t *testing.T) {
	for _, s := range []*snapshot{
		{name: "n", model: "m", dimension: gallery.MaxDimension, rows: gallery.MaxRows},
		{name: "n", model: "m", dimension: gallery.MaxDimension, rows: math.MaxUint64 / 4104}, // whose size overflows
	} {
		b := s.bytes()
		before, virtual := allocated(), virtualSize(t)
		refused(t, "ten million rows", s.config(), b, int64(len(b)))
		if took := allocated() - before; took > 64<<10 {
			t.Errorf("%d bytes were allocated for a head of %d", took, len(b))
		}
		if took := virtualSize(t) - virtual; took > 256<<20 {
			t.Errorf("%d bytes were mapped for a head of %d", took, len(b))
		}
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

func virtualSize(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skipf("this system does not say how much is mapped: %v", err)
	}
	var pages int
	if _, err := fmt.Sscan(string(b), &pages); err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}
