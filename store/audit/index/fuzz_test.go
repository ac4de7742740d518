package index

import (
	"slices"
	"testing"

	"gatehouse/store/audit"
)

func seed(t testing.TB) *Builder {
	b := NewBuilder("clu_a/ten_a/e1", 0)
	for seq := range int64(300) {
		l := audit.Leaf{Log: "clu_a/ten_a/e1", TSMono: audit.Time(seq), Action: audit.NodeStart, SubjectRef: string(rune('a' + seq%26))}
		if err := b.Add(seq, &l); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// A header gives an index that can be asked, or an error.
func FuzzHeader(f *testing.F) {
	b := seed(f).encode()
	f.Add(b, int64(len(b)))
	f.Add(b[:100], int64(100))
	f.Fuzz(func(t *testing.T, b []byte, size int64) {
		x := &file{}
		if x.parse(b, size, "clu_a/ten_a/e1", 0) != nil {
			return
		}
		if x.is.count > MaxLeaves || x.at[buckets] != size {
			t.Fatalf("%+v", x.is)
		}
		for i := range buckets {
			if n := x.at[i+1] - x.at[i]; n < 0 || n > maxBuckets {
				t.Fatalf("bucket %d has %d bytes", i, n)
			}
		}
		if from, to := (&Index{x}).Bounds(10, 20); from > to || from < 0 || to > int64(x.is.count) {
			t.Fatalf("%d to %d", from, to)
		}
	})
}

// Whatever a bucket holds, places ascend and exist.
func FuzzBucket(f *testing.F) {
	b := seed(f)
	for _, terms := range b.sorted() {
		for _, t := range terms {
			f.Add(appendTerm(nil, t, b.postings[t]), t[:])
		}
	}
	f.Fuzz(func(t *testing.T, bucket, sought []byte) {
		var term Term
		copy(term[:], sought)
		places, err := findTerm(bucket, term, 300)
		if err != nil && places != nil || !slices.IsSorted(places) || len(places) != len(slices.Compact(slices.Clone(places))) {
			t.Fatalf("%v, %v", places, err)
		}
		if len(places) > 0 && places[len(places)-1] >= 300 {
			t.Fatalf("%v", places)
		}
	})
}
