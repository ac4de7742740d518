package audit_test

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	formats "github.com/transparency-dev/formats/proof"

	"gatehouse/store/audit"
)

func proofOf(t testing.TB, seq, size int64) *audit.Proof {
	t.Helper()
	hashes, err := audit.InclusionProof(size, seq, grown(t, size))
	if err != nil {
		t.Fatal(err)
	}
	if len(hashes) == 0 {
		hashes = nil
	}
	return &audit.Proof{Index: seq, Hashes: hashes, Checkpoint: signed(t, log1, size)}
}

func TestProofFile(t *testing.T) {
	for _, c := range []struct{ seq, size int64 }{{0, 1}, {0, 2}, {4, 7}, {99, 100}} {
		for _, extra := range [][]byte{nil, []byte("the leaf, say")} {
			p := proofOf(t, c.seq, c.size)
			p.Extra = extra
			b := p.Encode()
			var theirs formats.TLogProof
			if err := theirs.Unmarshal(b); err != nil || !bytes.Equal(theirs.Marshal(), b) || theirs.Index != uint64(c.seq) || !bytes.Equal(theirs.Checkpoint, p.Checkpoint) || !bytes.Equal(theirs.ExtraData, extra) || len(theirs.Hashes) != len(p.Hashes) {
				t.Errorf("another implementation: %+v, %v", theirs, err)
			}
			got, err := audit.ParseProof(b)
			if err != nil || !reflect.DeepEqual(got, p) {
				t.Fatalf("%+v, %v", got, err)
			}
			if head, err := got.Verify(record(c.seq), log1, known(t, log1, "seed")); err != nil || head.Size != c.size {
				t.Errorf("%+v, %v", head, err)
			}
			if _, err := got.Verify(record(c.seq+1), log1, known(t, log1, "seed")); !errors.Is(err, audit.ErrProof) {
				t.Errorf("another leaf: %v", err)
			}
			if _, err := got.Verify(record(c.seq), log1, known(t, log1, "other")); !errors.Is(err, audit.ErrSignature) {
				t.Errorf("another key: %v", err)
			}
			if _, err := got.Verify(record(c.seq), log2, known(t, log1, "seed")); !errors.Is(err, audit.ErrSignature) {
				t.Errorf("another log: %v", err)
			}
		}
	}
}

func TestProofBeyondTheTree(t *testing.T) {
	p := proofOf(t, 4, 7)
	p.Index = 7
	got, err := audit.ParseProof(p.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := got.Verify(record(7), log1, known(t, log1, "seed")); !errors.Is(err, audit.ErrSize) {
		t.Error(err)
	}
}

func TestMalformedProof(t *testing.T) {
	p := proofOf(t, 4, 7)
	good := string(p.Encode())
	h := p.Hashes[0].String()
	p.Extra = []byte("extra")
	with := string(p.Encode())
	replace := func(s, old, new string) string {
		if !strings.Contains(s, old) {
			t.Fatalf("%s is not in %s", old, s)
		}
		return strings.Replace(s, old, new, 1)
	}
	for name, s := range map[string]string{
		"nothing":           "",
		"another version":   replace(good, "proof@v1", "proof@v2"),
		"no index":          replace(good, "index 4\n", ""),
		"index, no word":    replace(good, "index 4\n", "4\n"),
		"index, zero":       replace(good, "index 4\n", "index 04\n"),
		"index, negative":   replace(good, "index 4\n", "index -4\n"),
		"index beyond 2^53": replace(good, "index 4\n", "index 9007199254740991\n"),
		"extra twice":       replace(with, "index 4", "extra ZXh0cmE=\nindex 4"),
		"extra, not base64": replace(with, "ZXh0cmE=", "ZXh0cmE"),
		"extra, empty":      replace(with, "ZXh0cmE=", ""),
		"extra, too long":   replace(with, "ZXh0cmE=", strings.Repeat("AAAA", 16<<10/3+1)),
		"extra after index": replace(good, "index 4\n", "index 4\nextra ZXh0cmE=\n"),
		"hash, short":       replace(good, h, h[4:]),
		"hash, loose":       replace(good, h, h[:42]+string(h[42]+1)+"="),
		"many hashes":       replace(good, h, strings.Repeat(h+"\n", 60)+h),
		"no blank line":     replace(good, "\n\n", "\n"),
		"no checkpoint":     good[:strings.Index(good, "\n\n")+2],
		"cut":               good[:len(good)-1],
		"carriage returns":  strings.ReplaceAll(good, "\n", "\r\n"),
		"too large":         good + strings.Repeat("a", 1<<20),
	} {
		if got, err := audit.ParseProof([]byte(s)); got != nil || !errors.Is(err, audit.ErrProofFile) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}
