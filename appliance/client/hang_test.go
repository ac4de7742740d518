package client_test

import (
	"context"
	"errors"
	"flag"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/appliance/api"
	"gatehouse/appliance/client"
)

// TestMain has more tests run at one time than there are cores: they wait, most of
// it.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	m.Run()
}

// hanging is the way to a node that hangs once it is told to, as one whose process
// is stopped: connections are accepted, and nothing goes through them.
type hanging struct {
	net.Listener
	mu    sync.RWMutex // held while it hangs
	pace  atomic.Int64 // pause after each 32 KiB to the node
	conns sync.WaitGroup
}

func hang(t *testing.T, n *node) *hanging {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &hanging{Listener: l}
	h.conns.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", n.Listener.Addr().String())
			if err != nil {
				in.Close()
				continue
			}
			h.conns.Go(func() { h.carry(in, out, &h.pace) })
			h.conns.Go(func() { h.carry(out, in, new(atomic.Int64)) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		n.CloseClientConnections()
		h.conns.Wait()
	})
	return h
}

func (h *hanging) carry(from, to net.Conn, pace *atomic.Int64) {
	defer to.Close()
	defer from.Close()
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		h.mu.RLock()
		_, failed := to.Write(b[:n])
		h.mu.RUnlock()
		time.Sleep(time.Duration(pace.Load()))
		if err != nil || failed != nil {
			return
		}
	}
}

// two servers of a client: the first hangs when told, the second is well.
func two(t *testing.T, first *node) (c *client.Client, h *hanging, second *node) {
	t.Helper()
	second = start(t, ok("{}"))
	h = hang(t, first)
	c, err := client.New(client.Config{Server: "https://" + h.Addr().String() + "," + second.URL, CA: append(first.ca(), second.ca()...), Key: key})
	if err != nil {
		t.Fatal(err)
	}
	return c, h, second
}

func (h *hanging) now(t *testing.T) {
	h.mu.Lock()
	t.Cleanup(h.mu.Unlock) // before those of hang
}

// Where nothing was sent yet, whatever is asked for is asked of the next server.
func TestAServerThatHangsAtOnce(t *testing.T) {
	t.Parallel()
	first := start(t, ok("{}"))
	c, h, second := two(t, first)
	h.now(t)
	if _, err := c.RevokeClient(t.Context(), "cli_1"); err != nil || len(first.received()) != 0 || len(second.received()) != 1 {
		t.Errorf("%v, asked %d and %d times", err, len(first.received()), len(second.received()))
	}
}

// A server that hangs in the middle is left for the next one by what may be asked
// again, with the same key, and by nothing else.
func TestAServerThatHangsLater(t *testing.T) {
	t.Parallel()
	for name, of := range map[string]struct {
		do    func(context.Context, *client.Client) error
		turns bool
	}{
		"a question":      {func(ctx context.Context, c *client.Client) error { _, err := c.Status(ctx); return err }, true},
		"a long question": {func(ctx context.Context, c *client.Client) error { _, err := c.VerifyGallery(ctx, "k"); return err }, true},
		"what has a key": {func(ctx context.Context, c *client.Client) error {
			_, err := c.CreateSession(ctx, "k", api.SessionRequest{})
			return err
		}, true},
		"what takes effect": {func(ctx context.Context, c *client.Client) error { _, err := c.RevokeClient(ctx, "cli_1"); return err }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first := start(t, ok("{}"))
			c, h, second := two(t, first)
			if err := of.do(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			h.now(t)
			err := of.do(t.Context(), c)
			got := second.received()
			if of.turns && (err != nil || len(got) != 1 || got[0].header.Get("Idempotency-Key") != first.received()[0].header.Get("Idempotency-Key")) {
				t.Errorf("%v, the next was asked %d times", err, len(got))
			}
			if !of.turns && (!errors.Is(err, client.ErrUnreachable) || len(got) != 0) {
				t.Errorf("%v, the next was asked %d times", err, len(got))
			}
		})
	}
}

// A server that takes long over an answer is not left, nor one that a picture comes
// to slowly: each takes longer here than one that hangs would be given.
func TestAServerThatTakesLong(t *testing.T) {
	t.Parallel()
	const long = 12 * time.Second
	t.Run("over an answer", func(t *testing.T) {
		t.Parallel()
		c, _, second := two(t, start(t, func(w http.ResponseWriter) {
			time.Sleep(long)
			ok("{}")(w)
		}))
		if _, err := c.Session(t.Context(), "ses_1", 30*time.Second); err != nil || len(second.received()) != 0 {
			t.Errorf("%v, the next was asked %d times", err, len(second.received()))
		}
	})
	t.Run("over a picture", func(t *testing.T) {
		t.Parallel()
		first := start(t, ok("{}"))
		c, h, second := two(t, first)
		if _, err := c.Status(t.Context()); err != nil { // it is connected
			t.Fatal(err)
		}
		h.pace.Store(int64(long * (32 << 10) / time.Duration(len(png))))
		begun := time.Now()
		if _, err := c.PutEvidence(t.Context(), "ses_1", "selfie", picture(t, png)); err != nil || len(second.received()) != 0 || len(first.received()) != 2 {
			t.Errorf("%v, the next was asked %d times", err, len(second.received()))
		}
		if time.Since(begun) < long*3/4 {
			t.Error("it was not slow: the test shows nothing")
		}
	})
}

// The caller's own bound comes first.
func TestAServerThatHangsForTooLong(t *testing.T) {
	t.Parallel()
	c, h, second := two(t, start(t, ok("{}")))
	h.now(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := c.Status(ctx); !errors.Is(err, context.DeadlineExceeded) || len(second.received()) != 0 {
		t.Errorf("%v, the next was asked %d times", err, len(second.received()))
	}
}
