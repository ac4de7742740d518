package main

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"gatehouse/cluster/pki"
	"gatehouse/store/id"
)

// ourPeer is this program, as clusterNode.
type ourPeer struct{}

type ourServers struct {
	processes
	fronts []string // URLs; the first one leads
	caller *caller
}

// start has the first node found the cluster and the others join it.
func (ourPeer) start(ctx context.Context, at place) (_ servers, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	orders, err := ordersFor(at)
	if err != nil {
		return nil, err
	}
	s := &ourServers{caller: newCaller(1)}
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	for _, o := range orders {
		p, err := startProcess(ctx, o.Dir+".log", at.procs, self, "cluster-node")
		if err != nil {
			return nil, err
		}
		s.processes = append(s.processes, p)
		if err := json.NewEncoder(p.in).Encode(o); err != nil {
			return nil, p.fault(err)
		}
		var said nodeAnswer
		if err := p.hear(&said); err != nil {
			return nil, err
		}
		s.fronts = append(s.fronts, "http://"+said.Address)
	}
	for i, o := range orders[1:] {
		if _, err := s.caller.ask(ctx, s.fronts[0]+memberPath, "", []byte(o.Node)); err != nil {
			return nil, err
		}
		if _, err := s.caller.ask(ctx, s.fronts[i+1]+readyPath, "", nil); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// ordersFor the nodes of a cluster, each certified by the same authority.
func ordersFor(at place) ([]nodeOrder, error) {
	name, now := newID(id.Cluster), time.Now()
	authority, err := pki.NewAuthority(name, now, rand.Reader)
	if err != nil {
		return nil, err
	}
	free, err := freeAddresses(at.nodes)
	if err != nil {
		return nil, err
	}
	orders, all := make([]nodeOrder, at.nodes), members{}
	for i := range orders {
		o := nodeOrder{Dir: filepath.Join(at.dir, fmt.Sprintf("n%d", i+1)), Cluster: name, Node: newID(id.Node), Root: authority.Certificate.Raw}
		key, err := pki.NewKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		request, err := pki.Request(key, rand.Reader)
		if err != nil {
			return nil, err
		}
		cert, err := authority.Issue(request, name, o.Node, now, rand.Reader)
		if err != nil {
			return nil, err
		}
		if o.Key, err = x509.MarshalPKCS8PrivateKey(key); err != nil {
			return nil, err
		}
		o.Certificate = cert.Raw
		orders[i] = o
		all = append(all, nodeMember{ID: o.Node, Address: free[i], Key: pki.Fingerprint(cert)})
	}
	for i := range orders {
		orders[i].Members = all
	}
	return orders, nil
}

func (s *ourServers) load(ctx context.Context, l loading, mark func() error) (r loadResult, err error) {
	c := newCaller(l.clients)
	defer c.CloseIdleConnections()
	before, err := s.events(ctx)
	if err != nil {
		return r, err
	}
	value := bytesOf(valueSize)
	r, err = l.drive(ctx, mark, func(ctx context.Context, _ int64) error {
		_, err := c.ask(ctx, s.fronts[0]+writePath, "application/octet-stream", value)
		return err
	})
	if err != nil {
		return r, err
	}
	after, err := s.events(ctx)
	if err == nil && after-before < int64(r.All) {
		err = fmt.Errorf("%d writes were acknowledged, %d are there", r.All, after-before)
	}
	return r, err
}

// events of the tenant, at the node that leads.
func (s *ourServers) events(ctx context.Context) (n int64, err error) {
	b, err := s.caller.ask(ctx, s.fronts[0]+eventsPath, "", nil)
	if err == nil {
		err = json.Unmarshal(b, &n)
	}
	return n, err
}

func (s *ourServers) stop() {
	s.caller.CloseIdleConnections()
	s.processes.stop()
}
