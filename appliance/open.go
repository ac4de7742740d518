package appliance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"gatehouse/appliance/access"
	"gatehouse/appliance/admin"
	"gatehouse/appliance/api"
	"gatehouse/appliance/decide"
	"gatehouse/appliance/forward"
	"gatehouse/appliance/health"
	"gatehouse/appliance/identify"
	"gatehouse/appliance/jobs"
	"gatehouse/appliance/ledger"
	"gatehouse/appliance/session"
	"gatehouse/appliance/verify"
	"gatehouse/cluster"
	"gatehouse/cluster/peer"
	"gatehouse/engine"
	"gatehouse/store/audit"
	"gatehouse/store/audit/trust"
	"gatehouse/store/blob"
	"gatehouse/store/command"
	"gatehouse/store/disk"
	"gatehouse/store/id"
	"gatehouse/store/keys"
	"gatehouse/store/state"
)

// openKeys reads whose directory it is and opens the seal where a key file
// does.
func (n *Node) openKeys() error {
	f, err := readNode(n.Data)
	if err != nil {
		return err
	}
	if f == nil {
		if _, err := os.Lstat(n.SealFile); err == nil {
			return fmt.Errorf("%w: the key file %s exists already and may be another node's: name a new one with --seal-file", ErrData, n.SealFile)
		}
		now := n.Now()
		f = &nodeFile{Format: nodeFormat, Cluster: id.New(id.Cluster, now, n.Rand), Node: id.New(id.Node, now, n.Rand), UID: os.Getuid(), SealFile: n.SealFile}
		if err := f.write(n.Data); err != nil {
			return err
		}
	}
	n.acts.Node, n.cluster, n.joined = f.Node, f.Cluster, f.Joined
	if err := n.addresses(f); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(n.Data, "seal.json")); errors.Is(err, os.ErrNotExist) {
		return n.createKeys(f)
	}
	if n.seal, err = keys.Open(n.Data, n.cluster); errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: %w: restore the whole directory from a backup", ErrData, err)
	} else if err != nil {
		return err
	}
	switch err := n.seal.UnsealFile(); {
	case errors.Is(err, keys.ErrNoSlot):
		n.Log.Warn("the node is sealed: no key file is among its slots")
	case err != nil:
		n.Log.Warn("the node stays sealed", "error", err)
	}
	return nil
}

// addresses are those that were given, or else those of the start before.
func (n *Node) addresses(f *nodeFile) error {
	before := *f
	for _, v := range []struct{ given, kept *string }{{&n.Peer, &f.Peer}, {&n.PeerListen, &f.PeerListen}, {&n.Name, &f.Name}} {
		if *v.given == "" {
			*v.given = *v.kept
		}
		*v.kept = *v.given
	}
	if *f == before {
		return nil
	}
	return f.write(n.Data)
}

