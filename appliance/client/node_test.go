package client_test

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"gatehouse/appliance/client"
)

const key = "gh_thisisasecretthatmustnotleak"

// call is what a node received.
type call struct {
	method, uri string
	proto       string
	header      http.Header
	body        []byte
}

// node answers with the functions in turn, the last one again and again. It
// stands in for a real one where the client's own behaviour is tested.
type node struct {
	*httptest.Server
	mu    sync.Mutex
	calls []call
}

type answer func(http.ResponseWriter)

func start(t *testing.T, answers ...answer) *node {
	t.Helper()
	n := new(node)
	n.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		n.mu.Lock()
		n.calls = append(n.calls, call{r.Method, r.RequestURI, r.Proto, r.Header, b})
		do := answers[min(len(n.calls), len(answers))-1]
		n.mu.Unlock()
		do(w)
	}))
	n.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that are meant to fail
	n.EnableHTTP2 = true
	n.TLS = &tls.Config{MinVersion: tls.VersionTLS13}
	n.StartTLS()
	t.Cleanup(n.Close)
	return n
}

func (n *node) ca() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: n.Certificate().Raw})
}

func (n *node) client(t *testing.T) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{Server: n.URL, CA: n.ca(), Key: key})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (n *node) received() []call {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]call(nil), n.calls...)
}

func says(status int, contentType, body string, headers ...string) answer {
	return func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", contentType)
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

func ok(body string) answer { return says(http.StatusOK, "application/json", body) }

func problem(status int, headers ...string) answer {
	return says(status, "application/problem+json", `{"type":"urn:gatehouse:problem:x","title":"X","status":400,"detail":"what went wrong","field":"name","limit":"128","next":"do this","request_id":"req_1"}`, headers...)
}

func picture(t *testing.T, content []byte) *client.Picture {
	t.Helper()
	p, err := client.NewPicture(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var (
	jpeg = append([]byte("\xff\xd8\xff\xe0"), bytes.Repeat([]byte("j"), 3000)...)
	png  = append([]byte("\x89PNG\r\n\x1a\n"), bytes.Repeat([]byte("p"), 200_000)...)
	webp = []byte("RIFF\x00\x01\x00\x00WEBPVP8 ")
)
