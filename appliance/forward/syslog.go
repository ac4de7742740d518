package forward

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// piece of a batch that must be written within the timeout: a record of TLS.
	piece = 16 << 10
	// settling is the part of the timeout that a new connection must stand
	// before it is used: under TLS 1.3 a receiver refuses the sender's
	// certificate only after the sender's handshake is over.
	settling = 10
	// The send queue is looked at after the first time, twice that, and so on.
	firstLook = time.Millisecond
	lastLook  = 50 * time.Millisecond
)

// syslog is a receiver over TLS.
type syslog struct {
	messages
	target  Target
	timeout time.Duration
	c       *connection
}

func (s *syslog) append(batch, line []byte) []byte { return s.appendFrame(batch, line) }

func (s *syslog) send(ctx context.Context, batch []byte) error {
	if s.c != nil && s.c.ended() {
		s.close()
	}
	if s.c == nil {
		c, err := s.connect(ctx)
		if err != nil {
			return err
		}
		s.c = c
	}
	err := s.c.send(ctx, batch)
	if err != nil {
		s.c.raw.Close() // without a farewell, which could wait as well
		s.c = nil
	}
	return err
}

func (s *syslog) close() {
	if s.c != nil {
		s.c.tls.Close()
		s.c = nil
	}
}

func (s *syslog) connect(ctx context.Context) (*connection, error) {
	config, err := s.target.tls()
	if err != nil {
		return nil, err
	}
	within, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(within, "tcp", s.target.address)
	if err != nil {
		return nil, err
	}
	raw := conn.(*net.TCPConn) // what "tcp" gives
	c := &connection{raw: raw, tls: tls.Client(raw, config), timeout: s.timeout, end: make(chan struct{})}
	if err := c.tls.HandshakeContext(within); err != nil {
		raw.Close()
		return nil, fmt.Errorf("TLS with %s: %w", s.target.address, err)
	}
	go c.listen()
	settled, done := context.WithTimeout(ctx, s.timeout/settling)
	defer done()
	select {
	case <-settled.Done():
		err = ctx.Err()
	case <-c.end:
		err = c.why
	}
	if err != nil {
		raw.Close()
		return nil, err
	}
	return c, nil
}

type connection struct {
	raw     *net.TCPConn
	tls     *tls.Conn
	timeout time.Duration
	end     chan struct{} // closed when the receiver ended it
	why     error
}

// listen until the end. A receiver sends nothing (RFC 5425), but TLS does: its
// alerts and its end.
func (c *connection) listen() {
	_, err := io.Copy(io.Discard, c.tls)
	if c.why = err; err == nil {
		c.why = errors.New("the receiver closed the connection")
	}
	close(c.end)
	c.tls.Close()
}

func (c *connection) ended() bool {
	select {
	case <-c.end:
		return true
	default:
		return false
	}
}

// send returns once the receiver's kernel has all of it.
func (c *connection) send(ctx context.Context, batch []byte) error {
	stop := context.AfterFunc(ctx, func() { c.raw.Close() })
	defer stop()
	for part := range slices.Chunk(batch, piece) {
		if err := c.tls.SetWriteDeadline(time.Now().Add(c.timeout)); err != nil {
			return err
		}
		if _, err := c.tls.Write(part); err != nil {
			if c.ended() {
				return c.why // says more
			}
			return err
		}
	}
	return c.confirmed(ctx)
}

func (c *connection) confirmed(ctx context.Context) error {
	last, deadline := -1, time.Time{}
	for look := firstLook; ; look = min(2*look, lastLook) {
		left, err := unacknowledged(c.raw)
		if c.ended() {
			return c.why
		}
		if err != nil || left == 0 {
			return err
		}
		if now := time.Now(); left != last {
			last, deadline = left, now.Add(c.timeout)
		} else if now.After(deadline) {
			return fmt.Errorf("the receiver has taken nothing for %v", c.timeout)
		}
		sleep(ctx, look)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// unacknowledged bytes of a connection that stands. The state is read last: a
// reset may leave a queue that looks empty.
func unacknowledged(c *net.TCPConn) (left int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var queueErr, infoErr error
	var info *unix.TCPInfo
	err = raw.Control(func(fd uintptr) {
		left, queueErr = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
		info, infoErr = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	})
	if err := errors.Join(err, queueErr, infoErr); err != nil {
		return 0, fmt.Errorf("asking what the receiver has acknowledged: %w", err)
	}
	if info.State != unix.BPF_TCP_ESTABLISHED {
		return 0, errors.New("the receiver closed the connection")
	}
	return left, nil
}
