package appliance_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/appliance"
	"gatehouse/appliance/access"
	"gatehouse/appliance/appliancetest"
)

// raw speaks HTTP/1.1 by hand.
func raw(t *testing.T, n *appliancetest.Node) *tls.Conn {
	t.Helper()
	c, err := tls.Dial("tcp", n.Address(), &tls.Config{RootCAs: n.Roots(t), MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

// said is the answer to what was sent; nil where the connection was closed.
func said(t *testing.T, c net.Conn) *appliancetest.Answer {
	t.Helper()
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return nil
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Errorf("an answer is cut off: %v", err)
	}
	return &appliancetest.Answer{Status: res.StatusCode, Header: res.Header, Body: b}
}

// What the headers say of the body and what comes are not the same.
func TestBodyThatLies(t *testing.T) {
	n := shared.Node(t)
	home := n.Tenant(t)
	op := home.Key(t, access.Operator)
	picture := string(appliancetest.Evidence(t).Selfie)
	chunk := func(s string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(s), s) }
	for _, c := range []struct {
		name, headers, body string
		status              int
		kind                string // of the problem; "": net/http's own answer
	}{
		{"longer than said, early", "Content-Length: 100000\r\n", picture[:200], 400, "malformed"},
		{"longer than said", "Content-Length: 184000\r\n", picture[:100000], 400, "malformed"},
		{"no end of chunks", "Transfer-Encoding: chunked\r\n", chunk(picture[:5000]), 400, "malformed"},
		{"no end of chunks, early", "Transfer-Encoding: chunked\r\n", chunk(picture[:100]), 400, "malformed"},
		{"a chunk that is no number", "Transfer-Encoding: chunked\r\n", chunk(picture[:5000]) + "zz\r\nxx\r\n0\r\n\r\n", 400, "malformed"},
		{"a chunk of a negative size", "Transfer-Encoding: chunked\r\n", chunk(picture[:5000]) + "-1\r\nxx\r\n0\r\n\r\n", 400, "malformed"},
		{"a chunk of an endless size", "Transfer-Encoding: chunked\r\n", chunk(picture[:5000]) + "ffffffffffffffffff\r\nxx\r\n0\r\n\r\n", 400, "malformed"},
		{"a chunk longer than said", "Transfer-Encoding: chunked\r\n", "5\r\n" + picture[:600] + "\r\n0\r\n\r\n", 400, "malformed"},
		{"too large by its header", "Content-Length: 20971521\r\n", "", 413, "too-large"},
		{"no length", "", picture, 422, "not-a-picture"},
		{"a negative length", "Content-Length: -1\r\n", picture, 400, ""},
		{"a length that is none", "Content-Length: 1e3\r\n", picture, 400, ""},
		{"two lengths", "Content-Length: 5\r\nContent-Length: 6\r\n", picture, 400, ""},
		{"another encoding", "Transfer-Encoding: gzip, chunked\r\n", chunk(picture) + "0\r\n\r\n", 501, ""},
		{"chunked twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", chunk(picture) + "0\r\n\r\n", 501, ""},
		{"a space before the colon", "Content-Length : 5\r\n", picture[:5], 400, ""},
		{"a folded header", "X: y\r\n Content-Length: 5\r\n", "", 422, "not-a-picture"},
		{"large headers", "X: " + strings.Repeat("x", 64<<10) + "\r\n", "", 431, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			id := op.Create(t)
			conn := raw(t, n)
			fmt.Fprintf(conn, "PUT /v1/sessions/%s/evidence/selfie HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: image/jpeg\r\n%s\r\n%s", id, op.Key, c.headers, c.body)
			if err := conn.CloseWrite(); err != nil {
				t.Log(err) // the node was faster
			}
			a := said(t, conn)
			if a == nil {
				t.Fatal("no answer")
			}
			if a.Status != c.status || a.Problem(t) != c.kind {
				t.Errorf("%d %.300s, want %d %s", a.Status, a.Body, c.status, c.kind)
			}
			if s := op.Do(t, "GET", "/v1/sessions/"+id, nil); s.Text(t, "state") != "created" {
				t.Errorf("something was kept: %s", s.Body)
			}
		})
	}
	for line := range strings.Lines(n.Log()) {
		if strings.Contains(line, `"level":"ERROR"`) {
			t.Errorf("what a client does is called an error of the node: %s", line)
		}
	}
}

