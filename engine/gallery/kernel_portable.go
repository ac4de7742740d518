package gallery

import "unsafe"

func portable() kernel {
	return kernel{Portable,
		func(blocks *byte, groups, n int, probe *int8, scales, errors *float32, p *bound, masks *uint16, sums *int32) {
			sketch(1, blocks, groups, n, probe, scales, errors, p, masks, sums)
		},
		func(blocks *byte, groups, n int, probe *int8, scales, errors *float32, p *bound, masks *uint16, sums *int32) {
			sketch(tile, blocks, groups, n, probe, scales, errors, p, masks, sums)
		}, rest, dots}
}

func sketch(probes int, blocks *byte, groups, n int, probe *int8, scales, errors *float32, p *bound, masks *uint16, sums *int32) {
	lines := unsafe.Slice(blocks, n*groups*lineSize)
	q := unsafe.Slice(probe, probes*groups*groupSize)
	scale, rough := unsafe.Slice(scales, n*lanes), unsafe.Slice(errors, n*lanes)
	bounds, out := unsafe.Slice(p, probes), unsafe.Slice(masks, probes*n)
	kept := unsafe.Slice(sums, probes*n*lanes)
	for b := range n {
		var totals [tile][lanes]int32
		for g := range groups {
			line := lines[(b*groups+g)*lineSize:][:lineSize]
			part := q[g*probes*groupSize:]
			for k := range probes {
				addLine(&totals[k], line, part[k*groupSize:])
			}
		}
		for k := range probes {
			var mask uint16
			for r := range lanes {
				if bounds[k].reaches(totals[k][r], scale[b*lanes+r], rough[b*lanes+r]) {
					mask |= 1 << r
				}
			}
			out[b*probes+k] = mask
			copy(kept[(b*probes+k)*lanes:], totals[k][:])
		}
	}
}

// addLine adds what one line gives sixteen rows.
func addLine(sums *[lanes]int32, line []byte, probe []int8) {
	w := probe[:groupSize]
	for r := range lanes {
		x := line[4*r : 4*r+4 : 4*r+4]
		sums[r] += int32(x[0]&15)*int32(w[0]) + int32(x[1]&15)*int32(w[1]) + int32(x[2]&15)*int32(w[2]) + int32(x[3]&15)*int32(w[3]) +
			int32(x[0]>>4)*int32(w[4]) + int32(x[1]>>4)*int32(w[5]) + int32(x[2]>>4)*int32(w[6]) + int32(x[3]>>4)*int32(w[7])
	}
}

func rest(block *byte, groups int, probe *int8, sums *int32) {
	lines, q := unsafe.Slice(block, groups*lineSize), unsafe.Slice(probe, groups*groupSize)
	totals := (*[lanes]int32)(unsafe.Pointer(sums))
	for r := range totals {
		totals[r] *= 16
	}
	for g := range groups {
		addLine(totals, lines[g*lineSize:][:lineSize], q[g*groupSize:])
	}
}

func dots(rows *uintptr, n, stride int, probe *int8, out *int32) {
	q := unsafe.Slice(probe, stride)
	sums := unsafe.Slice(out, n)
	for i, row := range unsafe.Slice((**byte)(unsafe.Pointer(rows)), n) {
		var sum int32
		for j, c := range unsafe.Slice(row, stride) {
			sum += int32(c) * int32(q[j])
		}
		sums[i] = sum
	}
}
