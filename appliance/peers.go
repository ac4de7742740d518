package appliance

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"gatehouse/appliance/custody"
	"gatehouse/appliance/ledger"
	"gatehouse/appliance/member"
	"gatehouse/cluster"
	"gatehouse/cluster/peer"
	"gatehouse/cluster/replica"
	"gatehouse/store/audit"
	"gatehouse/store/blob"
	"gatehouse/store/command"
	"gatehouse/store/id"
	"gatehouse/store/state"
)

// handOverTime bounds how long a node that stops waits for another leader.
const handOverTime = 2 * time.Second

// reconcilePause between two looks for jobs of this node: many changes of
// sessions are one look.
const reconcilePause = 20 * time.Millisecond

// eventTime bounds an event that nobody waits for.
const eventTime = 10 * time.Second

// openPeers opens what the node has of the others, and its port where it has an
// address.
func (n *Node) openPeers() (err error) {
	dir := filepath.Join(n.Data, "peer")
	if n.identity, err = member.OpenIdentity(dir); err != nil {
		return err
	}
	if n.directory, err = member.OpenDirectory(dir, n.Log); err != nil {
		return err
	}
	if n.Peer == "" {
		if len(n.directory.Others(n.acts.Node)) > 0 {
			return fmt.Errorf("%w: the node is one of a cluster and needs --peer HOST:PORT, the address at which the others reach it", ErrData)
		}
		return nil
	}
	if host, port, err := net.SplitHostPort(n.Peer); err != nil || host == "" || port == "" || port == "0" || net.ParseIP(host).IsUnspecified() {
		return fmt.Errorf("%w: --peer %q is no address at which other nodes could reach this one", ErrData, n.Peer)
	}
	listen := n.PeerListen
	if listen == "" {
		listen = n.Peer
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("the port for the other nodes: %w", err)
	}
	n.port = peer.New(peer.Config{Listener: l, Cluster: n.cluster, Node: n.acts.Node, Identity: n.directory.Shown(n.identity), Directory: n.directory, Log: n.Log, Now: n.Now})
	return nil
}

// openMembers makes what speaks with the others, once there is a state.
func (n *Node) openMembers() {
	n.replica = replica.New(replica.Config{Blobs: n.blobs, Peers: &plane{n, peer.Blob}, Log: n.Log, Named: n.named, Stop: n.stop, Repaired: n.healed, Lost: n.missing})
	n.custody = custody.New(custody.Config{Proposer: n.acts, Keys: n.seal, State: n.state, Raft: leads{n.raft}, Members: &plane{n, peer.RPC}, Stop: n.stop, Log: n.Log})
	n.members = member.New(member.Config{Proposer: n.acts, Cluster: n.cluster, Release: n.Version, Address: n.Peer, Name: n.Name, Raft: n.raft, State: n.state,
		Keys: n.seal, Port: n.port, Identity: n.identity, Directory: n.directory, Local: n.local, Lost: n.lost, Log: n.Log})
	n.known.Store(true)
	n.directory.Follow(n.state)
	if n.port == nil {
		return
	}
	mux, join := http.NewServeMux(), http.NewServeMux()
	n.raft.Handle(mux)
	n.custody.Handle(mux)
	n.members.Handle(mux)
	n.members.HandleJoin(join)
	mux.HandleFunc("GET "+positionsPath, n.servePositions)
	mux.HandleFunc("POST "+ledger.CosignPath, func(w http.ResponseWriter, r *http.Request) {
		if !n.open.Load() {
			http.Error(w, "this node is not ready", http.StatusServiceUnavailable)
			return
		}
		n.ledger.ServeCosign(w, r)
	})
	n.port.Serve(peer.RPC, mux)
	files := http.NewServeMux()
	files.Handle("/blobs/", n.replica.Handler())
	files.HandleFunc("GET "+segmentsPath+"{log}/{segment}", n.serveSegment)
	n.port.Serve(peer.Blob, files)
	n.port.Serve(peer.Join, join)
}

// leads says who leads.
type leads struct{ *cluster.Node }

func (l leads) Leader() string { return l.Status().Leader }

// plane sends requests to the others.
type plane struct {
	n    *Node
	name peer.Plane
}

func (p *plane) Others() []string { return p.n.directory.Others(p.n.acts.Node) }

func (p *plane) Do(node string, r *http.Request) (*http.Response, error) {
	if p.n.port == nil {
		return nil, errors.New("the node has no port for other nodes")
	}
	return p.n.port.Do(p.name, node, r)
}

// named calls do for the blobs that the state named a moment ago: of those that it
// names since, the replica is told.
func (n *Node) named(ctx context.Context, do func(string) error) error {
	if err := n.raft.Read(ctx); err != nil {
		return err
	}
	for after := ""; ; {
		names, err := n.state.BlobNames(after, 1000)
		if err != nil || len(names) == 0 {
			return err
		}
		for _, name := range names {
			if err := errors.Join(ctx.Err(), do(name)); err != nil {
				return err
			}
		}
		after = names[len(names)-1]
	}
}

// healed and missing put into the audit log what became of a picture's copy here.
func (n *Node) healed(name string) { n.copy(audit.EvidenceHeal, audit.OK, name) }

func (n *Node) missing(name string) { n.copy(audit.EvidenceQuarantine, audit.Failed, name) }

func (n *Node) copy(action audit.Action, result audit.Result, name string) {
	ctx, cancel := context.WithTimeout(n.stopping, eventTime)
	defer cancel()
	sum, err := hex.DecodeString(name)
	if err == nil {
		err = n.own(ctx, command.Type_RECORD, nil, &command.Event{Action: string(action), ObjectType: "blob", ObjectSha256: sum, Result: string(result),
			Facts: map[string]string{"node": n.acts.Node}})
	}
	if err != nil && ctx.Err() == nil {
		n.Log.Warn("what became of a picture's copy is not in the audit log", "blob", name, "error", err)
	}
}

