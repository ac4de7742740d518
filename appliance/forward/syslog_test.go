package forward_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatehouse/appliance/forward"
	"gatehouse/store/audit"
)

func TestSyslogCarriesEveryEvent(t *testing.T) {
	t.Parallel()
	r, l := newReceiver(t).open(), newLogs()
	results := []struct {
		result   audit.Result
		severity int
	}{{audit.OK, 6}, {audit.Denied, 4}, {audit.Refused, 4}, {audit.Failed, 3}}
	for _, x := range results {
		l.put(system, func(e *audit.Leaf) { e.Result = x.result; e.Data = map[string]any{"who": `ж "quoted" \ ]`} })
	}
	l.add(tenant, 2500) // more than a batch
	h := newHarness(t, l, r.sink(""))
	h.begin()
	r.has(l, system)
	r.has(l, tenant)
	l.add(system, 1)
	r.has(l, system)

	r.mu.Lock()
	defer r.mu.Unlock()
	seen := 0
	for i, m := range r.all {
		if m.facility != 13 || m.host != "node1.example" || m.app != "gatehouse" || m.process != "nod_1" || m.id != "session.create" {
			t.Fatalf("%+v", m)
		}
		if m.data["origin"]["software"] != "gatehouse" || m.data["origin"]["swVersion"] != "1.2.3" || m.data["meta"]["sequenceId"] != strconv.Itoa(i+1) || len(m.data) != 2 {
			t.Fatalf("message %d: %v", i+1, m.data)
		}
		if m.log() == system && seen < len(results) {
			if m.severity != results[seen].severity {
				t.Errorf("%s has severity %d", results[seen].result, m.severity)
			}
			if want := start.Add(time.Duration(seen)*time.Millisecond + 123456*time.Microsecond); !m.time.Equal(want) {
				t.Errorf("time %v, want %v", m.time, want)
			}
			seen++
		}
	}
	eventually(t, "all counted as sent", func() bool {
		s := h.Status()[0]
		return s.Sent == 2505 && s.Lag == 0 && s.LagSeconds == 0 && s.LastError == "" && s.Kind == forward.KindSyslog && !s.Alarm
	})
	if r.calls != 1 {
		t.Errorf("%d connections", r.calls)
	}
}

func TestRestartGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	r, l := newReceiver(t).open(), newLogs()
	h := newHarness(t, l, r.sink(""))
	for range 3 {
		l.add(system, 10)
		l.add(tenant, 1200)
		h.begin()
		r.has(l, system)
		r.has(l, tenant)
		eventually(t, "all confirmed", func() bool { return h.Status()[0].Sent == 1210 })
		h.end()
	}
	want := "\n" + cluster + "/system/e1 30\n" + cluster + "/ten_a/e1 3600\n"
	if c := h.cursor(); !strings.Contains(c, want) {
		t.Errorf("the cursor is %s", c)
	}
}

func TestReceiverDown(t *testing.T) {
	t.Parallel()
	r, l := newReceiver(t).open(), newLogs()
	h := newHarness(t, l, r.sink(""))
	now := time.Now()
	h.config.Now = func() time.Time { return now }
	h.begin()
	eventually(t, "no lag", func() bool { s := h.Status()[0]; return s.Sent == 0 && s.LastError == "" })
	r.close()
	l.add(system, 300)
	l.add(tenant, 300)
	eventually(t, "the alarm", func() bool {
		s := h.Status()[0]
		return s.Alarm && s.Lag == 600 && s.LagSeconds > 300 && strings.Contains(s.LastError, "refused") && s.Sent == 0
	})
	time.Sleep(200 * time.Millisecond) // of tries in vain
	r.open()
	r.has(l, system)
	r.has(l, tenant)
	eventually(t, "the end of the alarm", func() bool { s := h.Status()[0]; return !s.Alarm && s.Lag == 0 && s.LastError == "" })
	for text, want := range map[string]int{"level=ERROR": 1, "no longer wait": 1, "are not forwarded": 1, "are forwarded again": 1} {
		if n := h.said.count(text); n != want {
			t.Errorf("%q was logged %d times", text, n)
		}
	}
}

// A receiver that dies with its connection, again and again, gets all.
func TestReceiverRestarts(t *testing.T) {
	t.Parallel()
	r, l := newReceiver(t).open(), newLogs()
	h := newHarness(t, l, r.sink(""))
	h.begin()
	for range 4 {
		l.add(tenant, 50)
		r.has(l, tenant)
		r.close()
		r.open()
	}
	if h.said.count("are not forwarded") != 0 {
		t.Error("a connection that was closed while it was idle counts as a failure")
	}
}

