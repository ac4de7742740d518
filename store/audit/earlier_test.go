package audit_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"

	"gatehouse/store/audit"
)

func TestSignEarlier(t *testing.T) {
	path := filepath.Join(t.TempDir(), "last-signed")
	s := openSigner(t, path, "seed")
	m := grown(t, 30)
	if _, err := s.Sign(log1, 20, m); err != nil {
		t.Fatal(err)
	}
	record, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*audit.Signer{s, openSigner(t, path, "seed")} {
		for size := range int64(21) {
			b, err := s.SignEarlier(log1, size, m)
			if err != nil {
				t.Fatalf("size %d: %v", size, err)
			}
			if c, err := audit.VerifyCheckpoint(b, log1, known(t, log1, "seed")); err != nil || c.Size != size || c.Root != root(t, size, m) {
				t.Errorf("size %d: %+v, %v", size, c, err)
			}
		}
		for name, c := range map[string]struct {
			size int64
			h    audit.Hashes
			want error
		}{
			"forked":            {10, other(t, 30, 3), audit.ErrFork},
			"forked after it":   {10, other(t, 30, 15), audit.ErrFork},
			"forked, same size": {20, other(t, 20, 0), audit.ErrFork},
			"forked, grown":     {25, other(t, 25, 0), audit.ErrFork},
			"not whole":         {10, grown(t, 12), errNoHash},
			"no such size":      {-1, m, audit.ErrSize},
			"beyond its leaves": {31, m, errNoHash},
			"beyond any":        {1 << 53, m, audit.ErrSize},
		} {
			if b, err := s.SignEarlier(log1, c.size, c.h); b != nil || !errors.Is(err, c.want) {
				t.Errorf("%s: %s, %v", name, b, err)
			}
		}
		never(t, s)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, record) {
		t.Errorf("the record became %s, %v", after, err)
	}

	// Above what was signed it is Sign.
	if _, err := s.SignEarlier(log1, 25, m); err != nil {
		t.Fatal(err)
	}
	if err := openSigner(t, path, "seed").Check(log1, 24, m); !errors.Is(err, audit.ErrRollback) {
		t.Errorf("25 leaves were not recorded: %v", err)
	}
	if _, err := s.SignEarlier("clu_a/ten_z/e1", 2, m); err != nil {
		t.Fatal(err)
	}
	if err := openSigner(t, path, "seed").Check("clu_a/ten_z/e1", 2, other(t, 2, 0)); !errors.Is(err, audit.ErrFork) {
		t.Errorf("the first of a log was not recorded: %v", err)
	}
}

// A damaged hash inside the tree makes roots that nothing leads to: they are
// refused, though the root that was signed last can still be made.
func TestDamagedHashIsNotSigned(t *testing.T) {
	refused := 0
	for index := range grown(t, 8).hashes {
		s := openSigner(t, filepath.Join(t.TempDir(), "last-signed"), "seed")
		m := grown(t, 8)
		first, err := s.Sign(log1, 5, m)
		if err != nil {
			t.Fatal(err)
		}
		m.hashes[index][0] ^= 1
		all := [][]byte{first}
		for size := range int64(9) {
			for _, sign := range []func(string, int64, audit.Hashes) ([]byte, error){s.SignEarlier, s.Sign} {
				b, err := sign(log1, size, m)
				if err == nil {
					all = append(all, b)
				} else if refused++; !errors.Is(err, audit.ErrFork) && !errors.Is(err, audit.ErrRollback) {
					t.Errorf("hash %d, size %d: %v", index, size, err)
				}
			}
		}
		for i := range all {
			for j := range i {
				agree(t, all[i], all[j], m, grown(t, 8))
			}
		}
	}
	if refused == 0 {
		t.Error("all were signed")
	}
}

