package trust_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/store/audit"
	"gatehouse/store/audit/trust"
)

const (
	log1    = "clu_a/ten_b/e1"
	log2    = "clu_a/ten_c/e1"
	system1 = "clu_a/system/e1"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// key is a signing key of a log, always the same of one seed.
func key(t testing.TB, name, seed string) (note.Signer, string) {
	t.Helper()
	s := sha256.Sum256([]byte(seed))
	private := ed25519.NewKeyFromSeed(s[:])
	vkey, err := note.NewEd25519VerifierKey(name, private.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	id := vkey[:strings.LastIndex(vkey[:len(name)+10], "+")]
	// Algorithm 1 is Ed25519 (C2SP signed-note).
	signer, err := note.NewSigner("PRIVATE+KEY+" + id + "+" + base64.StdEncoding.EncodeToString(append([]byte{1}, s[:]...)))
	if err != nil {
		t.Fatal(err)
	}
	return signer, vkey
}

func vkey(t testing.TB, name, seed string) string {
	_, v := key(t, name, seed)
	return v
}

// id is the name and hash of a vkey.
func id(vkey string) string {
	f := strings.SplitN(vkey, "+", 3)
	return f[0] + "+" + f[1]
}

// tree is the hashes of a log's leaves.
type tree []tlog.Hash

func (m tree) Hash(i int64) (tlog.Hash, error) {
	if i < 0 || i >= int64(len(m)) {
		return tlog.Hash{}, errors.New("no such hash is stored")
	}
	return m[i], nil
}

// grown is a tree of size leaves, of which those from forged on are others.
func grown(t testing.TB, size, forged int64) tree {
	t.Helper()
	var m tree
	for i := range size {
		leaf := fmt.Sprintf("leaf %d", i)
		if i >= forged {
			leaf = "forged " + leaf
		}
		hashes, _, err := audit.Append(i, []byte(leaf), m)
		if err != nil {
			t.Fatal(err)
		}
		m = append(m, hashes...)
	}
	return m
}

const honest = 1 << 40

// head is the checkpoint of the first size leaves, signed by keys of these seeds.
func head(t testing.TB, origin string, size int64, h audit.Hashes, seeds ...string) []byte {
	t.Helper()
	c := &audit.Checkpoint{Origin: origin, Size: size, Root: root(t, size, h)}
	return signed(t, c.Text(), origin, seeds...)
}

func signed(t testing.TB, text, name string, seeds ...string) []byte {
	t.Helper()
	var signers []note.Signer
	for _, seed := range seeds {
		s, _ := key(t, name, seed)
		signers = append(signers, s)
	}
	b, err := note.Sign(&note.Note{Text: text}, signers...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func root(t testing.TB, size int64, h audit.Hashes) tlog.Hash {
	t.Helper()
	r, err := audit.Root(size, h)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func parsed(t testing.TB, b []byte) *audit.Checkpoint {
	t.Helper()
	c, err := audit.ParseCheckpoint(b)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func policy(t testing.TB, lines ...string) *trust.Policy {
	t.Helper()
	p, err := trust.ParsePolicy([]byte(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// witness of a seed.
func witness(t testing.TB, name, seed string) (w *trust.Witness, vkey string) {
	t.Helper()
	s := sha256.Sum256([]byte(seed))
	skey, vkey, err := trust.NewWitness(name, bytes.NewReader(s[:]))
	if err != nil {
		t.Fatal(err)
	}
	w, err = trust.ParseWitness(skey)
	if err != nil {
		t.Fatal(err)
	}
	return w, vkey
}

func cosigned(t testing.TB, b []byte, at time.Time, all ...*trust.Witness) []byte {
	t.Helper()
	for _, w := range all {
		var err error
		if b, err = w.Cosign(b, at); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// lines of signatures of a note.
func lines(b []byte) []string {
	_, sigs, _ := strings.Cut(string(b), "\n\n")
	return strings.Split(strings.TrimSuffix(sigs, "\n"), "\n")
}

func among(err error, sentinels ...error) bool {
	for _, s := range sentinels {
		if errors.Is(err, s) {
			return true
		}
	}
	return false
}
