package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"gatehouse/appliance/api"
	"gatehouse/appliance/client"
)

func (s *scaleRun) joinFigures() []figure {
	return []figure{
		s.within("catchup_share_of_disk", "ratio", 2, ">=", 0.5), s.within("catchup_p99_ratio", "ratio", 2, "<=", 1.2), info(s.sized("catchup_p99_copy_ratio"), "ratio", 2),
		info(s.sized("catchup_s"), "s", 1), info(s.sized("catchup_mb_per_s"), "MB/s", 0), info(s.sized("catchup_segments_s"), "s", 1),
		info(s.sized("disk_write_mb_per_s"), "MB/s", 0), info(s.sized("disk_read_mb_per_s"), "MB/s", 0),
		info(s.sized("catchup_p99_before_ms"), "ms", 1), info(s.sized("catchup_p99_during_ms"), "ms", 1),
	}
}

const (
	// The writers of the first node: as many as the goal's, together 40 sessions a
	// second, ten times what a node decides.
	joinWriters = 4
	joinPause   = 100 * time.Millisecond
	// before the new node comes, for so long; and until the first one has settled,
	// which reads its state once after a start, some of it twice, 100 MiB a second.
	joinBefore  = time.Minute
	joinSettle  = 20 * time.Second
	joinInspect = 80 << 20
	joinLook    = 100 * time.Millisecond
)

// join another node, which has nothing, to the first one.
func (s *scaleRun) join(ctx context.Context) (err error) {
	data := filepath.Join(s.dir, "server-2")
	if err := errors.Join(os.RemoveAll(data), os.RemoveAll(data+".seal")); err != nil {
		return err
	}
	bytes, err := sizeOf(filepath.Join(s.data(), "state.db"))
	if err != nil {
		return err
	}
	fmt.Fprintf(s.progress, "the disk: %s are written, synced and read\n", gigabytes(bytes))
	write, read, err := s.diskSpeed(ctx, bytes)
	if err != nil {
		return err
	}
	ports, err := freeAddresses(2)
	if err != nil {
		return err
	}
	if _, err := s.dropCaches(); err != nil {
		return err
	}
	first, err := s.start(ctx, s.data(), "--peer", ports[0], "--node-name", "server-1")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, first.kill()) }()
	if _, err := first.ready(ctx); err != nil {
		return err
	}
	if err := s.alone(ctx, first); err != nil { // by --keep it may have others
		return err
	}
	w, err := s.writeSteadily(ctx, first)
	if err != nil {
		return err
	}
	defer w.stop()
	if err := w.phase(ctx, "", joinSettle+time.Duration(bytes/joinInspect)*time.Second); err != nil {
		return err
	}
	if err := w.phase(ctx, "before", joinBefore); err != nil {
		return err
	}
	j, err := s.catchUp(ctx, first, w, data, ports[1])
	if err != nil {
		return err
	}
	fmt.Fprintln(s.progress, "the state is copied by nobody's program, as fast as the second node got it")
	w.now("copy")
	if err := s.copyFile(ctx, filepath.Join(s.data(), "state.db"), float64(j.state)/j.applied.Seconds(), joinBefore); err != nil {
		return err
	}
	if err := w.stop(); err != nil {
		return err
	}
	return errors.Join(s.alone(ctx, first), s.tellJoin(j, w, bytes, write, read))
}

// alone removes all other members.
func (s *scaleRun) alone(ctx context.Context, first *scaleNode) error {
	c, err := client.New(client.Config{Server: first.server, CA: first.ca, Key: s.made.Admin})
	if err != nil {
		return err
	}
	all, err := c.Cluster(ctx)
	if err != nil {
		return err
	}
	for _, m := range all.Members {
		if m.Node == all.Leader {
			continue
		}
		if _, err := c.RemoveMember(ctx, m.Node); err != nil {
			return err
		}
	}
	return nil
}

// joined is what was seen of the node that joined.
type joined struct {
	applied, whole  time.Duration // after its exec: the state, and the segments too
	state, segments int64         // bytes that it has
}

