package appliance

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"gatehouse/appliance/access"
	"gatehouse/store/audit"
	"gatehouse/store/blob"
	"gatehouse/store/command"
	"gatehouse/store/state"
)

const (
	tickEvery  = time.Minute // anchors and expiry (store: Audit)
	sweepEvery = time.Hour   // a walk over all blobs; what is erased goes at once
	// Blobs that nothing names are removed this much Raft time after they were
	// first seen so: an upload takes a minute at most.
	orphanGrace = time.Hour
	stopTime    = 10 * time.Second // for requests under way
	saveTime    = 20 * time.Second // for the galleries' snapshots; else the next start makes them anew
)

// Run serves until ctx ends, then lets the requests and jobs under way end.
// An error is a broken promise: what the disk holds may not be what was
// answered, and the process must end with its own code.
func (n *Node) Run(ctx context.Context) error {
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	work, rest := context.WithCancel(inner)
	defer rest()
	var parts, workers sync.WaitGroup
	failed := make(chan error, 8)
	parts.Go(func() {
		if err := n.raft.Run(inner); err != nil {
			failed <- err
		}
	})
	parts.Go(func() {
		n.disk.Run(inner, func(err error) { n.Log.Error("the disk's room is not known", "error", err) })
	})
	parts.Go(func() {
		if err := n.probe.Run(inner); err != nil {
			failed <- err
		}
	})
	parts.Go(func() {
		if err := n.inspect(inner); err != nil {
			failed <- err
		}
	})
	parts.Go(func() { n.watch.Run(inner) })
	parts.Go(func() { n.compare(inner) })
	parts.Go(func() { n.members.Run(inner) })
	parts.Go(func() { n.custody.Run(inner) })
	if n.port != nil {
		parts.Go(func() {
			if err := n.port.Run(); err != nil {
				failed <- err
			}
		})
		parts.Go(func() { n.replica.Run(inner) })
	}
	parts.Go(func() {
		if err := n.server.ServeTLS(bound(n.listener, connections, fromOneAddress), "", ""); !errors.Is(err, http.ErrServerClosed) {
			failed <- err
		}
	})
	arrived := make(chan error, 1)
	go func() {
		if n.open.Load() {
			arrived <- nil
			return
		}
		n.Log.Info("the node waits for the others of its cluster")
		arrived <- n.arrive(ctx)
	}()
	var err error
	for running := true; running && err == nil; {
		select {
		case <-ctx.Done():
			running = false
		case err = <-arrived:
			if ctx.Err() != nil {
				err = nil
			} else if err == nil {
				workers.Go(func() { n.jobs.Run(work) })
				n.serve(inner, &parts, failed)
			}
			arrived = nil
		case err = <-failed:
		case err = <-n.fatal:
		}
	}
	if err != nil {
		err = n.cause(err, failed)
		n.cutOff()
		return err // nothing more is written: a promise is broken
	}
	stopping, done := context.WithTimeout(context.Background(), stopTime)
	defer done()
	n.hurry() // who waits for something gets an answer now
	if err := n.server.Shutdown(stopping); err != nil {
		n.Log.Warn("requests were cut off", "error", err)
		n.server.Close()
	}
	if arrived != nil {
		<-arrived // it ends with ctx
	}
	if !n.open.Load() {
		cancel()
		if n.port != nil {
			n.port.Close()
		}
		parts.Wait()
		return nil
	}
	rest()
	workers.Wait() // else what they have in hand would wait until the others miss this node
	n.handOver()
	stopped := &command.Event{Action: string(audit.NodeStop), ObjectType: "node", ObjectId: n.acts.Node, Result: string(audit.OK)}
	if err := n.own(context.Background(), command.Type_RECORD, nil, stopped); err != nil {
		n.Log.Warn("the stop is not in the audit log", "error", err)
	}
	cancel()
	if n.port != nil {
		n.port.Close()
	}
	parts.Wait()
	saving, saved := context.WithTimeout(context.Background(), saveTime)
	n.faces.Close(saving)
	saved()
	select { // what broke while it stopped
	case err = <-failed:
	case err = <-n.fatal:
	default:
	}
	return err
}

// causeTime is how long the end waits for who can say best why.
const causeTime = 500 * time.Millisecond

// cause of the end: where a disk is full or has failed, several parts see it, and
// some only that nothing answers any more.
func (n *Node) cause(err error, failed <-chan error) error {
	late := time.NewTimer(causeTime)
	defer late.Stop()
	for Exit(err) == 1 {
		select {
		case other := <-failed:
			err = errors.Join(other, err)
		case other := <-n.fatal:
			err = errors.Join(other, err)
		case <-late.C:
			return err
		}
	}
	return err
}

// cutOff closes what others reach the node by: a process with a thread that waits
// for a disk which does not answer ends when that does, and until then its
// connections would stay open.
func (n *Node) cutOff() {
	n.listener.Close()
	n.server.Close()
	if n.port == nil {
		return
	}
	closed := make(chan struct{})
	go func() {
		n.port.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(time.Second):
	}
}

