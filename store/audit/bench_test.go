package audit_test

import (
	"path/filepath"
	"testing"

	"gatehouse/store/audit"
)

// What Apply pays for one event.
func BenchmarkEncodeAndAppend(b *testing.B) {
	m := grown(b, 1<<16)
	start := *m
	l := full()
	b.ReportAllocs()
	for b.Loop() {
		if m.size == 1<<20 { // do not grow without end
			m.hashes, m.size = m.hashes[:len(start.hashes)], start.size
		}
		l.Seq = m.size
		m.add(b, encode(b, l))
	}
}

// What an offline verifier pays for one event, beside hashing it.
func BenchmarkDecodeLeaf(b *testing.B) {
	leaf := encode(b, full())
	b.SetBytes(int64(len(leaf)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := audit.DecodeLeaf(leaf); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkProof(b *testing.B) {
	const size = 1 << 20
	m := grown(b, size)
	r := root(b, size, m)
	b.ReportAllocs()
	for b.Loop() {
		p, err := audit.InclusionProof(size, 700_001, m)
		if err == nil {
			err = audit.VerifyInclusion(record(700_001), 700_001, size, p, r)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

// One checkpoint, on disk before it is signed.
func BenchmarkSign(b *testing.B) {
	m := grown(b, 1<<16)
	s := openSigner(b, filepath.Join(b.TempDir(), "last-signed"), "seed")
	size := int64(0)
	for b.Loop() {
		if size = size%(1<<16) + 1; size == 1 {
			s = openSigner(b, filepath.Join(b.TempDir(), "last-signed"), "seed")
		}
		if _, err := s.Sign(log1, size, m); err != nil {
			b.Fatal(err)
		}
	}
}
