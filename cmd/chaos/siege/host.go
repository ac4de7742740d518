package siege

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"gatehouse/cmd/chaos/lab"
	"gatehouse/cmd/chaos/trio"
)

// host is a machine of the lab.
type host struct {
	*lab.Machine

	mu      sync.Mutex
	process *lab.Process
}

// Addresses of a machine: it has its own, so that the ports are the product's.
func (h *host) Addresses() (api, peer string, err error) {
	a := h.Addr().String()
	return a + ":8443", a + ":8444", nil
}

func (h *host) Data() string { return filepath.Join(h.Machine.Data(), "node") }

func (h *host) Start(ctx context.Context, c trio.Command) (trio.Process, error) {
	p, err := h.Machine.Start(ctx, lab.Command{Argv: c.Argv, Env: c.Env, Stdout: c.Stdout, Stderr: c.Stderr})
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	h.process = p
	h.mu.Unlock()
	return p, nil
}

func (h *host) running() *lab.Process {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.process
}

// restartDelay is what the packaged service unit waits before it starts a node
// that ended by itself.
const restartDelay = time.Second

// Exit of a node that nobody asked for.
type Exit struct {
	Node string    `json:"node"`
	At   time.Time `json:"at"`
	How  string    `json:"how"` // as "exit status 11"
	Code int       `json:"code"`
}

func (e Exit) String() string { return fmt.Sprintf("%s ended by itself: %s", e.Node, e.How) }

// node is one that is started again whenever it ends, as by systemd.
type node struct {
	*trio.Node
	host *host
	tell func(string, ...any)

	mu    sync.Mutex
	held  bool         // it is to stay down
	asked trio.Process // whose end is
	exits []Exit
	again chan struct{} // has one when held ends
}

// keep the node running until ctx ends.
func (n *node) keep(ctx context.Context) {
	for p := n.Process(); ; {
		select {
		case <-ctx.Done():
			return
		case <-p.Ended():
		}
		n.ended(p)
		if !pause(ctx, restartDelay) {
			return
		}
		if p = n.begin(ctx); p == nil {
			return
		}
	}
}

func (n *node) ended(p trio.Process) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.asked == p {
		return
	}
	e := Exit{Node: n.Name, At: time.Now(), How: "exit status 0"}
	if err := p.Err(); err != nil {
		e.How, e.Code = err.Error(), -1
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			e.Code = exit.ExitCode()
		}
	}
	n.exits = append(n.exits, e)
	n.tell("%v", e)
}

// begin the node as soon as it may run; nil: ctx ended first.
func (n *node) begin(ctx context.Context) trio.Process {
	try := func() (trio.Process, bool) {
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.held {
			return nil, true
		}
		p, _, err := n.Begin(ctx)
		if err != nil {
			n.tell("%s cannot be started: %v", n.Name, err)
			return nil, false
		}
		return p, false
	}
	for {
		p, held := try()
		switch {
		case p != nil:
			return p
		case held:
			select {
			case <-ctx.Done():
				return nil
			case <-n.again:
			}
		case !pause(ctx, restartDelay):
			return nil
		}
	}
}

// down ends the node and keeps it down until up.
func (n *node) down(how func(*lab.Process) error) error {
	n.mu.Lock()
	p := n.host.running()
	n.held, n.asked = true, p
	n.mu.Unlock()
	err := how(p)
	if errors.Is(err, lab.ErrStuck) { // it is dead as soon as its disk lets it
		err = nil
	}
	return err
}

func (n *node) up() {
	n.mu.Lock()
	n.held = false
	n.mu.Unlock()
	select {
	case n.again <- struct{}{}:
	default:
	}
}

// left gives the exits since it was asked last.
func (n *node) left() []Exit {
	n.mu.Lock()
	defer n.mu.Unlock()
	e := n.exits
	n.exits = nil
	return e
}

// pause is false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
