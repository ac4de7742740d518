package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// namespaces is where 'ip netns' keeps them.
const namespaces = "/run/netns"

// Place is where traffic begins and ends: a machine or a client.
type Place struct {
	Name string // m1, c1: its interface in the router has this name too

	lab       *Lab
	namespace string
	address   netip.Addr
}

// Addr of the place, which every other place can reach.
func (p *Place) Addr() netip.Addr { return p.address }

// Dial connects from this place; address is of numbers, as there are no names
// in the lab. It fits http.Transport.DialContext.
func (p *Place) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if _, err := netip.ParseAddrPort(address); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err) // a name would be looked up on another thread
	}
	var conn net.Conn
	err := inside(p.namespace, func() (err error) {
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// inside runs do in a network namespace. The sockets that it makes stay there.
func inside(namespace string, do func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			done <- err
			return
		}
		defer home.Close()
		if err = enter(filepath.Join(namespaces, namespace)); err == nil {
			err = do()
		}
		if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
			done <- errors.Join(err, back) // locked still, the thread ends with this function
			return
		}
		runtime.UnlockOSThread()
		done <- err
	}()
	return <-done
}

// enter a network namespace with this thread, which must be locked.
func enter(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
		return &os.PathError{Op: "setns", Path: path, Err: err}
	}
	return nil
}
