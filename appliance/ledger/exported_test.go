package ledger_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"maps"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"gatehouse/appliance/ledger"
	"gatehouse/store/audit/bundle"
	"gatehouse/store/audit/segment"
	"gatehouse/store/audit/trust"
)

func (w *world) verifier(t *testing.T) note.Verifier {
	t.Helper()
	h, err := w.s.Log(bank).Head()
	must(t, err)
	key, err := w.keys.Verifier(h.Origin)
	must(t, err)
	v, err := note.NewVerifier(key)
	must(t, err)
	return v
}

// exported gives the members of a bundle of [from, to), once it was verified; but
// for its signature.
func exported(t *testing.T, l *ledger.Ledger, from, to int64) map[string][32]byte {
	t.Helper()
	p, err := l.Export(t.Context(), reader(), bank, ledger.Range{From: &from, To: &to})
	must(t, err)
	var b bytes.Buffer
	must(t, p.Write(t.Context(), &b))
	text, err := l.Trust(t.Context(), bank)
	must(t, err)
	policy, err := trust.ParsePolicy([]byte(text))
	must(t, err)
	v, err := bundle.Verify(t.Context(), bytes.NewReader(b.Bytes()), bundle.Options{Policy: policy, FirstUse: true, Now: time.Now()})
	must(t, err)
	if !v.Good || v.From != from || v.To != to || v.Leaves != to-from {
		t.Fatalf("%+v: %+v", v, v.Finding)
	}
	all := map[string][32]byte{}
	for r := tar.NewReader(&b); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			delete(all, "bundle.sig")
			return all
		}
		must(t, err)
		content, err := io.ReadAll(r)
		must(t, err)
		all[h.Name] = sha256.Sum256(content)
	}
}

// bundles across the end of the segment, and of all.
func bundles(t *testing.T, l *ledger.Ledger, size int64) (all []map[string][32]byte) {
	t.Helper()
	for _, r := range [][2]int64{{segment.Leaves - 40, segment.Leaves + 50}, {segment.Leaves - 5, segment.Leaves}, {segment.Leaves, segment.Leaves + 5}, {1, 9}, {segment.Leaves + 1, size}} {
		all = append(all, exported(t, l, r[0], r[1]))
	}
	return all
}

func same(a, b map[string][32]byte) bool { return maps.Equal(a, b) }
