package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"gatehouse/appliance"
	"gatehouse/cluster"
	"gatehouse/store/command"
	"gatehouse/store/id"
	"gatehouse/store/state"
)

// writeClients at a time.
func writeClients() []int { return []int{1, 16, 64} }

// plainProcs is set beside it, to see what that is worth.
const plainProcs = 2

func writeName(kind writeKind, clients, procs int, what string) string {
	name := "writes_"
	if kind == evidenceWrites {
		name = "evidence_writes_"
	}
	name += fmt.Sprint(clients) + what
	if procs != appliance.Processors() {
		name += fmt.Sprintf("_gomaxprocs_%d", procs)
	}
	return name
}

func writeFigures() []figure {
	all := []figure{info("append_fdatasync", "per_s", 0)}
	for _, procs := range []int{appliance.Processors(), plainProcs} {
		for _, kind := range []writeKind{recordWrites, evidenceWrites} {
			for _, n := range writeClients() {
				all = append(all, info(writeName(kind, n, procs, "_clients"), "per_s", 0), info(writeName(kind, n, procs, "_over_fdatasync"), "ratio", 2))
			}
		}
	}
	return all
}

// cell is one place of the table: medians over the rounds.
type cell struct {
	procs, clients int
	kind           writeKind
}

// writes measures commands agreed on, and beside each the same bytes appended
// to a file by one writer that syncs each.
func (s *serviceRun) writes(ctx context.Context) (err error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	m, err := openMember(ctx, filepath.Join(s.dir, "writes"), "clu_a", newID(id.Node))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.close()) }()
	w, err := m.found(ctx)
	if err != nil {
		return err
	}
	rounds, window := s.or(1, 4), s.seconds(0.5, 1)
	rates, ratios, syncs := map[cell][]float64{}, map[cell][]float64{}, map[int][]float64{}
	for round := range rounds {
		fmt.Fprintf(s.progress, "writes, round %d/%d\n", round+1, rounds)
		for _, procs := range []int{appliance.Processors(), plainProcs} {
			runtime.GOMAXPROCS(procs)
			for _, n := range writeClients() {
				plain, err := s.appended(ctx, w, window)
				if err != nil {
					return err
				}
				syncs[procs] = append(syncs[procs], plain)
				for _, kind := range []writeKind{recordWrites, evidenceWrites} {
					rate, err := w.rate(ctx, kind, n, window)
					if err != nil {
						return err
					}
					c := cell{procs, n, kind}
					rates[c], ratios[c] = append(rates[c], rate), append(ratios[c], rate/plain)
				}
			}
		}
	}
	t := table{title: "Commands agreed on and applied, by a cluster of one", head: []string{"command", "GOMAXPROCS", "clients", "per second", "over append+fdatasync"},
		note: fmt.Sprintf("Commands of %d bytes with one event each: a record of an access, and evidence added to sessions (every twentieth makes the next\nsession). Medians of %d block(s) of %s each, in turn with one writer that appends the same bytes to a file on the same disk and\nsyncs each: %.0f per second with GOMAXPROCS %d, %.0f with %d.",
			commandSize, rounds, window, median(syncs[appliance.Processors()]), appliance.Processors(), median(syncs[plainProcs]), plainProcs)}
	for _, procs := range []int{appliance.Processors(), plainProcs} {
		for _, kind := range []writeKind{recordWrites, evidenceWrites} {
			for _, n := range writeClients() {
				c := cell{procs, n, kind}
				rate, ratio := median(rates[c]), median(ratios[c])
				s.measure(writeName(kind, n, procs, "_clients"), rate)
				s.measure(writeName(kind, n, procs, "_over_fdatasync"), ratio)
				t.add(string(kind), fmt.Sprint(procs), fmt.Sprint(n), fmt.Sprintf("%.0f", rate), fmt.Sprintf("%.2f", ratio))
			}
		}
	}
	s.measure("append_fdatasync", median(syncs[appliance.Processors()]))
	s.table(t)
	return nil
}

// appended counts the records that one writer appends to a new file in a
// second, each synced before the next.
func (s *serviceRun) appended(ctx context.Context, w *writer, window time.Duration) (perSecond float64, err error) {
	c, err := w.record()
	if err != nil {
		return 0, err
	}
	b, err := command.Encode(c)
	if err != nil {
		return 0, err
	}
	f, err := os.CreateTemp(s.dir, "append-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	n, begin := 0, time.Now()
	for time.Since(begin) < window && ctx.Err() == nil {
		if _, err := f.Write(b); err != nil {
			return 0, err
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return 0, fmt.Errorf("fdatasync: %w", err)
		}
		n++
	}
	return float64(n) / time.Since(begin).Seconds(), ctx.Err()
}

// rate counts the commands that so many clients have agreed on in a second.
func (w *writer) rate(ctx context.Context, kind writeKind, clients int, window time.Duration) (perSecond float64, err error) {
	var wg sync.WaitGroup
	counts, errs := make([]int, clients), make([]error, clients)
	begin := time.Now()
	for i := range clients {
		wg.Go(func() {
			next := w.source(kind)
			for time.Since(begin) < window && errs[i] == nil {
				var c *command.Command
				if c, errs[i] = next(); errs[i] == nil {
					errs[i] = w.propose(ctx, c)
				}
				counts[i]++
			}
		})
	}
	wg.Wait()
	took := time.Since(begin).Seconds()
	for _, n := range counts {
		perSecond += float64(n) / took
	}
	return perSecond, errors.Join(errs...)
}

// member is a cluster of one, without the rest of a node.
type member struct {
	node  *cluster.Node
	state *state.State
	id    string
	stop  context.CancelFunc
	ended chan error
}

// openMember opens the log and the state of a data directory, a node's of a
// cluster, or makes them.
func openMember(ctx context.Context, dir, of, node string) (*member, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	m := &member{id: node, ended: make(chan error, 1)}
	var err error
	if m.state, err = state.Open(filepath.Join(dir, "state.db"), true); err != nil {
		return nil, err
	}
	m.node, err = cluster.Open(ctx, cluster.Config{Cluster: of, Dir: filepath.Join(dir, "raft"), ID: node, State: m.state, Log: slog.New(slog.DiscardHandler)}, cluster.Found)
	if err != nil {
		return nil, errors.Join(err, m.state.Close())
	}
	running, stop := context.WithCancel(ctx)
	m.stop = stop
	go func() { m.ended <- m.node.Run(running) }()
	return m, nil
}

func (m *member) close() error {
	m.stop()
	return errors.Join(<-m.ended, m.node.Close(), m.state.Close())
}
