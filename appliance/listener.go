package appliance

import (
	"net"
	"sync"
)

const (
	// Connections at one time; each costs about 50 KB with TLS.
	connections = 2048
	// Of one address: whoever holds connections open shuts out nobody else.
	fromOneAddress = connections / 4
)

// bounded listener: connections beyond the bound wait to be accepted, those of
// an address beyond its share are closed.
type bounded struct {
	net.Listener
	share  int // of the places, for one address
	places chan struct{}
	closed chan struct{}
	once   sync.Once

	mu sync.Mutex
	of map[string]int
}

func bound(l net.Listener, places, share int) *bounded {
	return &bounded{Listener: l, share: share, places: make(chan struct{}, places), closed: make(chan struct{}), of: map[string]int{}}
}

func (b *bounded) Accept() (net.Conn, error) {
	for {
		select {
		case b.places <- struct{}{}:
		case <-b.closed:
			return nil, net.ErrClosed
		}
		c, err := b.Listener.Accept()
		if err != nil {
			<-b.places
			return nil, err
		}
		if address := host(c); b.enter(address) {
			return &held{Conn: c, leave: sync.OnceFunc(func() { b.leave(address) })}, nil
		}
		c.Close()
		<-b.places
	}
}

func (b *bounded) enter(address string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.of[address] >= b.share {
		return false
	}
	b.of[address]++
	return true
}

func (b *bounded) leave(address string) {
	b.mu.Lock()
	if b.of[address]--; b.of[address] == 0 {
		delete(b.of, address)
	}
	b.mu.Unlock()
	<-b.places
}

// Close also ends an Accept that waits for a place.
func (b *bounded) Close() error {
	b.once.Do(func() { close(b.closed) })
	return b.Listener.Close()
}

func host(c net.Conn) string {
	if address, _, err := net.SplitHostPort(c.RemoteAddr().String()); err == nil {
		return address
	}
	return c.RemoteAddr().String()
}

type held struct {
	net.Conn
	leave func()
}

func (h *held) Close() error {
	defer h.leave()
	return h.Conn.Close()
}
