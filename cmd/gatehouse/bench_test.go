package main_test

import (
	"bytes"
	encoding "encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// benched is what bench gallery prints with --json.
type benched struct {
	Engine      string   `json:"engine"`
	Kernel      string   `json:"kernel"`
	Rows        int      `json:"rows"`
	Dimension   int      `json:"dimension"`
	Threads     int      `json:"threads"`
	Queries     int      `json:"queries"`
	BuildS      float64  `json:"build_s"`
	QPS         float64  `json:"qps"`
	P50         float64  `json:"p50_ms"`
	P99         float64  `json:"p99_ms"`
	VectorBytes float64  `json:"vector_bytes"`
	RecallAt1   *float64 `json:"recall_at_1"`
	RecallAtK   *float64 `json:"recall_at_k"`
}

// rowsIn gives the rows of an .fvecs or .ivecs file.
func rowsIn(t *testing.T, file string) [][]uint32 {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]uint32
	for len(b) > 0 {
		row := make([]uint32, encoding.LittleEndian.Uint32(b))
		if err := encoding.Read(bytes.NewReader(b[4:]), encoding.LittleEndian, row); err != nil {
			t.Fatal(err)
		}
		rows, b = append(rows, row), b[4+4*len(row):]
	}
	return rows
}

func fvecs(t *testing.T, name string, rows ...[]float32) string {
	t.Helper()
	var b []byte
	for _, row := range rows {
		b = encoding.LittleEndian.AppendUint32(b, uint32(len(row)))
		for _, x := range row {
			b = encoding.LittleEndian.AppendUint32(b, math.Float32bits(x))
		}
	}
	return saveFile(t, name, b)
}

func ivecs(t *testing.T, name string, rows ...[]int32) string {
	t.Helper()
	var b []byte
	for _, row := range rows {
		b = encoding.LittleEndian.AppendUint32(b, uint32(len(row)))
		for _, x := range row {
			b = encoding.LittleEndian.AppendUint32(b, uint32(x))
		}
	}
	return saveFile(t, name, b)
}

// invented vectors, from the program.
func invented(t *testing.T, count, picture int) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "invented.fvecs")
	succeed(t, "bench", "vectors", "--dimension", "48", "--seed", "7", "--count", strconv.Itoa(count), "--picture", strconv.Itoa(picture), "--out", file)
	return file
}

// nearest compares all, in float64.
func nearest(base, query [][]uint32, k int) [][]uint32 {
	var all [][]uint32
	for _, q := range query {
		type near struct {
			row        uint32
			similarity float64
		}
		var rows []near
		for i, b := range base {
			var sum, squares float64
			for j := range b {
				x := float64(math.Float32frombits(b[j]))
				sum += x * float64(math.Float32frombits(q[j]))
				squares += x * x
			}
			rows = append(rows, near{uint32(i), sum / math.Sqrt(squares)})
		}
		slices.SortStableFunc(rows, func(a, b near) int {
			if a.similarity > b.similarity {
				return -1
			}
			return 1
		})
		var best []uint32
		for _, r := range rows[:k] {
			best = append(best, r.row)
		}
		all = append(all, best)
	}
	return all
}

func TestBenchGalleryFindsTheNearest(t *testing.T) {
	base, query := invented(t, 3000, 0), invented(t, 60, 1)
	want := nearest(rowsIn(t, base), rowsIn(t, query), 10)
	truth := filepath.Join(t.TempDir(), "truth.ivecs")
	for _, args := range [][]string{
		{"--out", truth}, {"--truth", truth, "--threads", "2", "--batch", "7"}, {"--truth", truth, "--kernel", "portable", "--threads", "1"},
	} {
		out := filepath.Join(t.TempDir(), "found.ivecs")
		r := one[benched](t, succeed(t, append([]string{"bench", "gallery", "--json", "--base", base, "--query", query, "--k", "10", "--out", out}, args...)...))
		if slices.Contains(args, "--out") {
			out = truth // the later --out counts
		}
		if found := rowsIn(t, out); !slices.EqualFunc(found, want, slices.Equal[[]uint32]) {
			t.Errorf("%q: found %v, want %v", args, found[0], want[0])
		}
		if r.Engine != "exact" || r.Rows != 3000 || r.Dimension != 48 || r.Queries != 60 || r.BuildS <= 0 || r.QPS <= 0 || r.P50 <= 0 || r.P99 < r.P50 || r.VectorBytes < 5*48 {
			t.Errorf("%q: %+v", args, r)
		}
		if judged := slices.Contains(args, "--truth"); judged != (r.RecallAt1 != nil) || judged && (*r.RecallAt1 != 1 || *r.RecallAtK != 1) {
			t.Errorf("%q: recall %v, %v", args, r.RecallAt1, r.RecallAtK)
		}
		if i := slices.Index(args, "--kernel"); i >= 0 && (r.Kernel != args[i+1] || r.Threads != 1) {
			t.Errorf("kernel %s, %d threads", r.Kernel, r.Threads)
		}
	}
}

