package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
)

// etcdPeer is etcd, by the program that the module peers makes.
type etcdPeer struct{ program string }

type etcdServers struct {
	processes
	etcdPeer
	place
	urls []string // for clients
}

func (e etcdPeer) start(ctx context.Context, at place) (_ servers, err error) {
	free, err := freeAddresses(2 * at.nodes)
	if err != nil {
		return nil, err
	}
	s := &etcdServers{etcdPeer: e, place: at}
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	var names, peers []string
	for i := range at.nodes {
		names = append(names, fmt.Sprintf("n%d", i+1))
		s.urls = append(s.urls, "http://"+free[2*i])
		peers = append(peers, names[i]+"=http://"+free[2*i+1])
	}
	for i, name := range names {
		p, err := startProcess(ctx, filepath.Join(at.dir, name+".log"), at.procs, e.program, "serve", "--name", name, "--dir", filepath.Join(at.dir, name),
			"--client", s.urls[i], "--peer", strings.TrimPrefix(peers[i], name+"="), "--cluster", strings.Join(peers, ","))
		if err != nil {
			return nil, err
		}
		s.processes = append(s.processes, p)
	}
	for _, p := range s.processes {
		var said struct{ Ready bool }
		if err := p.hear(&said); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// load runs the clients in a process of their own, as ours are in this one: the
// product does not depend on etcd's client.
func (s *etcdServers) load(ctx context.Context, l loading, mark func() error) (r loadResult, err error) {
	p, err := startProcess(ctx, filepath.Join(s.dir, "load.log"), 0, s.program, "load", "--endpoints", strings.Join(s.urls, ","),
		"--clients", fmt.Sprint(l.clients), "--value", fmt.Sprint(valueSize), "--warm", l.warm.String(), "--window", l.window.String())
	if err != nil {
		return r, err
	}
	defer p.end()
	for range 2 {
		var said string
		if err := p.hear(&said); err != nil {
			return r, err
		}
		if err := mark(); err != nil {
			return r, err
		}
	}
	if err := p.hear(&r); err != nil {
		return r, err
	}
	return r, p.wait()
}
