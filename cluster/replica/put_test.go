package replica_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"gatehouse/cluster/replica"
	"gatehouse/store/blob"
)

func listen(t testing.TB, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestPutHasTwoCopies(t *testing.T) {
	t.Parallel()
	c := build(t, 3, nil)
	a, b, third := c.nodes[0], c.nodes[1], c.nodes[2]
	for _, n := range []int{1, 100, 64<<10 + 1, 3 << 20} {
		plain := random(n)
		ref, err := a.put(plain)
		if err != nil {
			t.Fatal(err)
		}
		if ref.Size != int64(n) || !a.whole(ref.Name) || !b.whole(ref.Name) || third.whole(ref.Name) {
			t.Errorf("%d bytes: %+v; A %v, B %v, C %v", n, ref, a.whole(ref.Name), b.whole(ref.Name), third.whole(ref.Name))
		}
		if got, err := b.read(ref.Name); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes: B reads %d, %v", n, len(got), err)
		}
	}
}

// Put does not return while the other node has not said that it is durable.
func TestPutWaits(t *testing.T) {
	t.Parallel()
	c := build(t, 2, nil)
	a, b := c.nodes[0], c.nodes[1]
	go_, h := make(chan struct{}), b.Handler()
	b.instead(func(w http.ResponseWriter, q *http.Request) {
		<-go_
		h.ServeHTTP(w, q)
	})
	returned := make(chan error, 1)
	go func() {
		_, err := a.put(random(1000))
		returned <- err
	}()
	select {
	case err := <-returned:
		t.Fatalf("it returns before: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	close(go_)
	if err := <-returned; err != nil {
		t.Error(err)
	}
}

func TestPutAlone(t *testing.T) {
	t.Parallel()
	a := build(t, 1, nil).nodes[0]
	if ref, err := a.put([]byte("x")); err != nil || !a.whole(ref.Name) {
		t.Errorf("%+v, %v", ref, err)
	}
}

// wrong is what can be wrong with a node.
var wrong = map[string]func(m *node){
	"down": func(m *node) { m.server.CloseClientConnections(); m.server.Close() },
	"hangs": func(m *node) {
		m.instead(func(w http.ResponseWriter, q *http.Request) { <-m.end })
	},
	"hangs in the middle": func(m *node) {
		m.instead(func(w http.ResponseWriter, q *http.Request) {
			io.CopyN(io.Discard, q.Body, 10<<10)
			<-m.end
		})
	},
	"cuts off in the middle": func(m *node) {
		m.instead(func(w http.ResponseWriter, q *http.Request) {
			io.CopyN(io.Discard, q.Body, 10<<10)
			c, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				c.Close()
			}
		})
	},
	"is full": func(m *node) { m.free.Store(1 << 20) },
	"fails": func(m *node) {
		m.instead(func(w http.ResponseWriter, q *http.Request) { http.Error(w, "ill", http.StatusInternalServerError) })
	},
	"says yes without saying that it is there": func(m *node) {
		m.instead(func(w http.ResponseWriter, q *http.Request) { io.Copy(io.Discard, q.Body) })
	},
}

func TestPutTriesTheNext(t *testing.T) {
	t.Parallel()
	for what, f := range wrong {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			c := build(t, 3, func(t replica.Limits) { *t.Hedge = 100 * time.Millisecond })
			a, b, third := c.nodes[0], c.nodes[1], c.nodes[2]
			f(b)
			ref, err := a.put(random(3 << 20))
			if err != nil {
				t.Fatal(err)
			}
			if !a.whole(ref.Name) || !third.whole(ref.Name) || b.whole(ref.Name) {
				t.Error("not on A and C alone")
			}
			// The node that failed is not tried first again.
			before := b.puts.Load()
			if _, err := a.put(random(1000)); err != nil || b.puts.Load() != before {
				t.Errorf("again: %v, %d requests to B", err, b.puts.Load()-before)
			}
			eventually(t, "B leaves nothing behind", func() bool { return len(b.files(t)) == 0 })
		})
	}
}