// small socket buffer: with what the kernel makes of it, less than a batch.
const small = 64 << 10

// blocked takes the handshake and nothing else.
func blocked(r *receiver, c net.Conn) {
	_ = c.(*tls.Conn).Handshake()
}

func TestBlockedReceiverBlocksNobody(t *testing.T) {
	t.Parallel()
	r, l := newReceiver(t), newLogs()
	r.buffer = small
	r.serving(blocked)
	r.open()
	path := filepath.Join(t.TempDir(), "events")
	h := newHarness(t, l, r.sink(""), "file://"+path)
	pad := strings.Repeat("x", 12<<10)
	for range 1000 { // 12 MB, more than the buffers of a connection
		l.put(tenant, func(e *audit.Leaf) { e.Data = map[string]any{"pad": pad} })
	}
	h.begin()
	eventually(t, "the file has all", func() bool { return h.Status()[1].Sent == 1000 })
	same(t, "file", lines(t, path), l.want(tenant))
	eventually(t, "the receiver is found stuck", func() bool {
		s := h.Status()[0]
		return s.LastError != "" && s.Lag > 0 && s.Alarm
	})
	if s := h.Status()[1]; s.LastError != "" || s.Alarm || s.Lag != 0 {
		t.Errorf("the file suffers: %+v", s)
	}
	r.close()
	r.serving(nil)
	r.buffer = 0
	r.open()
	want := l.want(tenant)
	eventually(t, "the receiver has the last one", func() bool {
		return h.Status()[0].Lag == 0 && slices.Contains(r.events(tenant), want[len(want)-1])
	})
	// What its kernel had acknowledged while nobody read is lost with the
	// connection; the rest is all there, some of it twice where a batch was cut
	// off on a busy machine.
	got := once(r.events(tenant))
	if len(got) > len(want) {
		t.Fatalf("%d events", len(got))
	}
	same(t, "receiver", got, want[len(want)-len(got):])
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.largest > forward.MaxBatch+audit.MaxLeaf {
		t.Errorf("%d bytes were held at once", l.largest)
	}
}

// once leaves of each event the first.
func once(events []string) []string {
	seen := map[string]bool{}
	return slices.DeleteFunc(slices.Clone(events), func(e string) bool {
		defer func() { seen[e] = true }()
		return seen[e]
	})
}

func TestSlowReceiver(t *testing.T) {
	t.Parallel()
	r, l := newReceiver(t), newLogs()
	r.buffer = small
	r.serving(func(r *receiver, c net.Conn) { take(r, slow{c}) })
	r.open()
	l.add(tenant, 2000) // 700 kB
	h := newHarness(t, l, r.sink(""))
	h.config.Timeout = 10 * time.Second // it is slow, and so may the machine be
	h.begin()
	r.has(l, tenant)
	if r.calls != 1 {
		t.Errorf("%d connections", r.calls)
	}
}

type slow struct{ net.Conn }

func (s slow) Read(b []byte) (int, error) {
	time.Sleep(5 * time.Millisecond)
	return s.Conn.Read(b[:min(len(b), 2000)])
}

// A receiver that is silent for longer than the timeout, and has no room for a
// whole batch, gets smaller ones.
func TestReceiverThatTakesLittle(t *testing.T) {
	t.Parallel()
	r, l := newReceiver(t), newLogs()
	r.buffer = small
	r.serving(func(r *receiver, c net.Conn) { take(r, struct{ net.Conn }{halting{c}}) })
	r.open()
	l.add(tenant, 700)
	h := newHarness(t, l, r.sink(""))
	h.config.Timeout = 200 * time.Millisecond
	h.begin()
	h.sent(700)
	eventually(t, "all arrive", func() bool {
		got := map[string]bool{}
		for _, e := range r.events(tenant) {
			got[e] = true
		}
		return len(got) == 700
	})
}

type halting struct{ net.Conn }

func (h halting) Read(b []byte) (int, error) {
	time.Sleep(20 * time.Millisecond) // for each 4 KiB: a record of TLS lasts 80
	return h.Conn.Read(b)
}

// A connection that ends inside a frame: the batch was not confirmed, since it is
// larger than what the receiver's kernel takes, and comes again.
func TestReceiverClosesInsideAFrame(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]int{"in the length": 2, "in the header": 40, "in a later event": 40_001} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, l := newReceiver(t), newLogs()
			r.buffer = small
			r.serving(func(r *receiver, c net.Conn) {
				r.serving(nil) // the next ones
				take(r, struct{ net.Conn }{&cutting{c, after}})
				c.(*tls.Conn).NetConn().Close()
			})
			r.open()
			l.add(tenant, 1500)
			h := newHarness(t, l, r.sink(""))
			h.begin()
			if copies := r.hasAll(l, tenant); copies == 0 && after > 1000 {
				t.Error("the batch did not come again")
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.calls != 2 {
				t.Errorf("%d connections", r.calls)
			}
		})
	}
}

