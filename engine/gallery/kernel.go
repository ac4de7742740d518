package gallery

// kernel is the arithmetic of a scan, for one kind of processor. All give the
// same bits.
type kernel struct {
	name string
	// sketch1 and sketch4 write, for each of n blocks, which of its rows may
	// reach the bound of one probe, or of four probes side by side: bit r of a
	// mask is row r. Scales and errors (rough) are the rows'. The sums of the
	// sixteen rows stand behind each other as the masks do.
	sketch1, sketch4 func(blocks *byte, groups, n int, probe *int8, scales, errors *float32, p *bound, masks *uint16, sums *int32)
	// rest makes sixteen sums of sketches those of codes: sixteen times each,
	// and the block of the lower halves with the lines of one probe.
	rest func(block *byte, groups int, probe *int8, sums *int32)
	// dots writes, for each of n rows of codes, the sum of the products with the
	// probe's codes. Both have stride bytes, a multiple of 64.
	dots func(rows *uintptr, n, stride int, probe *int8, out *int32)
}

// tile is the number of probes that sketch4 takes.
const tile = 4

// scan runs sketch1 or sketch4 over whole blocks of a segment, from block first.
func (k *kernel) scan(s *segment, first, n int, probes []int8, bounds []bound, masks []uint16, sums []int32) {
	if n == 0 {
		return
	}
	f := k.sketch1
	if len(bounds) == tile {
		f = k.sketch4
	}
	row := first * lanes
	_, _, _ = masks[len(bounds)*n-1], sums[len(bounds)*n*lanes-1], probes[len(bounds)*s.groups*groupSize-1] // what the kernel does not check
	_, _ = s.sketch[(first+n)*s.block()-1], s.scales[row+n*lanes-1]
	f(&s.sketch[first*s.block()], s.groups, n, &probes[0], &s.scales[row], &s.rough[row], &bounds[0], &masks[0], &sums[0])
}

// finish makes the sums of a block's sketches those of its codes.
func (k *kernel) finish(s *segment, block int, probe []int8, sums []int32) {
	_, _ = sums[lanes-1], probe[s.groups*groupSize-1]
	k.rest(&s.rest[block*s.block()], s.groups, &probe[0], &sums[0])
}

// dot sums for rows of codes, given by their addresses: they lie outside the Go
// heap, where nothing moves.
func (k *kernel) dot(rows []uintptr, codes []int8, out []int32) {
	if len(rows) == 0 {
		return
	}
	_ = out[len(rows)-1]
	k.dots(&rows[0], len(rows), len(codes), &codes[0], &out[0])
}

// reaches is the decision of a lane, in the order of operations that every
// kernel keeps; Go must not fuse them.
func (b *bound) reaches(sum int32, scale, rough float32) bool {
	t := float32(float32(sum) - b.centre)
	t = float32(t * b.step)
	t = float32(t * scale)
	e := float32(rough * b.reach)
	return float32(t+e) >= b.threshold
}

// Kernels lists the names of those that this processor can run, the fastest
// first; the last is Portable.
func Kernels() []string {
	var names []string
	for _, k := range kernels() {
		names = append(names, k.name)
	}
	return names
}

// Portable is the kernel in Go.
const Portable = "portable"
