package identify

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"gatehouse/store/state"
)

// digest of what a tenant had enrolled at an entry: SHA-256 over the number,
// list, session or entry, and model of each, in order. It is worked out from
// what is enrolled now and what was removed since. With it come those of other
// models, and how many there are.
func (k *Keeper) digest(ctx context.Context, tenant string, index uint64) ([]byte, *census, error) {
	c := &census{foreign: map[uint64]int{}}
	had := func(list, model string) {
		if model == k.Calibration.EmbeddingID {
			c.had[listOf(list)]++
		}
	}
	var gone []state.Removed
	for after := index; ; {
		var page []state.Removed
		if err := k.State.View(func(v *state.View) (err error) { page, err = v.Removals(tenant, after, batch); return err }); err != nil {
			return nil, nil, err
		}
		if len(page) == 0 {
			break
		}
		after = page[len(page)-1].Index
		for _, r := range page {
			if r.Enrolled <= index {
				gone = append(gone, r)
			}
		}
	}
	slices.SortFunc(gone, func(a, b state.Removed) int { return cmp.Compare(a.Enrolled, b.Enrolled) })
	sum := sha256.New()
	add := func(number uint64, parts ...string) {
		b := binary.BigEndian.AppendUint64(nil, number)
		for _, p := range parts {
			b = append(append(b, p...), 0)
		}
		sum.Write(b)
	}
	before := func(number uint64) {
		for len(gone) > 0 && gone[0].Enrolled < number {
			add(gone[0].Enrolled, gone[0].List, gone[0].ID, gone[0].Model)
			had(gone[0].List, gone[0].Model)
			gone = gone[1:]
		}
	}
	for after := uint64(0); after < index; {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		var page []state.Enrolled
		if err := k.State.View(func(v *state.View) (err error) { page, err = v.Enrolments(tenant, after, batch); return err }); err != nil {
			return nil, nil, err
		}
		if len(page) == 0 {
			break
		}
		after = page[len(page)-1].Index
		for _, e := range page {
			if e.Index > index {
				break
			}
			before(e.Index)
			add(e.Index, e.List, e.Id, e.Model)
			had(e.List, e.Model)
			c.count++
			if e.Model != k.Calibration.EmbeddingID {
				c.foreign[e.Index] = listOf(e.List)
			}
		}
	}
	before(index + 1)
	return sum.Sum(nil), c, nil
}

// census of a tenant's enrolments.
type census struct {
	count   int            // that there are
	foreign map[uint64]int // those of other models, with their lists
	had     [2]int         // of the loaded model at the time, in each list
}
