package appliance_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/appliance"
	"gatehouse/appliance/access"
	"gatehouse/appliance/appliancetest"
)

// asked notes the furthest deadline of reading that is asked for.
type asked struct {
	net.Listener
	mu  sync.Mutex
	far time.Duration
}

func (a *asked) Accept() (net.Conn, error) {
	c, err := a.Listener.Accept()
	return askedConn{c, a}, err
}

// reset gives the furthest since it was called before.
func (a *asked) reset() (far time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	far, a.far = a.far, 0
	return far
}

type askedConn struct {
	net.Conn
	of *asked
}

func (c askedConn) SetReadDeadline(at time.Time) error {
	c.of.mu.Lock()
	c.of.far = max(c.of.far, time.Until(at))
	c.of.mu.Unlock()
	return c.Conn.SetReadDeadline(at)
}

// Deadlines of HTTP/1.1, each cut to a second: a body that does not come holds
// nothing; one that has come does not end what its answer waits for.
func TestPatience(t *testing.T) {
	const limit = time.Second
	var in *appliance.Node
	listener := &asked{}
	n := appliancetest.Start(t, appliancetest.Opened(func(n *appliance.Node) {
		in = n
		n.Wrap(func(l net.Listener) net.Listener {
			listener.Listener = hurried{l, limit}
			return listener
		})
	}))
	listener.reset()
	t.Run("before a credential", func(t *testing.T) {
		for name, credential := range map[string]string{"nobody": "", "somebody unknown": "Authorization: Bearer gh_x\r\n"} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				conn := raw(t, n)
				start := time.Now()
				// So small that net/http waits for it before it answers.
				fmt.Fprintf(conn, "POST /v1/sessions HTTP/1.1\r\nHost: x\r\n%sContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", credential)
				all := bufio.NewReader(conn)
				res, err := http.ReadResponse(all, nil)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != 401 {
					t.Errorf("%s, %v", res.Status, err)
				}
				if _, err := all.ReadByte(); err != io.EOF {
					t.Errorf("the connection is held: %v", err)
				}
				if took := time.Since(start); took > limit+3*time.Second {
					t.Errorf("held for %v", took)
				}
			})
		}
	})
	// Ten seconds (strangerTime), not the sixty of a body.
	if far := listener.reset(); far <= 0 || far > 11*time.Second {
		t.Errorf("whoever shows no credential may take %v", far)
	}
	t.Run("after it", func(t *testing.T) { patient(t, n, in, limit) })
}

// patient answers outlive the deadline of their request's body.
func patient(t *testing.T, n *appliancetest.Node, in *appliance.Node, limit time.Duration) {
	op := n.Home.Key(t, access.Operator)
	p := appliancetest.Evidence(t)
	form := appliancetest.VerificationForm(t, p.Document, p.Selfie)
	t.Run("a wait", func(t *testing.T) {
		t.Parallel()
		id := op.Create(t)
		conn := raw(t, n)
		start := time.Now()
		fmt.Fprintf(conn, "GET /v1/sessions/%s?wait=1500ms HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", id, op.Key)
		if a := said(t, conn); a == nil || a.Status != 200 || time.Since(start) < limit {
			t.Errorf("after %v: %+v", time.Since(start), a)
		}
	})
	t.Run("a wait after a body", func(t *testing.T) {
		t.Parallel()
		in.Jobs().Pause()
		defer in.Jobs().Resume()
		conn := raw(t, n)
		start := time.Now()
		fmt.Fprintf(conn, "POST /v1/verifications?wait=10s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", op.Key, form.Kind, len(form.Bytes), form.Bytes)
		time.AfterFunc(3*limit/2, in.Jobs().Resume)
		a := said(t, conn)
		if a == nil || a.Status != 200 || time.Since(start) < 3*limit/2 {
			t.Fatalf("after %v: %+v", time.Since(start), a)
		}
		if a.Text(t, "state") != "approved" {
			t.Errorf("%s", a.Body)
		}
	})
	t.Run("events", func(t *testing.T) {
		t.Parallel()
		id := op.Create(t)
		conn := raw(t, n)
		fmt.Fprintf(conn, "GET /v1/sessions/%s/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", id, op.Key)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(res.Body)
		next := func(state string) {
			t.Helper()
			for lines.Scan() {
				if strings.HasPrefix(lines.Text(), "data: ") {
					if !strings.Contains(lines.Text(), `"state":"`+state+`"`) {
						t.Errorf("told %s, want %s", lines.Text(), state)
					}
					return
				}
			}
			t.Fatalf("the stream ended before %s: %v", state, lines.Err())
		}
		next("created")
		time.Sleep(3 * limit / 2)
		op.Put(t, id, "selfie", p.Selfie).Want(t, 200)
		next("collecting")
	})
}
