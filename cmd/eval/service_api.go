package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"gatehouse/appliance/api"
	"gatehouse/appliance/client"
	"gatehouse/appliance/decide"
	"gatehouse/appliance/verify"
	"gatehouse/engine"
)

func apiFigures() []figure {
	return append([]figure{
		info("api_verifications_per_s", "per_s", 3), info("engine_verifications_per_s", "per_s", 3), goal("api_over_engine", "ratio", 3, ">=", 0.9),
		info("api_over_engine_by_cpu", "ratio", 3),
	}, budgetFigures()...)
}

const (
	// callersEach worker: the node's cores must not wait while a picture is on
	// its way. The engine alone has as many callers.
	callersEach = 4
	// leadIn of a block is not counted: the callers begin together.
	leadIn = 3 * time.Second
	// decisionWait is the contract's longest.
	decisionWait = 30 * time.Second
)

// bench is a node and the engine beside it, with the same pictures.
type bench struct {
	*serviceRun
	node    *servedNode
	engine  *engine.Engine
	in      *inputs
	clients []*client.Client // one a caller
}

// api measures verifications through a node that serves, in a process of its
// own, and by the engine alone in this one; in turn, so that each waits while
// the other works.
func (s *serviceRun) api(ctx context.Context) (err error) {
	b := &bench{serviceRun: s}
	if b.engine, b.in, err = s.makeEvidence(ctx); err != nil {
		return err
	}
	defer b.engine.Close()
	if b.node, err = s.startNode(ctx, s.dir+"/api", credentials{}); err != nil {
		return err
	}
	if b.clients, err = b.node.callers(callersEach * s.workers); err == nil {
		if err = b.compare(ctx); err == nil {
			err = b.budget(ctx)
		}
	}
	if err != nil {
		return errors.Join(err, b.node.kill())
	}
	return b.node.stop()
}

// compare takes blocks of the API and of the engine in turn.
func (b *bench) compare(ctx context.Context) error {
	rules, err := decide.Default()
	if err != nil {
		return err
	}
	v := verify.New(b.engine, rules, time.Now)
	alone := func(ctx context.Context, _ int) error {
		_, err := v.Verify(ctx, b.in.evidence)
		return err
	}
	blocks, window := b.or(2, 4), b.seconds(6, 15)
	t := table{title: "Verifications through the API, and by the engine alone", head: []string{"block", "of", "per second", "CPU ms each, node or engine", "CPU ms each, callers", "cores, by other programs"},
		note: fmt.Sprintf("%d callers, %d workers, blocks of %.0f s after %.0f s that are not counted; medians count. The API is POST /v1/verifications over\nTLS on this machine, its callers' work included; the data are on a disk. The pictures have 12 megapixels (%.1f and %.1f MB).\nBy CPU: what the rates would be to each other if no core ever waited, and no other program ran.",
			len(b.clients), b.workers, window.Seconds(), leadIn.Seconds(), float64(len(b.in.evidence.Document))/1e6, float64(len(b.in.evidence.Selfie))/1e6)}
	rates, costs := map[string][]float64{}, map[string][]float64{}
	for block := range blocks {
		for _, side := range []struct {
			name string
			do   func(context.Context, int) error
		}{{"API", b.verify}, {"engine", alone}} {
			fmt.Fprintf(b.progress, "verifications, %s, block %d/%d\n", side.name, block+1, blocks)
			l, err := b.load(ctx, window, side.do)
			if err != nil {
				return fmt.Errorf("%s: %w", side.name, err)
			}
			rates[side.name] = append(rates[side.name], l.perSecond)
			costs[side.name] = append(costs[side.name], l.own+l.node)
			work, callers := l.own, "–"
			if side.name == "API" {
				work, callers = l.node, fmt.Sprintf("%.0f", l.own)
			}
			t.add(fmt.Sprint(block+1), side.name, fmt.Sprintf("%.3f", l.perSecond), fmt.Sprintf("%.0f", work), callers, fmt.Sprintf("%.2f", l.others))
		}
	}
	b.table(t)
	b.measure("api_verifications_per_s", median(rates["API"]))
	b.measure("engine_verifications_per_s", median(rates["engine"]))
	b.measure("api_over_engine", median(rates["API"])/median(rates["engine"]))
	b.measure("api_over_engine_by_cpu", median(costs["engine"])/median(costs["API"]))
	return nil
}

// verify is a whole verification in one call; a decision must come of it.
func (b *bench) verify(ctx context.Context, caller int) error {
	document, err := pictureOf(b.in.evidence.Document)
	if err != nil {
		return err
	}
	selfie, err := pictureOf(b.in.evidence.Selfie)
	if err != nil {
		return err
	}
	x, err := b.clients[caller].Verify(ctx, "", decisionWait, client.Verification{Session: sessionRequest(), DocumentFront: document, Selfie: selfie})
	if err != nil {
		return err
	}
	return decided(x)
}

func decided(x *api.Session) error {
	if x.Decision == nil {
		return fmt.Errorf("session %s is %s after %s, not decided", x.Id, x.State, decisionWait)
	}
	return nil
}

func pictureOf(b []byte) (*client.Picture, error) {
	return client.NewPicture(bytes.NewReader(b), int64(len(b)))
}

// sessionRequest names the person: all pictures are of one, who must not be
// found under other names.
func sessionRequest() api.SessionRequest {
	person := "specimen"
	return api.SessionRequest{Kind: api.SessionRequestKindIdentity, SubjectRef: &person,
		Consent: api.Consent{TextVersion: "2026-03", GivenAt: time.Now().UTC().Truncate(time.Second), Channel: api.ConsentChannelBranch}}
}

// loaded is what a block reached; CPU time in milliseconds for each call.
type loaded struct {
	perSecond, own, node, others float64
}

// load keeps every caller at work for the time of a block, and waits for the
// last one.
func (b *bench) load(ctx context.Context, window time.Duration, do func(context.Context, int) error) (l loaded, err error) {
	before, err := b.clocks()
	if err != nil {
		return l, err
	}
	begin := time.Now()
	opens, ends := begin.Add(leadIn), begin.Add(leadIn+window)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	var first, last time.Time // of the calls that ended in the window
	counted, all := 0, 0
	for caller := range b.clients {
		wg.Go(func() {
			for time.Now().Before(ends) {
				err := do(ctx, caller)
				now := time.Now()
				mu.Lock()
				if all++; err != nil {
					errs = append(errs, err)
				} else if now.After(opens) && now.Before(ends) {
					if counted == 0 {
						first = now
					}
					counted, last = counted+1, now
				}
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return l, err
	}
	if counted < 3 {
		return l, fmt.Errorf("%d verifications in %s are too few for a rate", counted, window)
	}
	after, err := b.clocks()
	if err != nil {
		return l, err
	}
	wall := time.Since(begin).Seconds()
	l.perSecond = float64(counted-1) / last.Sub(first).Seconds()
	l.own = milliseconds(after.own-before.own) / float64(all)
	l.node = milliseconds(after.node-before.node) / float64(all)
	l.others = max(0, ((after.machine-before.machine)-(after.own-before.own)-(after.node-before.node)).Seconds()/wall)
	return l, nil
}

// clocks are CPU times so far.
type clocks struct{ own, node, machine time.Duration }

func (b *bench) clocks() (c clocks, err error) {
	if c.own, err = cpuTime(); err != nil {
		return c, err
	}
	if c.node, err = b.node.cpu(); err != nil {
		return c, err
	}
	c.machine, err = busyTime()
	return c, err
}
