package trio

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// Host is where the program of a node runs.
type Host interface {
	// Addresses of the API and of the port for the other nodes, as HOST:PORT.
	Addresses() (api, peer string, err error)
	// Data is the node's directory, which it makes.
	Data() string
	// Start runs a program, which does not end with ctx.
	Start(ctx context.Context, c Command) (Process, error)
}

// Command is what a host runs.
type Command struct {
	Argv           []string // the program first, as a path
	Env            []string // besides the harness's own
	Stdout, Stderr io.Writer
}

// Process on a host.
type Process interface {
	Kill() error                    // at once, and waits for the end
	Stop(ctx context.Context) error // asks it to end, and waits; an error where it does not end well
	Ended() <-chan struct{}
	Err() error // how it ended
}

// Dialer connects to nodes.
type Dialer func(ctx context.Context, network, address string) (net.Conn, error)

// Loopback runs programs on this machine; the node's files are in dir.
func Loopback(dir, name string) Host { return loopback(filepath.Join(dir, name)) }

type loopback string

func (l loopback) Data() string { return string(l) }

// Addresses that nobody has now.
func (l loopback) Addresses() (api, peer string, err error) {
	for _, to := range []*string{&api, &peer} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", "", err
		}
		defer listener.Close()
		*to = listener.Addr().String()
	}
	return api, peer, nil
}

func (l loopback) Start(_ context.Context, c Command) (Process, error) {
	cmd := exec.Command(c.Argv[0], c.Argv[1:]...)
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.Stdout, cmd.Stderr = c.Stdout, c.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &local{cmd: cmd, ended: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

type local struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed, after which err is set
	err   error
}

func (p *local) Ended() <-chan struct{} { return p.ended }

func (p *local) Err() error {
	<-p.ended
	return p.err
}

func (p *local) Kill() error {
	_ = p.cmd.Process.Signal(syscall.SIGKILL) // one that has ended is as good
	<-p.ended
	return nil
}

func (p *local) Stop(ctx context.Context) error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("it had ended by itself: %w", err)
	}
	select {
	case <-p.ended:
		return p.err
	case <-ctx.Done():
		return ctx.Err()
	}
}
