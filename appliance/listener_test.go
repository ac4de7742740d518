package appliance

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// listening gives what a bounded listener accepts, and how Accept ended.
func listening(t *testing.T, places, share int) (b *bounded, accepted chan net.Conn, ended chan error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b, accepted, ended = bound(l, places, share), make(chan net.Conn, 16), make(chan error, 1)
	t.Cleanup(func() { b.Close() })
	go func() {
		for {
			c, err := b.Accept()
			if err != nil {
				ended <- err
				return
			}
			accepted <- c
		}
	}()
	return b, accepted, ended
}

// from dials as another address of this machine.
func from(t *testing.T, b *bounded, address string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}, Timeout: 5 * time.Second}
	c, err := d.Dial("tcp", b.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func arrives(t *testing.T, accepted chan net.Conn) net.Conn {
	t.Helper()
	select {
	case c := <-accepted:
		t.Cleanup(func() { c.Close() })
		return c
	case <-time.After(5 * time.Second):
		t.Fatal("a connection was not accepted")
		return nil
	}
}

// shut says whether the node closes a connection within a time.
func shut(t *testing.T, c net.Conn, within time.Duration) bool {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	_, err := c.Read(make([]byte, 1))
	var late net.Error
	return err != nil && (!errors.As(err, &late) || !late.Timeout())
}

// One address has its share, and shuts out nobody else.
func TestShareOfOneAddress(t *testing.T) {
	b, accepted, _ := listening(t, 4, 2)
	from(t, b, "127.0.0.1")
	first := arrives(t, accepted)
	from(t, b, "127.0.0.1")
	arrives(t, accepted)
	if !shut(t, from(t, b, "127.0.0.1"), 5*time.Second) {
		t.Error("a third connection of one address was not closed")
	}
	other := from(t, b, "127.0.0.2")
	arrives(t, accepted)
	if shut(t, other, 50*time.Millisecond) {
		t.Error("another address was shut out")
	}
	// Its place is given back, once, however often it is closed.
	for range 2 {
		first.Close()
	}
	from(t, b, "127.0.0.1")
	arrives(t, accepted)
	if !shut(t, from(t, b, "127.0.0.1"), 5*time.Second) {
		t.Error("a place was given back twice")
	}
}

// More connections than there are places wait; a place that is given back is
// taken, and nothing is left of it at the end.
func TestPlacesAreGivenBack(t *testing.T) {
	b, accepted, _ := listening(t, 2, 2)
	from(t, b, "127.0.0.1")
	held := arrives(t, accepted)
	from(t, b, "127.0.0.1")
	second := arrives(t, accepted)
	from(t, b, "127.0.0.2")
	select {
	case <-accepted:
		t.Fatal("a third connection was let in")
	case <-time.After(100 * time.Millisecond):
	}
	held.Close()
	third := arrives(t, accepted)
	var wait sync.WaitGroup
	for _, c := range []io.Closer{second, third} {
		wait.Go(func() { c.Close() })
	}
	wait.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.of) != 0 || len(b.places) > 1 { // one is with the Accept that waits
		t.Errorf("left: %v, %d places", b.of, len(b.places))
	}
}

// An Accept that waits for a place ends with the listener.
func TestCloseEndsAcceptThatWaits(t *testing.T) {
	b, accepted, ended := listening(t, 1, 1)
	from(t, b, "127.0.0.1")
	arrives(t, accepted)
	select {
	case err := <-ended:
		t.Fatal(err)
	case <-time.After(50 * time.Millisecond):
	}
	for range 2 { // again is no harm
		b.Close()
	}
	select {
	case err := <-ended:
		if !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("Accept waits for ever")
	}
}