// catchUp invites the second node, starts it, and waits until it has applied
// what the first one had when it began, and then until it is ready.
func (s *scaleRun) catchUp(ctx context.Context, first *scaleNode, w *steady, data, address string) (j joined, err error) {
	c, err := client.New(client.Config{Server: first.server, CA: first.ca, Key: s.made.Admin})
	if err != nil {
		return j, err
	}
	invited, err := c.Invite(ctx, api.InvitationRequest{})
	if err != nil {
		return j, err
	}
	if b, err := exec.CommandContext(ctx, s.program, "cluster", "join", invited.Token, "--data", data, "--peer", address, "--name", "server-2", "--json").CombinedOutput(); err != nil {
		return j, fmt.Errorf("the second node did not join: %w: %s", err, b)
	}
	at, err := c.Cluster(ctx)
	if err != nil {
		return j, err
	}
	has, _ := appliedBy(at)
	n, err := s.start(ctx, data)
	if err != nil {
		return j, err
	}
	defer func() { err = errors.Join(err, n.kill()) }()
	w.now("during")
	for of := int64(0); of < has; {
		select {
		case <-n.ended:
			return j, fmt.Errorf("the second node ended: %w: %s", n.how, n.lastWords())
		case <-ctx.Done():
			return j, ctx.Err()
		case <-time.After(joinLook):
		}
		if time.Since(n.began) > scaleTime {
			return j, fmt.Errorf("the second node has not caught up after %v: %s", scaleTime, n.lastWords())
		}
		if at, err = c.Cluster(ctx); err != nil {
			return j, err
		}
		_, of = appliedBy(at)
	}
	j.applied = time.Since(n.began)
	w.now("")
	fmt.Fprintf(s.progress, "the second node has caught up after %.0f s\n", j.applied.Seconds())
	if j.state, err = sizeOf(filepath.Join(data, "state.db")); err != nil {
		return j, err
	}
	return j, s.segments(ctx, n, &j)
}

// segments waits until the second node has those that the first one has.
func (s *scaleRun) segments(ctx context.Context, n *scaleNode, j *joined) error {
	for {
		want, err := filepath.Glob(filepath.Join(s.data(), "audit", "*", "*", "*.seg"))
		if err != nil {
			return err
		}
		missing := 0
		j.segments = 0
		for _, path := range want {
			i, err := os.Stat(filepath.Join(n.data, strings.TrimPrefix(path, s.data())))
			if err != nil {
				missing++
				continue
			}
			j.segments += i.Size()
		}
		j.whole = time.Since(n.began)
		if missing == 0 {
			return nil
		}
		select {
		case <-n.ended:
			return fmt.Errorf("the second node ended: %w: %s", n.how, n.lastWords())
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(joinLook):
		}
		if j.whole > scaleTime {
			return fmt.Errorf("the second node lacks %d of %d segments after %v: %s", missing, len(want), scaleTime, n.lastWords())
		}
	}
}

// appliedBy the leader, and by the other.
func appliedBy(c *api.Cluster) (leader, other int64) {
	for _, m := range c.Members {
		switch {
		case m.AppliedIndex == nil:
		case m.Node == c.Leader:
			leader = *m.AppliedIndex
		default:
			other = *m.AppliedIndex
		}
	}
	return leader, other
}

