package trio

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

const (
	// startTime: a node on two busy cores announces itself after one to two
	// seconds.
	startTime = time.Minute
	// stopTime: the node gives requests ten seconds to end.
	stopTime = 30 * time.Second
)

// Node is one process, or the place of one. Safe for concurrent use.
type Node struct {
	Name      string
	API, Peer string // addresses
	Host      Host

	binary string
	flags  []string
	log    *os.File

	mu      sync.Mutex
	process Process // the last; nil: none yet
	said    announcement
}

// announcement of a node that serves its API.
type announcement struct {
	Address     string `json:"address"`
	Certificate string `json:"certificate"` // its file
	SetupCode   string `json:"setup_code"`
}

func (c *Cluster) node(i int) (n *Node, err error) {
	n = &Node{Name: fmt.Sprintf("server-%d", i+1), binary: c.Binary, flags: c.Flags}
	if c.Host == nil {
		n.Host = Loopback(c.Dir, n.Name)
	} else if n.Host, err = c.Host(n.Name); err != nil {
		return nil, err
	}
	if n.API, n.Peer, err = n.Host.Addresses(); err != nil {
		return nil, err
	}
	n.log, err = os.OpenFile(filepath.Join(c.Dir, n.Name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	return n, err
}

// Begin starts the node and does not wait until it serves; the channel has one
// value, nil when it does.
func (n *Node) Begin(ctx context.Context, flags ...string) (Process, <-chan error, error) {
	argv := []string{n.binary, "run", "--data", n.Host.Data(), "--listen", n.API, "--json"}
	out, in := io.Pipe()
	p, err := n.Host.Start(ctx, Command{Argv: append(append(argv, n.flags...), flags...), Stdout: in, Stderr: n.log})
	if err != nil {
		return nil, nil, err
	}
	n.mu.Lock()
	n.process = p
	n.mu.Unlock()
	go func() {
		<-p.Ended()
		in.Close()
	}()
	serves := make(chan error, 1)
	go func() {
		var said announcement
		err := json.NewDecoder(out).Decode(&said)
		if err == nil && said.Address == "" {
			err = errors.New("it announced no address") // but an error
		}
		n.mu.Lock()
		n.said = said
		n.mu.Unlock()
		serves <- err
		_, _ = io.Copy(io.Discard, out) // the node must never wait for a reader
	}()
	return p, serves, nil
}

func (n *Node) start(ctx context.Context, flags ...string) error {
	p, serves, err := n.Begin(ctx, flags...)
	if err != nil {
		return err
	}
	limit, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	select {
	case err = <-serves:
		if err != nil {
			err = fmt.Errorf("%w: %s ended before it served: %w", ErrNode, n.Name, errors.Join(p.Err(), err))
		}
		return err
	case <-limit.Done():
		return fmt.Errorf("%w: %s does not serve after %v", ErrNode, n.Name, startTime)
	}
}

// Runs tells whether the node has a process that has not ended.
func (n *Node) Runs() bool {
	p := n.Process()
	if p == nil {
		return false
	}
	select {
	case <-p.Ended():
		return false
	default:
		return true
	}
}

// Process that was begun last; nil where there was none.
func (n *Node) Process() Process {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.process
}

func (n *Node) announced() announcement {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.said
}

// kill the node as a power cut would.
func (n *Node) kill() error {
	if !n.Runs() {
		return nil
	}
	return n.Process().Kill()
}

// stop the node in order.
func (n *Node) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	if err := n.Process().Stop(ctx); err != nil {
		return fmt.Errorf("%w: %s, asked to stop: %w", ErrNode, n.Name, errors.Join(err, n.kill()))
	}
	return nil
}

// command runs the program on a host as the administrator, and gives what it
// prints as JSON.
func (c *Cluster) command(ctx context.Context, on Host, to any, args ...string) error {
	var out, said bytes.Buffer
	p, err := on.Start(ctx, Command{Argv: append([]string{c.Binary}, args...), Env: []string{"GATEHOUSE_PROFILE=" + c.profile}, Stdout: &out, Stderr: &said})
	if err != nil {
		return err
	}
	select {
	case <-p.Ended():
		err = p.Err()
	case <-ctx.Done():
		err = errors.Join(ctx.Err(), p.Kill())
	}
	if err != nil {
		return fmt.Errorf("gatehouse %s: %w: %.500s", strings.Join(args[:min(2, len(args))], " "), err, said.Bytes())
	}
	return json.Unmarshal(out.Bytes(), to)
}
