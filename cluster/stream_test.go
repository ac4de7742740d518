package cluster

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// In the middle of a message a stream that stalls ends, and with it what reads
// on for the rest: Raft does nothing else meanwhile.
func TestAStreamThatStalls(t *testing.T) {
	t.Parallel()
	const stall = 100 * time.Millisecond
	here, there := net.Pipe()
	s := &stream{Conn: here, stall: stall, accepted: true}
	wrote := make(chan error, 1)
	go func() {
		time.Sleep(3 * stall) // between messages there is no bound
		_, err := there.Write(make([]byte, 10))
		wrote <- err
	}()
	b := make([]byte, 10)
	if _, err := io.ReadFull(s, b); err != nil {
		t.Fatal(err)
	}
	ok(t, <-wrote)
	started := time.Now()
	if _, err := s.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if took := time.Since(started); took < stall || took > 10*stall {
		t.Errorf("it gave up after %v", took)
	}
	started = time.Now()
	if _, err := io.Copy(io.Discard, s); err == nil {
		t.Error("it goes on")
	}
	if took := time.Since(started); took > stall/2 {
		t.Errorf("the rest was waited for, %v", took)
	}
	if _, err := there.Write(b); err == nil {
		t.Error("the other side can go on")
	}
	there.Close()
}

// After an answer was written the next message may come as late as it likes; one
// who does not take the answer is given up, before a later limit and not after an
// earlier one.
func TestAStreamWaitsBetweenMessages(t *testing.T) {
	t.Parallel()
	const stall = 100 * time.Millisecond
	here, there := net.Pipe()
	defer there.Close()
	s := &stream{Conn: here, stall: stall, accepted: true}
	b := make([]byte, 10)
	for range 2 {
		go there.Write(b)
		if _, err := io.ReadFull(s, b); err != nil {
			t.Fatal(err)
		}
		go io.ReadFull(there, b)
		if _, err := s.Write(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * stall)
	}
	for name, limit := range map[string]time.Duration{"none": 0, "later": time.Hour, "earlier": stall / 4} {
		var at time.Time
		if limit > 0 {
			at = time.Now().Add(limit)
		}
		ok(t, s.SetDeadline(at))
		started := time.Now()
		if _, err := s.Write(b); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
		took := time.Since(started)
		if early := took < 9*stall/10; early != (name == "earlier") || took > 10*stall {
			t.Errorf("%s: it gave up after %v", name, took)
		}
	}
}
