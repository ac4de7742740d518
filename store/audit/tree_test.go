package audit_test

import (
	"crypto/sha256"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/store/audit"
)

// The reference: RFC 6962, section 2.1, word for word.

func sum(parts ...[]byte) []byte {
	h := sha256.New()
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

func split(n int) int { // the largest power of two smaller than n
	k := 1
	for k*2 < n {
		k *= 2
	}
	return k
}

func mth(d [][]byte) []byte {
	switch len(d) {
	case 0:
		return sum()
	case 1:
		return sum([]byte{0}, d[0])
	}
	k := split(len(d))
	return sum([]byte{1}, mth(d[:k]), mth(d[k:]))
}

func path(m int, d [][]byte) [][]byte {
	if len(d) == 1 {
		return nil
	}
	if k := split(len(d)); m < k {
		return append(path(m, d[:k]), mth(d[k:]))
	} else {
		return append(path(m-k, d[k:]), mth(d[:k]))
	}
}

func subproof(m int, d [][]byte, whole bool) [][]byte {
	if m == len(d) {
		if whole {
			return nil
		}
		return [][]byte{mth(d)}
	}
	if k := split(len(d)); m <= k {
		return append(subproof(m, d[:k], whole), mth(d[k:]))
	} else {
		return append(subproof(m-k, d[k:], false), mth(d[:k]))
	}
}

func slicesOf(hashes []tlog.Hash) [][]byte {
	var all [][]byte
	for _, h := range hashes {
		all = append(all, h[:])
	}
	return all
}

func same(a []tlog.Hash, b [][]byte) bool {
	return slices.EqualFunc(a, b, func(x tlog.Hash, y []byte) bool { return string(x[:]) == string(y) })
}

// sizes are all up to 130, then each power of two and its neighbours.
func sizes() []int64 {
	var all []int64
	for n := range int64(131) {
		all = append(all, n)
	}
	for n := int64(256); n <= 4096; n *= 2 {
		all = append(all, n-1, n, n+1)
	}
	return all
}

// places to look at in a tree of n leaves: all in a small one.
func places(n int64) []int64 {
	if n <= 130 {
		return sizes()[:n]
	}
	all := []int64{0, 1, 2, 63, 64, 65, n / 3, n/2 - 1, n / 2, n/2 + 1, n - 2, n - 1}
	slices.Sort(all)
	return slices.Compact(all)
}

func TestTreeIsRFC6962(t *testing.T) {
	const most = 4097
	m := grown(t, most)
	d := make([][]byte, most)
	for i := range d {
		d[i] = record(int64(i))
	}
	roots := map[int64][]byte{}
	for _, n := range sizes() {
		roots[n] = mth(d[:n])
		if r := root(t, n, m); string(r[:]) != string(roots[n]) {
			t.Fatalf("root of %d leaves", n)
		}
	}
	for _, n := range sizes() {
		r := tlog.Hash(roots[n])
		for _, i := range places(n) {
			p, err := audit.InclusionProof(n, i, m)
			if err != nil || n <= 130 && !same(p, path(int(i), d[:n])) {
				t.Fatalf("proof of leaf %d of %d: %v", i, n, err)
			}
			if err := audit.VerifyInclusion(d[i], i, n, p, r); err != nil {
				t.Fatal(err)
			}
			if err := proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(i), uint64(n), rfc6962.DefaultHasher.HashLeaf(d[i]), slicesOf(p), r[:]); err != nil {
				t.Fatalf("leaf %d of %d: %v", i, n, err)
			}
			wrongInclusion(t, d[i], i, n, p, r)
		}
		for _, old := range append(places(n), n) {
			oldRoot := root(t, old, m)
			p, err := audit.ConsistencyProof(old, n, m)
			if err != nil || n <= 130 && old > 0 && !same(p, subproof(int(old), d[:n], true)) {
				t.Fatalf("proof from %d to %d: %v", old, n, err)
			}
			if err := audit.VerifyConsistency(old, n, p, oldRoot, r); err != nil {
				t.Fatal(err)
			}
			if err := proof.VerifyConsistency(rfc6962.DefaultHasher, uint64(old), uint64(n), slicesOf(p), oldRoot[:], r[:]); err != nil {
				t.Fatalf("from %d to %d: %v", old, n, err)
			}
			wrongConsistency(t, old, n, p, oldRoot, r)
		}
	}
}

func flipped(h tlog.Hash) tlog.Hash {
	h[31] ^= 1
	return h
}

