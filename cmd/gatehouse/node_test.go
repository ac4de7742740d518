package main_test

import (
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const apiKey = "gh_keythatmustnotleak"

// reply is what the stand-in says to a route; its body is JSON, or text.
type reply struct {
	status int
	body   any
}

// sent is what the stand-in was asked.
type sent struct {
	request string // method, path and query
	header  http.Header
	body    string
}

// standIn answers as a node would, where the command's own behaviour is
// tested. What is not in replies is not found.
type standIn struct {
	*httptest.Server
	dir     string
	replies map[string]reply // by method and path
	mu      sync.Mutex
	asked   []sent
}

func newStandIn(t *testing.T, replies map[string]reply) *standIn {
	t.Helper()
	n := &standIn{dir: t.TempDir(), replies: replies}
	n.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		n.mu.Lock()
		n.asked = append(n.asked, sent{r.Method + " " + r.RequestURI, r.Header, string(b)})
		n.mu.Unlock()
		answer, ok := n.replies[r.Method+" "+r.URL.Path]
		if !ok {
			answer = refusalOf(http.StatusNotFound)
		}
		w.Header().Set("Content-Type", "application/json")
		if answer.status >= 400 {
			w.Header().Set("Content-Type", "application/problem+json")
		}
		if text, ok := answer.body.(string); ok {
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(answer.status)
			io.WriteString(w, text)
			return
		}
		w.WriteHeader(answer.status)
		if err := json.NewEncoder(w).Encode(answer.body); err != nil {
			t.Error(err)
		}
	}))
	n.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that are meant to fail
	n.EnableHTTP2, n.TLS = true, &tls.Config{MinVersion: tls.VersionTLS13}
	n.StartTLS()
	t.Cleanup(n.Close)
	n.save(t, "ca.pem", n.ca())
	n.save(t, "key", apiKey+"\n")
	n.save(t, "profile.json", n.profile(apiKey))
	return n
}

func (n *standIn) save(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(n.path(name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (n *standIn) path(name string) string { return filepath.Join(n.dir, name) }

func (n *standIn) ca() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: n.Certificate().Raw}))
}

func (n *standIn) profile(key string) string {
	b, err := json.Marshal(map[string]string{"server": n.URL, "ca": n.ca(), "key": key})
	if err != nil {
		panic(err)
	}
	return string(b)
}

// do runs a command with the profile of the stand-in.
func (n *standIn) do(t *testing.T, args ...string) outcome {
	t.Helper()
	return gatehouse(t, append(args, "--profile", n.path("profile.json"))...)
}

// last is what was asked last.
func (n *standIn) last(t *testing.T) sent {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.asked) == 0 {
		t.Fatal("nothing was asked")
	}
	return n.asked[len(n.asked)-1]
}

func (n *standIn) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.asked)
}

func refusalOf(status int) reply {
	return reply{status, map[string]any{"type": "urn:gatehouse:problem:x", "title": "Title", "status": status, "detail": fmt.Sprintf("detail of %d", status), "next": "do this", "request_id": "req_1"}}
}

// words of a command line.
func words(line string) []string { return strings.Fields(line) }