// local is what the node says of itself to the others.
func (n *Node) local() member.Report {
	free, _ := n.disk.Space()
	r := member.Report{Free: free, Full: n.disk.Full(), Missing: -1}
	if s := n.replica.Stats(); !s.LastPass.IsZero() {
		r.Missing = s.Missing
	}
	if n.open.Load() {
		s := n.jobs.Stats()
		r.Waiting, r.Running = s.Waiting+s.Batch, s.Running
		if !n.seal.Sealed() && n.custody.Current() { // else it could open nobody's pictures
			r.Workers = s.Workers
		}
	}
	n.watched(&r)
	return r
}

// lost gives the jobs of a node that is away to those that are there.
func (n *Node) lost(ctx context.Context, node string) {
	if !n.open.Load() {
		return
	}
	if err := n.sessions.Take(ctx, node, n.assign); err != nil && ctx.Err() == nil {
		n.Log.Warn("the jobs of a node that is away could not be given to others", "node", node, "error", err)
	}
}

// assign names the node that has least to do, of those that take jobs.
func (n *Node) assign() string { return n.members.Assign() }

// elsewhere names another node than this one, where there is one that takes jobs.
func (n *Node) elsewhere() string { return n.members.Elsewhere() }

// notices are what was applied and what follows from it, beside Raft's work.
type notices struct {
	jobs, members, tidy, replaced, inspect chan struct{}

	mu    sync.Mutex
	blobs []string // that no row names any more
}

func newNotices() *notices {
	return &notices{jobs: make(chan struct{}, 1), members: make(chan struct{}, 1), tidy: make(chan struct{}, 1), replaced: make(chan struct{}, 1), inspect: make(chan struct{}, 1)}
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// applied is told by Raft what was applied, by whichever node it was proposed.
func (n *Node) applied(answers []*command.Answer) {
	for _, a := range answers {
		if a == nil || a.Refusal != "" {
			continue
		}
		for _, one := range append(slices.Clone(a.Sessions), a.Id) {
			if strings.HasPrefix(one, string(id.Session)+"_") {
				if n.open.Load() {
					n.jobs.Changed(one)
				}
				poke(n.notices.jobs)
			}
		}
		switch kind, _, _ := strings.Cut(a.Id, "_"); {
		case a.Id == state.RingID && n.known.Load():
			n.custody.Wake()
		case kind == string(id.Node), a.Id == state.AuthorityID:
			poke(n.notices.members)
		case kind == string(id.Subject), kind == string(id.Block):
			poke(n.notices.tidy)
		}
		if len(a.Named) > 0 && n.known.Load() {
			n.replica.Wake(a.Named...)
		}
		if len(a.Blobs) > 0 {
			n.notices.mu.Lock()
			n.notices.blobs = append(n.notices.blobs, a.Blobs...)
			n.notices.mu.Unlock()
			poke(n.notices.tidy)
		}
	}
}

// replaced is told that another node has sent its state.
func (n *Node) replaced() {
	poke(n.notices.members)
	poke(n.notices.jobs)
	poke(n.notices.tidy)
	poke(n.notices.replaced)
	poke(n.notices.inspect)
	if n.known.Load() {
		n.custody.Wake()
		n.replica.Wake()
	}
}

// heed does what follows from what was applied, until ctx ends.
func (n *Node) heed(ctx context.Context) {
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-n.notices.members:
			n.directory.Follow(n.state)
			if err := n.members.Present(); err != nil {
				n.stop(err)
				return
			}
		case <-n.notices.jobs:
			err = n.sessions.Reconcile()
			time.Sleep(reconcilePause)
		case <-n.notices.tidy:
			err = n.tidy()
		}
		if err != nil && ctx.Err() == nil {
			n.Log.Warn("what was agreed on could not be followed", "error", err)
		}
	}
}

// heedReplaced makes the audit logs whole after another node has sent its state,
// and holds them against what this node has signed, until ctx ends.
func (n *Node) heedReplaced(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.notices.replaced:
		}
		err := n.fetchSegments(ctx)
		if err == nil {
			err = n.ledger.Check()
		}
		if err != nil && ctx.Err() == nil {
			n.stop(err)
			return
		}
	}
}

// tidy removes here what another node's erasure has ended: pictures, and faces
// from the galleries.
func (n *Node) tidy() error {
	n.notices.mu.Lock()
	names := n.notices.blobs
	n.notices.blobs = nil
	n.notices.mu.Unlock()
	_, err := n.sessions.Discard(names)
	if errors.Is(err, blob.ErrSync) {
		n.stop(err)
	}
	if err != nil {
		return err
	}
	var tenants []*command.Tenant
	if err := n.state.View(func(v *state.View) (err error) { tenants, err = v.Tenants(); return err }); err != nil {
		return err
	}
	for _, t := range tenants {
		if err := n.faces.Removed(t.Id); err != nil {
			return err
		}
	}
	return nil
}

// handOver lets another node lead, and gives away what no worker has begun.
func (n *Node) handOver() {
	if n.port == nil || len(n.directory.Others(n.acts.Node)) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), handOverTime)
	defer cancel()
	if err := n.sessions.HandOver(ctx, n.elsewhere); err != nil {
		n.Log.Warn("jobs that wait could not be given to another node", "error", err)
	}
	if n.raft.Leading() {
		if err := n.raft.Transfer(ctx, ""); err != nil && !errors.Is(err, cluster.ErrElsewhere) {
			n.Log.Warn("no other node leads yet", "error", err)
		}
	}
}
