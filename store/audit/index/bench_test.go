package index_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"gatehouse/store/audit"
	"gatehouse/store/audit/index"
)

func BenchmarkAdd(b *testing.B) {
	leaves := make([]*audit.Leaf, index.MaxLeaves)
	for i := range leaves {
		leaves[i] = leaf(int64(i))
	}
	b.ReportAllocs()
	x := index.NewBuilder(origin, 0)
	for i := 0; b.Loop(); i++ {
		at := i % index.MaxLeaves
		if at == 0 {
			x = index.NewBuilder(origin, 0)
		}
		if err := x.Add(int64(at), leaves[at]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWriteFile(b *testing.B) {
	x, path := build(b, 0, index.MaxLeaves), filepath.Join(b.TempDir(), "x")
	for b.Loop() {
		if err := index.WriteFile(path, x); err != nil {
			b.Fatal(err)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(info.Size())/index.MaxLeaves, "B/leaf")
}

// A log of ten million leaves, opened and searched.
func BenchmarkSearch(b *testing.B) {
	const segments = 153
	dir := b.TempDir()
	whole := build(b, 0, index.MaxLeaves)
	path := func(n int) string { return filepath.Join(dir, fmt.Sprint(n)) }
	for n := range segments {
		if err := index.WriteFile(path(n), whole); err != nil {
			b.Fatal(err)
		}
	}
	for name, terms := range map[string][]index.Term{
		"rare":     {index.Of(index.Session, leaf(40_000).Object.ID)},
		"none":     {index.Of(index.Session, "ses_none")},
		"frequent": {index.Of(index.Action, string(audit.SessionEvidenceAdd)), index.Of(index.Actor, "cli_3")},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				for n := range segments {
					x, err := index.ReadFile(path(n), origin, 0)
					if err != nil {
						b.Fatal(err)
					}
					if _, err := x.Find(terms, 0, index.MaxLeaves); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