// createKeys makes the keys of a new node. What a first start that was cut off
// has left of them opens nothing, and is put aside.
func (n *Node) createKeys(f *nodeFile) (err error) {
	// What is made after the keys, or was restored before them.
	for _, name := range []string{"raft", "state.db", "audit", "blobs", "jobs", "tls"} {
		if _, err := os.Stat(filepath.Join(n.Data, name)); err == nil {
			return fmt.Errorf("%w: seal.json is missing and %s is there: restore the whole directory from a backup", ErrData, name)
		}
	}
	for _, left := range []string{filepath.Join(n.Data, "keyring"), f.SealFile} {
		// Kept under another name: a wrong guess must not cost a key.
		if err := os.Rename(left, left+".left"); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	n.seal, err = keys.Create(n.Data, n.cluster, n.Rand, func(s *keys.Store) error {
		_, err := s.AddFile(f.SealFile)
		return err
	})
	return err
}

// openStores opens what has the node's history. Log and state go together: one
// that is gone is not made anew, unless the first start was cut off between.
func (n *Node) openStores(ctx context.Context) (err error) {
	path, dir := filepath.Join(n.Data, "state.db"), filepath.Join(n.Data, "raft")
	missing := func(name string) error {
		return fmt.Errorf("%w: %s is missing: restore the whole directory from a backup", ErrData, name)
	}
	if cluster.HalfRecovered(dir) {
		return fmt.Errorf("%w: a recovery was cut off at its end: 'gatehouse data recover --data %s' finishes it", ErrData, n.Data)
	}
	_, noState := os.Stat(path)
	hasLog := cluster.HasLog(dir)
	_, begun := os.Stat(filepath.Join(n.Data, "audit")) // made after the first entry
	if noState != nil && (hasLog || begun == nil) {
		return missing(path)
	}
	if n.blobs, err = blob.Open(n.Data, blob.Config{ReserveBytes: n.Reserve}); err != nil {
		return err
	}
	if _, err := n.blobs.Clean(); err != nil {
		return err
	}
	if n.state, err = state.OpenSoon(path, true); err != nil {
		return err
	}
	if index, _ := n.state.Applied(); !hasLog && (index > 0 || begun == nil) {
		return missing(filepath.Join(dir, "log"))
	}
	start := cluster.Found
	if n.joined {
		start = cluster.Join
	}
	n.raft, err = cluster.Open(ctx, cluster.Config{Dir: dir, Cluster: n.cluster, ID: n.acts.Node, State: n.state, Log: n.Log, Port: n.port,
		Committed: n.metrics.Commit, Applied: n.applied, Replaced: n.replaced}, start)
	n.acts.Cluster = n.raft
	return err
}

func (n *Node) openEngine() (err error) {
	if n.engine, err = engine.Open(n.Config.Engine); err != nil {
		return err
	}
	return n.engine.Warm()
}

func (n *Node) openServices() error {
	rules, err := decide.Default()
	if err != nil {
		return err
	}
	workers := n.engine.Workers() + 1 // as many as the verifier lets in
	queue := n.Queue
	if queue == 0 {
		queue = 32 * workers
	}
	n.jobs, err = jobs.New(jobs.Config{Dir: filepath.Join(n.Data, "jobs"), Workers: workers, Limit: queue,
		Run: func(ctx context.Context, j jobs.Job) error { return n.sessions.Work(ctx, j) },
		Failed: func(j jobs.Job, err error) {
			if errors.Is(err, blob.ErrSync) || errors.Is(err, disk.ErrSync) { // the job is as it was
				n.stop(err)
				return
			}
			n.sessions.Failed(j, err)
		}})
	if err != nil {
		return err
	}
	folder := filepath.Join(n.Data, "gallery")
	if err := disk.MkdirAll(folder); err != nil {
		return err
	}
	n.faces = identify.New(identify.Config{State: n.state, Keys: n.seal, Dir: folder, Room: func(bytes uint64) bool {
		free, _ := n.disk.Space()
		return free > bytes+n.Reserve
	},
		Calibration: &n.engine.Pack().Calibration.Match, Dimension: n.engine.Faces.Dimension(), Log: n.Log, Rand: n.Rand, Fatal: n.stop, Loaded: n.jobs.Resume})
	n.sessions = session.New(session.Config{Proposer: n.acts, Cluster: n.raft, State: n.state, Keys: n.seal, Blobs: n.blobs, Copies: n.replica, Engine: n.engine, Assign: n.assign, Elsewhere: n.elsewhere,
		Verify: verify.New(n.engine, rules, n.Now), Faces: n.faces, Jobs: n.jobs, Log: n.Log, Observe: n.metrics.Stage})
	audited := filepath.Join(n.Data, "audit")
	if err := disk.MkdirAll(audited); err != nil {
		return err
	}
	n.ledger, err = ledger.Open(ledger.Config{Proposer: n.acts, Dir: audited, Cluster: n.raft, State: n.state, Keys: n.seal, Custody: n.custody, Leading: n.raft.Leading,
		Witness: func() (*trust.Witness, error) { return n.identity.Witness(n.acts.Node) }, Others: &plane{n, peer.RPC}, Tick: n.anchor, Log: n.Log, Version: n.Version})
	if err != nil {
		return err
	}
	return n.openForward()
}

// openForward reads how far each sink of the audit logs has come.
func (n *Node) openForward() (err error) {
	c := forward.Config{Dir: filepath.Join(n.Data, "forward"), Logs: n.ledger, Leading: n.raft.Leading, Node: n.acts.Node, Version: n.Version, Log: n.Log, Now: n.Now}
	for _, address := range n.Forward {
		t, err := forward.ParseSink(address)
		if err != nil {
			return err
		}
		c.Sinks = append(c.Sinks, t)
	}
	n.forward, err = forward.New(c)
	return err
}

// own has a command of the node itself agreed on, in the cluster's own log.
func (n *Node) own(ctx context.Context, t command.Type, payload proto.Message, events ...*command.Event) error {
	_, err := n.acts.Propose(ctx, access.Caller{}, t, payload, nil, events...)
	return err
}

// found founds the cluster where it is new, and makes a setup code where
// nobody has used one.
func (n *Node) found(ctx context.Context) error {
	founded, setUp := true, false
	err := n.state.View(func(v *state.View) error {
		f, err := v.Founded()
		switch {
		case errors.Is(err, state.ErrNotFound):
			founded = false
			return nil
		case err != nil:
			return err
		case f.Cluster != n.cluster:
			return fmt.Errorf("%w: the state is of cluster %s, node.json of %s", ErrData, f.Cluster, n.cluster)
		}
		if active := v.Version(); active > command.Version {
			return fmt.Errorf("%w: the cluster has version %d of the commands, this program knows %d: install %s", command.ErrUnknown, active, command.Version, knowing(v, active))
		}
		setUp = v.SetUp()
		return nil
	})
	if err != nil {
		return err
	}
	if setUp || n.joined || len(n.directory.Others(n.acts.Node)) > 0 {
		return n.first(ctx)
	}
	code, hash, err := access.NewCode(n.Rand)
	if err != nil {
		return err
	}
	n.setupCode = code
	if founded {
		err = n.own(ctx, command.Type_RENEW_CODE, &command.RenewCode{SetupCode: hash[:]},
			&command.Event{Action: string(audit.KeyCreate), ObjectType: "setup_code", Result: string(audit.OK)})
	} else {
		err = n.own(ctx, command.Type_FOUND, &command.Found{Cluster: n.cluster, Node: n.acts.Node, SetupCode: hash[:], Version: command.Version},
			&command.Event{Action: string(audit.ClusterFound), ObjectType: "cluster", ObjectId: n.cluster, Result: string(audit.OK)})
	}
	if err != nil {
		return err
	}
	return n.first(ctx)
}

// knowing is the release that a version of the commands needs, as a member that
// knows it has told.
func knowing(v *state.View, version uint64) string {
	rows, err := v.Members()
	i := slices.IndexFunc(rows, func(m *command.Member) bool { return m.RemovedNs == 0 && uint64(m.Commands) >= version })
	if err != nil || i < 0 {
		return "the release that it ran before"
	}
	return "release " + rows[i].Release
}

// first makes a node that leads alone the first member of its cluster, where it
// has a port for others.
func (n *Node) first(ctx context.Context) error {
	if !n.raft.Leading() {
		return nil
	}
	return n.members.Found(ctx)
}

// begin says in the log that the node is there, and takes up the jobs.
func (n *Node) begin(ctx context.Context) error {
	if err := n.members.Announce(ctx); err != nil {
		return err
	}
	started := &command.Event{Action: string(audit.NodeStart), ObjectType: "node", ObjectId: n.acts.Node, Result: string(audit.OK), Facts: map[string]string{"version": n.Version}}
	loaded := &command.Event{Action: string(audit.ModelLoad), ObjectType: "pack", ObjectId: n.Config.Engine.Pack.ID, Result: string(audit.OK)}
	for _, net := range n.engine.Networks() {
		loaded.Models = append(loaded.Models, net.Model.Name+"@"+net.Model.SHA256)
	}
	if err := n.own(ctx, command.Type_RECORD, nil, started, loaded); err != nil {
		return err
	}
	return n.sessions.Resume(ctx)
}

// openServer makes the server, which answers what it can until the services are
// open.
func (n *Node) openServer() {
	n.handler.outside = n.members.Outside
	n.server = &http.Server{Handler: n.handler, TLSConfig: n.cert.config(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 32 << 10, HTTP2: &http.HTTP2Config{MaxReceiveBufferPerConnection: connectionBuffer, MaxReceiveBufferPerStream: streamBuffer}, ErrorLog: slog.NewLogLogger(n.Log.Handler(), slog.LevelDebug)}
}

func (n *Node) openAPI() error {
	sources := health.Sources{Node: n.raft, State: n.state, Keys: n.seal, Jobs: n.jobs, Disk: n.disk, Faces: n.faces, Forward: n.forward, Members: n.members, Copies: n.replica, Ring: n.custody.Current}
	n.metrics.Read(sources)
	n.jobs.Pause() // until the galleries are complete
	if !n.seal.Sealed() {
		n.faces.Load()
	}
	handler, err := api.New(api.Config{
		Version: n.Version, Sessions: n.sessions, Ledger: n.ledger, Members: n.members, Engine: n.engine, Sources: sources, Metrics: n.metrics, Log: n.Log, Now: n.Now,
		Admin: admin.New(admin.Config{Proposer: n.acts, Cluster: n.raft, State: n.state, Keys: n.seal, Custody: n.custody,
			Opened: n.faces.Load, Closing: n.jobs.Pause, Closed: func() {
				n.faces.Drop()
				n.jobs.Pause() // a load may have ended meanwhile
			}}),
		Acts: n.acts, Stopping: n.stopping, Fatal: n.stop, Single: 4 * n.engine.Workers(), Rate: requestRate, Concurrent: requestsAtOnce,
	})
	if err != nil {
		return err
	}
	n.handler.open(handler)
	return nil
}

const (
	// Of one credential. A branch system of a hundred counters polls at most
	// so much; what one node can decide is about four verifications a second.
	requestRate    = 200
	requestsAtOnce = 256
	// What of an upload waits in memory to be encrypted. With Go's own bounds,
	// about a megabyte, an upload took 0.9 to 1.2 MB of memory; with these 0.6
	// (requirement 13.4 allows one).
	connectionBuffer = 512 << 10
	streamBuffer     = 256 << 10
)
