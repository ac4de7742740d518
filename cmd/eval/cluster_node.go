package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"gatehouse/appliance"
	"gatehouse/cluster"
	ways "gatehouse/cluster/peer" // peer is another program here
	"gatehouse/cluster/pki"
	"gatehouse/store/disk"
	"gatehouse/store/state"
)

// nodeOrder is what a node is told on its standard input. The first of the
// members founds the cluster.
type nodeOrder struct {
	Dir, Cluster, Node     string
	Key, Certificate, Root []byte // DER; the key in PKCS #8
	Members                members
}

// nodeAnswer is what it says on its standard output once it serves.
type nodeAnswer struct {
	Address string // of its front
}

// members of a cluster that does not change.
type members []nodeMember

type nodeMember struct {
	ID, Address string
	Key         [32]byte // its fingerprint
}

// Address of a member's port.
func (all members) Address(node string) (string, error) {
	for _, m := range all {
		if m.ID == node {
			return m.Address, nil
		}
	}
	return "", ways.ErrUnknown
}

// Admit a member.
func (all members) Admit(node string, key [32]byte) error {
	for _, m := range all {
		if m.ID == node && m.Key == key {
			return nil
		}
	}
	return ways.ErrUnknown
}

// clusterNode is one node of ours, in a process that clusterWrites starts, until
// its standard input ends: the log, the state, the port to the others and a
// front for HTTP/1.1, without the rest of the product.
func clusterNode(ctx context.Context, r *report, _ *flags) error {
	return serveNode(ctx, os.Stdin, r.out)
}

func serveNode(ctx context.Context, in io.Reader, out io.Writer) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer runtime.KeepAlive(appliance.Ballast()) // as the program has it
	var order nodeOrder
	if err := json.NewDecoder(in).Decode(&order); err != nil || len(order.Members) == 0 {
		return fmt.Errorf("%w: no order on standard input: %v", errUsage, err)
	}
	go func() { // whoever started this process has ended when its input does
		_, _ = io.Copy(io.Discard, in)
		cancel()
	}()
	n, err := order.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.port.Close(), n.close()) }()
	w := &writer{member: n.member}
	if order.first() {
		if w, err = n.found(ctx); err != nil {
			return err
		}
		delete(w.openings, recordWrites) // the values take their place
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	front := &http.Server{Handler: w.front()}
	served := make(chan error, 1)
	go func() { served <- front.Serve(l) }()
	if err := json.NewEncoder(out).Encode(nodeAnswer{l.Addr().String()}); err != nil {
		return errors.Join(err, front.Close())
	}
	select {
	case err := <-served:
		return err
	case err := <-n.broken:
		return errors.Join(err, front.Close())
	case <-ctx.Done():
		return front.Close()
	}
}

func (o *nodeOrder) first() bool { return o.Members[0].ID == o.Node }

func (o *nodeOrder) identity() (*ways.Identity, error) {
	key, err := pki.ParseKey(o.Key)
	if err != nil {
		return nil, err
	}
	cert, err := pki.Parse(o.Certificate)
	if err != nil {
		return nil, err
	}
	root, err := pki.Parse(o.Root)
	if err != nil {
		return nil, err
	}
	return &ways.Identity{Certificate: tls.Certificate{Certificate: [][]byte{cert.Raw, root.Raw}, PrivateKey: key, Leaf: cert}, Authorities: []*x509.Certificate{root}}, nil
}

// seat is a member that the others reach.
type seat struct {
	*member
	port   *ways.Port
	broken chan error // a promise: nothing may be answered any more
}

// open the member and its port.
func (o *nodeOrder) open(ctx context.Context) (_ *seat, err error) {
	identity, err := o.identity()
	if err != nil {
		return nil, err
	}
	address, err := o.Members.Address(o.Node)
	if err != nil {
		return nil, err
	}
	if err := disk.MkdirAll(o.Dir); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	port := ways.New(ways.Config{Listener: listener, Cluster: o.Cluster, Node: o.Node, Directory: o.Members, Log: log, Now: time.Now,
		Identity: func() (*ways.Identity, error) { return identity, nil }})
	go func() { _ = port.Run() }() // ends with the port
	defer func() {
		if err != nil {
			err = errors.Join(err, port.Close())
		}
	}()
	m := &member{id: o.Node, ended: make(chan error, 1)}
	if m.state, err = state.Open(filepath.Join(o.Dir, "state.db"), true); err != nil {
		return nil, err
	}
	how := cluster.Join
	if o.first() {
		how = cluster.Found
	}
	m.node, err = cluster.Open(ctx, cluster.Config{Cluster: "clu_a", Dir: filepath.Join(o.Dir, "raft"), ID: o.Node, State: m.state, Log: log, Port: port}, how)
	if err != nil {
		return nil, errors.Join(err, m.state.Close())
	}
	others := http.NewServeMux()
	m.node.Handle(others)
	port.Serve(ways.RPC, others)
	running, stop := context.WithCancel(ctx)
	m.stop = stop
	n := &seat{m, port, make(chan error, 1)}
	go func() {
		err := m.node.Run(running)
		if err != nil {
			n.broken <- err
		}
		m.ended <- err
	}()
	return n, nil
}
