package forward_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func lines(t testing.TB, path string) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	if len(b) == 0 {
		return nil
	}
	if !strings.HasSuffix(string(b), "\n") {
		t.Fatalf("%s ends within a line", path)
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

// of gives the lines of one log.
func of(lines []string, log string) []string {
	return slices.DeleteFunc(lines, func(l string) bool { return !strings.Contains(l, "/"+log+"/") })
}

func fileHarness(t *testing.T) (h *harness, path string) {
	path = filepath.Join(t.TempDir(), "events.json")
	return newHarness(t, newLogs(), "file://"+path), path
}

func (h *harness) sent(n uint64) {
	h.t.Helper()
	eventually(h.t, "all confirmed", func() bool { return h.Status()[0].Sent == n })
}

func TestFileHasEveryEvent(t *testing.T) {
	t.Parallel()
	h, path := fileHarness(t)
	for range 2 {
		h.logs.add(system, 20)
		h.logs.add(tenant, 2500)
		h.begin()
		h.sent(2520)
		h.end()
	}
	same(t, system, of(lines(t, path), system), h.logs.want(system))
	same(t, tenant, of(lines(t, path), tenant), h.logs.want(tenant))
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o007 != 0 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}

func TestFileIsRotated(t *testing.T) {
	t.Parallel()
	h, path := fileHarness(t)
	h.begin()
	var all []string
	for n := range 4 {
		h.logs.add(tenant, 10)
		h.sent(uint64(10 * (n + 1)))
		all = append(all, lines(t, path)...)
		must(t, os.Rename(path, path+".1"))
	}
	same(t, "files", all, h.logs.want(tenant))
}

// What moves the file may copy it, and remove it, at once: a batch that is
// written meanwhile comes again in the next file.
func TestFileIsRotatedWhileItIsWritten(t *testing.T) {
	t.Parallel()
	h, path := fileHarness(t)
	h.logs.add(tenant, 20_000)
	h.begin()
	var text strings.Builder
	for done := false; !done; {
		done = h.Status()[0].Sent == 20_000
		if os.Rename(path, path+".1") == nil {
			b, err := os.ReadFile(path + ".1")
			must(t, err)
			must(t, os.Remove(path+".1"))
			text.Write(b[:bytes.LastIndexByte(b, '\n')+1])
		}
		time.Sleep(time.Millisecond)
	}
	next, want := 0, h.logs.want(tenant)
	place := map[string]int{}
	for i, w := range want {
		place[w] = i
	}
	for l := range strings.Lines(text.String()) {
		i, known := place[strings.TrimSuffix(l, "\n")]
		if !known || i > next {
			t.Fatalf("event %d (%v) came when %d was next", i, known, next)
		}
		next = i + 1
	}
	if next != len(want) {
		t.Errorf("it ends at %d of %d", next, len(want))
	}
}

func TestFileIsCut(t *testing.T) {
	t.Parallel()
	h, path := fileHarness(t)
	h.begin()
	h.logs.add(tenant, 10)
	h.sent(10)
	must(t, os.Truncate(path, 0))
	h.logs.add(tenant, 10)
	h.sent(20)
	same(t, "after the cut", lines(t, path), h.logs.want(tenant)[10:])
	if h.said.count("by=cut") != 1 {
		t.Error("nobody was told")
	}
}

// Half a line that a crash left is ended, and its event comes whole.
func TestFileWithHalfALine(t *testing.T) {
	t.Parallel()
	h, path := fileHarness(t)
	h.logs.add(tenant, 3)
	half := h.logs.want(tenant)[0][:40]
	must(t, os.WriteFile(path, []byte(half), 0o600))
	h.begin()
	h.sent(3)
	same(t, "file", lines(t, path), append([]string{half}, h.logs.want(tenant)...))
}

func TestFileOnAFullDisk(t *testing.T) {
	t.Parallel()
	h, path := fileHarness(t)
	must(t, os.Symlink("/dev/full", path)) // every write to it fails with ENOSPC
	h.logs.add(tenant, 1500)
	h.begin()
	eventually(t, "an error", func() bool {
		s := h.Status()[0]
		return strings.Contains(s.LastError, "no space left") && s.Lag == 1500 && s.Alarm
	})
	if s := h.Status()[0]; s.Sent != 0 {
		t.Errorf("%d were sent", s.Sent)
	}
	must(t, os.Remove(path))
	h.sent(1500)
	same(t, "file", lines(t, path), h.logs.want(tenant))
	eventually(t, "all is well", func() bool { s := h.Status()[0]; return s.LastError == "" && !s.Alarm })
}

func TestFileThatIsNone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ path, wrong string }{
		"a folder":      {t.TempDir(), "is a directory"},
		"in no folder":  {filepath.Join(t.TempDir(), "none", "events"), "no such file"},
		"a null device": {"/dev/null", "fsync"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, newLogs(), "file://"+c.path)
			h.logs.add(tenant, 1)
			h.begin()
			eventually(t, c.wrong, func() bool { return strings.Contains(h.Status()[0].LastError, c.wrong) })
			if s := h.Status()[0]; s.Sent != 0 {
				t.Errorf("%d were sent", s.Sent)
			}
		})
	}
}

// What no audit log takes is neither dropped nor breaks a line.
func TestDamagedLeaf(t *testing.T) {
	t.Parallel()
	h, path := fileHarness(t)
	h.logs.add(tenant, 3)
	damaged := "{\"a\":\"\n\xff\"}"
	h.logs.leaves[tenant][1] = []byte(damaged)
	h.begin()
	h.sent(3)
	got := lines(t, path)
	if len(got) != 3 {
		t.Fatalf("%q", got)
	}
	var e struct {
		Log     string
		Seq     int64
		Damaged []byte
	}
	if err := json.Unmarshal([]byte(got[1]), &e); err != nil || string(e.Damaged) != damaged || e.Seq != 1 || e.Log != cluster+"/ten_a/e1" {
		t.Errorf("%s: %v", got[1], err)
	}
}
