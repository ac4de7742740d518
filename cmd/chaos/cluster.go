package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"gatehouse/appliance/api"
	"gatehouse/appliance/client"
	"gatehouse/cmd/chaos/trio"
)

const (
	shownVerifications = 24
	// probeEvery so often something is written, to see how long writes were away.
	probeEvery = 20 * time.Millisecond
	awayTime   = 10 * time.Second // the killed node stays away
)

// cluster shows three nodes: formed from nothing, used at all of them, robbed of
// their leader, and that nothing was lost.
func (s *settings) cluster(ctx context.Context) error {
	began := time.Now()
	tell := func(format string, args ...any) {
		fmt.Printf("%6.1f s  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	}
	c, err := trio.Form(ctx, trio.Config{Binary: s.binary, Dir: s.dir, Nodes: 3, Tell: tell})
	if err != nil {
		return err
	}
	defer c.Close()
	tell("three nodes vote")
	d := &demonstration{cluster: c, settings: s, tell: tell}
	if err := d.clients(ctx); err != nil {
		return err
	}
	if err := d.run(ctx); err != nil {
		return err
	}
	return d.check(ctx)
}

// demonstration of what a cluster does when its leader is killed.
type demonstration struct {
	*settings
	cluster *trio.Cluster
	tell    func(string, ...any)
	keys    []string // of one branch for each node

	mu       sync.Mutex
	decided  map[string]api.SessionState // session → as it was answered
	written  []string                    // sessions that were begun by the probe
	longest  time.Duration               // without an answer to a write
	unknown  int                         // verifications whose caller was told nothing, and asked again
	progress chan struct{}
}

func (d *demonstration) clients(ctx context.Context) error {
	admin, err := d.cluster.Client(d.cluster.Admin, 0)
	if err != nil {
		return err
	}
	for i := range d.cluster.Nodes {
		made, err := admin.CreateClient(ctx, "", api.ClientRequest{Name: fmt.Sprintf("branch-%d", i+1), Roles: []api.Role{api.RoleOperator, api.RoleAuditor}})
		if err != nil {
			return err
		}
		d.keys = append(d.keys, *made.Key)
	}
	return nil
}

// run the load, and kill the leader in the middle of it.
func (d *demonstration) run(ctx context.Context) error {
	d.decided, d.progress = map[string]api.SessionState{}, make(chan struct{}, shownVerifications)
	probing, stop := context.WithCancel(ctx)
	defer stop()
	var probe, load sync.WaitGroup
	probe.Go(func() { d.probe(probing) })
	errs := make(chan error, len(d.keys))
	d.tell("%d verifications are sent at all three nodes", shownVerifications)
	for i := range d.keys {
		load.Go(func() { errs <- d.branch(ctx, i) })
	}
	go func() { load.Wait(); close(d.progress) }()
	done := 0
	var killed *trio.Node
	var back <-chan time.Time
	for running := true; running || killed != nil; {
		select {
		case _, more := <-d.progress:
			if !more {
				running, d.progress = false, nil
				continue
			}
			if done++; done == shownVerifications/3 {
				if killed = d.cluster.Leader(ctx); killed == nil {
					return fmt.Errorf("no node leads")
				}
				d.tell("%s leads and is killed (SIGKILL), with verifications in hand", killed.Name)
				d.cluster.Kill(killed)
				back = time.After(awayTime)
			}
		case <-back:
			d.tell("%s is started again", killed.Name)
			if err := d.cluster.Start(ctx, killed); err != nil {
				return err
			}
			killed = nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for range d.keys {
		if err := <-errs; err != nil {
			return err
		}
	}
	stop()
	probe.Wait()
	d.tell("all are decided; the longest time without an answer to a write was %.2f s", d.longest.Seconds())
	return nil
}

// branch sends its share of the verifications, at its own node first.
func (d *demonstration) branch(ctx context.Context, i int) error {
	c, err := d.cluster.Client(d.keys[i], i)
	if err != nil {
		return err
	}
	for n := i; n < shownVerifications; n += len(d.keys) {
		reference := fmt.Sprintf("customer %d", n)
		v := client.Verification{Session: api.SessionRequest{Kind: api.SessionRequestKindIdentity, SubjectRef: &reference,
			Consent: api.Consent{Channel: api.ConsentChannelBranch, TextVersion: "1", GivenAt: time.Now().UTC()}}}
		for to, b := range map[**client.Picture][]byte{&v.DocumentFront: d.document, &v.Selfie: d.selfie} {
			if *to, err = client.NewPicture(bytes.NewReader(b), int64(len(b))); err != nil {
				return err
			}
		}
		a, err := d.until(ctx, func() (*api.Session, error) { return c.Verify(ctx, reference, 30*time.Second, v) })
		for err == nil && !settled(a.State) {
			a, err = d.until(ctx, func() (*api.Session, error) { return c.Session(ctx, a.Id, 30*time.Second) })
		}
		if err != nil {
			return fmt.Errorf("%s: %w", reference, err)
		}
		d.mu.Lock()
		d.decided[a.Id] = a.State
		d.mu.Unlock()
		d.progress <- struct{}{}
	}
	return nil
}

// patience of a caller.
const patience = time.Minute

// until something is answered: a caller that was told nothing asks again, with
// the same key.
func (d *demonstration) until(ctx context.Context, ask func() (*api.Session, error)) (*api.Session, error) {
	for end := time.Now().Add(patience); ; {
		a, err := ask()
		if err == nil || time.Now().After(end) || ctx.Err() != nil || refused(err) {
			return a, err
		}
		d.mu.Lock()
		d.unknown++
		d.mu.Unlock()
		time.Sleep(look)
	}
}

const look = 100 * time.Millisecond

// refused says whether asking again has no use.
func refused(err error) bool {
	var p *client.Problem
	return errors.As(err, &p) && p.Status < 500 && p.Status != 429
}

func settled(s api.SessionState) bool {
	return s != api.SessionStateCreated && s != api.SessionStateCollecting && s != api.SessionStateSubmitted && s != api.SessionStateProcessing
}

// probe begins sessions, one after the other, and notes how long none was
// answered.
func (d *demonstration) probe(ctx context.Context) {
	c, err := d.cluster.Client(d.keys[0], 1)
	if err != nil {
		return
	}
	last := time.Now()
	for n := 0; ctx.Err() == nil; n++ {
		reference := fmt.Sprintf("probe %d", n)
		request := api.SessionRequest{Kind: api.SessionRequestKindIdentity, SubjectRef: &reference,
			Consent: api.Consent{Channel: api.ConsentChannelBranch, TextVersion: "1", GivenAt: time.Now().UTC()}}
		a, err := d.until(ctx, func() (*api.Session, error) { return c.CreateSession(ctx, reference, request) })
		if err != nil {
			return
		}
		now := time.Now()
		d.mu.Lock()
		d.written = append(d.written, a.Id)
		d.longest = max(d.longest, now.Sub(last))
		d.mu.Unlock()
		last = now
		select {
		case <-ctx.Done():
		case <-time.After(probeEvery):
		}
	}
}

// check that every node has everything that was answered, and the same log.
func (d *demonstration) check(ctx context.Context) error {
	if err := d.cluster.Steady(ctx); err != nil {
		return err
	}
	all, lost := len(d.decided)+len(d.written), 0
	var log []byte
	for i, n := range d.cluster.Nodes {
		c, err := d.cluster.Only(d.keys[i], n)
		if err != nil {
			return err
		}
		here := 0
		for id, state := range d.decided {
			if a, err := c.Session(ctx, id, 0); err != nil || a.State != state {
				fmt.Printf("LOST: %s has not session %s as %s: %v\n", n.Name, id, state, err)
				continue
			}
			here++
		}
		for _, id := range d.written {
			if _, err := c.Session(ctx, id, 0); err != nil {
				fmt.Printf("LOST: %s has not session %s: %v\n", n.Name, id, err)
				continue
			}
			here++
		}
		lost = max(lost, all-here)
		d.tell("%s has %d of %d", n.Name, here, all)
		root, err := c.Checkpoint(ctx, api.LogTenant)
		if err != nil {
			return err
		}
		if head := bytes.SplitN(root, []byte("\n\n"), 2)[0]; log == nil {
			log = head
		} else if !bytes.Equal(log, head) {
			fmt.Fprintf(os.Stderr, "the audit log of %s is another one:\n%s\n%s\n", n.Name, log, head)
			return errors.New("the audit logs differ")
		}
	}
	d.tell("the audit log is the same on all: %s", bytes.ReplaceAll(log, []byte("\n"), []byte(" ")))
	if lost > 0 {
		return fmt.Errorf("lost: %d of %d", lost, all)
	}
	fmt.Printf("nothing lost: %d of %d\n", all, all)
	return nil
}
