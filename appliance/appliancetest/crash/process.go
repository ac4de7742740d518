package crash

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"gatehouse/appliance"
	"gatehouse/appliance/client"
)

const (
	// A node on two busy cores announces itself after one to two seconds.
	startTime = time.Minute
	// The node gives requests ten seconds to end.
	stopTime = 30 * time.Second
)

// Program is the real binary over one data directory.
type Program struct {
	Binary string
	Data   string
	Log    io.Writer           // what the node says on standard error
	Flags  []string            // more of 'gatehouse run'
	User   *syscall.Credential // whom root runs it as; nil: this user
}

// Node is a process that serves, until Kill or Stop.
type Node struct {
	Address   string `json:"address"`
	CA        string `json:"certificate"` // its file
	Sealed    bool   `json:"sealed"`
	SetupCode string `json:"setup_code"`

	Process *os.Process   `json:"-"`
	Took    time.Duration `json:"-"` // from exec to the announcement

	ended chan struct{} // closed, after which err is set
	err   error
}

// Begin starts a node and does not wait until it serves.
func (p Program) Begin() (*Node, <-chan error, error) {
	c := exec.Command(p.Binary, append([]string{"run", "--data", p.Data, "--listen", "127.0.0.1:0", "--json"}, p.Flags...)...)
	c.Stderr = p.Log
	if p.User != nil {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: p.User}
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	began := time.Now()
	if err := c.Start(); err != nil {
		return nil, nil, err
	}
	n := &Node{Process: c.Process, ended: make(chan struct{})}
	serves := make(chan error, 1)
	go func() {
		err := json.NewDecoder(out).Decode(n)
		if err == nil && n.Address == "" {
			err = errors.New("it announced no address") // but an error
		}
		n.Took = time.Since(began)
		serves <- err
		_, _ = io.Copy(io.Discard, out) // the node must never wait for a reader
		n.err = c.Wait()
		close(n.ended)
	}()
	return n, serves, nil
}

// Start starts a node and waits until it serves. Where it ends instead, the
// error is an *exec.ExitError.
func (p Program) Start(ctx context.Context) (*Node, error) {
	n, serves, err := p.Begin()
	if err != nil {
		return nil, err
	}
	limit, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	select {
	case err = <-serves:
		if err == nil {
			return n, nil
		}
		return nil, fmt.Errorf("%w: it ended before it served: %w", ErrNode, errors.Join(n.exit(), err))
	case <-limit.Done():
		n.Kill()
		return nil, fmt.Errorf("%w: it does not serve after %v", ErrNode, startTime)
	}
}

// Kill ends the process as a power cut would: at once.
func (n *Node) Kill() {
	_ = n.Process.Signal(syscall.SIGKILL) // one that has ended is as good
	<-n.ended
}

// exit waits for the end of the process.
func (n *Node) exit() error {
	<-n.ended
	return n.err
}

// Ended waits for a node that ends by itself, and gives how: nil, an
// *exec.ExitError, or ErrNode where it does not end in time.
func (n *Node) Ended(within time.Duration) error {
	select {
	case <-n.ended:
		return n.err
	case <-time.After(within):
		return fmt.Errorf("%w: it does not end by itself within %v", ErrNode, within)
	}
}

// Stop asks the node to end. An error where it does not, or not with code 0.
func (n *Node) Stop() error {
	if err := n.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("%w: it had ended by itself: %w", ErrNode, errors.Join(n.exit(), err))
	}
	select {
	case <-n.ended:
		if n.err != nil {
			return fmt.Errorf("%w: asked to stop, it ended with %w", ErrNode, n.err)
		}
		return nil
	case <-time.After(stopTime):
		n.Kill()
		return fmt.Errorf("%w: it does not stop within %v", ErrNode, stopTime)
	}
}

// Client calls the node with a key.
func (n *Node) Client(key string) (*client.Client, error) {
	ca, err := os.ReadFile(n.CA)
	if err != nil {
		return nil, err
	}
	return client.New(client.Config{Server: n.Address, CA: ca, Key: key})
}

// Check runs 'gatehouse data check' over the directory of a stopped node.
func (p Program) Check(ctx context.Context) (*appliance.Report, error) {
	c := exec.CommandContext(ctx, p.Binary, "data", "check", "--data", p.Data, "--json")
	c.Stderr = p.Log
	b, err := c.Output()
	exit := (*exec.ExitError)(nil)
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != appliance.ExitHistory) {
		return nil, fmt.Errorf("%w: data check: %w: %.500s", ErrNode, err, b)
	}
	r := new(appliance.Report)
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("%w: data check said %.500q: %w", ErrNode, b, err)
	}
	if r.Node == "" {
		return nil, fmt.Errorf("%w: data check refused: %.500s", ErrNode, b)
	}
	return r, nil
}

// openDir makes a run's directory and the file that keeps what its programs say.
func openDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(filepath.Join(dir, "node.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}
