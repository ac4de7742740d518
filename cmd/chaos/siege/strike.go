package siege

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"gatehouse/cmd/chaos/lab"
)

// stopTime: the node gives requests ten seconds to end; it may be paused as long.
const stopTime = 30 * time.Second

// struck is a fault with the nodes that it met.
type struck struct {
	Fault
	Nodes []string `json:"nodes"`
}

// strike lets the faults of a round happen and waits for the end of all.
func (t *stand) strike(ctx context.Context, faults []Fault, tell func(string, ...any)) ([]struck, error) {
	errs := make([]error, len(faults))
	met := make([]struck, len(faults))
	var mu sync.Mutex // one looks for the leader at a time
	var all sync.WaitGroup
	for i, f := range faults {
		all.Go(func() {
			if !pause(ctx, f.After) {
				return
			}
			mu.Lock()
			nodes := t.targets(ctx, f)
			mu.Unlock()
			met[i].Fault = f
			for _, n := range nodes {
				met[i].Nodes = append(met[i].Nodes, n.Name)
			}
			tell("%s %v for %.1f s", f.Kind, met[i].Nodes, f.For.Seconds())
			errs[i] = t.hit(ctx, f, nodes)
			if len(faults) > 1 && errors.Is(errs[i], errMissed) { // for the other fault
				tell("%v", errs[i])
				errs[i] = nil
			}
		})
	}
	all.Wait()
	return met, errors.Join(errs...)
}

func (t *stand) targets(ctx context.Context, f Fault) []*node {
	if f.On == All {
		return t.nodes
	}
	leader := t.leads(ctx)
	if f.On == Leader {
		return []*node{t.nodes[leader]}
	}
	return []*node{t.nodes[(leader+1+f.Which)%len(t.nodes)]}
}

// hit nodes with a fault, and end it.
func (t *stand) hit(ctx context.Context, f Fault, nodes []*node) error {
	switch {
	case f.During == KeyChange:
		return t.whileKeysChange(ctx, f, nodes[0])
	case f.During == Install:
		return t.whileInstalling(ctx, f, nodes[0])
	case f.At != "":
		return t.dies(ctx, f, nodes[0], func() {})
	}
	return t.harm(ctx, f, nodes)
}

// harm nodes at once.
func (t *stand) harm(ctx context.Context, f Fault, nodes []*node) error {
	switch f.Kind {
	case Kill:
		return t.away(ctx, f.For, nodes, func(p *lab.Process) error { return p.Kill() })
	case Stop:
		return t.away(ctx, f.For, nodes, func(p *lab.Process) error {
			limit, cancel := context.WithTimeout(ctx, stopTime)
			defer cancel()
			err := p.Stop(limit)
			if err == nil || excused(err) {
				return nil
			}
			_ = p.Kill()
			return fmt.Errorf("asked to stop: %v", err) // no ErrStuck: that it hung is told
		})
	}
	var faults []*lab.Fault
	var err error
	for _, n := range nodes {
		var more []*lab.Fault
		more, err = t.begin(ctx, f, n)
		faults = append(faults, more...)
		if errors.Is(err, lab.ErrActive) { // of the round's other fault
			err = nil
		}
		if err != nil {
			err = fmt.Errorf("%s %s: %w", f.Kind, n.Name, err)
			break
		}
	}
	if err == nil {
		pause(ctx, f.For)
	}
	for _, one := range faults {
		err = errors.Join(err, one.End())
	}
	return err
}

// excused: what ended the node while it stopped was the round's other fault.
func excused(err error) bool {
	exit := (*exec.ExitError)(nil)
	return errors.As(err, &exit) && (exit.ExitCode() < 0 || exit.ExitCode() == exitFull || exit.ExitCode() == exitDisk)
}

// away ends nodes at once and lets them start after a time.
func (t *stand) away(ctx context.Context, d time.Duration, nodes []*node, how func(*lab.Process) error) error {
	errs := make([]error, len(nodes))
	var all sync.WaitGroup
	for i, n := range nodes {
		all.Go(func() {
			if err := n.down(how); err != nil {
				errs[i] = fmt.Errorf("%s: %w", n.Name, err)
			}
		})
	}
	all.Wait()
	pause(ctx, d)
	for _, n := range nodes {
		n.up()
	}
	return errors.Join(errs...)
}

func (t *stand) begin(ctx context.Context, f Fault, n *node) ([]*lab.Fault, error) {
	m := n.host.Machine
	listed := func(one *lab.Fault, err error) ([]*lab.Fault, error) {
		if err != nil {
			return nil, err
		}
		return []*lab.Fault{one}, nil
	}
	switch f.Kind {
	case Pause:
		one, err := n.host.running().Pause(ctx)
		if errors.Is(err, os.ErrProcessDone) || errors.Is(err, syscall.ESRCH) { // another fault had ended it
			return nil, nil
		}
		return listed(one, err)
	case Cut:
		return listed(t.lab.Cut(ctx, m, f.Clients))
	case Deaf, Mute:
		var all []*lab.Fault
		for _, o := range t.nodes {
			from, to := o.host.Place, m.Place
			if f.Kind == Mute {
				from, to = to, from
			}
			if o == n {
				continue
			}
			one, err := t.lab.CutOneWay(ctx, from, to)
			if err != nil {
				return all, err
			}
			all = append(all, one)
		}
		return all, nil
	case SlowLink:
		return listed(t.lab.Slow(ctx, m, lab.Link{BytesPerSecond: f.Rate}))
	case Freeze:
		return listed(t.lab.FreezeDisk(ctx, m))
	case SlowDisk:
		return listed(t.lab.SlowDisk(ctx, m, int(f.Rate)))
	case Fill:
		one, err := t.lab.FillDisk(ctx, m, f.Leave)
		return listed(one, err)
	case ClockStep:
		return listed(m.ClockOffset(f.Offset))
	}
	return nil, fmt.Errorf("%w: a fault %q", ErrNemesis, f.Kind)
}
