package trust_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/store/audit"
	"gatehouse/store/audit/trust"
)

func remember(t testing.TB, m *trust.Memory, b []byte, at time.Time) error {
	t.Helper()
	return m.Remember(parsed(t, b), b, 0, at)
}

func read(t testing.TB, path string) *trust.Memory {
	t.Helper()
	m, err := trust.ReadMemory(path)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMemory(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.json")
	h := grown(t, 9, honest)
	m := read(t, path)
	if _, ok := m.Last(log1); ok {
		t.Error("something is remembered without a file")
	}
	w, _ := witness(t, "w.example/1", "1")
	b := cosigned(t, head(t, log1, 5, h, "a"), noon, w)
	system := head(t, system1, 0, h, "a")
	for _, note := range [][]byte{head(t, log1, 3, h, "a"), head(t, log1, 5, h, "a"), b, system} {
		if err := remember(t, m, note, noon.In(time.FixedZone("", 3600)).Add(time.Millisecond)); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Write(path); err != nil {
		t.Fatal(err)
	}
	m = read(t, path)
	for origin, want := range map[string][]byte{log1: b, system1: system} {
		last, ok := m.Last(origin)
		c := parsed(t, want)
		if want := (trust.Head{Size: c.Size, Root: c.Root, Checkpoint: string(want), Seen: noon}); !ok || last != want {
			t.Errorf("%+v instead of %+v", last, want)
		}
	}
	if _, ok := m.Last(log2); ok {
		t.Error("a log that was never seen is remembered")
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestRememberRefuses(t *testing.T) {
	t.Parallel()
	h := grown(t, 9, honest)
	var m trust.Memory
	b := head(t, log1, 5, h, "a")
	if err := remember(t, &m, b, noon); err != nil {
		t.Fatal(err)
	}
	want, _ := m.Last(log1)
	for name, c := range map[string]struct {
		c    *audit.Checkpoint
		note []byte
		want error
	}{
		"a smaller tree":         {parsed(t, head(t, log1, 4, h, "a")), head(t, log1, 4, h, "a"), trust.ErrRollback},
		"the empty tree":         {parsed(t, head(t, log1, 0, h, "a")), head(t, log1, 0, h, "a"), trust.ErrRollback},
		"another root":           {parsed(t, head(t, log1, 5, grown(t, 5, 4), "a")), head(t, log1, 5, grown(t, 5, 4), "a"), trust.ErrFork},
		"the note of other size": {parsed(t, head(t, log1, 6, h, "a")), head(t, log1, 7, h, "a"), audit.ErrCheckpoint},
		"the note of other root": {&audit.Checkpoint{Origin: log1, Size: 6, Root: tlog.Hash{1}}, head(t, log1, 6, h, "a"), audit.ErrCheckpoint},
		"the note of other log":  {parsed(t, head(t, log2, 6, h, "a")), head(t, log1, 6, h, "a"), audit.ErrCheckpoint},
		"no note":                {parsed(t, head(t, log1, 6, h, "a")), nil, audit.ErrCheckpoint},
	} {
		if err := m.Remember(c.c, c.note, 0, noon.Add(time.Hour)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if got, _ := m.Last(log1); got != want {
			t.Errorf("%s: remembered is %+v", name, got)
		}
	}
	if err := remember(t, &m, head(t, log1, 9, h, "a"), noon); err != nil {
		t.Error(err)
	}
}

func TestReadMemoryRefuses(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.json")
	var m trust.Memory
	h := grown(t, 9, honest)
	for _, b := range [][]byte{head(t, log1, 5, h, "a"), head(t, system1, 7, h, "a")} {
		if err := remember(t, &m, b, noon); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Write(path); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	good := string(b)
	for name, text := range map[string]string{
		"nothing":             "",
		"no JSON":             "state",
		"a list":              "[]",
		"null":                "null\n",
		"no format":           strings.Replace(good, `"format"`, `"version"`, 1),
		"a later format":      strings.Replace(good, `"format": 1`, `"format": 2`, 1),
		"cut":                 good[:len(good)-3],
		"more after its end":  good + good,
		"an unknown member":   strings.Replace(good, `"size"`, `"trusted": true, "size"`, 1),
		"a member twice":      strings.Replace(good, `"size": 5`, `"size": 6, "size": 5`, 1),
		"another case":        strings.Replace(good, `"size"`, `"Size"`, 1),
		"other white space":   strings.ReplaceAll(good, "\n", "\r\n"),
		"another size":        strings.Replace(good, `"size": 5`, `"size": 4`, 1),
		"another root":        strings.Replace(good, root(t, 5, h).String(), root(t, 6, h).String(), 1),
		"another log":         strings.Replace(good, `"`+log1+`"`, `"`+log2+`"`, 1),
		"no checkpoint":       strings.Replace(good, log1+`\n`, log1, 1),
		"no time":             strings.Replace(good, "2026-03-01", "2026-02-30", 1),
		"bytes without end":   strings.Repeat(" ", 9<<20),
		"nested without end":  strings.Repeat(`{"logs":`, 100_000),
		"a root that is none": strings.Replace(good, root(t, 5, h).String(), "AAAA", 1),
	} {
		if text == good {
			t.Fatalf("%s: nothing was changed", name)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if m, err := trust.ReadMemory(path); m != nil || !errors.Is(err, trust.ErrMemory) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for text, says := range map[string]string{
		strings.Replace(good, `"format": 1`, `"format": 2, "new": true`, 1): "format 2",
		good + strings.Repeat(" ", 9<<20):                                   "more than",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := trust.ReadMemory(path); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("it should say %q: %v", says, err)
		}
	}
	if m, err := trust.ReadMemory(filepath.Dir(path)); m != nil || err == nil {
		t.Errorf("a folder is read: %v", err)
	}
}

func TestMemoryHasAnEnd(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.json")
	var m trust.Memory
	h := grown(t, 1, honest)
	// Lines of strangers, as large as a checkpoint may be.
	line := "— x " + strings.Repeat("AAAA", 15<<10) + "\n"
	for i := range 140 {
		origin, err := audit.Origin("clu_a", "ten_b", int64(i+1))
		if err != nil {
			t.Fatal(err)
		}
		if err := remember(t, &m, append(head(t, origin, 1, h, "a"), line...), noon); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Write(path); !errors.Is(err, trust.ErrMemory) {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that cannot be read again was written: %v", err)
	}
}
