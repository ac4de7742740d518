package identify_test

import (
	"os"
	"slices"
	"testing"

	"gatehouse/store/state"
)

// Whatever lies where a snapshot should: the galleries are what the state says.
func FuzzSnapshot(f *testing.F) {
	w := founded(f)
	w.many(home, 0, 260)
	w.saved()
	var kept [2][]byte
	for i, list := range lists {
		b, err := os.ReadFile(w.file(home, list))
		if err != nil {
			f.Fatal(err)
		}
		kept[i] = b
	}
	n := 12 + int(kept[0][8]) + int(kept[0][9])<<8 // where the header ends
	front, rest := kept[0][:n], kept[0][n:]
	f.Add(front, uint32(0), byte(0), uint32(0)) // as it is
	f.Add(front, uint32(20), byte(1), uint32(0))
	f.Add(front, uint32(n+5000), byte(1), uint32(0))
	f.Add(front, uint32(0), byte(0), uint32(1))
	f.Add(front[:n/2], uint32(0), byte(0), uint32(len(rest)))
	f.Add([]byte("ghsnap1\n\xff\xff\xff\xff"), uint32(0), byte(0), uint32(0))
	f.Add([]byte("ghsnap1\n\x02\x00\x00\x00{}"), uint32(0), byte(0), uint32(0))
	f.Fuzz(func(t *testing.T, front []byte, at uint32, flip byte, cut uint32) {
		w.t = t
		b := slices.Concat(front, rest[:len(rest)-int(cut)%(len(rest)+1)])
		if len(b) > 0 {
			b[int(at)%len(b)] ^= flip
		}
		for list, content := range map[string][]byte{state.InSubjects: b, state.InBlocklist: kept[1]} {
			if err := os.WriteFile(w.file(home, list), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		w.loaded().whole(t, home, 260, 0)
	})
}
