package watch_test

import (
	"slices"
	"testing"

	"gatehouse/cluster/watch"
	"gatehouse/store/state"
)

// marks of a state: one for each letter, at 1,000, 2,000 …; "." is none.
func marks(hashes string) (all []state.Mark) {
	for i, h := range hashes {
		if h != '.' {
			all = append(all, state.Mark{Index: uint64(i+1) * 1000, Hash: [32]byte{byte(h)}})
		}
	}
	return all
}

func TestCompare(t *testing.T) {
	for _, c := range []struct {
		name, own string
		others    map[string]string
		voters    int
		outcome   watch.Outcome
		index     uint64
		nodes     []string
	}{
		{"alone", "ab", nil, 1, watch.Unknown, 0, nil},
		{"nothing marked here", "", map[string]string{"b": "ab", "c": "ab"}, 3, watch.Unknown, 0, nil},
		{"nothing in common", "..c", map[string]string{"b": "ab", "c": "ab"}, 3, watch.Unknown, 0, nil},
		{"all equal", "abc", map[string]string{"b": "abc", "c": "abc"}, 3, watch.Equal, 3000, nil},
		{"one is behind", "abc", map[string]string{"b": "abc", "c": "a"}, 3, watch.Equal, 3000, nil},
		{"this one is behind", "ab", map[string]string{"b": "abc", "c": "abcd"}, 3, watch.Equal, 2000, nil},
		{"one is silent", "abc", map[string]string{"b": "abc"}, 3, watch.Equal, 3000, nil},
		{"this one is wrong", "abx", map[string]string{"b": "abc", "c": "abc"}, 3, watch.Minority, 3000, []string{"b", "c"}},
		{"another is wrong", "abc", map[string]string{"b": "abx", "c": "abc"}, 3, watch.Others, 3000, []string{"b"}},
		{"two differ, one is silent", "abx", map[string]string{"b": "abc"}, 3, watch.Tie, 3000, []string{"b"}},
		{"two differ, one is not there yet", "abx", map[string]string{"b": "abc", "c": "ab"}, 3, watch.Tie, 3000, []string{"b"}},
		{"it arrives", "abx", map[string]string{"b": "abc", "c": "abc"}, 3, watch.Minority, 3000, []string{"b", "c"}},
		{"all differ", "abx", map[string]string{"b": "aby", "c": "abz"}, 3, watch.Tie, 3000, []string{"b", "c"}},
		{"two differ of two", "x", map[string]string{"b": "a"}, 2, watch.Tie, 1000, []string{"b"}},
		{"an older entry has decided", "axy", map[string]string{"b": "abc", "c": "ab"}, 3, watch.Minority, 2000, []string{"b", "c"}},
		{"an older entry has decided for this one", "abc", map[string]string{"b": "axy", "c": "ab"}, 3, watch.Others, 2000, []string{"b"}},
		{"a majority of those who answer is none of the cluster", "x", map[string]string{"b": "a", "c": "a"}, 5, watch.Tie, 1000, []string{"b", "c"}},
		{"three of five", "x", map[string]string{"b": "a", "c": "a", "d": "a"}, 5, watch.Minority, 1000, []string{"b", "c", "d"}},
		{"half of four", "x", map[string]string{"b": "a", "c": "a", "d": "x"}, 4, watch.Tie, 1000, []string{"b", "c"}},
		{"two of five are wrong in the same way", "x", map[string]string{"b": "a", "c": "a", "d": "x", "e": "x"}, 5, watch.Others, 1000, []string{"b", "c"}},
	} {
		others := map[string][]state.Mark{}
		for node, hashes := range c.others {
			others[node] = marks(hashes)
		}
		v := watch.Compare(marks(c.own), others, c.voters)
		if v.Outcome != c.outcome || v.Index != c.index || !slices.Equal(v.Nodes, c.nodes) {
			t.Errorf("%s: %v at %d, %v; want %v at %d, %v", c.name, v.Outcome, v.Index, v.Nodes, c.outcome, c.index, c.nodes)
		}
	}
}

// Of three that disagree two can be a majority once only.
func TestNoTwoNodesAreBothWrong(t *testing.T) {
	for _, all := range [][]string{{"aa", "aa", "ax"}, {"aa", "ax", "ax"}, {"aa", "ax", "ay"}, {"aa", "ax", "a."}, {"a.", ".a", ".x"}} {
		wrong := 0
		for i := range all {
			others := map[string][]state.Mark{}
			for j, hashes := range all {
				if i != j {
					others[string(rune('a'+j))] = marks(hashes)
				}
			}
			if watch.Compare(marks(all[i]), others, 3).Outcome == watch.Minority {
				wrong++
			}
		}
		if wrong > 1 {
			t.Errorf("of %v %d are wrong", all, wrong)
		}
	}
}
