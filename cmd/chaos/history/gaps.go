package history

import (
	"math"
	"slices"
	"time"
)

// Gap is a time in which writes were asked for and none was acknowledged.
type Gap struct{ From, To time.Time }

// Length of the gap.
func (g Gap) Length() time.Duration { return g.To.Sub(g.From) }

// Gaps of a history, as they came.
type Gaps []Gap

// Unavailable finds the gaps that are longer than over. A gap begins with the
// acknowledgement before it, or with the first call after that where nobody
// had asked; it ends with the next acknowledgement, or where the last who asked
// gave up.
func Unavailable(ops []Op, over time.Duration) Gaps {
	var writes []Op
	for _, o := range ops {
		if o.write() {
			writes = append(writes, o)
		}
	}
	slices.SortStableFunc(writes, func(a, b Op) int { return int(a.Return - b.Return) })
	// asked is when the earliest of writes[i:] was called.
	asked := make([]int64, len(writes)+1)
	asked[len(writes)] = math.MaxInt64
	for i := len(writes) - 1; i >= 0; i-- {
		asked[i] = min(asked[i+1], writes[i].Call)
	}
	var gaps Gaps
	acknowledged, first := int64(math.MinInt64), 0 // and the first write that ended later
	for i, o := range writes {
		if o.Outcome != OK && i < len(writes)-1 {
			continue
		}
		if g := (Gap{time.Unix(0, max(acknowledged, asked[first])), time.Unix(0, o.Return)}); g.Length() > over {
			gaps = append(gaps, g)
		}
		acknowledged, first = o.Return, i+1
	}
	return gaps
}

// At gives the length at a share (0.5, 0.99; 1 is the longest) of the gaps; 0
// where there are none.
func (g Gaps) At(share float64) time.Duration {
	if len(g) == 0 {
		return 0
	}
	sorted := slices.Clone(g)
	slices.SortFunc(sorted, func(a, b Gap) int { return int(a.Length() - b.Length()) })
	return sorted[int(share*float64(len(g)-1)+0.5)].Length()
}
