package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A server is a process: here it is this test's binary.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		main()
		return
	}
	os.Exit(m.Run())
}

// serving starts a cluster of one, which ends with what is returned.
func serving(t *testing.T) (url string, in io.Closer, server *exec.Cmd) {
	t.Helper()
	var urls []string
	var free []net.Listener // none is given back before all are taken
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		free, urls = append(free, l), append(urls, "http://"+l.Addr().String())
	}
	for _, l := range free {
		l.Close()
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	server = exec.Command(self, "serve", "--name", "n1", "--dir", filepath.Join(t.TempDir(), "n1"), "--client", urls[0], "--peer", urls[1], "--cluster", "n1="+urls[1])
	in, err = server.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Process.Kill() })
	var said struct{ Ready bool }
	if err := json.NewDecoder(out).Decode(&said); err != nil || !said.Ready {
		t.Fatalf("the server is not ready: %v", err)
	}
	return urls[0], in, server
}

func TestLoad(t *testing.T) {
	url, in, server := serving(t)
	for range 2 { // the second time with other keys
		var out bytes.Buffer
		if err := load(t.Context(), []string{"--endpoints", url, "--clients", "4", "--warm", "50ms", "--window", "200ms"}, nil, &out); err != nil {
			t.Fatal(err)
		}
		var r loadResult
		said := json.NewDecoder(&out)
		for range 2 {
			var mark string
			if err := said.Decode(&mark); err != nil || mark != "mark" {
				t.Fatalf("%q, %v", mark, err)
			}
		}
		if err := said.Decode(&r); err != nil {
			t.Fatal(err)
		}
		if r.Writes == 0 || r.All <= r.Writes || r.Failed > 0 || r.P50 <= 0 || r.P99 < r.P50 || r.Seconds < 0.2 {
			t.Errorf("%+v", r)
		}
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := server.Wait(); err != nil {
		t.Errorf("the server did not end with its input: %v", err)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range []string{"", "--endpoints http://127.0.0.1:1 --clients 0", "--endpoints http://127.0.0.1:1 --window 0s", "more"} {
		if err := load(t.Context(), strings.Fields(args), nil, io.Discard); !errors.Is(err, errUsage) {
			t.Errorf("%q: %v", args, err)
		}
	}
}
