package document

import (
	"fmt"
	"math"
	"sort"
)

// Constants of lines and stacks (research "documents", 3.4). Lengths are in
// heights of the line (H) or shares of its length (L).
const (
	baselineOffset = 0.4   // H: farther apart are two baselines
	heightFrom     = 0.55  // of H: boxes of one line
	heightTo       = 1.6   //
	chainGap       = 1.5   // H: gap within a line
	chainCosine    = 0.985 // direction of a long box in a line
	shortBox       = 2     // H: shorter boxes have no direction
	lineRatio      = 5     // L/H of a line that is one box
	maxLines       = 14
	stackCosine    = 0.97
	stackDistance  = 5    // H
	stackLength    = 0.2  // of L
	stackShift     = 0.12 // of L
	stackRatio     = 9    // L/H of a line that starts a stack
	snapDistance   = 4    // H: a partial line near a long one
	snapInside     = 0.56 // of L
	snapLength     = 0.12 // of L
	separateLines  = 0.6  // H
	maxStacks      = 6
)

// chain joins boxes on one baseline to lines.
func chain(boxes []box) []box {
	var bs []box
	for _, b := range boxes {
		if b.short > 0 && b.ratio() >= 1.5 {
			bs = append(bs, b)
		}
	}
	sort.SliceStable(bs, func(i, j int) bool { return bs[i].long > bs[j].long })
	used := make([]bool, len(bs))
	var lines []box
	for i, b := range bs {
		if used[i] {
			continue
		}
		members := []int{i}
		member := make([]bool, len(bs))
		member[i] = true
		u, v, height := b.u, b.v(), b.short
		y := b.c.dot(v)
		from, to := b.c.dot(u)-b.long/2, b.c.dot(u)+b.long/2
		for grown := true; grown; {
			grown = false
			for j, o := range bs {
				if used[j] || member[j] {
					continue
				}
				if math.Abs(o.u.dot(u)) < chainCosine && o.long > shortBox*o.short {
					continue
				}
				if k := o.short / height; math.Abs(o.c.dot(v)-y) > baselineOffset*height || k <= heightFrom || k >= heightTo {
					continue
				}
				l, r := o.c.dot(u)-o.long/2, o.c.dot(u)+o.long/2
				if l < to+chainGap*height && r > from-chainGap*height {
					from, to = min(from, l), max(to, r)
					member[j] = true
					members = append(members, j)
					grown = true
				}
			}
		}
		if b.ratio() < lineRatio && len(members) == 1 {
			continue
		}
		for _, m := range members {
			used[m] = true
		}
		lines = append(lines, box{c: u.times((from + to) / 2).add(v.times(y)), u: u, long: to - from, short: height, score: b.score})
	}
	return lines
}

// stacks finds groups of parallel lines that may be a zone, likeliest first:
// lines of one length, then partial lines taken to a long neighbour's extents.
func stacks(all []box) [][]box {
	var lines, extra []box
	for _, l := range all {
		switch {
		case l.ratio() >= 6:
			lines = append(lines, l)
		case l.ratio() >= 3 && len(extra) < 20:
			extra = append(extra, l)
		}
	}
	sort.SliceStable(lines, func(i, j int) bool { return lines[i].long > lines[j].long })
	lines = lines[:min(len(lines), maxLines)]
	type ranked struct {
		ratio float64
		lines []box
	}
	var pure, snapped []ranked
	for _, l := range lines {
		if l.ratio() < stackRatio {
			continue
		}
		near := neighbours(l, append(append([]box(nil), lines...), extra...))
		var whole []box
		sum, partial := 0.0, false
		for _, n := range near {
			if n.snapped {
				partial = true
				continue
			}
			whole = append(whole, n)
			sum += n.ratio()
		}
		if len(whole) >= 2 {
			pure = append(pure, ranked{sum / float64(len(whole)), whole})
		}
		if partial {
			snapped = append(snapped, ranked{l.ratio(), near})
		}
	}
	for _, list := range [][]ranked{pure, snapped} {
		sort.SliceStable(list, func(i, j int) bool { return list[i].ratio > list[j].ratio })
	}
	seen := map[string]bool{}
	var out [][]box
	for _, r := range append(pure, snapped...) {
		key := ""
		for _, b := range r.lines {
			key += fmt.Sprintf("%.0f,%.0f;", b.c.x/8, b.c.y/8)
		}
		if !seen[key] && len(out) < maxStacks {
			seen[key] = true
			out = append(out, r.lines)
		}
	}
	return out
}

// neighbours are the lines parallel and near to l, itself included, top first.
func neighbours(l box, others []box) []box {
	type candidate struct {
		offset float64
		box    box
	}
	u, v := l.u, l.v()
	var found []candidate
	for _, o := range others {
		if math.Abs(o.u.dot(u)) < stackCosine && o.long > 2.5*o.short {
			continue
		}
		d := o.c.sub(l.c)
		along, across := d.dot(u), d.dot(v)
		if k := o.short / l.short; math.Abs(across) > stackDistance*l.short || k <= 0.5 || k >= 2 {
			continue
		}
		switch {
		case math.Abs(o.long/l.long-1) <= stackLength && math.Abs(along) < stackShift*l.long:
			found = append(found, candidate{across, o})
		case math.Abs(across) < snapDistance*l.short && o.long < l.long &&
			math.Abs(along)+o.long/2 < snapInside*l.long && o.long > snapLength*l.long:
			found = append(found, candidate{across, box{c: l.c.add(v.times(across)), u: u, long: l.long, short: l.short, score: o.score, snapped: true}})
		}
	}
	// Whole lines first, then one line at each height.
	sort.SliceStable(found, func(i, j int) bool { return !found[i].box.snapped && found[j].box.snapped })
	var kept []candidate
next:
	for _, f := range found {
		for _, k := range kept {
			if math.Abs(f.offset-k.offset) <= separateLines*l.short {
				continue next
			}
		}
		kept = append(kept, f)
	}
	sort.SliceStable(kept, func(i, j int) bool { return kept[i].offset < kept[j].offset })
	out := make([]box, len(kept))
	for i, k := range kept {
		out[i] = k.box
	}
	return out
}
