package gatehouse_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/store/audit"
	"gatehouse/store/command"
)

func formats(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("docs/formats.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// What the program takes is on the page, and nothing else is.
func TestFormatsListActionsAndCommands(t *testing.T) {
	t.Parallel()
	page := formats(t)
	var want []string
	for _, a := range audit.Actions() {
		want = append(want, fmt.Sprintf("| `%s` | %s |", a, a.Meaning()))
	}
	_, rows, _ := strings.Cut(page, "| action | meaning |\n|---|---|\n")
	rows, _, _ = strings.Cut(rows, "\n\n")
	if got := strings.Split(rows, "\n"); !slices.Equal(got, want) {
		t.Errorf("the actions are\n%s\nand not\n%s", strings.Join(want, "\n"), rows)
	}
	for _, n := range slices.Sorted(maps.Keys(command.Type_name)) {
		if row := fmt.Sprintf("\n| %d | `%s` |", n, command.Type_name[n]); n > 0 && !strings.Contains(page, row) {
			t.Errorf("no row begins %q", row[1:])
		}
	}
}

// As GitHub makes a heading's name of it.
var notInNames = regexp.MustCompile(`[^a-z0-9 _-]`)

func TestFormatsLinks(t *testing.T) {
	t.Parallel()
	page := formats(t)
	names := map[string]bool{}
	for _, h := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(page, -1) {
		names[strings.ReplaceAll(notInNames.ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-")] = true
	}
	for _, l := range regexp.MustCompile(`\]\(#([^)]*)\)`).FindAllStringSubmatch(page, -1) {
		if !names[l[1]] {
			t.Errorf("no heading is named #%s", l[1])
		}
	}
}

// The values on the page are those of the bundles, worked out from them without
// the verifier.
func TestFormatsBundleVectors(t *testing.T) {
	t.Parallel()
	cells := map[string][]string{}
	_, rows, _ := strings.Cut(formats(t), "| | `first.ekab` | `second.ekab` |\n|---|---|---|\n")
	rows, _, _ = strings.Cut(rows, "\n\n")
	for row := range strings.SplitSeq(rows, "\n") {
		c := strings.Split(strings.Trim(row, "| "), " | ")
		cells[c[0]] = c[1:]
	}
	for i, file := range []string{"first.ekab", "second.ekab"} {
		b, err := os.ReadFile("store/audit/bundle/testdata/" + file)
		if err != nil {
			t.Fatal(err)
		}
		members := unpack(t, b)
		var m struct {
			From, To int64
			System   struct{ From, To int64 }
		}
		if err := json.Unmarshal(members["bundle.json"], &m); err != nil {
			t.Fatal(err)
		}
		first, _, _ := bytes.Cut(members[fmt.Sprintf("entries/%012d.jsonl", m.From)], []byte("\n"))
		end, err := audit.ParseCheckpoint(members["checkpoint-end"])
		if err != nil {
			t.Fatal(err)
		}
		leaf := tlog.RecordHash(first)
		for name, want := range map[string]string{
			"bytes":                    fmt.Sprintf("%d,%03d", len(b)/1000, len(b)%1000),
			"SHA-256":                  fmt.Sprintf("`%x`", sha256.Sum256(b)),
			"`from`, `to`":             fmt.Sprintf("%d, %d", m.From, m.To),
			"of the system's log":      fmt.Sprintf("%d, %d", m.System.From, m.System.To),
			"SHA-256 of `bundle.json`": fmt.Sprintf("`%x`", sha256.Sum256(members["bundle.json"])),
			"first leaf's bytes":       fmt.Sprint(len(first)),
			"first leaf's hash":        fmt.Sprintf("`%x`", leaf[:]),
			"root at `to`":             fmt.Sprintf("`%s`", end.Root),
		} {
			if got := cells[name]; len(got) != 2 || got[i] != want {
				t.Errorf("%s: %s is %s, on the page %q", file, name, want, got)
			}
		}
	}
}

func unpack(t *testing.T, b []byte) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(b)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if all[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}