func (s *scaleRun) tellJoin(j joined, w *steady, bytes int64, write, read float64) error {
	before, during, beside := w.times("before"), w.times("during"), w.times("copy")
	if len(before) == 0 || len(during) == 0 || len(beside) == 0 {
		return errors.New("nothing was written meanwhile")
	}
	rate := func(n int64, s float64) float64 { return float64(n) / 1e6 / s }
	t := table{title: "A new node catches up", head: []string{"what", "bytes", "s", "MB/s"},
		note: `Both nodes are on one disk, so that what the state costs it is to be read and to be written: the
goal is compared with a file of the same size that is written, synced and read again, uncached. The
node gets the state, and with it the templates of which it makes its gallery; it ends before it has
the pictures, which here are none.`}
	row := func(what string, n int64, sec float64) {
		t.add(what, gigabytes(n), fmt.Sprintf("%.1f", sec), fmt.Sprintf("%.0f", rate(n, sec)))
	}
	row("a file written and synced", bytes, write)
	row("… read", bytes, read)
	row("… both, with which the goal is compared", bytes, write+read)
	row("the new node, until it has applied what the first had", j.state, j.applied.Seconds())
	row("… and has the sealed segments of the audit logs", j.state+j.segments, j.whole.Seconds())
	s.table(t)
	u := table{title: fmt.Sprintf("Sessions created at the first node by %d clients, %.0f a second", joinWriters, float64(joinWriters)/joinPause.Seconds()),
		head: []string{"when", "requests", "p50 ms", "p99 ms", "longest"}}
	for _, v := range []struct {
		when string
		all  []float64
	}{{"before", before}, {"while the new node catches up", during}, {"beside a plain copy of as many bytes a second", beside}} {
		u.add(v.when, fmt.Sprint(len(v.all)), fmt.Sprintf("%.1f", percentile(v.all, 50)), fmt.Sprintf("%.1f", percentile(v.all, 99)), fmt.Sprintf("%.1f", percentile(v.all, 100)))
	}
	s.table(u)
	share := (write + read) / j.applied.Seconds() * float64(j.state) / float64(bytes)
	s.measure(s.sized("catchup_share_of_disk"), share)
	s.measure(s.sized("catchup_p99_ratio"), percentile(during, 99)/percentile(before, 99))
	s.measure(s.sized("catchup_p99_copy_ratio"), percentile(beside, 99)/percentile(before, 99))
	s.measure(s.sized("catchup_s"), j.applied.Seconds())
	s.measure(s.sized("catchup_mb_per_s"), rate(j.state, j.applied.Seconds()))
	s.measure(s.sized("catchup_segments_s"), j.whole.Seconds())
	s.measure(s.sized("disk_write_mb_per_s"), rate(bytes, write))
	s.measure(s.sized("disk_read_mb_per_s"), rate(bytes, read))
	s.measure(s.sized("catchup_p99_before_ms"), percentile(before, 99))
	s.measure(s.sized("catchup_p99_during_ms"), percentile(during, 99))
	return nil
}

// steady writers, whose times are kept by what went on meanwhile.
type steady struct {
	cancel context.CancelFunc
	over   sync.WaitGroup

	mu   sync.Mutex
	what string
	took map[string][]float64 // ms
	err  error
}

// writeSteadily creates sessions at a node, each client one at its beat, until it
// is stopped. One that is late does not begin the next at once: what it waited
// for is in its time.
func (s *scaleRun) writeSteadily(ctx context.Context, n *scaleNode) (*steady, error) {
	n.who.key = s.made.Branch
	clients, err := n.callers(joinWriters)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	w := &steady{cancel: cancel, took: map[string][]float64{}}
	r := api.SessionRequest{Kind: "identity", Consent: api.Consent{TextVersion: "2026-03", GivenAt: time.Now().UTC(), Channel: "branch"}}
	for i, c := range clients {
		w.over.Go(func() {
			time.Sleep(joinPause / joinWriters * time.Duration(i))
			beat := time.NewTicker(joinPause)
			defer beat.Stop()
			for ctx.Err() == nil {
				begin := time.Now()
				_, err := c.CreateSession(ctx, "", r)
				if ctx.Err() == nil {
					w.add(time.Since(begin), err)
				}
				select {
				case <-ctx.Done():
				case <-beat.C:
				}
			}
		})
	}
	return w, nil
}

func (w *steady) add(took time.Duration, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.took[w.what] = append(w.took[w.what], milliseconds(took))
	if err != nil && w.err == nil {
		w.err = fmt.Errorf("a session could not be created: %w", err)
	}
}

// now something else goes on; "" what is not measured.
func (w *steady) now(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.what = what
}

// phase goes on for a while.
func (w *steady) phase(ctx context.Context, what string, d time.Duration) error {
	w.now(what)
	defer w.now("")
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func (w *steady) times(what string) []float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.took[what]
}

// stop the writers; an error where one of them was not served.
func (w *steady) stop() error {
	w.cancel()
	w.over.Wait()
	return w.err
}
