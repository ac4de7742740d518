package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// scaleNode is the built program as a node with much in its directory.
type scaleNode struct {
	servedNode
	said  *json.Decoder
	ended chan struct{}
	how   error // it ended
}

// scaleTime bounds a start, a stop and a catching-up: ours, twenty times the
// goal.
const scaleTime = 10 * time.Minute

// start the program over a directory. It does not wait for anything.
func (s *scaleRun) start(ctx context.Context, data string, more ...string) (_ *scaleNode, err error) {
	address, err := freeAddresses(1)
	if err != nil {
		return nil, err
	}
	n := &scaleNode{servedNode: servedNode{data: data, server: "https://" + address[0]}, ended: make(chan struct{})}
	n.who.key = s.made.Branch
	if n.ca, err = os.ReadFile(filepath.Join(data, "tls", "cert.pem")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if n.log, err = os.OpenFile(data+".log", os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600); err != nil {
		return nil, err
	}
	n.command = exec.CommandContext(ctx, s.program, append([]string{"run", "--data", data, "--listen", address[0], "--json"}, more...)...)
	n.command.Cancel = func() error { return n.command.Process.Signal(syscall.SIGTERM) }
	n.command.WaitDelay = time.Minute
	n.command.Stderr = n.log
	out, in, err := os.Pipe() // ours: Wait closes that of exec before all is read
	if err != nil {
		return nil, errors.Join(err, n.log.Close())
	}
	n.command.Stdout, n.said = in, json.NewDecoder(out)
	n.began = time.Now()
	err = n.command.Start()
	if err := errors.Join(err, in.Close()); err != nil {
		return nil, errors.Join(err, out.Close(), n.log.Close())
	}
	go func() {
		n.how = n.command.Wait()
		close(n.ended)
		out.Close()
	}()
	return n, nil
}

// hear where the node is, once it says so.
func (n *scaleNode) hear() error {
	late := time.AfterFunc(scaleTime, func() { _ = n.command.Process.Kill() })
	defer late.Stop()
	var started struct {
		Certificate string `json:"certificate"`
		SetupCode   string `json:"setup_code"`
	}
	err := n.said.Decode(&started)
	if err == nil {
		n.code = started.SetupCode
		n.ca, err = os.ReadFile(started.Certificate)
	}
	if err != nil {
		return fmt.Errorf("the node did not start: %w: %s", err, n.lastWords())
	}
	return nil
}

const readyLook = 100 * time.Millisecond

// ready waits until the node says that it is, and tells how long after its exec
// that was.
func (n *scaleNode) ready(ctx context.Context) (time.Duration, error) {
	if n.ca == nil {
		if err := n.hear(); err != nil {
			return 0, err
		}
	}
	t := n.transport()
	defer t.CloseIdleConnections()
	caller := &http.Client{Transport: t, Timeout: time.Minute}
	for said := "nothing"; ; {
		select {
		case <-n.ended:
			return 0, fmt.Errorf("the node ended: %w: %s", n.how, n.lastWords())
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(readyLook):
		}
		took := time.Since(n.began)
		if took > scaleTime {
			return 0, fmt.Errorf("the node is not ready after %v: %s", scaleTime, said)
		}
		r, err := n.request(ctx, http.MethodGet, "/readyz", nil)
		if err != nil {
			return 0, err
		}
		answer, err := caller.Do(r)
		if err != nil {
			continue // it does not listen yet
		}
		b, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err == nil && answer.StatusCode == http.StatusOK {
			return time.Since(n.began), nil
		}
		said = fmt.Sprintf("%d %s", answer.StatusCode, b)
	}
}

// halt ends the node as an operator does, and tells how long that took.
func (n *scaleNode) halt() (time.Duration, error) {
	begin := time.Now()
	err := n.command.Process.Signal(syscall.SIGTERM)
	if err == nil {
		<-n.ended
		err = n.how
	}
	if err != nil {
		err = fmt.Errorf("the node did not end well: %w: %s", err, n.lastWords())
	}
	return time.Since(begin), errors.Join(err, n.log.Close())
}

func (n *scaleNode) stop() error {
	_, err := n.halt()
	return err
}

// kill ends the node at once.
func (n *scaleNode) kill() error {
	_ = n.command.Process.Kill()
	<-n.ended
	return n.log.Close()
}

// resident memory of the node, in bytes: all of it, and what is no file's.
func (n *scaleNode) resident() (all, own float64, err error) {
	if own, err = n.anonymous(); err != nil {
		return 0, 0, err
	}
	var pages, of float64
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", n.command.Process.Pid))
	if err == nil {
		_, err = fmt.Sscan(string(b), &pages, &of)
	}
	return of * float64(os.Getpagesize()), own, err
}

// dropCaches has the system forget what it keeps of all files, where it lets us;
// else of those under dir.
func (s *scaleRun) dropCaches() (how string, err error) {
	if err := settleDisk(s.dir); err != nil {
		return "", err
	}
	if os.WriteFile("/proc/sys/vm/drop_caches", []byte("3\n"), 0o200) == nil {
		return "The page cache was dropped before each start.", nil
	}
	err = filepath.WalkDir(s.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || filepath.Dir(path) == "blobs" {
			return err
		}
		return forget(path)
	})
	return "The page cache cannot be dropped here (it needs root): the system was asked to forget each file, the rest of its cache stayed.", err
}
