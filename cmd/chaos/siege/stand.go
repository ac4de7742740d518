package siege

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"gatehouse/appliance/api"
	"gatehouse/appliance/client"
	"gatehouse/cmd/chaos/history"
	"gatehouse/cmd/chaos/lab"
	"gatehouse/cmd/chaos/trio"
)

const (
	// diskSize of a machine: far more than a run writes. It is sparse.
	diskSize = 2 << 30
	// reserve in MiB that the nodes keep free: the product's 1,024 would be half
	// of the disk.
	reserve = "64"
	// statusTime that a node has to say how it stands.
	statusTime = 2 * time.Second
)

// stand is one cluster in a lab of its own, until something is found.
type stand struct {
	dir     string
	lab     *lab.Lab
	cluster *trio.Cluster
	nodes   []*node
	key     string           // of a branch that may do everything but administer
	admins  []*client.Client // of each node
	branch  []*client.Client
	ops     *history.Log
	leader  int // the last that was known
	signers int // keys that sign each audit log: 1 or 2

	keeping context.CancelFunc
	keepers sync.WaitGroup
}

func (s *Siege) stand(ctx context.Context, dir string) (_ *stand, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	t := &stand{dir: dir, keeping: func() {}, signers: 1}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.close())
		}
	}()
	if t.ops, err = history.NewLog(filepath.Join(dir, "history.jsonl")); err != nil {
		return nil, err
	}
	if t.lab, err = lab.Open(ctx, lab.Config{Dir: filepath.Join(dir, "lab"), Seed: s.Seed}); err != nil {
		return nil, err
	}
	var hosts []*host
	t.cluster, err = trio.Form(ctx, trio.Config{Binary: s.Binary, Dir: dir, Nodes: 3, Flags: []string{"--reserve", reserve, "--workers", "1"},
		Dial: t.lab.Dial, Tell: s.Tell, Host: func(string) (trio.Host, error) {
			m, err := t.lab.AddMachine(ctx, diskSize)
			h := &host{Machine: m}
			hosts = append(hosts, h)
			return h, err
		}})
	if err != nil {
		return nil, err
	}
	for i, n := range t.cluster.Nodes {
		t.nodes = append(t.nodes, &node{Node: n, host: hosts[i], tell: s.Tell, again: make(chan struct{}, 1)})
	}
	if err := t.clients(ctx); err != nil {
		return nil, err
	}
	keeping, stop := context.WithCancel(context.WithoutCancel(ctx))
	t.keeping = stop
	for _, n := range t.nodes {
		t.keepers.Go(func() { n.keep(keeping) })
	}
	return t, nil
}

func (t *stand) clients(ctx context.Context) (err error) {
	for _, n := range t.nodes {
		c, err := t.cluster.Only(t.cluster.Admin, n.Node)
		if err != nil {
			return err
		}
		t.admins = append(t.admins, c)
	}
	made, err := t.admins[0].CreateClient(ctx, "", api.ClientRequest{Name: "branch", Roles: []api.Role{api.RoleOperator, api.RoleReviewer, api.RoleCompliance, api.RoleAuditor}})
	if err != nil {
		return err
	}
	t.key = *made.Key
	t.branch, err = t.all(t.key)
	return err
}

// all gives clients of each node alone.
func (t *stand) all(key string) (cs []*client.Client, err error) {
	for _, n := range t.nodes {
		c, err := t.cluster.Only(key, n.Node)
		if err != nil {
			return nil, err
		}
		cs = append(cs, c)
	}
	return cs, nil
}

// views are what each node says of the cluster; nil where it does not answer.
func (t *stand) views(ctx context.Context) []*api.Cluster {
	ctx, cancel := context.WithTimeout(ctx, statusTime)
	defer cancel()
	seen := make([]*api.Cluster, len(t.admins))
	var all sync.WaitGroup
	for i, c := range t.admins {
		all.Go(func() {
			if v, err := c.Cluster(ctx); err == nil {
				seen[i] = v
			}
		})
	}
	all.Wait()
	return seen
}

// leads gives the node that most of those who answer say leads, or else the last
// that did.
func (t *stand) leads(ctx context.Context) int {
	votes := make([]int, len(t.nodes))
	for _, v := range t.views(ctx) {
		if v == nil || !v.Quorum {
			continue
		}
		for _, m := range v.Members {
			for i, n := range t.nodes {
				if m.Node == v.Leader && m.Name == n.Name {
					votes[i]++
				}
			}
		}
	}
	for i, n := range votes {
		if n > votes[t.leader] || n > 0 && votes[t.leader] == 0 {
			t.leader = i
		}
	}
	return t.leader
}

// steady tells what is amiss; nil: every node says that all three are up and
// vote.
func (t *stand) steady(ctx context.Context) error {
	leader := ""
	for i, v := range t.views(ctx) {
		name := t.nodes[i].Name
		switch {
		case v == nil:
			return fmt.Errorf("%s does not answer", name)
		case !v.Quorum || v.Leader == "":
			return fmt.Errorf("%s knows no leader", name)
		case leader != "" && leader != v.Leader:
			return fmt.Errorf("%s says that %s leads, and not %s", name, v.Leader, leader)
		case len(v.Members) != len(t.nodes):
			return fmt.Errorf("%s knows %d members", name, len(v.Members))
		}
		leader = v.Leader
		for _, m := range v.Members {
			if !m.Up || m.Role == api.MemberRoleJoining {
				return fmt.Errorf("%s says that %s is not up: %s", name, m.Name, text(m.Error))
			}
		}
	}
	return nil
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// end lets the nodes stay down.
func (t *stand) end() error {
	t.keeping()
	t.keepers.Wait()
	var errs []error
	for _, n := range t.nodes {
		if n.Runs() {
			errs = append(errs, t.cluster.Stop(n.Node))
		}
	}
	return errors.Join(errs...)
}

// close everything; the images of the disks stay.
func (t *stand) close() error {
	t.keeping()
	t.keepers.Wait()
	if t.cluster != nil {
		t.cluster.Close()
	}
	var err error
	if t.lab != nil {
		err = t.lab.Close()
	}
	if t.ops != nil {
		err = errors.Join(err, t.ops.Close())
	}
	return err
}
