package forward_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/appliance/forward"
)

const goldenSink = "syslog+tls://siem.example:6514"

func golden(t testing.TB) []byte {
	b, err := os.ReadFile(filepath.Join("testdata", "cursor"))
	must(t, err)
	return b
}

// The name and the text of a cursor are kept: a later release reads them.
func TestCursorFormat(t *testing.T) {
	t.Parallel()
	if b, err := forward.ReencodeCursor(golden(t), goldenSink); err != nil || string(b) != string(golden(t)) {
		t.Errorf("%s, %v", b, err)
	}
	l := newLogs()
	path := filepath.Join(t.TempDir(), "e")
	h := newHarness(t, l, "file://"+path)
	l.add(tenant, 7)
	l.restart(system, 2, 3)
	h.begin()
	h.sent(10)
	h.end()
	want := strings.Split(string(golden(t)), "\n")
	got := strings.Split(h.cursor(), "\n")
	got[1], got[4], want[1], want[4] = "", "", "", "" // the sink, and so the checksum, are others
	same(t, "cursor", got, want)
	if left, _ := filepath.Glob(filepath.Join(h.config.Dir, "*")); len(left) != 1 {
		t.Errorf("the folder holds %v", left)
	}
}

func TestDamagedCursor(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(string) string{
		"a digit":      func(s string) string { return strings.Replace(s, "e1 10\n", "e1 11\n", 1) },
		"cut":          func(s string) string { return s[:len(s)-10] },
		"empty":        func(string) string { return "" },
		"another sink": func(string) string { return string(golden(t)) },
		"twice":        func(s string) string { return s + s },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "e")
			h := newHarness(t, newLogs(), "file://"+path+"?from=now")
			h.begin()
			eventually(t, "a cursor", func() bool { f, _ := filepath.Glob(filepath.Join(h.config.Dir, "*.cursor")); return len(f) == 1 })
			h.logs.add(tenant, 10)
			h.sent(10)
			h.end()
			cursor, _ := filepath.Glob(filepath.Join(h.config.Dir, "*.cursor"))
			text := damage(h.cursor())
			must(t, os.WriteFile(cursor[0], []byte(text), 0o600))
			_, err := forward.New(h.config) // a start that came to nothing
			must(t, err)
			h.begin()
			h.sent(10) // all over again, although the sink was to start from now
			same(t, "file", lines(t, path), append(h.logs.want(tenant), h.logs.want(tenant)...))
			if kept, err := os.ReadFile(cursor[0] + ".damaged"); err != nil || string(kept) != text {
				t.Errorf("put aside: %q, %v", kept, err)
			}
			if h.said.count("cursor is damaged") != 1 {
				t.Error("nobody was warned")
			}
		})
	}
}

func TestFromNow(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "e")
	h := newHarness(t, newLogs(), "file://"+path+"?from=now")
	h.logs.add(tenant, 50)
	h.begin()
	eventually(t, "it has begun", func() bool { f, _ := filepath.Glob(filepath.Join(h.config.Dir, "*.cursor")); return len(f) == 1 })
	h.end()
	h.logs.add(tenant, 5) // while the node is stopped
	h.begin()
	h.sent(5)
	same(t, "file", lines(t, path), h.logs.want(tenant)[50:])
	if s := h.Status()[0]; s.Alarm {
		t.Error("an event that is not to be sent raised the alarm")
	}
	// A log that is created later is sent whole.
	h.logs.mu.Lock()
	h.logs.names = append(h.logs.names, "ten_b")
	h.logs.mu.Unlock()
	h.logs.restart("ten_b", 1, 4)
	h.sent(9)
	same(t, "ten_b", of(lines(t, path), "ten_b"), h.logs.want("ten_b"))
}

// Restored data, or an epoch that begins anew: the log is sent from its start.
func TestAnotherLog(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		epoch int64
		n     int
	}{"shorter": {1, 4}, "empty": {1, 0}, "next epoch": {2, 30}, "earlier epoch": {1, 30}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "e")
			h := newHarness(t, newLogs(), "file://"+path)
			first := int64(1)
			if name == "earlier epoch" {
				first = 2
			}
			h.logs.restart(tenant, first, 20)
			h.logs.add(system, 5)
			h.begin()
			h.sent(25)
			h.end()
			must(t, os.Remove(path))
			h.logs.restart(tenant, c.epoch, c.n)
			h.begin()
			eventually(t, "a warning", func() bool { return h.said.count("from its beginning") == 1 })
			h.logs.add(tenant, 1)
			h.sent(uint64(c.n + 1))
			same(t, "file", lines(t, path), h.logs.want(tenant))
			if n := h.said.count("from its beginning"); n != 1 {
				t.Errorf("%d warnings", n)
			}
		})
	}
}