func TestBenchGalleryGraph(t *testing.T) {
	base, query, truth := invented(t, 3000, 0), invented(t, 60, 1), filepath.Join(t.TempDir(), "truth.ivecs")
	succeed(t, "bench", "gallery", "--base", base, "--query", query, "--out", truth)
	r := one[benched](t, succeed(t, "bench", "gallery", "--json", "--base", base, "--query", query, "--truth", truth, "--engine", "graph", "--m", "16", "--construction", "100", "--effort", "200"))
	for flag, says := range map[string]string{"--m": "links", "--construction": "candidates", "--effort": "effort"} {
		gatehouse(t, "bench", "gallery", "--json", "--base", query, "--query", query, "--engine", "graph", flag, "1").fails(t, 2, "", says)
	}
	if r.Engine != "graph" || r.RecallAt1 == nil {
		t.Fatalf("%+v", r)
	}
	if *r.RecallAt1 < 0.95 || *r.RecallAtK < 0.9 {
		t.Errorf("recall %g, %g", *r.RecallAt1, *r.RecallAtK)
	}
}

// Length plays no part, nor do rows that are not there.
func TestBenchGalleryFewRowsOfAnyLength(t *testing.T) {
	base := fvecs(t, "base.fvecs", []float32{0, 1e-30}, []float32{3e30, 0}, []float32{5, 5})
	query := fvecs(t, "query.fvecs", []float32{9, 0}, []float32{-1, -1})
	out := filepath.Join(t.TempDir(), "out.ivecs")
	said := succeed(t, "bench", "gallery", "--base", base, "--query", query, "--k", "4", "--out", out)
	const none = math.MaxUint32 // -1
	if found, want := rowsIn(t, out), [][]uint32{{1, 2, 0, none}, {0, 1, 2, none}}; !slices.EqualFunc(found, want, slices.Equal[[]uint32]) {
		t.Errorf("found %v, want %v", found, want)
	}
	for _, w := range []string{"3 rows of 2 dimensions", "per second", "p99"} {
		if !strings.Contains(said, w) {
			t.Errorf("lacks %q: %q", w, said)
		}
	}
	// Half of this truth is found, and every second first one.
	truth := ivecs(t, "truth.ivecs", []int32{1, 0}, []int32{2, 1})
	r := one[benched](t, succeed(t, "bench", "gallery", "--json", "--base", base, "--query", query, "--k", "2", "--truth", truth))
	if r.RecallAt1 == nil || *r.RecallAt1 != 0.5 || *r.RecallAtK != 0.5 {
		t.Errorf("recall %v, %v", r.RecallAt1, r.RecallAtK)
	}
}

