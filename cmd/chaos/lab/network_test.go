package lab_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gatehouse/cmd/chaos/lab"
)

func TestCutOneWay(t *testing.T) {
	t.Parallel()
	w := open(t, 2, lab.Partition)
	a, b := w.m[0], w.m[1]
	c, err := dial(a, at(b.Place), long)
	ok(t, err)
	defer c.Close()
	if !answers(c, long) {
		t.Fatal("no answer before any fault")
	}
	pings := w.must(t, 1).Pings

	// What b sends is lost: the question arrives, the answer does not.
	cut, err := w.CutOneWay(t.Context(), b.Place, a.Place)
	ok(t, err)
	if answers(c, short) {
		t.Error("an answer came over a way that is cut")
	}
	if now := w.must(t, 1).Pings; now != pings+1 {
		t.Errorf("%d questions arrived and not 1", now-pings)
	}
	ok(t, cut.End())
	// TCP sends again what was lost, on the same connection.
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || line != "pong\n" {
		t.Errorf("after the end: %q, %v", line, err)
	}

	// What a sends is lost: the question does not arrive.
	cut, err = w.CutOneWay(t.Context(), a.Place, b.Place)
	ok(t, err)
	if answers(c, short) || w.must(t, 1).Pings != pings+1 {
		t.Error("a question came over a way that is cut")
	}
	ok(t, cut.End())
}

func TestCutAndSplit(t *testing.T) {
	t.Parallel()
	w := open(t, 3, lab.Partition)
	other, err := w.AddClient(t.Context())
	ok(t, err)
	look := func(when string, want [3]bool, clients bool) {
		t.Helper()
		got := [3]bool{reaches(t, w.m[0], w.m[1], want[0]), reaches(t, w.m[2], w.m[0], want[1]), reaches(t, w.m[1], w.m[2], want[2])}
		if got != want {
			t.Errorf("%s: 1 to 2, 3 to 1, 2 to 3 reached: %v", when, got)
		}
		if reaches(t, other, w.m[0], clients) != clients || reaches(t, w, w.m[0], clients) != clients {
			t.Errorf("%s: clients reach machine 1: %v", when, !clients)
		}
	}
	look("before", [3]bool{true, true, true}, true)
	cut, err := w.Cut(t.Context(), w.m[0], false)
	ok(t, err)
	look("cut", [3]bool{false, false, true}, true)

	// Cuts lie over each other, and end on their own.
	split, err := w.Split(t.Context(), w.m[:2], w.m[2:])
	ok(t, err)
	look("cut and split", [3]bool{false, false, false}, true)
	ok(t, cut.End())
	look("split", [3]bool{true, false, false}, true)
	ok(t, split.End())
	cut, err = w.Cut(t.Context(), w.m[0], true)
	ok(t, err)
	look("cut from clients", [3]bool{false, false, true}, false)
	ok(t, cut.End())
	ok(t, cut.End())
	look("after", [3]bool{true, true, true}, true)
}

func TestSlowLink(t *testing.T) {
	t.Parallel()
	w := open(t, 1, lab.SlowLink)
	load := func(n int) time.Duration {
		t.Helper()
		c, err := dial(w, at(w.m[0].Place), 30*time.Second)
		ok(t, err)
		defer c.Close()
		began := time.Now()
		fmt.Fprintln(c, "send", n)
		_, err = io.CopyN(io.Discard, c, int64(n))
		ok(t, err)
		return time.Since(began)
	}
	const size, rate = 512 << 10, 256 << 10
	if took := load(size); took > time.Second {
		t.Skipf("SKIPPED: this machine is too busy: %v before it was slow", took)
	}
	slow, err := w.Slow(t.Context(), w.m[0], lab.Link{BytesPerSecond: rate})
	ok(t, err)
	_, err = w.Slow(t.Context(), w.m[0], lab.Link{BytesPerSecond: rate})
	is(t, err, lab.ErrActive)
	if took := load(size); took < 1700*time.Millisecond {
		t.Errorf("%d bytes came in %v at %d a second", size, took, rate)
	}
	ok(t, slow.End())
	if took := load(size); took > 1700*time.Millisecond {
		t.Errorf("after the end, %d bytes took %v", size, took)
	}
}

func TestLatency(t *testing.T) {
	t.Parallel()
	w := open(t, 1)
	const more = 150 * time.Millisecond
	slow, err := w.Slow(t.Context(), w.m[0], lab.Link{Latency: more})
	if !w.Has(lab.Latency) {
		is(t, err, lab.ErrAbsent) // and never a link that is said to be slow
		if len(w.Abilities()[lab.Latency].Error()) < 30 {
			t.Error("it does not say why:", w.Abilities()[lab.Latency])
		}
		return
	}
	ok(t, err)
	began := time.Now()
	if w.must(t, 0); time.Since(began) < 3*more { // a handshake, a question
		t.Errorf("an answer after %v", time.Since(began))
	}
	ok(t, slow.End())
}

// Whoever was lent a thread to dial from elsewhere gives it back as it was.
func TestTheHarnessStaysAtHome(t *testing.T) {
	t.Parallel()
	w := open(t, 1)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { _, _ = w.state(0, 5*time.Second) })
	}
	all.Wait()
	home, err := os.Readlink("/proc/self/ns/net")
	ok(t, err)
	threads, err := filepath.Glob("/proc/self/task/*/ns/net")
	ok(t, err)
	for _, path := range threads {
		// Another test may be dialling at this moment.
		eventually(t, "the thread is at home", func() bool {
			at, err := os.Readlink(path)
			return err != nil || at == home
		})
	}
}