// agree asserts, with another implementation, that the larger of two
// checkpoints goes on from the smaller. One of the sources has the proof.
func agree(t testing.TB, a, b []byte, sources ...*memory) {
	t.Helper()
	small, err := audit.ParseCheckpoint(a)
	if err != nil {
		t.Fatal(err)
	}
	large, err := audit.ParseCheckpoint(b)
	if err != nil {
		t.Fatal(err)
	}
	if small.Size > large.Size {
		small, large = large, small
	}
	if small.Size == 0 && large.Size > 0 {
		return // of an empty tree there is nothing to contradict
	}
	for _, m := range sources {
		var hashes [][]byte
		if small.Size < large.Size {
			all, err := audit.ConsistencyProof(small.Size, large.Size, m)
			if err != nil {
				t.Fatal(err)
			}
			hashes = slicesOf(all)
		}
		err = proof.VerifyConsistency(rfc6962.DefaultHasher, uint64(small.Size), uint64(large.Size), hashes, small.Root[:], large.Root[:])
		if err == nil {
			return
		}
	}
	t.Errorf("signed at %d and at %d: %v", small.Size, large.Size, err)
}

// Whatever is asked of it, over two trees that part at some leaf and whose
// hashes may go missing, and however often it starts anew: no two checkpoints
// that were signed contradict each other.
func TestNoSequenceOfRequestsForks(t *testing.T) {
	const most = 40
	var signed, refused int
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 7))
		at := r.Int64N(most)
		trees := []*memory{grown(t, most), other(t, most, at)}
		path := filepath.Join(t.TempDir(), "last-signed")
		s := openSigner(t, path, "seed")
		type note struct {
			text []byte
			size int64
			tree int
		}
		var all []note
		for range 40 {
			n := note{size: r.Int64N(most + 1), tree: r.IntN(2)}
			switch r.IntN(5) {
			case 0:
				s = openSigner(t, path, "seed")
				continue
			case 1, 2:
				n.text, _ = s.Sign(log1, n.size, trees[n.tree])
			default:
				n.text, _ = s.SignEarlier(log1, n.size, trees[n.tree])
			}
			if n.text == nil {
				refused++
			} else {
				signed++
				all = append(all, n)
			}
		}
		for i, a := range all {
			for _, b := range all[:i] {
				large := a
				if b.size > a.size {
					large = b
				}
				agree(t, a.text, b.text, trees[large.tree])
			}
		}
	}
	if signed < 200 || refused < 200 { // or the test says little
		t.Errorf("%d signed, %d refused", signed, refused)
	}
}

func TestSignText(t *testing.T) {
	s := openSigner(t, filepath.Join(t.TempDir(), "last-signed"), "new", "old")
	text := "gatehouse/bundle/1\n" + log1 + "\n"
	b, err := s.SignText(log1, text)
	if err != nil {
		t.Fatal(err)
	}
	for _, seed := range []string{"new", "old"} {
		if n, err := note.Open(b, known(t, log1, seed)); err != nil || n.Text != text {
			t.Errorf("%s: %+v, %v", seed, n, err)
		}
	}
	if c, err := audit.ParseCheckpoint(b); !errors.Is(err, audit.ErrCheckpoint) {
		t.Errorf("it is a checkpoint: %+v, %v", c, err)
	}
	checkpoint := (&audit.Checkpoint{Origin: log1, Size: 3, Root: root(t, 3, grown(t, 3))}).Text()
	for name, text := range map[string]string{
		"a checkpoint":                checkpoint,
		"another log's":               strings.Replace(checkpoint, "clu_a", "clu_b", 1),
		"of the cluster gatehouse":    strings.Replace(checkpoint, "clu_a", "gatehouse", 1),
		"an origin alone":             log1 + "\n",
		"a checkpoint of others":      "example.com/log\n3\n",
		"a cosignature (C2SP)":        "cosignature/v1\ntime 1\n" + checkpoint,
		"nothing":                     "",
		"without an end of line":      "gatehouse/bundle/1",
		"with a control character":    "gatehouse/bundle/1\n\x00\n",
		"with half a character":       "gatehouse/bundle/1\n\xc3\n",
		"a blank line before another": "\ngatehouse/bundle/1\n",
	} {
		if b, err := s.SignText(log1, text); b != nil || !errors.Is(err, audit.ErrNote) {
			t.Errorf("%s: %s, %v", name, fmt.Sprintf("%.100s", b), err)
		}
	}
}
