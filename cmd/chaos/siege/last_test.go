package siege_test

import (
	"os"
	"path/filepath"
	"testing"

	"gatehouse/cmd/chaos/siege"
)

func TestSecretsAreFoundOnADisk(t *testing.T) {
	const secret = "CANARY of a person"
	for name, at := range map[string]int64{
		"nowhere": -1, "at the beginning": 0, "after a hole": 5 * siege.Piece, "over the end of a piece": 7*siege.Piece - 3, "at the end": 8*siege.Piece - int64(len(secret)),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "disk.img")
			f, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if err := f.Truncate(8 * siege.Piece); err != nil {
				t.Fatal(err)
			}
			// What surrounds it is no hole.
			for _, o := range []int64{max(0, at-10_000), 6 * siege.Piece} {
				if _, err := f.WriteAt(make([]byte, siege.Piece), o); err != nil {
					t.Fatal(err)
				}
			}
			if at >= 0 {
				if _, err := f.WriteAt([]byte(secret), at); err != nil {
					t.Fatal(err)
				}
			}
			read, found, err := siege.Search(path, "another", secret)
			if err != nil || found != at {
				t.Errorf("found at %d, %v", found, err)
			}
			if at < 0 && (read < siege.Piece || read > 4*siege.Piece) {
				t.Errorf("%d bytes were read", read)
			}
		})
	}
}
