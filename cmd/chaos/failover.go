package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"gatehouse/appliance/api"
	"gatehouse/appliance/client"
	"gatehouse/cmd/chaos/trio"
)

const (
	failoverWriters = 4
	settleTime      = time.Minute
	// before and after a fault writes must flow for so long.
	calm = 500 * time.Millisecond
)

// failover kills the leader again and again, and stops it in order as often as a
// fifth, and measures how long no write was answered.
func (s *settings) failover(ctx context.Context, f *figures) error {
	tell := func(format string, args ...any) { fmt.Printf("failover: "+format+"\n", args...) }
	c, err := trio.Form(ctx, trio.Config{Binary: s.binary, Dir: s.dir, Nodes: 3, Tell: tell})
	if err != nil {
		return err
	}
	defer c.Close()
	w, err := s.write(ctx, c)
	if err != nil {
		return err
	}
	defer w.stop()
	kills, err := w.faults(ctx, s.kills, func(n *trio.Node) error { c.Kill(n); return nil })
	if err != nil {
		return err
	}
	stops, err := w.faults(ctx, max(1, s.kills/5), c.Stop)
	if err != nil {
		return err
	}
	w.stop()
	lost, err := w.lost(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("failover: %d writes acknowledged, %d lost\n", len(w.acknowledged), lost)
	f.goal("cluster_failover_lost", float64(lost), "writes", "<=", 0)
	f.info("cluster_failover_p50", seconds(at(kills, 0.5)), "s")
	f.goal("cluster_failover_p99", seconds(at(kills, 0.99)), "s", "<=", 5)
	f.info("cluster_failover_max", seconds(at(kills, 1)), "s")
	f.info("cluster_restart_p50", seconds(at(stops, 0.5)), "s")
	f.goal("cluster_restart_max", seconds(at(stops, 1)), "s", "<=", 1)
	return nil
}

// at is the value that a share of them are not above.
func at(all []time.Duration, share float64) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))]
}

// writers begin sessions all the time, each at its own node first.
type writers struct {
	cluster *trio.Cluster
	key     string
	cancel  context.CancelFunc
	all     sync.WaitGroup

	mu           sync.Mutex
	times        []time.Time // of answers, in order
	acknowledged []string
	wrong        error
}

func (s *settings) write(ctx context.Context, c *trio.Cluster) (*writers, error) {
	admin, err := c.Client(c.Admin, 0)
	if err != nil {
		return nil, err
	}
	made, err := admin.CreateClient(ctx, "", api.ClientRequest{Name: "branch", Roles: []api.Role{api.RoleOperator, api.RoleAuditor}})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	w := &writers{cluster: c, key: *made.Key, cancel: cancel}
	for i := range failoverWriters {
		one, err := c.Client(w.key, i)
		if err != nil {
			cancel()
			return nil, err
		}
		w.all.Go(func() { w.run(ctx, one, i) })
	}
	return w, nil
}

func (w *writers) stop() {
	w.cancel()
	w.all.Wait()
}

func (w *writers) run(ctx context.Context, c *client.Client, me int) {
	for n := 0; ctx.Err() == nil; n++ {
		reference := fmt.Sprintf("writer %d, %d", me, n)
		r := api.SessionRequest{Kind: api.SessionRequestKindIdentity, SubjectRef: &reference,
			Consent: api.Consent{Channel: api.ConsentChannelBranch, TextVersion: "1", GivenAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}}
		for ctx.Err() == nil {
			a, err := c.CreateSession(ctx, reference, r)
			if err == nil {
				w.mu.Lock()
				w.times, w.acknowledged = append(w.times, time.Now()), append(w.acknowledged, a.Id)
				w.mu.Unlock()
				break
			}
			if refused(err) && ctx.Err() == nil {
				w.mu.Lock()
				w.wrong = errors.Join(w.wrong, fmt.Errorf("%s: %w", reference, err))
				w.mu.Unlock()
				return
			}
			time.Sleep(probeEvery)
		}
		time.Sleep(probeEvery)
	}
}

// faults happen to the leader, one at a time; it gives how long no write was
// answered around each.
func (w *writers) faults(ctx context.Context, n int, do func(*trio.Node) error) (gaps []time.Duration, err error) {
	for i := range n {
		within, cancel := context.WithTimeout(ctx, settleTime)
		err := w.cluster.Steady(within)
		cancel()
		if err != nil {
			return gaps, err
		}
		time.Sleep(calm)
		leader := w.cluster.Leader(ctx)
		if leader == nil {
			return gaps, errors.New("no node leads")
		}
		began := time.Now()
		if err := do(leader); err != nil {
			return gaps, err
		}
		gap, err := w.gap(ctx, began)
		if err != nil {
			return gaps, fmt.Errorf("after fault %d: %w", i+1, err)
		}
		gaps = append(gaps, gap)
		if (i+1)%10 == 0 {
			fmt.Printf("failover: %d of %d, p50 %.2f s, max %.2f s\n", i+1, n, at(gaps, 0.5).Seconds(), at(gaps, 1).Seconds())
		}
		if err := w.cluster.Start(ctx, leader); err != nil {
			return gaps, err
		}
	}
	return gaps, nil
}

// gap is the longest time without an answer that ends after an instant, once
// writes flow again.
func (w *writers) gap(ctx context.Context, from time.Time) (time.Duration, error) {
	for end := from.Add(settleTime); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(probeEvery) {
		w.mu.Lock()
		times, wrong := slices.Clone(w.times[max(0, len(w.times)-4096):]), w.wrong
		w.mu.Unlock()
		if wrong != nil {
			return 0, wrong
		}
		var longest time.Duration
		var after time.Time // the end of the longest
		for i := 1; i < len(times); i++ {
			if d := times[i].Sub(times[i-1]); times[i].After(from) && d > longest {
				longest, after = d, times[i]
			}
		}
		if last := times[len(times)-1]; !after.IsZero() && last.Sub(after) > 2*calm && last.Sub(from) > 6*calm {
			return longest, nil
		}
	}
	return 0, errors.New("no write is answered any more")
}

// lost counts acknowledged sessions that a node does not have.
func (w *writers) lost(ctx context.Context) (int, error) {
	within, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	if err := w.cluster.Steady(within); err != nil {
		return 0, err
	}
	worst := 0
	for _, n := range w.cluster.Nodes {
		c, err := w.cluster.Only(w.key, n)
		if err != nil {
			return 0, err
		}
		has := map[string]bool{}
		for cursor := ""; ; {
			page, err := c.Sessions(ctx, cursor, 200)
			if err != nil {
				return 0, err
			}
			for _, s := range page.Sessions {
				has[s.Id] = true
			}
			if page.Next == nil {
				break
			}
			cursor = *page.Next
		}
		missing := 0
		for _, id := range w.acknowledged {
			if !has[id] {
				missing++
			}
		}
		worst = max(worst, missing)
	}
	return worst, nil
}
