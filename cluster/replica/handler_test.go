package replica_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/cluster/replica"
	"gatehouse/store/blob"
)

func (m *node) ask(t testing.TB, method, path string, body io.Reader, size int64) (status int, answer []byte, h http.Header) {
	t.Helper()
	q, err := http.NewRequestWithContext(context.Background(), method, m.server.URL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	if size != 0 {
		q.ContentLength = size
	}
	a, err := m.client.Do(q)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer a.Body.Close()
	answer, err = io.ReadAll(a.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return a.StatusCode, answer, a.Header
}

func named(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func TestHandlerServes(t *testing.T) {
	t.Parallel()
	a := build(t, 1, nil).nodes[0]
	name := keep(t, random(150<<10), a)
	stored, err := os.ReadFile(a.file(name))
	if err != nil {
		t.Fatal(err)
	}
	status, got, _ := a.ask(t, "GET", "/blobs/"+name, nil, 0)
	if status != 200 || !bytes.Equal(got, stored) {
		t.Errorf("GET: %d, %d bytes", status, len(got))
	}
	status, got, h := a.ask(t, "HEAD", "/blobs/"+name, nil, 0)
	if status != 200 || len(got) != 0 || h.Get("Content-Length") != fmt.Sprint(len(stored)) {
		t.Errorf("HEAD: %d, %v", status, h)
	}
	for _, no := range []string{strings.Repeat("0", 64), "have", "ab", strings.ToUpper(name), "..%2f..%2fnode.json", "%00"} {
		if status, _, _ := a.ask(t, "GET", "/blobs/"+no, nil, 0); status != 404 {
			t.Errorf("GET %q: %d", no, status)
		}
	}
}

func TestHandlerTakes(t *testing.T) {
	t.Parallel()
	a := build(t, 1, nil).nodes[0]
	whole := random(100 << 10)
	name := named(whole)
	there := keep(t, random(1000), a)
	for _, c := range []struct {
		what, name string
		body       io.Reader
		size       int64
		want       int
	}{
		{"other bytes", name, bytes.NewReader(flip(7)(bytes.Clone(whole))), 0, 422},
		{"fewer", name, bytes.NewReader(whole[1:]), 0, 422},
		{"no length", name, io.MultiReader(bytes.NewReader(whole)), 0, 411},
		{"nothing", name, nil, 0, 411},
		{"too large for any", name, io.LimitReader(zero{}, 1<<62), 1 << 62, 413},
		{"too large for this disk", name, io.LimitReader(zero{}, plenty), plenty, 507},
		{"no name", "ab", bytes.NewReader(whole), 0, 404},
		{"a path", "..%2f..%2fx", bytes.NewReader(whole), 0, 404},
		{"another size than is here", there, bytes.NewReader(whole), 0, 409},
	} {
		status, answer, _ := a.ask(t, "PUT", "/blobs/"+c.name, c.body, c.size)
		if status != c.want {
			t.Errorf("%s: %d, %s", c.what, status, answer)
		}
		if left := a.files(t); len(left) != 1 {
			t.Errorf("%s: it leaves %v", c.what, left)
		}
	}
	for range 2 { // the second is here already
		if status, answer, _ := a.ask(t, "PUT", "/blobs/"+name, bytes.NewReader(whole), 0); status != 204 || !a.whole(name) {
			t.Errorf("%d, %s", status, answer)
		}
	}
	if status, _, _ := a.ask(t, "DELETE", "/blobs/"+name, nil, 0); status != 405 || !a.whole(name) {
		t.Errorf("DELETE: %d", status)
	}
}

type zero struct{}

func (zero) Read(p []byte) (int, error) { return len(p), nil }

// A full disk is said before the body is sent.
func TestFullDiskTakesNoBytes(t *testing.T) {
	t.Parallel()
	c := build(t, 2, nil)
	a, b := c.nodes[0], c.nodes[1]
	b.free.Store(1 << 20)
	if _, err := a.put(random(1 << 20)); !errors.Is(err, replica.ErrOneCopy) {
		t.Errorf("%v", err)
	}
	if n := a.sent.Load(); n != 0 {
		t.Errorf("%d bytes were sent", n)
	}
}

func TestHandlerLists(t *testing.T) {
	t.Parallel()
	a := build(t, 1, nil).nodes[0]
	var all, here []string
	for i := range 1000 {
		all = append(all, fmt.Sprintf("%064x", i))
		if i%300 == 0 {
			here = append(here, keep(t, random(10), a))
			all[i] = here[len(here)-1]
		}
	}
	status, got, _ := a.ask(t, "POST", "/blobs/have", strings.NewReader(replica.WriteNames(all)), 0)
	if status != 200 || string(got) != replica.WriteNames(here) {
		t.Errorf("%d, %q", status, got)
	}
	line := strings.Repeat("0", 64) + "\n"
	for what, body := range map[string]string{
		"too many":    strings.Repeat(line, 1001),
		"a cut name":  line[:30],
		"no line end": line[:64] + "0",
		"upper case":  strings.Repeat("A", 64) + "\n",
		"a path":      strings.Repeat("../", 21) + "x\n",
	} {
		if status, got, _ := a.ask(t, "POST", "/blobs/have", strings.NewReader(body), 0); status != 400 {
			t.Errorf("%s: %d, %q", what, status, got)
		}
	}
	if status, got, _ := a.ask(t, "POST", "/blobs/have", nil, 0); status != 200 || len(got) != 0 {
		t.Errorf("none: %d, %q", status, got)
	}
}

// A sender that stands still is let go, and so is one whose turn does not come.
func TestHandlerWaitsForNobody(t *testing.T) {
	t.Parallel()
	a := build(t, 1, func(t replica.Limits) {
		*t.Writers, *t.Idle, *t.Queue = 1, 500*time.Millisecond, 100*time.Millisecond
	}).nodes[0]
	whole := random(100 << 10)
	slow, err := tls.Dial("tcp", a.server.Listener.Addr().String(), a.client.Transport.(*http.Transport).TLSClientConfig)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	begun := time.Now()
	fmt.Fprintf(slow, "PUT /blobs/%s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", named(whole), len(whole), whole[:1000])
	eventually(t, "it begins", func() bool { return len(a.files(t)) == 1 })
	if status, _, _ := a.ask(t, "PUT", "/blobs/"+named(whole), bytes.NewReader(whole), 0); status != 503 {
		t.Errorf("beside it: %d", status)
	}
	answer, err := io.ReadAll(slow) // until it is cut off
	if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 408 ")) {
		t.Errorf("%.40q, %v", answer, err)
	}
	if took := time.Since(begun); took < 400*time.Millisecond || took > 5*time.Second {
		t.Errorf("after %v", took)
	}
	eventually(t, "nothing is left", func() bool { return len(a.files(t)) == 0 })
	if status, _, _ := a.ask(t, "PUT", "/blobs/"+named(whole), bytes.NewReader(whole), 0); status != 204 {
		t.Errorf("after it: %d", status)
	}
}

// A receiver that stands still is let go; one that is slow is not.
func TestHandlerLetsAReceiverGo(t *testing.T) {
	t.Parallel()
	const size = 16 << 20 // more than the buffers between hold
	a := build(t, 1, func(t replica.Limits) { *t.Idle = time.Second }).nodes[0]
	name := keep(t, random(size), a)
	get := func() io.ReadCloser {
		answer, err := a.client.Get(a.server.URL + "/blobs/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return answer.Body
	}
	still, slow := get(), get()
	defer still.Close()
	defer slow.Close()
	for range 15 {
		time.Sleep(100 * time.Millisecond)
		if _, err := io.CopyN(io.Discard, slow, 1<<20); err != nil {
			t.Fatalf("slow: %v", err)
		}
	}
	if _, err := io.Copy(io.Discard, slow); err != nil {
		t.Errorf("slow: %v", err)
	}
	if n, err := io.Copy(io.Discard, still); err == nil {
		t.Errorf("still: all %d bytes came", n)
	}
}

func TestHandlerOnABrokenDisk(t *testing.T) {
	t.Parallel()
	a := build(t, 1, nil).nodes[0]
	if err := os.Remove(filepath.Join(a.dir, "blobs", "tmp")); err != nil {
		t.Fatal(err)
	}
	if status, _, _ := a.ask(t, "PUT", "/blobs/"+named([]byte("x")), strings.NewReader("x"), 0); status != 500 {
		t.Errorf("%d", status)
	}
	if _, _, stopped := a.told(); len(stopped) != 1 || !errors.Is(stopped[0], blob.ErrSync) {
		t.Errorf("%v", stopped)
	}
}

func FuzzNames(f *testing.F) {
	f.Add([]byte(strings.Repeat("0", 64) + "\n"))
	f.Add([]byte(strings.Repeat(strings.Repeat("f", 64)+"\n", 1001)))
	f.Add([]byte(strings.Repeat("0", 65)))
	f.Fuzz(func(t *testing.T, b []byte) {
		names, err := replica.ReadNames(bytes.NewReader(b))
		if err == nil && (replica.WriteNames(names) != string(b) || len(names) > 1000) {
			t.Errorf("%d names of %q", len(names), b)
		}
	})
}
