package lab_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatehouse/cmd/chaos/lab"
	"gatehouse/store/disk/killpoint"
)

func TestKillAndRestart(t *testing.T) {
	t.Parallel()
	w := open(t, 1)
	_, err := w.m[0].Restart(t.Context())
	is(t, err, lab.ErrActive)
	ok(t, w.p[0].Kill())
	var exit *exec.ExitError
	if err := w.p[0].Err(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("it ended with %v", err)
	}
	if _, err := w.state(0, time.Second); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a killed server: %v", err)
	}
	if w.p[0], err = w.m[0].Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.up(t, 0)
	limit, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := w.p[0].Stop(limit); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
		t.Errorf("stopped, it ended with %v", err)
	}
}

func TestPause(t *testing.T) {
	t.Parallel()
	w := open(t, 1)
	paused, err := w.p[0].Pause(t.Context())
	ok(t, err)
	if _, err := w.state(0, short); err == nil {
		t.Error("a paused process answers")
	}
	ok(t, paused.Hold(t.Context(), 10*time.Millisecond))
	before := w.must(t, 0).Writes
	eventually(t, "it goes on", func() bool { return w.must(t, 0).Writes > before })
	if paused, err = w.p[0].Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	ok(t, w.p[0].Kill())
	ok(t, paused.End())
	_, err = w.p[0].Pause(t.Context())
	is(t, err, os.ErrProcessDone)
}

func TestClockOffset(t *testing.T) {
	t.Parallel()
	w := open(t, 1)
	for _, d := range []time.Duration{90 * time.Second, -time.Hour} {
		f, err := w.m[0].ClockOffset(d)
		ok(t, err)
		if got := w.must(t, 0).Offset; got != d.String() {
			t.Errorf("the program reads %q", got)
		}
		ok(t, f.End())
		if got := w.must(t, 0).Offset; got != "0s" {
			t.Errorf("after the end the program reads %q", got)
		}
	}
}

func TestKillAt(t *testing.T) {
	t.Parallel()
	w := open(t, 1)
	told := func(want killpoint.Point) {
		t.Helper()
		if got := w.must(t, 0).Point; got != string(want) || w.m[0].Armed() != (want != "") {
			t.Errorf("the program reads %q, and not %q", got, want)
		}
	}
	told("")
	for _, p := range []killpoint.Point{killpoint.Agreed, killpoint.BlobKept} {
		f, err := w.m[0].KillAt(p)
		ok(t, err)
		told(p)
		_, err = w.m[0].KillAt(p)
		is(t, err, lab.ErrActive)
		if p == killpoint.BlobKept { // as the program does before it dies
			ok(t, os.Remove(filepath.Join(w.m[0].Dir(), "killpoint")))
			told("")
		}
		ok(t, f.End())
		told("")
	}
}

func TestTimeline(t *testing.T) {
	t.Parallel()
	w := open(t, 1)
	full, err := w.FillDisk(t.Context(), w.m[0], 0)
	ok(t, err)
	ok(t, full.End())
	ok(t, w.p[0].Kill())
	ok(t, w.Close())
	b, err := os.ReadFile(filepath.Join(w.dir, "timeline.jsonl"))
	ok(t, err)
	var told []string
	var last time.Time
	for line := range strings.Lines(string(b)) {
		var e lab.Event
		ok(t, json.Unmarshal([]byte(line), &e))
		if e.At.Before(last) {
			t.Errorf("%s is told late", line)
		}
		last = e.At
		told = append(told, strings.TrimSpace(e.What+" "+e.Fault+" "+e.Where))
	}
	if len(told) != len(w.Timeline()) || !strings.HasPrefix(told[0], "open") {
		t.Errorf("%q", told)
	}
	for i, want := range []string{"start  m1", "begin full disk m1", "end full disk m1", "kill  m1", "exit  m1", "close"} {
		if told[i+1] != want {
			t.Errorf("%q, and not %q, in %q", told[i+1], want, told)
		}
	}
}

func TestClosed(t *testing.T) {
	t.Parallel()
	w := open(t, 1)
	ok(t, w.Close())
	ok(t, w.Close())
	_, err := w.FillDisk(t.Context(), w.m[0], 0)
	is(t, err, lab.ErrClosed)
	_, err = w.m[0].Restart(t.Context())
	is(t, err, lab.ErrClosed)
	_, err = w.AddMachine(t.Context(), 0)
	is(t, err, lab.ErrClosed)
	_, err = w.AddClient(t.Context())
	is(t, err, lab.ErrClosed)
}

func TestBadValues(t *testing.T) {
	t.Parallel()
	w := open(t, 1)
	_, err := w.AddMachine(t.Context(), 1<<20)
	is(t, err, lab.ErrConfig)
	_, err = w.Slow(t.Context(), w.m[0], lab.Link{})
	is(t, err, lab.ErrConfig)
	_, err = w.Slow(t.Context(), w.m[0], lab.Link{BytesPerSecond: 1})
	is(t, err, lab.ErrConfig)
	_, err = w.SlowDisk(t.Context(), w.m[0], 0)
	is(t, err, lab.ErrConfig)
	_, err = w.FillDisk(t.Context(), w.m[0], -1)
	is(t, err, lab.ErrConfig)
	_, err = w.Split(t.Context(), w.m)
	is(t, err, lab.ErrConfig)
	_, err = w.Dial(t.Context(), "tcp", "localhost:9000")
	is(t, err, lab.ErrConfig)
	ok(t, w.p[0].Kill())
	_, err = w.m[0].Start(t.Context(), lab.Command{})
	is(t, err, lab.ErrConfig)
	_, err = lab.Open(t.Context(), lab.Config{Dir: w.dir})
	is(t, err, lab.ErrConfig)
	if _, err = w.m[0].Start(t.Context(), lab.Command{Argv: []string{"/does/not/exist"}}); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	w.start(t, 0) // the failed start is in nobody's way
}
