package siege

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"gatehouse/appliance/client"
	"gatehouse/cmd/chaos/history"
)

const (
	// writeEvery so often a session is begun, at each node in turn, to see how
	// long writes are away.
	writeEvery = 50 * time.Millisecond
	// waiting of the writers' calls at one node at a time, at most: a node that
	// hangs must not keep the others from being asked.
	waiting = 8
	// writeTime and askTime that a client waits for an answer.
	writeTime = 10 * time.Second
	askTime   = 20 * time.Second
	workers   = 2 // a verification costs a second of a core (make bench)
	// finishTime that a verification in hand may take after everything is healed.
	finishTime = 90 * time.Second
)

// writerClient is the number of the writers in the history; workers have theirs
// from 10 on.
const writerClient = 0

// begin the traffic.
func (t *traffic) begin(ctx context.Context, seed uint64) error {
	ctx, t.stop = context.WithCancel(context.WithoutCancel(ctx))
	t.drain = make(chan struct{})
	for i := range t.nodes {
		writer, err := t.cluster.Only(t.key, t.nodes[i].Node)
		if err != nil {
			return err
		}
		t.all.Go(func() { t.write(ctx, i, writer) })
	}
	for i := range workers {
		clients, err := t.stand.all(t.key)
		if err != nil {
			return err
		}
		w := &worker{traffic: t, clients: clients, number: 10 + i, random: rand.New(rand.NewPCG(seed, uint64(i)))}
		t.all.Go(func() { w.run(ctx) })
	}
	return nil
}

// quiet ends the traffic: verifications in hand are finished, for as long as
// finishTime. It gives those that were not.
func (t *traffic) quiet() (left []string) {
	close(t.drain)
	done := make(chan struct{})
	go func() { t.all.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(finishTime):
		t.mu.Lock()
		for key := range t.pending {
			left = append(left, key)
		}
		t.mu.Unlock()
	}
	t.stop()
	<-done
	return left
}

func (t *traffic) draining() bool {
	select {
	case <-t.drain:
		return true
	default:
		return false
	}
}

// write begins sessions at one node first, as many at a time as its answers
// need.
func (t *traffic) write(ctx context.Context, i int, c *client.Client) {
	tick := time.NewTicker(writeEvery * time.Duration(len(t.nodes)))
	defer tick.Stop()
	free := make(chan struct{}, waiting)
	for {
		select {
		case <-t.drain:
			return
		case <-tick.C:
		}
		select {
		case free <- struct{}{}:
		default: // all wait for this node
			continue
		}
		t.mu.Lock()
		t.made++
		key := fmt.Sprintf("%sw%d", t.prefix, t.made)
		t.mu.Unlock()
		t.all.Go(func() {
			t.create(ctx, i, c, key)
			<-free
		})
	}
}

// create a session; where nothing is known of it, again at the other nodes.
func (t *traffic) create(ctx context.Context, at int, c *client.Client, key string) {
	op := history.Op{Client: writerClient, Session: key, Kind: history.Create}
	for try := range t.nodes {
		if try > 0 {
			c = t.branch[(at+try)%len(t.branch)]
		}
		if _, err := t.ask(ctx, writeTime, op, func(ctx context.Context) (history.Answer, error) {
			s, err := c.CreateSession(ctx, key, t.request(key))
			if err != nil {
				return history.Answer{}, err
			}
			return history.Answer{ID: s.Id}, nil
		}); err == nil || !pause(ctx, 100*time.Millisecond) {
			return
		}
	}
}
