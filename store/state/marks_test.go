package state_test

import (
	"slices"
	"testing"

	"gatehouse/store/command"
	"gatehouse/store/state"
)

// sparse is a log as Raft numbers it: its own entries lie between.
func sparse(t *testing.T, indexes ...uint64) []state.Entry {
	t.Helper()
	w := &world{t: t, now: start}
	var entries []state.Entry
	for _, i := range indexes {
		var e state.Entry
		if i == indexes[0] {
			e = w.entry(w.command(command.Type_FOUND, "", &command.Found{Cluster: "clu_a", Node: "nod_a", SetupCode: hash("code")}))
		} else {
			e = w.entry(w.command(command.Type_RECORD, "", nil))
		}
		e.Index = i
		entries = append(entries, e)
	}
	return entries
}

func indexes(marks []state.Mark) []uint64 {
	var all []uint64
	for _, m := range marks {
		all = append(all, m.Index)
	}
	return all
}

func TestMarksAreOfTheFirstEntryAtOrAfterEachThousand(t *testing.T) {
	entries := sparse(t, 1, 998, 999, 1000, 1001, 1999, 2003, 2004, 2999, 5999, 6000, 6001, 6999)
	want := []uint64{1000, 2003, 5999, 6000}
	at := map[uint64][32]byte{}
	one := empty(t)
	for _, e := range entries {
		_, err := one.s.Apply([]state.Entry{e})
		must(t, err)
		index, hash := one.s.Applied()
		at[index] = hash
	}
	all := empty(t)
	_, err := all.s.Apply(entries)
	must(t, err)
	for _, s := range []*state.State{one.s, all.s} {
		marks := s.Marks()
		if !slices.Equal(indexes(marks), want) {
			t.Errorf("marks at %d, want %d", indexes(marks), want)
		}
		for _, m := range marks {
			if m.Hash != at[m.Index] {
				t.Errorf("the mark of entry %d is not the state there", m.Index)
			}
		}
	}
	marks := all.s.Marks()
	marks[0].Hash[0]++
	if all.s.Marks()[0] == marks[0] {
		t.Error("who asks for marks can change them")
	}
}

func TestTheLastMarksAreKept(t *testing.T) {
	var at []uint64
	for i := uint64(1); i < 100_000; i += 500 {
		at = append(at, i)
	}
	w := empty(t)
	_, err := w.s.Apply(sparse(t, at...))
	must(t, err)
	marks := w.s.Marks()
	if len(marks) != 64 || marks[0].Index != 36_001 || marks[63].Index != 99_001 {
		t.Errorf("marks at %d", indexes(marks))
	}
}

// A node that starts again, or is sent the state, marks what the others mark.
func TestMarksAfterARestartAndAReplacement(t *testing.T) {
	entries := sparse(t, 1, 1500, 1998, 2001, 2002, 3000, 3001, 4500, 5003, 5004)
	other := sparse(t, 1, 1400, 2100, 3100) // another history, with marks of its own
	whole := empty(t)
	_, err := whole.s.Apply(entries)
	must(t, err)
	want := whole.s.Marks()
	for cut := 1; cut < len(entries); cut++ {
		again := empty(t)
		_, err := again.s.Apply(entries[:cut])
		must(t, err)
		path, _ := copied(t, again.s)
		again.reopen()
		replaced := empty(t)
		_, err = replaced.s.Apply(other)
		must(t, err)
		if replaced.s.Marks()[0] == want[0] {
			t.Fatal("the other history is the same")
		}
		must(t, replaced.s.Replace(path))
		after := slices.DeleteFunc(slices.Clone(want), func(m state.Mark) bool { return m.Index <= entries[cut-1].Index })
		for name, s := range map[string]*state.State{"a restart": again.s, "a replacement": replaced.s} {
			if got := s.Marks(); len(got) != 0 {
				t.Errorf("after %s at %d there are marks at %d", name, entries[cut-1].Index, indexes(got))
			}
			_, err := s.Apply(entries) // what it holds is skipped
			must(t, err)
			if got := s.Marks(); !slices.Equal(got, after) {
				t.Errorf("after %s at %d marks at %d, want %d", name, entries[cut-1].Index, indexes(got), indexes(after))
			}
		}
	}
}

// Whoever asks does not wait for the state, which may be on a disk that hangs.
func TestMarksDoNotWaitForTheState(t *testing.T) {
	w := empty(t)
	_, err := w.s.Apply(sparse(t, 1, 1000))
	must(t, err)
	must(t, w.s.View(func(*state.View) error { // holds the state
		if got := indexes(w.s.Marks()); !slices.Equal(got, []uint64{1000}) {
			t.Errorf("marks at %d", got)
		}
		return nil
	}))
}