func TestPutKeepsNoSingleCopy(t *testing.T) {
	t.Parallel()
	for what, f := range wrong {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			c := build(t, 3, func(t replica.Limits) {
				*t.Hedge, *t.Send = 50*time.Millisecond, 500*time.Millisecond
			})
			a := c.nodes[0]
			for _, m := range c.nodes[1:] {
				f(m)
			}
			begun := time.Now()
			ref, err := a.put(random(1 << 20))
			if !errors.Is(err, replica.ErrOneCopy) || ref != (blob.Ref{}) {
				t.Errorf("%+v, %v", ref, err)
			}
			if took := time.Since(begun); took > 10*time.Second {
				t.Errorf("it takes %v", took)
			}
			if left := a.files(t); len(left) != 0 {
				t.Errorf("it leaves %v", left)
			}
			if err != nil && what == "is full" && !strings.Contains(err.Error(), "507") {
				t.Errorf("it does not say why: %v", err)
			}
		})
	}
}

func TestPutCancelled(t *testing.T) {
	t.Parallel()
	c := build(t, 2, nil)
	a, b := c.nodes[0], c.nodes[1]
	ctx, cancel := context.WithCancel(context.Background())
	b.instead(func(w http.ResponseWriter, q *http.Request) {
		cancel()
		<-b.end
	})
	_, err := a.Put(ctx, key{}, header, strings.NewReader("x"), 1)
	if !errors.Is(err, context.Canceled) || errors.Is(err, replica.ErrOneCopy) {
		t.Errorf("%v", err)
	}
	if left := a.files(t); len(left) != 0 {
		t.Errorf("it leaves %v", left)
	}
}

// What the store refuses, no other node hears of.
func TestPutRefused(t *testing.T) {
	t.Parallel()
	c := build(t, 2, nil)
	a, b := c.nodes[0], c.nodes[1]
	broken := errors.New("the line broke")
	for _, one := range []struct {
		body io.Reader
		want error
	}{
		{strings.NewReader(""), blob.ErrEmpty},
		{strings.NewReader("0123456789"), blob.ErrTooLarge},
		{iotest.ErrReader(broken), broken},
	} {
		if _, err := a.Put(context.Background(), key{}, header, one.body, 9); !errors.Is(err, one.want) {
			t.Errorf("%v, want %v", err, one.want)
		}
	}
	a.free.Store(0)
	if _, err := a.put([]byte("x")); !errors.Is(err, blob.ErrFull) {
		t.Errorf("%v", err)
	}
	if n := b.puts.Load(); n != 0 || len(a.files(t)) != 0 {
		t.Errorf("%d requests, %v left", n, a.files(t))
	}
}

// A node that was started again has closed the connections that are kept open.
func TestPutAfterTheOtherStartedAgain(t *testing.T) {
	t.Parallel()
	c := build(t, 2, nil)
	a, b := c.nodes[0], c.nodes[1]
	for range 5 {
		if _, err := a.put(random(100 << 10)); err != nil {
			t.Fatal(err)
		}
		address := b.server.Listener.Addr().String()
		b.server.Config.Close()
		b.serve(t, address)
	}
}

// A connection on which the other does not answer any more: the same again, on a
// new one.
func TestPutOnADeadConnection(t *testing.T) {
	t.Parallel()
	c := build(t, 2, nil)
	a, b := c.nodes[0], c.nodes[1]
	if _, err := a.put(random(1000)); err != nil {
		t.Fatal(err)
	}
	h := b.Handler()
	var asked atomic.Int32
	b.instead(func(w http.ResponseWriter, q *http.Request) {
		if asked.Add(1) > 1 {
			h.ServeHTTP(w, q)
			return
		}
		if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
			c.Close()
		}
	})
	ref, err := a.put(random(1000))
	if err != nil || asked.Load() != 2 || !b.whole(ref.Name) {
		t.Errorf("%v after %d requests", err, asked.Load())
	}
}

// More at once than take turns.
func TestManyPuts(t *testing.T) {
	t.Parallel()
	c := build(t, 2, func(t replica.Limits) { *t.Writers = 3 })
	a, b := c.nodes[0], c.nodes[1]
	var wg sync.WaitGroup
	for range 24 {
		wg.Go(func() {
			ref, err := a.put(random(200 << 10))
			if err != nil {
				t.Error(err)
				return
			}
			if !a.whole(ref.Name) || !b.whole(ref.Name) {
				t.Error("not on both")
			}
		})
	}
	wg.Wait()
	if len(a.files(t)) != 24 || len(b.files(t)) != 24 {
		t.Errorf("%d and %d files", len(a.files(t)), len(b.files(t)))
	}
}