// serve begins what needs the services.
func (n *Node) serve(ctx context.Context, parts *sync.WaitGroup, failed chan<- error) {
	parts.Go(func() { n.faces.Run(ctx) })
	parts.Go(func() { n.tick(ctx) })
	parts.Go(func() { n.ledger.Run(ctx) })
	parts.Go(func() {
		if err := n.forward.Run(ctx); err != nil {
			failed <- err
		}
	})
	parts.Go(func() { n.heed(ctx) })
	if n.port != nil {
		parts.Go(func() { n.followForward(ctx) })
		parts.Go(func() { n.ledger.RunCosigning(ctx) })
		parts.Go(func() { n.heedReplaced(ctx) })
	}
}

// Close gives everything back, in reverse order of Open.
func (n *Node) Close() error {
	var errs []error
	n.hurry()
	if n.server != nil {
		errs = append(errs, n.server.Close())
	} else if n.listener != nil {
		errs = append(errs, n.listener.Close())
	}
	if n.faces != nil {
		n.faces.Drop()
	}
	if n.port != nil {
		errs = append(errs, n.port.Close())
	}
	if n.raft != nil {
		errs = append(errs, n.raft.Close())
	}
	if n.state != nil {
		errs = append(errs, n.state.Close())
	}
	if n.seal != nil {
		n.seal.Seal()
	}
	if n.engine != nil {
		errs = append(errs, n.engine.Close())
	}
	if n.lock != nil {
		errs = append(errs, n.lock.Close())
	}
	return errors.Join(errs...)
}

// tick lets time pass in the state, takes up jobs that were left, and removes
// blobs that nothing names.
func (n *Node) tick(ctx context.Context) {
	tick, sweep := time.NewTicker(tickEvery), time.NewTicker(sweepEvery)
	defer tick.Stop()
	defer sweep.Stop()
	orphans := map[string]int64{} // when each was first seen, in Raft time
	for {
		if err := n.passTime(ctx); err != nil && ctx.Err() == nil && n.raft.Leading() {
			n.Log.Warn("time could not pass in the state", "error", err)
		}
		if err := n.sessions.Reconcile(); err != nil {
			n.Log.Warn("jobs could not be looked for", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-sweep.C:
			if err := n.sweep(ctx, orphans); errors.Is(err, blob.ErrSync) {
				n.stop(err)
			} else if err != nil && ctx.Err() == nil {
				n.Log.Warn("blobs that nothing names could not be removed", "error", err)
			}
		case <-tick.C:
		}
	}
}

// passTime proposes ticks until nothing is due: one entry does a bounded part.
// The leader's clock is the cluster's.
func (n *Node) passTime(ctx context.Context) error {
	if !n.raft.Leading() {
		return nil
	}
	return n.passTo(ctx, n.Now)
}

// anchor the logs that have grown, at whichever node: one that does not lead lets
// no time pass, but ticks at the state's own.
func (n *Node) anchor(ctx context.Context) error {
	if n.raft.Leading() {
		return n.passTo(ctx, n.Now)
	}
	var now time.Time
	if err := n.state.View(func(v *state.View) error { now = time.Unix(0, v.Time()); return nil }); err != nil {
		return err
	}
	return n.passTo(ctx, func() time.Time { return now })
}

func (n *Node) passTo(ctx context.Context, now func() time.Time) error {
	acts := *n.acts
	acts.Now = now
	for due := true; due && ctx.Err() == nil; {
		a, err := acts.Propose(ctx, access.Caller{}, command.Type_TICK, nil, nil)
		if err != nil {
			return err
		}
		for _, one := range a.Sessions {
			n.jobs.Changed(one)
		}
		if _, err := n.sessions.Discard(a.Blobs); err != nil {
			if errors.Is(err, blob.ErrSync) {
				n.stop(err)
			}
			return err
		}
		at := now().UnixNano()
		if err := n.state.View(func(v *state.View) error { due = v.Due(at); return nil }); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) sweep(ctx context.Context, orphans map[string]int64) error {
	seen := map[string]bool{}
	err := n.blobs.Walk(ctx, func(name string, _ int64) error {
		var named bool
		var now int64
		if err := n.state.View(func(v *state.View) error { named, now = v.Named(name), v.Time(); return nil }); err != nil {
			return err
		}
		if named {
			return nil
		}
		seen[name] = true
		first, known := orphans[name]
		if !known {
			orphans[name] = now
			return nil
		}
		if now-first < int64(orphanGrace) {
			return nil
		}
		if err := n.blobs.Remove(name); err != nil && !errors.Is(err, blob.ErrNotFound) { // tidy was faster
			return fmt.Errorf("blob %s: %w", name, err)
		}
		delete(orphans, name)
		return nil
	})
	for name := range orphans {
		if err == nil && !seen[name] {
			delete(orphans, name)
		}
	}
	return err
}
