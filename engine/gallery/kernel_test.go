package gallery

import (
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestKernelsAgree compares every kernel that this processor can run with the
// portable one, bit for bit, at every number of lines modulo the kernels' steps
// and at the bounds of what codes, probes and floats can be.
func TestKernelsAgree(t *testing.T) {
	all := kernels()
	if len(all) == 1 {
		t.Skip("this processor runs the portable kernel only")
	}
	reference := all[len(all)-1]
	for _, k := range all[:len(all)-1] {
		t.Run(k.name, func(t *testing.T) {
			c := &comparison{T: t, r: rand.New(rand.NewPCG(1, 2)), kernel: k, reference: reference}
			dimensions := []int{1, 2, 7, 8, 9, 15, 16, 17, 23, 24, 31, 32, 33, 40, 48, 63, 64, 65, 96, 127, 128, 129, 192, 193, 511, 512, 704, 705, 1023, 1024}
			if testing.Short() {
				dimensions = []int{1, 8, 15, 24, 33, 64, 65, 127, 193, 704}
			}
			for _, dimension := range dimensions {
				for _, blocks := range []int{1, 2, 3, 5} {
					for fill := range 4 {
						c.compare(dimension, blocks, fill)
					}
				}
			}
			// The comparison is worth something only where the masks say something.
			if c.mixed*3 < c.masks {
				t.Errorf("only %d of %d masks have rows of both sorts", c.mixed, c.masks)
			}
			for row, n := range c.set {
				if n*10 < c.masks || n*10 > c.masks*9 {
					t.Errorf("row %d is named by %d of %d masks", row, n, c.masks)
				}
			}
		})
	}
}

type comparison struct {
	*testing.T
	r                 *rand.Rand
	kernel, reference kernel
	masks, mixed      int
	set               [lanes]int
}

func (c *comparison) compare(dimension, blocks, fill int) {
	c.Helper()
	r, sh := c.r, shapeOf(dimension)
	s, err := newSegment(sh, (blocks+1)*lanes)
	if err != nil {
		c.Fatal(err)
	}
	defer s.free()
	for i := range s.sketch {
		s.sketch[i] = extreme(r, fill, []byte{0x00, 0xff, 0x0f, 0xf0})
	}
	for i := range s.rest {
		s.rest[i] = extreme(r, fill, []byte{0x00, 0xff, 0x0f, 0xf0})
	}
	if err := s.walk(); err != nil {
		c.Fatal(err)
	}
	for i := range s.codes {
		s.codes[i] = extreme(r, fill, []byte{0, 255, 128, 1})
	}
	for i := range s.scales {
		s.scales[i], s.rough[i] = r.Float32()/1000, r.Float32()/5
	}
	width := sh.groups * groupSize
	probes := make([]int8, tile*width)
	for i := range probes {
		probes[i] = int8(int(extreme(r, fill, []byte{0, 254, 127, 1})) - 127)
	}
	codes := make([]int8, sh.stride)
	for i := range codes {
		codes[i] = int8(int(extreme(r, fill, []byte{0, 254, 127, 1})) - 127)
	}
	for range 4 {
		for _, n := range []int{1, tile} {
			c.scan(s, dimension, r.IntN(2), blocks, probes[:n*width])
		}
	}
	rows := make([]uintptr, r.IntN(2*lanes))
	for i := range rows {
		rows[i] = s.address(r.IntN(blocks * lanes))
	}
	got, want := make([]int32, len(rows)), make([]int32, len(rows))
	c.kernel.dot(rows, codes, got)
	c.reference.dot(rows, codes, want)
	for i := range want {
		if got[i] != want[i] {
			c.Fatalf("dimension %d, fill %d: sum %d is %d, portable %d", dimension, fill, i, got[i], want[i])
		}
	}
}

// untouched is what lies behind a kernel's masks.
const untouched = 0x5a5a

// scan compares masks. The thresholds are such that some rows reach them: they
// lie about the value of one of the rows.
func (c *comparison) scan(s *segment, dimension, first, blocks int, probes []int8) {
	c.Helper()
	n := len(probes) / (s.groups * groupSize)
	bounds := make([]bound, n)
	for k := range bounds {
		b := &bounds[k]
		*b = bound{float32(c.r.NormFloat64() * 20000), c.r.Float32() / 500, 1 + c.r.Float32()/100, 0}
		row := first*lanes + c.r.IntN(blocks*lanes)
		sum := float32(float32(s.sum(row, k, n, probes)) - b.centre)
		b.threshold = sum*b.step*s.scales[row] + s.rough[row]*b.reach
	}
	got, want := make([]uint16, n*blocks+1), make([]uint16, n*blocks+1)
	sums, wantSums := make([]int32, n*blocks*lanes+1), make([]int32, n*blocks*lanes+1)
	got[n*blocks], want[n*blocks], sums[n*blocks*lanes], wantSums[n*blocks*lanes] = untouched, untouched, untouched, untouched
	c.kernel.scan(s, first, blocks, probes, bounds, got, sums)
	c.reference.scan(s, first, blocks, probes, bounds, want, wantSums)
	for i := range want {
		if got[i] != want[i] {
			c.Fatalf("dimension %d, blocks %d to %d, %d probes: mask %d is %016b, portable %016b", dimension, first, first+blocks, n, i, got[i], want[i])
		}
	}
	if !slices.Equal(sums, wantSums) {
		c.Fatalf("dimension %d, blocks %d to %d, %d probes: sums are %d, portable %d", dimension, first, first+blocks, n, sums, wantSums)
	}
	if n == 1 {
		c.finish(s, dimension, first, blocks, probes, sums)
	}
	for i, mask := range want[:n*blocks] {
		c.masks++
		if m := bits.OnesCount16(mask); m > 0 && m < lanes {
			c.mixed++
		}
		row := first*lanes + i/n*lanes
		for r := range lanes {
			sum := s.sum(row+r, i%n, n, probes)
			if wantSums[i*lanes+r] != sum {
				c.Fatalf("dimension %d: sum %d of mask %d is %d, value by value %d", dimension, r, i, wantSums[i*lanes+r], sum)
			}
			reached := bounds[i%n].reaches(sum, s.scales[row+r], s.rough[row+r])
			if reached != (mask>>r&1 == 1) {
				c.Fatalf("dimension %d: mask %d says %v of row %d, its sum the contrary", dimension, i, !reached, r)
			}
			if reached {
				c.set[r]++
			}
		}
	}
}

// finish compares the sums of whole codes that those of sketches become.
func (c *comparison) finish(s *segment, dimension, first, blocks int, probe []int8, sums []int32) {
	c.Helper()
	for b := range blocks {
		got, want := slices.Clone(sums[b*lanes:][:lanes+1]), slices.Clone(sums[b*lanes:][:lanes+1])
		c.kernel.finish(s, first+b, probe, got)
		c.reference.finish(s, first+b, probe, want)
		if !slices.Equal(got, want) {
			c.Fatalf("dimension %d, block %d: sums of codes are %d, portable %d", dimension, first+b, got, want)
		}
		for r := range lanes {
			var sum int32
			for i, code := range s.code((first+b)*lanes + r)[:len(probe)] {
				sum += int32(code) * int32(probe[i])
			}
			if want[r] != sum {
				c.Fatalf("dimension %d, block %d: sum %d is %d, code by code %d", dimension, first+b, r, want[r], sum)
			}
		}
	}
}

// sum of a row of the sketch with probe k of n, value by value. The race detector
// has nothing to find in it.
//
//go:norace
func (s *segment) sum(row, k, n int, probes []int8) int32 {
	var sum int32
	block := s.sketch[row/lanes*s.block():]
	for d := range s.groups * groupSize {
		b := block[d/groupSize*lineSize+row%lanes*4+d%4]
		if d%groupSize >= 4 {
			b >>= 4
		}
		sum += int32(b&15) * int32(probes[(d/groupSize*n+k)*groupSize+d%groupSize])
	}
	return sum
}

// extreme gives the largest, the smallest, any of the two, or anything.
func extreme(r *rand.Rand, fill int, ends []byte) byte {
	switch fill {
	case 0, 1:
		return ends[fill]
	case 2:
		return ends[r.IntN(len(ends))]
	}
	return byte(r.IntN(255))
}