// A recovery closes the logs with events in them that no sink has: they are sent
// before what comes after.
func TestClosedLogIsSentToItsEnd(t *testing.T) {
	t.Parallel()
	for _, sent := range []int{0, 20} {
		path := filepath.Join(t.TempDir(), "e")
		h := newHarness(t, newLogs(), "file://"+path)
		if sent > 0 {
			h.logs.add(tenant, sent)
			h.begin()
			h.sent(uint64(sent))
			h.end()
		}
		h.logs.add(tenant, 7)
		want := h.logs.want(tenant)
		h.logs.close(tenant, 3) // nobody was there to see this one
		want = append(want, h.logs.want(tenant)...)
		h.logs.close(tenant, 5)
		want = append(want, h.logs.want(tenant)...)
		h.logs.fail[tenant+"/e2"] = errors.New("it is damaged")
		h.begin()
		eventually(t, "the second waits, and what is behind it", func() bool {
			s := h.Status()[0]
			return s.Lag == 8 && strings.Contains(s.LastError, "it is damaged")
		})
		h.logs.mu.Lock()
		delete(h.logs.fail, tenant+"/e2")
		h.logs.mu.Unlock()
		h.sent(15)
		same(t, "file", lines(t, path), want)
		eventually(t, "nothing waits", func() bool { return h.Status()[0].Lag == 0 })
	}
}

// Who has sent more of a log than it had when it was closed, as a node that is
// lost, is not sent it again.
func TestClosedLogThatIsShorter(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "e")
	h := newHarness(t, newLogs(), "file://"+path)
	h.logs.add(tenant, 20)
	h.begin()
	h.sent(20)
	h.end()
	want := h.logs.want(tenant)
	h.logs.restart(tenant, 1, 15)
	h.logs.close(tenant, 3)
	h.begin()
	h.sent(3)
	same(t, "file", lines(t, path), append(want, h.logs.want(tenant)...))
}

// A log that cannot be read is neither skipped nor in the others' way.
func TestUnreadableLog(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "e")
	h := newHarness(t, newLogs(), "file://"+path)
	h.config.AlarmAfter = 200 * time.Millisecond
	h.logs.add(system, 5)
	h.logs.fail[system] = errors.New("the disk is broken")
	h.logs.add(tenant, 3000)
	h.begin()
	h.sent(3000)
	eventually(t, "error and alarm", func() bool {
		s := h.Status()[0]
		return strings.Contains(s.LastError, "system: the disk is broken") && s.Lag == 5 && s.Alarm
	})
	h.logs.mu.Lock()
	delete(h.logs.fail, system)
	h.logs.mu.Unlock()
	h.sent(3005)
	same(t, system, of(lines(t, path), system), h.logs.want(system))
	eventually(t, "all is well", func() bool { s := h.Status()[0]; return s.LastError == "" && !s.Alarm })
}

// Where nothing can be read, nothing can be measured: that raises the alarm too.
func TestUnreadableLogs(t *testing.T) {
	t.Parallel()
	h := newHarness(t, newLogs(), "file://"+filepath.Join(t.TempDir(), "e"))
	h.config.AlarmAfter = 200 * time.Millisecond
	h.logs.fail[""] = errors.New("the node is sealed")
	h.begin()
	eventually(t, "error and alarm", func() bool {
		s := h.Status()[0]
		return strings.Contains(s.LastError, "the node is sealed") && s.Lag == 0 && s.Alarm
	})
}

// A cursor that cannot be written does not keep events back.
func TestCursorThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "e")
	h := newHarness(t, newLogs(), "file://"+path)
	h.logs.add(tenant, 2500)
	h.begin()
	h.sent(2500)
	must(t, os.RemoveAll(h.config.Dir))
	h.logs.add(tenant, 2500)
	h.sent(5000)
	eventually(t, "an error", func() bool { return strings.Contains(h.Status()[0].LastError, "recording what was sent") })
	must(t, os.Mkdir(h.config.Dir, 0o700))
	eventually(t, "no error", func() bool { return h.Status()[0].LastError == "" })
	if c := h.cursor(); !strings.Contains(c, "ten_a/e1 5000\n") {
		t.Errorf("cursor %s", c)
	}
}

func FuzzCursor(f *testing.F) {
	f.Add(golden(f))
	f.Add([]byte("gatehouse/forward-cursor/1\nsink " + goldenSink + "\na/b/e1 -1\nsha256 00\n"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		again, err := forward.ReencodeCursor(b, goldenSink)
		if err != nil && !errors.Is(err, forward.ErrCursor) || err == nil && string(again) != string(b) {
			t.Fatalf("%q gives %q, %v", b, again, err)
		}
	})
}
