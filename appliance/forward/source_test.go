package forward_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/appliance/forward"
	"gatehouse/store/audit"
)

const (
	system  = "system"
	tenant  = "ten_a"
	cluster = "clu_1"
)

// start of the tests' events, long enough ago to be late.
var start = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// logs is a node's audit logs in memory.
type logs struct {
	mu      sync.Mutex
	names   []string
	origins map[string]string
	leaves  map[string][][]byte
	fail    map[string]error // of Scan, by log; of Logs, under ""
	largest int              // bytes that one Scan gave
}

func newLogs() *logs {
	l := &logs{names: []string{system, tenant}, origins: map[string]string{}, leaves: map[string][][]byte{}, fail: map[string]error{}}
	for _, name := range l.names {
		l.restart(name, 1, 0)
	}
	return l
}

func (l *logs) Logs() ([]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.names, l.fail[""]
}

func (l *logs) Size(log string) (string, int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if strings.Contains(log, "/") { // a closed epoch
		return cluster + "/" + log, int64(len(l.leaves[log])), nil
	}
	return l.origins[log], int64(len(l.leaves[log])), nil
}

func (l *logs) Scan(ctx context.Context, log string, from, to int64, do func(int64, []byte) error) error {
	l.mu.Lock()
	leaves, fail := l.leaves[log][from:to], l.fail[log]
	l.mu.Unlock()
	if fail != nil {
		return fail
	}
	given := 0
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.largest = max(l.largest, given)
	}()
	for i, leaf := range leaves {
		b := bytes.Clone(leaf)
		given += len(b)
		if err := do(from+int64(i), b); err != nil {
			return err
		}
		clear(b) // it was valid during the call
	}
	return nil
}

// restart a log under an epoch with n new events.
func (l *logs) restart(log string, epoch int64, n int) {
	l.mu.Lock()
	l.origins[log] = fmt.Sprintf("%s/%s/e%d", cluster, log, epoch)
	l.leaves[log] = nil
	l.mu.Unlock()
	l.add(log, n)
}

// close a log: it goes on under the next epoch with n events.
func (l *logs) close(log string, n int) {
	l.mu.Lock()
	origin := l.origins[log]
	_, _, epoch, err := audit.ParseOrigin(origin)
	if err != nil {
		panic(err)
	}
	l.leaves[strings.TrimPrefix(origin, cluster+"/")] = l.leaves[log]
	l.mu.Unlock()
	l.restart(log, epoch+1, n)
}

func (l *logs) add(log string, n int) {
	for range n {
		l.put(log, func(*audit.Leaf) {})
	}
}

// put an event, changed by change.
func (l *logs) put(log string, change func(*audit.Leaf)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	seq := int64(len(l.leaves[log]))
	ts := audit.Time(start.Add(time.Duration(seq)*time.Millisecond + 123456789).UnixNano())
	e := audit.Leaf{V: audit.LeafVersion, Seq: seq, Log: l.origins[log], ID: fmt.Sprintf("evt_%d", seq), TS: ts, TSMono: ts, Node: "nod_2", Term: 1, Index: uint64(seq) + 1,
		Actor: audit.Actor{Type: "client", ID: "cli_1"}, Action: audit.SessionCreate, Result: audit.OK}
	change(&e)
	b, err := e.Encode()
	if err != nil {
		panic(err)
	}
	l.leaves[log] = append(l.leaves[log], b)
}

// want is what a sink should have of a log.
func (l *logs) want(log string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []string
	for _, leaf := range l.leaves[log] {
		all = append(all, string(leaf))
	}
	return all
}

// harness runs a forwarder that can be stopped and started again.
type harness struct {
	*forward.Forwarder
	t      testing.TB
	logs   *logs
	config forward.Config
	said   *journal
	stop   func() error
}

func newHarness(t testing.TB, l *logs, sinks ...string) *harness {
	h := &harness{t: t, logs: l, said: &journal{}}
	h.config = forward.Config{Dir: filepath.Join(t.TempDir(), "forward"), Logs: l, Poll: 20 * time.Millisecond,
		Host: "node1.example", Node: "nod_1", Version: "1.2.3", Timeout: 500 * time.Millisecond,
		Pause: func(int) time.Duration { return 20 * time.Millisecond }, Log: slog.New(slog.NewTextHandler(h.said, nil))}
	for _, s := range sinks {
		target, err := forward.ParseSink(s)
		must(t, err)
		h.config.Sinks = append(h.config.Sinks, target)
	}
	t.Cleanup(func() {
		if h.stop != nil {
			h.end()
		}
		if t.Failed() {
			t.Logf("%+v\n%s", h.Status(), h.said.b.String())
		}
	})
	return h
}

func (h *harness) begin() {
	h.t.Helper()
	f, err := forward.New(h.config)
	must(h.t, err)
	h.Forwarder = f
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	h.stop = func() error {
		cancel()
		select {
		case err := <-done:
			return err
		case <-time.After(time.Minute):
			return errors.New("the forwarder does not stop")
		}
	}
}

func (h *harness) end() {
	h.t.Helper()
	must(h.t, h.stop())
	h.stop = nil
}

// cursor gives the text of the only cursor file.
func (h *harness) cursor() string {
	h.t.Helper()
	files, err := filepath.Glob(filepath.Join(h.config.Dir, "*.cursor"))
	if err != nil || len(files) != 1 {
		h.t.Fatalf("cursors %v, %v", files, err)
	}
	b, err := os.ReadFile(files[0])
	must(h.t, err)
	return string(b)
}

// journal is what a forwarder logs.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(b)
}

// count of the lines that hold s.
func (j *journal) count(s string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.b.String(), s)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually fails the test if ok does not become true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for range 6000 { // a minute
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("it never came to this: %s", what)
}
