// Package appliance is the product: it puts the parts of a node together,
// starts them in order and stops them in reverse.
//
// It is the one place that knows them all, and must never do their work.
package appliance

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"time"

	"gatehouse/appliance/act"
	"gatehouse/appliance/custody"
	"gatehouse/appliance/forward"
	"gatehouse/appliance/health"
	"gatehouse/appliance/identify"
	"gatehouse/appliance/jobs"
	"gatehouse/appliance/ledger"
	"gatehouse/appliance/member"
	"gatehouse/appliance/session"
	"gatehouse/cluster"
	"gatehouse/cluster/peer"
	"gatehouse/cluster/replica"
	"gatehouse/cluster/watch"
	"gatehouse/engine"
	"gatehouse/store/blob"
	"gatehouse/store/disk"
	"gatehouse/store/keys"
	"gatehouse/store/state"
)

// Config of a node.
type Config struct {
	Data    string // directory
	Listen  string // address of the API
	Names   []string
	Version string
	// Certificate and Key are the bank's files; empty: the node's own.
	Certificate, Key string
	// SealFile is where the first slot's key file is made; empty: beside the
	// data directory, so that a copy of the one does not hold the other.
	SealFile string
	Engine   engine.Config
	// Peer is the address at which the other nodes of the cluster reach this one,
	// host:port; PeerListen where it waits for them, if that is another. Empty:
	// those of the start before; at first none, and no node can join.
	Peer, PeerListen string
	// Name of the node for people; empty: that of the start before.
	Name string
	// Queue of waiting verifications; 0: 32 for each worker, about 16 s of work.
	Queue int
	// Stall is how long the disk may take for a write before the node, where it
	// leads, hands over or ends; 0: 4 s.
	Stall time.Duration
	// Reserve of free bytes below which new evidence is refused; 0: 1 GiB.
	Reserve uint64
	// Forward the audit logs to these addresses (forward.ParseSink).
	Forward []string
	Log     *slog.Logger
	Now     func() time.Time
	Rand    io.Reader
}

// Node is one running appliance.
type Node struct {
	Config
	acts    *act.Proposer
	cluster string

	lock      io.Closer
	seal      *keys.Store
	state     *state.State
	blobs     *blob.Store
	raft      *cluster.Node
	port      *peer.Port // nil: nobody reaches it
	identity  *member.Identity
	directory *member.Directory
	members   *member.Service
	custody   *custody.Custody
	replica   *replica.Replica
	notices   *notices
	engine    *engine.Engine
	disk      *health.Disk
	probe     *watch.Disk
	watch     *watch.Dog
	jobs      *jobs.Pool
	faces     *identify.Keeper
	sessions  *session.Service
	ledger    *ledger.Ledger
	forward   *forward.Forwarder
	metrics   *health.Metrics
	cert      *certificate
	listener  net.Listener
	server    *http.Server
	handler   *handler
	joined    bool
	open      atomic.Bool // the services are
	known     atomic.Bool // what speaks with the others is: Raft tells of entries before
	loaded    chan error  // of the models

	fatal     chan error
	stopping  context.Context // ends when the node begins to stop
	hurry     context.CancelFunc
	setupCode string
}

// New checks the configuration. Open starts the node.
func New(c Config) (*Node, error) {
	if c.Data == "" || c.Listen == "" {
		return nil, fmt.Errorf("%w: it needs a directory and an address", ErrData)
	}
	if (c.Certificate == "") != (c.Key == "") {
		return nil, fmt.Errorf("%w: give both the certificate and its key", ErrCertificate)
	}
	dir, err := filepath.Abs(c.Data)
	if err != nil {
		return nil, err
	}
	c.Data = dir
	if c.SealFile == "" {
		c.SealFile = c.Data + ".seal"
	}
	if c.Reserve == 0 {
		c.Reserve = 1 << 30
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	n := &Node{Config: c, notices: newNotices(), handler: &handler{}, loaded: make(chan error, 1), acts: &act.Proposer{Now: c.Now, Rand: c.Rand}, fatal: make(chan error, 1), metrics: health.NewMetrics(c.Version)}
	n.stopping, n.hurry = context.WithCancel(context.Background())
	return n, nil
}

// Open opens what is kept, joins the cluster, loads the models and listens.
// What it opened is closed where it fails.
func (n *Node) Open(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close())
		}
	}()
	if err := harden(); err != nil { // before there is a key
		return err
	}
	if err := disk.MkdirAll(n.Data); err != nil {
		return err
	}
	if n.lock, err = disk.Lock(filepath.Join(n.Data, "lock")); err != nil {
		return err
	}
	if err := n.openKeys(); err != nil {
		return err
	}
	if n.cert, err = openCertificate(&n.Config); err != nil {
		return err
	}
	// The port before the slow parts: one that is taken is known at once.
	if n.listener, err = net.Listen("tcp", n.Listen); err != nil {
		return err
	}
	if n.disk, err = health.NewDisk(n.Data, n.Reserve); err != nil {
		return err
	}
	if err := n.openPeers(); err != nil {
		return err
	}
	// Raft waits about a second before it elects, and the models take half of
	// one: side by side.
	go func() { n.loaded <- n.openEngine() }()
	if err := n.openStores(ctx); err != nil {
		return errors.Join(err, <-n.loaded)
	}
	n.openMembers()
	if err := errors.Join(n.members.Present(), n.openWatch()); err != nil {
		return errors.Join(err, <-n.loaded)
	}
	n.openServer()
	if n.raft.Leading() { // it is alone
		return n.arrive(ctx)
	}
	return nil
}

// arrive opens the services once the node holds what was agreed on.
func (n *Node) arrive(ctx context.Context) error {
	err := n.raft.Ready(ctx)
	if err == nil {
		err = n.insist(ctx, n.found)
	}
	if err := errors.Join(err, <-n.loaded); err != nil {
		return err
	}
	if err := n.custody.Follow(ctx); err != nil { // it is asked for again, and the API says so meanwhile
		n.Log.Warn("the key-ring that is in force is not here yet", "error", err)
	}
	if err := n.fetchSegments(ctx); err != nil {
		return err
	}
	if err := n.openServices(); err != nil {
		return err
	}
	if err := n.insist(ctx, n.begin); err != nil {
		return err
	}
	if err := n.openAPI(); err != nil {
		return err
	}
	n.open.Store(true)
	n.replica.Wake() // what it missed while it was away
	return nil
}

// insist on a step of the start: where the leader is lost meanwhile it is done
// again, once there is one. An event may then be there twice.
func (n *Node) insist(ctx context.Context, step func(context.Context) error) error {
	for {
		err := step(ctx)
		if n.port == nil || !errors.Is(err, cluster.ErrUnavailable) {
			return err
		}
		n.Log.Info("the start waits for a leader", "error", err)
		if err := n.raft.Ready(ctx); err != nil {
			return err
		}
	}
}

// SetupCode is the one-time code of a node that nobody has set up; else "".
func (n *Node) SetupCode() string { return n.setupCode }

// Address where the API listens.
func (n *Node) Address() string { return n.listener.Addr().String() }

// Fingerprint is the SHA-256 of the API's certificate.
func (n *Node) Fingerprint() string { return n.cert.fingerprint() }

// CertificateFile is what a client pins.
func (n *Node) CertificateFile() string { return n.cert.certFile }

// Sealed says whether the node waits to be unsealed.
func (n *Node) Sealed() bool { return n.seal.Sealed() }

// stop ends the process for a broken promise.
func (n *Node) stop(err error) {
	select {
	case n.fatal <- err:
	default:
	}
}
