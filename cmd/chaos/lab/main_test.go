package lab_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gatehouse/cmd/chaos/lab"
	"gatehouse/store/disk/killpoint"
)

// The tests run this program again, as what a machine runs and as a harness
// that dies.
const role = "LAB_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "":
		os.Exit(m.Run())
	case "server":
		serve(os.Args[1], os.Args[2])
	case "harness":
		dyingHarness(os.Args[1], os.Args[2] == "frozen")
	case "nobody":
		_, err := lab.Open(context.Background(), lab.Config{Dir: "/nowhere"})
		_, probed := lab.Probe(context.Background(), "/nowhere")
		_, swept := lab.Sweep(context.Background())
		fmt.Print(errors.Is(err, lab.ErrRoot) && errors.Is(probed, lab.ErrRoot) && errors.Is(swept, lab.ErrRoot))
	}
}

// state of the server, as it tells it.
type state struct {
	Writes int    // synced
	Failed string // the last write's error
	Pings  int    // received, on all connections
	Offset string
	Point  string
}

// serve writes and syncs 4 KiB each 10 ms, and answers lines: 'ping' with
// 'pong', 'state' with itself, and 'send N' with so many bytes.
func serve(address, dir string) {
	var mu sync.Mutex
	var s state
	go func() {
		f, err := os.Create(filepath.Join(dir, "written"))
		for ; ; time.Sleep(10 * time.Millisecond) {
			if err == nil {
				_, err = f.Write(make([]byte, 4096))
			}
			if err == nil {
				err = f.Sync()
			}
			mu.Lock()
			s.Failed = ""
			if err == nil {
				s.Writes++
			} else if s.Failed = err.Error(); errors.Is(err, unix.ENOSPC) {
				s.Failed, err = "full", nil
			}
			mu.Unlock()
		}
	}()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for {
		c, err := listener.Accept()
		if err != nil {
			os.Exit(1)
		}
		go func() {
			for lines := bufio.NewScanner(c); lines.Scan(); {
				mu.Lock()
				var n int
				switch b, _ := os.ReadFile(os.Getenv("GATEHOUSE_CLOCK_OFFSET")); {
				case lines.Text() == "ping":
					s.Pings++
					fmt.Fprintln(c, "pong")
				case lines.Text() == "state":
					s.Offset = strings.TrimSpace(string(b))
					b, _ = os.ReadFile(os.Getenv(killpoint.Variable))
					s.Point = string(b)
					json.NewEncoder(c).Encode(s)
				default:
					fmt.Sscanf(lines.Text(), "send %d", &n)
				}
				mu.Unlock()
				c.Write(make([]byte, n))
			}
		}()
	}
}

// world is a lab with some machines, each with a server.
type world struct {
	*lab.Lab
	dir string
	m   []*lab.Machine
	p   []*lab.Process
}

// open skips the test where this machine lacks something.
func open(t *testing.T, machines int, needs ...lab.Ability) *world {
	t.Helper()
	w := &world{dir: filepath.Join(t.TempDir(), "lab")}
	l, err := lab.Open(t.Context(), lab.Config{Dir: w.dir, Seed: 7})
	if errors.Is(err, lab.ErrRoot) || errors.Is(err, lab.ErrAbsent) {
		t.Skip("SKIPPED:", err)
	}
	ok(t, err)
	t.Cleanup(func() { ok(t, l.Close()) })
	w.Lab = l
	for _, a := range needs {
		if !l.Has(a) {
			t.Skip("SKIPPED:", l.Abilities()[a])
		}
	}
	for range machines {
		m, err := l.AddMachine(t.Context(), 64<<20)
		ok(t, err)
		w.m, w.p = append(w.m, m), append(w.p, nil)
		w.start(t, len(w.m)-1)
	}
	return w
}

func at(p *lab.Place) string { return netip.AddrPortFrom(p.Addr(), 9000).String() }

func (w *world) start(t *testing.T, i int) {
	t.Helper()
	m := w.m[i]
	p, err := m.Start(t.Context(), lab.Command{Argv: []string{os.Args[0], at(m.Place), m.Data()}, Env: []string{role + "=server"}})
	ok(t, err)
	w.p[i] = p
	w.up(t, i)
}

// up waits until the server of a machine serves.
func (w *world) up(t *testing.T, i int) {
	t.Helper()
	eventually(t, "the server serves", func() bool { _, err := w.state(i, time.Second); return err == nil })
}

// state of a machine's server, asked from the first client.
func (w *world) state(i int, limit time.Duration) (s state, err error) {
	c, err := dial(w, at(w.m[i].Place), limit)
	if err != nil {
		return s, err
	}
	defer c.Close()
	fmt.Fprintln(c, "state")
	return s, json.NewDecoder(c).Decode(&s)
}

func (w *world) must(t *testing.T, i int) state {
	t.Helper()
	s, err := w.state(i, 5*time.Second)
	ok(t, err)
	return s
}

type dialer interface {
	Dial(ctx context.Context, network, address string) (net.Conn, error)
}

// dial gives a connection that fails after limit.
func dial(from dialer, address string, limit time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	c, err := from.Dial(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return c, c.SetDeadline(time.Now().Add(limit))
}

// short is long enough to be sure that there is no answer; for one that should
// come, a busy machine is given longer.
const (
	short = 500 * time.Millisecond
	long  = 5 * time.Second
)

// reaches tells whether one place has an answer of a machine, which should be so.
func reaches(t *testing.T, from dialer, to *lab.Machine, should bool) bool {
	t.Helper()
	limit := short
	if should {
		limit = long
	}
	c, err := dial(from, at(to.Place), limit)
	if err != nil {
		if n := net.Error(nil); !errors.As(err, &n) || !n.Timeout() {
			t.Fatal("a cut is silent, and this was not:", err)
		}
		return false
	}
	defer c.Close()
	return answers(c, limit)
}

func answers(c net.Conn, limit time.Duration) bool {
	c.SetDeadline(time.Now().Add(limit))
	fmt.Fprintln(c, "ping")
	line, err := bufio.NewReader(c).ReadString('\n')
	return err == nil && line == "pong\n"
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func is(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%v, and not: %v", err, want)
	}
}

func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if so() {
			return
		}
	}
	t.Fatal("never: ", what)
}
