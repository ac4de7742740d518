package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"gatehouse/appliance"
)

// valueSize of what is written: the size of etcd's and Raft's own benchmarks.
const valueSize = 1024

// clusterFlags are those of cluster alone.
type clusterFlags struct {
	dir, etcd, rqlited string
	nodes              int
}

func (f *clusterFlags) set(fs *flag.FlagSet) {
	fs.StringVar(&f.dir, "dir", filepath.Join(buildDir, "bench-cluster"), "`DIR` for all data directories, on the disk that is to be measured (cluster)")
	fs.StringVar(&f.etcd, "etcd", filepath.Join(buildDir, "bench", "etcdpeer"), "the built `FILE` of cmd/eval/peers (cluster)")
	fs.StringVar(&f.rqlited, "rqlited", "", "rqlite's server, a `FILE`; else the one on PATH (cluster)")
	fs.IntVar(&f.nodes, "nodes", clusterNodes, "`N` nodes of each, 3 or 1; goals are for 3 (cluster)")
}

// clusterNodes agree on what the goals are about.
const clusterNodes = 3

// clusterPeer is a program whose nodes agree on writes.
type clusterPeer interface {
	// start gives servers with a leader, over an empty database.
	start(ctx context.Context, at place) (servers, error)
}

// servers of a cluster, each a process of its own.
type servers interface {
	// load writes to the leader; mark is called as the counting begins and
	// ends. Then what was acknowledged must be there.
	load(ctx context.Context, l loading, mark func() error) (loadResult, error)
	used() (used, error)
	stop()
}

// place of a cluster.
type place struct {
	dir   string
	nodes int
	procs int // GOMAXPROCS
}

// setting is what a rival is measured at.
type setting struct {
	rival   string
	procs   int
	clients int
}

// wrote is what it did there in one round.
type wrote struct {
	rate     float64 // writes per second
	p50, p99 float64 // ms
	cpu      float64 // s per 1,000 writes, of all servers
	written  float64 // bytes per write, of all servers
}

// clusterRun compares writes that are agreed on.
type clusterRun struct {
	*report
	dir    string
	nodes  int
	rounds int
	warm   time.Duration
	window time.Duration
	rivals []rival
	wrote  map[setting][]wrote // by round
	failed map[setting]string
}

// clusterWrites is behind make bench-cluster.
func clusterWrites(ctx context.Context, r *report, f *flags) (err error) {
	if f.cluster.nodes != clusterNodes && f.cluster.nodes != 1 {
		return fmt.Errorf("%w: --nodes %d; use %d or 1", errUsage, f.cluster.nodes, clusterNodes)
	}
	s := &clusterRun{report: r, nodes: f.cluster.nodes, rounds: 5, warm: time.Second, window: 3 * time.Second, wrote: map[setting][]wrote{}, failed: map[setting]string{}}
	if f.quick {
		s.rounds, s.window = 3, time.Second
	}
	if s.rivals, err = findRivals(ctx, &f.cluster); err != nil {
		return err
	}
	s.declare(s.clusterFigures()...)
	if err := os.MkdirAll(f.cluster.dir, 0o755); err != nil {
		return err
	}
	if s.dir, err = os.MkdirTemp(f.cluster.dir, "run-"); err != nil {
		return err
	}
	defer os.RemoveAll(s.dir)
	fmt.Fprintf(r.out, "%s, %d cores.\n\n", processor(), runtime.NumCPU())
	others, err := watchOthers()
	if err != nil {
		return err
	}
	for round := range s.rounds {
		fmt.Fprintf(s.progress, "writes, round %d/%d\n", round+1, s.rounds)
		if err := s.round(ctx); err != nil {
			return err
		}
	}
	share, err := others()
	if err != nil {
		return err
	}
	s.tell(share)
	return nil
}

// procsTried: as many as cores, and what 'gatehouse run' sets. Which is better
// depends on the program and on the clients.
func procsTried() []int {
	all := []int{runtime.NumCPU(), appliance.Processors()}
	slices.Sort(all)
	return slices.Compact(all)
}

// round measures each setting once. What is compared is measured one after the
// other, all else in random order.
func (s *clusterRun) round(ctx context.Context) error {
	clients := writeClients()
	rand.Shuffle(len(clients), func(i, j int) { clients[i], clients[j] = clients[j], clients[i] })
	for _, n := range clients {
		type turn struct {
			rival
			setting
		}
		var turns []turn
		for _, v := range s.rivals {
			for _, procs := range procsTried() {
				if v.because == "" {
					turns = append(turns, turn{v, setting{v.name, procs, n}})
				}
			}
		}
		rand.Shuffle(len(turns), func(i, j int) { turns[i], turns[j] = turns[j], turns[i] })
		for _, t := range turns {
			w, err := s.measureOne(ctx, t.peer, t.setting)
			if err != nil {
				return fmt.Errorf("%s with %d clients: %w", t.name, n, err)
			}
			s.wrote[t.setting] = append(s.wrote[t.setting], w)
		}
	}
	return nil
}

// measureOne loads one new cluster.
func (s *clusterRun) measureOne(ctx context.Context, peer clusterPeer, at setting) (w wrote, err error) {
	dir, err := os.MkdirTemp(s.dir, at.rival+"-")
	if err != nil {
		return w, err
	}
	// What this one leaves to be written must not slow down the next.
	defer func() { err = errors.Join(err, os.RemoveAll(dir), settleDisk(s.dir)) }()
	v, err := peer.start(ctx, place{dir, s.nodes, at.procs})
	if err != nil {
		return w, err
	}
	defer v.stop()
	var marks []used
	l, err := v.load(ctx, loading{at.clients, s.warm, s.window}, func() error {
		u, err := v.used()
		marks = append(marks, u)
		return err
	})
	switch {
	case err != nil:
		return w, err
	case l.Writes == 0:
		return w, fmt.Errorf("nothing was acknowledged, %d failed: %s", l.Failed, l.Why)
	case l.Failed > 0:
		s.failed[at] = fmt.Sprintf("%d writes failed in one round: %s", l.Failed, l.Why)
	}
	n := float64(l.Writes)
	return wrote{rate: n / l.Seconds, p50: l.P50, p99: l.P99,
		cpu: (marks[1].cpu - marks[0].cpu).Seconds() / n * 1000, written: (marks[1].written - marks[0].written) / n}, nil
}
