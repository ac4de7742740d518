package peer

import (
	"net"
	"sync"
	"time"
)

// giveTime is how long a connection waits for its plane to take it.
const giveTime = 5 * time.Second

// plane is a listener of its connections alone.
type plane struct {
	name  Plane
	port  *Port
	conns chan *Conn
	done  chan struct{}
	once  sync.Once
}

// Listener of a plane.
func (p *Port) Listener(name Plane) net.Listener { return p.planes[name] }

func (l *plane) give(c *Conn) {
	timer := time.NewTimer(giveTime)
	defer timer.Stop()
	select {
	case l.conns <- c:
	case <-l.done:
		c.Close()
	case <-timer.C:
		c.Close()
	}
}

func (l *plane) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *plane) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr of a plane is the node's id: addresses change, members stay.
func (l *plane) Addr() net.Addr { return nodeAddr(l.port.c.Node) }

type nodeAddr string

func (nodeAddr) Network() string  { return "node" }
func (a nodeAddr) String() string { return string(a) }