func wrongInclusion(t *testing.T, leaf []byte, i, n int64, p []tlog.Hash, r tlog.Hash) {
	t.Helper()
	bad := [][]tlog.Hash{append(slices.Clone(p), r)}
	if len(p) > 0 {
		bad = append(bad, p[1:], p[:len(p)-1], append([]tlog.Hash{flipped(p[0])}, p[1:]...))
	}
	for _, b := range bad {
		if err := audit.VerifyInclusion(leaf, i, n, b, r); !errors.Is(err, audit.ErrProof) {
			t.Fatalf("leaf %d of %d, altered proof: %v", i, n, err)
		}
	}
	if err := audit.VerifyInclusion(append(slices.Clone(leaf), 'x'), i, n, p, r); !errors.Is(err, audit.ErrProof) {
		t.Fatalf("leaf %d of %d, altered leaf: %v", i, n, err)
	}
	if err := audit.VerifyInclusion(leaf, i, n, p, flipped(r)); !errors.Is(err, audit.ErrProof) {
		t.Fatalf("leaf %d of %d, altered root: %v", i, n, err)
	}
	if i > 0 {
		if err := audit.VerifyInclusion(leaf, i-1, n, p, r); !errors.Is(err, audit.ErrProof) {
			t.Fatalf("leaf %d of %d, in the place before: %v", i, n, err)
		}
	}
}

func wrongConsistency(t *testing.T, old, n int64, p []tlog.Hash, oldRoot, r tlog.Hash) {
	t.Helper()
	type try struct {
		p       []tlog.Hash
		old, to tlog.Hash
	}
	bad := []try{{append(slices.Clone(p), r), oldRoot, r}, {p, flipped(oldRoot), r}}
	if old > 0 || n == 0 { // everything extends the empty tree
		bad = append(bad, try{p, oldRoot, flipped(r)})
	}
	if len(p) > 0 {
		bad = append(bad, try{p[1:], oldRoot, r}, try{append([]tlog.Hash{flipped(p[0])}, p[1:]...), oldRoot, r})
	}
	for i, b := range bad {
		if err := audit.VerifyConsistency(old, n, b.p, b.old, b.to); !errors.Is(err, audit.ErrProof) {
			t.Fatalf("from %d to %d, alteration %d: %v", old, n, i, err)
		}
	}
}

func TestNoSuchTree(t *testing.T) {
	m := grown(t, 3)
	for _, n := range []int64{-1, math.MinInt64, audit.MaxSize + 1, math.MaxInt64} {
		_, _, appended := audit.Append(n, nil, m)
		_, rooted := audit.Root(n, m)
		_, included := audit.InclusionProof(n, 0, m)
		_, extended := audit.ConsistencyProof(1, n, m)
		for _, err := range []error{appended, rooted, included, extended,
			audit.VerifyInclusion(nil, 0, n, nil, tlog.Hash{}), audit.VerifyConsistency(1, n, nil, tlog.Hash{}, tlog.Hash{}),
			audit.VerifyConsistency(n, 3, nil, tlog.Hash{}, tlog.Hash{})} {
			if !errors.Is(err, audit.ErrSize) {
				t.Errorf("size %d: %v", n, err)
			}
		}
	}
	for _, seq := range []int64{-1, 3, math.MaxInt64} {
		if _, err := audit.InclusionProof(3, seq, m); !errors.Is(err, audit.ErrSize) {
			t.Errorf("leaf %d of 3: %v", seq, err)
		}
	}
	if _, err := audit.ConsistencyProof(3, 2, m); !errors.Is(err, audit.ErrSize) {
		t.Errorf("a tree that shrinks: %v", err)
	}
	// Verifying at the largest size ends at once.
	if err := audit.VerifyInclusion(nil, audit.MaxSize-1, audit.MaxSize, nil, tlog.Hash{}); !errors.Is(err, audit.ErrProof) {
		t.Errorf("the largest tree: %v", err)
	}
}

func TestMissingHashIsReported(t *testing.T) {
	m := grown(t, 8)
	m.hashes = m.hashes[:7] // the root of the first four leaves is the last
	_, rooted := audit.Root(7, m)
	_, included := audit.InclusionProof(8, 0, m)
	_, extended := audit.ConsistencyProof(3, 8, m)
	_, _, appended := audit.Append(7, nil, m)
	for i, err := range []error{rooted, included, extended, appended} {
		if !errors.Is(err, errNoHash) {
			t.Errorf("%d: %v", i, err)
		}
	}
}
