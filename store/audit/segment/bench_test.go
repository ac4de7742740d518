package segment_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/klauspost/compress/zstd"

	"gatehouse/store/audit/segment"
)

func size(n int64) (bytes int) {
	for _, l := range world().leaves[n<<segment.Height : (n+1)<<segment.Height] {
		bytes += len(l)
	}
	return bytes
}

// What each level of zstd makes of bundles of leaves.
func BenchmarkLevels(b *testing.B) {
	g := world()
	var plain [][]byte
	total := 0
	for i := range 64 {
		var bundle []byte
		for _, l := range g.leaves[i*256:][:256] {
			bundle = append(append(bundle, byte(len(l)>>8), byte(len(l))), l...)
		}
		plain, total = append(plain, bundle), total+len(bundle)
	}
	for _, level := range []zstd.EncoderLevel{zstd.SpeedFastest, zstd.SpeedDefault, zstd.SpeedBetterCompression, zstd.SpeedBestCompression} {
		b.Run(level.String(), func(b *testing.B) {
			e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(4<<20), zstd.WithEncoderLevel(level))
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(total))
			packed := 0
			var buf []byte
			for b.Loop() {
				packed = 0
				for _, p := range plain {
					buf = e.EncodeAll(p, buf[:0])
					packed += len(buf)
				}
			}
			b.ReportMetric(float64(packed)/(64*256), "B/leaf")
		})
	}
}

func BenchmarkWrite(b *testing.B) {
	g, dir := world(), b.TempDir()
	b.SetBytes(int64(size(0)))
	b.ReportAllocs()
	path := ""
	for i := 0; b.Loop(); i++ {
		path = fmt.Sprintf("%s/%d", dir, i%2)
		if err := segment.Write(path, origin, 0, g.root(0), g.source); err != nil {
			b.Fatal(err)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(info.Size())/segment.Leaves, "file-B/leaf")
}

// A leaf whose bundle is not in the cache: two segments of bundles do not fit.
func BenchmarkLeaf(b *testing.B) {
	g, s := world(), store(b)
	put(b, s, 0)
	put(b, s, 1)
	b.ReportAllocs()
	for i := int64(0); b.Loop(); i++ {
		seq := i * 257 % (2 * segment.Leaves)
		if _, err := s.Leaf(origin, g.root(seq>>segment.Height), seq); err != nil {
			b.Fatal(err)
		}
	}
}

// A proof asks for one hash of each level.
func BenchmarkHashes(b *testing.B) {
	g, s := world(), store(b)
	put(b, s, 0)
	r := rand.New(rand.NewPCG(1, 2))
	b.ReportAllocs()
	for b.Loop() {
		seq := r.Int64N(segment.Leaves)
		for level := range segment.Height {
			if _, err := s.Hash(origin, g.root(0), 0, level, seq>>level); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkScan(b *testing.B) {
	g, s := world(), store(b)
	put(b, s, 0)
	b.SetBytes(int64(size(0)))
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Scan(origin, g.root(0), 0, 0, segment.Leaves, func(int64, []byte) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	g, s := world(), store(b)
	put(b, s, 0)
	b.SetBytes(int64(size(0)))
	for b.Loop() {
		if err := s.Verify(origin, g.root(0), 0); err != nil {
			b.Fatal(err)
		}
	}
}