// A body that is shorter by its header than what comes is what the header
// says; the rest is another request, and none.
func TestBodyLongerThanItsLength(t *testing.T) {
	n := shared.Node(t)
	op := n.Tenant(t).Key(t, access.Operator)
	id := op.Create(t)
	conn := raw(t, n)
	picture := appliancetest.Evidence(t).Selfie
	fmt.Fprintf(conn, "PUT /v1/sessions/%s/evidence/selfie HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: image/jpeg\r\nContent-Length: 1000\r\n\r\n%s", id, op.Key, picture[:3000])
	in := bufio.NewReader(conn)
	first, err := http.ReadResponse(in, nil)
	if err != nil || first.StatusCode != 200 {
		t.Fatalf("%v %v", first, err)
	}
	b, err := io.ReadAll(first.Body)
	if err != nil || !strings.Contains(string(b), `"bytes":1000`) {
		t.Errorf("%s %v", b, err)
	}
	if second, err := http.ReadResponse(in, nil); err == nil && second.StatusCode != 400 {
		t.Errorf("the rest was answered %s", second.Status)
	}
}

// hurried lets no deadline of reading be further away than limit.
type hurried struct {
	net.Listener
	limit time.Duration
}

func (h hurried) Accept() (net.Conn, error) {
	c, err := h.Listener.Accept()
	return hurriedConn{c, h.limit}, err
}

type hurriedConn struct {
	net.Conn
	limit time.Duration
}

func (c hurriedConn) SetReadDeadline(at time.Time) error {
	if soon := time.Now().Add(c.limit); at.After(soon) {
		at = soon
	}
	return c.Conn.SetReadDeadline(at)
}

// Who sends slowly is answered, and holds nothing.
func TestSlowBody(t *testing.T) {
	const limit = time.Second
	n := appliancetest.Start(t, appliancetest.Opened(func(n *appliance.Node) {
		n.Wrap(func(l net.Listener) net.Listener { return hurried{l, limit} })
	}))
	op := n.Home.Key(t, access.Operator)
	id := op.Create(t)
	p := appliancetest.Evidence(t)
	form := appliancetest.VerificationForm(t, p.Document, p.Selfie)
	head := func(method, path, kind string, length int) string {
		return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", method, path, op.Key, kind, length)
	}
	evidence := "/v1/sessions/" + id + "/evidence/selfie"
	t.Run("at once", func(t *testing.T) {
		slow(t, n, limit, map[string]string{
			"a picture, nothing":  head("PUT", evidence, "image/jpeg", 1000),
			"a picture, a bit":    head("PUT", evidence, "image/jpeg", 1000) + string(p.Selfie[:100]),
			"a picture, half":     head("PUT", evidence, "image/jpeg", 100000) + string(p.Selfie[:50000]),
			"JSON":                head("POST", "/v1/sessions", "application/json", 100) + "{",
			"a form, nothing":     head("POST", "/v1/verifications", form.Kind, len(form.Bytes)),
			"a form, half":        head("POST", "/v1/verifications", form.Kind, len(form.Bytes)) + string(form.Bytes[:len(form.Bytes)/2]),
			"a body that is none": head("POST", "/v1/sessions/"+id+"/submit", "image/jpeg", 100),
			"no whole header":     "PUT " + evidence + " HTTP/1.1\r\nHost: x\r\n",
			"nothing":             "",
		})
	})
	if s := op.Do(t, "GET", "/v1/sessions/"+id, nil); s.Text(t, "state") != "created" {
		t.Errorf("something was kept: %s", s.Body)
	}
}

func slow(t *testing.T, n *appliancetest.Node, limit time.Duration, all map[string]string) {
	for name, sent := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := raw(t, n)
			start := time.Now()
			if _, err := io.WriteString(conn, sent); err != nil {
				t.Fatal(err)
			}
			a := said(t, conn)
			if took := time.Since(start); took > limit+10*time.Second {
				t.Errorf("held for %v", took)
			}
			if a == nil {
				if strings.Contains(sent, "Content-Length") {
					t.Error("no answer")
				}
				return
			}
			if a.Status != 408 || strings.Contains(sent, "Content-Length") && a.Problem(t) != "too-slow" {
				t.Errorf("%d %s", a.Status, a.Body)
			}
		})
	}
}