func TestBenchGalleryRefuses(t *testing.T) {
	good := fvecs(t, "good.fvecs", []float32{1, 0}, []float32{0, 1})
	whole, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	nan := float32(math.NaN())
	for _, c := range []struct {
		flag, file string // that is bad
		says       []string
	}{
		{"--base", fvecs(t, "zero.fvecs", []float32{1, 0}, []float32{0, 0}), []string{"row 1", "no direction"}},
		{"--base", fvecs(t, "nan.fvecs", []float32{1, 0}, []float32{0, 1}, []float32{nan, 1}), []string{"row 2", "NaN"}},
		{"--query", fvecs(t, "infinite.fvecs", []float32{float32(math.Inf(1)), 0}), []string{"row 0", "no direction"}},
		{"--base", fvecs(t, "wide.fvecs", []float32{1, 0, 0}), []string{"3 dimensions", "one model"}},
		{"--base", fvecs(t, "uneven.fvecs", []float32{1, 0}, []float32{1, 0, 0, 1, 0}), []string{"different numbers"}},
		{"--base", saveFile(t, "cut.fvecs", whole[:len(whole)-1]), []string{"cut off", "copy the file again"}},
		{"--base", saveFile(t, "empty.fvecs", nil), []string{"no vectors"}},
		{"--query", saveFile(t, "text.csv", []byte("0.1,0.2\n0.3,0.4\n")), []string{"is it an .fvecs"}},
		{"--query", filepath.Join(t.TempDir(), "missing.fvecs"), []string{"check the path"}},
		{"--base", t.TempDir(), []string{"no regular file"}},
		{"--truth", ivecs(t, "narrow.ivecs", []int32{0}, []int32{1}), []string{"1 answers", "--k 2"}},
		{"--truth", ivecs(t, "short.ivecs", []int32{0, 1}), []string{"answers 1 queries"}},
		{"--truth", ivecs(t, "beyond.ivecs", []int32{0, 1}, []int32{1, 2}), []string{"row 1", "row 2 of a base of 2"}},
	} {
		t.Run(filepath.Base(c.file), func(t *testing.T) {
			dir := t.TempDir()
			args := []string{"bench", "gallery", "--json", "--k", "2", "--out", filepath.Join(dir, "out.ivecs"), "--base", good, "--query", good, c.flag, c.file}
			gatehouse(t, args...).fails(t, 3, c.file, c.says...)
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

func TestBenchVectors(t *testing.T) {
	a, b, other := invented(t, 1500, 0), invented(t, 1500, 0), invented(t, 1500, 1)
	rows, again, next := rowsIn(t, a), rowsIn(t, b), rowsIn(t, other)
	if len(rows) != 1500 || !slices.EqualFunc(rows, again, slices.Equal[[]uint32]) || slices.Equal(rows[0], next[0]) {
		t.Error("the same flags do not give the same vectors, or another picture does")
	}
	later := filepath.Join(t.TempDir(), "later.fvecs")
	succeed(t, "bench", "vectors", "--dimension", "48", "--seed", "7", "--count", "2", "--first", "1400", "--out", later)
	if l := rowsIn(t, later); len(l) != 2 || !slices.EqualFunc(l, rows[1400:1402], slices.Equal[[]uint32]) {
		t.Error("--first does not begin with that person")
	}
}

func TestBenchUsage(t *testing.T) {
	for _, c := range []struct{ args, says string }{
		{"bench", "bench gallery, bench vectors"},
		{"bench gallery --base x.fvecs", "--query FILE"},
		{"bench gallery --base x --query y extra", "--query FILE"},
		{"bench gallery --base x --query y --k 0", "--k 0"},
		{"bench gallery --base x --query y --engine tree", `"tree"`},
		{"bench gallery --base x --query y --kernel abacus", `"abacus"`},
		{"bench gallery --base x --query y --batch 0", "--batch"},
		{"bench gallery --base x --query y --effort 10", "--engine graph"},
		{"bench vectors --count 5", "--out FILE"},
		{"bench vectors --count -5 --out x.fvecs", "--count -5"},
		{"bench vectors --count 5 --dimension 1025 --out x.fvecs", "--dimension 1025"},
	} {
		o := gatehouse(t, strings.Fields(c.args)...)
		if o.code != 2 || o.stdout != "" {
			t.Errorf("%s: exit code %d, stdout %q", c.args, o.code, o.stdout)
		}
		o.says(t, c.says, "gatehouse help")
	}
	dir := t.TempDir()
	gatehouse(t, "bench", "vectors", "--json", "--count", "5", "--out", filepath.Join(dir, "missing", "x.fvecs")).fails(t, 1, "", "missing/x.fvecs", "an existing directory")
	gatehouse(t, "bench", "vectors", "--json", "--count", "5", "--out", dir).fails(t, 1, "", dir, "an existing directory")
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
