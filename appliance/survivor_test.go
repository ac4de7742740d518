package appliance_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"gatehouse/appliance"
)

// What is read is written the same, and nothing else is read.
func FuzzPeers(f *testing.F) {
	const one = "clu_06c2t0e6o1qk5f3b2a1s9d8f7g nod_06c2t0e6o1qk5f3b2a1s9d8f7g 3 17 12\n"
	f.Add([]byte(one))
	f.Add([]byte("# two\n" + one + "\n" + strings.Replace(one, "9d8f7g 3", "9d8f7v 3", 1)))
	f.Add([]byte(strings.Repeat("#", 5000)))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := appliance.ParsePeers(b)
		if err != nil {
			if !errors.Is(err, appliance.ErrRecovery) || all != nil {
				t.Fatalf("%v, %v", all, err)
			}
			return
		}
		var again strings.Builder
		for _, s := range all {
			again.WriteString(s.String() + "\n")
		}
		if got, err := appliance.ParsePeers([]byte(again.String())); err != nil || !slices.Equal(got, all) {
			t.Fatalf("%v, %v, want %v", got, err, all)
		}
	})
}