// cutting ends after some bytes.
type cutting struct {
	net.Conn
	left int
}

func (c *cutting) Read(b []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	n, err := c.Conn.Read(b[:min(len(b), c.left)])
	c.left -= n
	return n, err
}

// The cursor stays where it was while the receiver's kernel has not all of a
// batch: what a crash would lose is sent again.
func TestCursorWaitsForTheReceiver(t *testing.T) {
	t.Parallel()
	r, l := newReceiver(t).open(), newLogs()
	l.add(tenant, 5)
	h := newHarness(t, l, r.sink(""))
	h.begin()
	eventually(t, "five are confirmed", func() bool { return h.Status()[0].Sent == 5 })
	h.end()

	r.close()
	r.buffer = small
	r.serving(blocked)
	r.open()
	l.add(tenant, 700)
	h.begin()
	eventually(t, "the receiver is found stuck", func() bool { return h.Status()[0].LastError != "" })
	h.end()
	// A few events may fit a receive buffer, once the batch is small enough.
	var next int
	if _, after, ok := strings.Cut(h.cursor(), tenant+"/e1 "); !ok {
		t.Fatalf("cursor %s", h.cursor())
	} else if _, err := fmt.Sscan(after, &next); err != nil || next >= 500 {
		t.Fatalf("the cursor is at %d (%v)", next, err)
	}
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	other := newAuthority(t)
	for name, c := range map[string]struct {
		prepare func(*receiver)
		options func(*receiver) string
		wrong   string // in the error; empty: it works
	}{
		"another authority": {func(r *receiver) {
			r.config.Certificates = []tls.Certificate{other.issue("siem.example", time.Now().Add(time.Hour))}
		}, nil, "unknown authority"},
		"another host": {func(r *receiver) {
			r.config.Certificates = []tls.Certificate{r.ca.issue("elsewhere", time.Now().Add(time.Hour))}
		}, nil, "cannot validate certificate for 127.0.0.1"},
		"expired": {func(r *receiver) {
			r.config.Certificates = []tls.Certificate{r.ca.issue("siem.example", time.Now().Add(-time.Hour))}
		}, nil, "expired"},
		"TLS 1.1":        {func(r *receiver) { r.config.MaxVersion = tls.VersionTLS11 }, nil, "protocol version"},
		"TLS 1.2":        {func(r *receiver) { r.config.MaxVersion = tls.VersionTLS12 }, nil, ""},
		"the name given": {nil, func(*receiver) string { return "&name=siem.example" }, ""},
		"another name":   {nil, func(*receiver) string { return "&name=other.example" }, "other.example"},
		"with a client's": {func(r *receiver) {
			r.config.ClientAuth = tls.RequireAndVerifyClientCert
			r.config.ClientCAs = pool(r.ca)
		},
			func(r *receiver) string { return r.ca.client("sender") }, ""},
		"without a client's": {func(r *receiver) {
			r.config.ClientAuth = tls.RequireAndVerifyClientCert
			r.config.ClientCAs = pool(r.ca)
		}, nil, "certificate required"},
		// Under TLS 1.3 the sender's handshake is long over by then.
		"refused late": {func(r *receiver) {
			r.config.VerifyConnection = func(tls.ConnectionState) error {
				time.Sleep(100 * time.Millisecond)
				return errors.New("the sender is not on the list")
			}
		}, nil, "remote error: tls"},
		"with a stranger's": {func(r *receiver) {
			r.config.ClientAuth = tls.RequireAndVerifyClientCert
			r.config.ClientCAs = pool(r.ca)
		},
			func(*receiver) string { return other.client("stranger") }, "remote error: tls"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, l := newReceiver(t), newLogs()
			if c.prepare != nil {
				c.prepare(r)
			}
			r.open()
			options := ""
			if c.options != nil {
				options = c.options(r)
			}
			l.add(tenant, 3)
			h := newHarness(t, l, r.sink(options))
			h.config.Timeout = 5 * time.Second // and so half a second for the refusal
			h.begin()
			if c.wrong == "" {
				r.has(l, tenant)
				return
			}
			eventually(t, c.wrong, func() bool { return strings.Contains(h.Status()[0].LastError, c.wrong) })
			if s := h.Status()[0]; s.Sent != 0 || len(r.events(tenant)) != 0 {
				t.Errorf("%d were sent", s.Sent)
			}
		})
	}
}

func pool(a *authority) *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}
