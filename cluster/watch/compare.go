package watch

import (
	"maps"
	"slices"

	"gatehouse/store/state"
)

// Outcome of a comparison.
type Outcome int

const (
	// Unknown: no other node has marked an entry that this one has marked.
	Unknown Outcome = iota
	// Equal: all that can be compared are.
	Equal
	// Minority: this node is the wrong one, and must stop with ErrDiffers.
	Minority
	// Others are wrong; a majority has this node's state.
	Others
	// Tie: some differ, and no majority is known.
	Tie
)

func (o Outcome) String() string {
	switch o {
	case Equal:
		return "equal"
	case Minority:
		return "minority"
	case Others:
		return "others"
	case Tie:
		return "tie"
	}
	return "unknown"
}

// Verdict on the states.
type Verdict struct {
	Outcome Outcome
	Index   uint64   // of the entry that decided; 0: none
	Nodes   []string // those whose state is not this node's there, in order
}

// Compare this node's marks with those of the other voters. All of them count,
// this node and those that do not answer too: a majority is one of the cluster.
// Marks are a chain, so a difference at any entry is one at all that follow; the
// entry at which most is known decides.
func Compare(own []state.Mark, others map[string][]state.Mark, voters int) Verdict {
	best := Verdict{}
	for _, m := range own {
		if v := at(m, others, voters); weight(v.Outcome) >= weight(best.Outcome) {
			best = v
		}
	}
	return best
}

// weight: a majority outweighs a tie, which another entry may have decided, and
// any difference outweighs what was equal before it.
func weight(o Outcome) int { return slices.Index([]Outcome{Unknown, Equal, Tie, Others, Minority}, o) }

// at the entry of one mark.
func at(own state.Mark, others map[string][]state.Mark, voters int) Verdict {
	v := Verdict{Index: own.Index}
	votes := map[[32]byte]int{own.Hash: 1}
	for _, node := range slices.Sorted(maps.Keys(others)) {
		i := slices.IndexFunc(others[node], func(m state.Mark) bool { return m.Index == own.Index })
		if i < 0 {
			continue
		}
		hash := others[node][i].Hash
		votes[hash]++
		if hash != own.Hash {
			v.Nodes = append(v.Nodes, node)
		}
	}
	total := 0
	for _, n := range votes {
		total += n
	}
	switch {
	case total == 1:
		return Verdict{}
	case len(v.Nodes) == 0:
		v.Outcome = Equal
		return v
	}
	v.Outcome = Tie
	for hash, n := range votes {
		if 2*n > voters && hash == own.Hash {
			v.Outcome = Others
		} else if 2*n > voters {
			v.Outcome = Minority
		}
	}
	return v
}
