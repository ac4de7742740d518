// Package ledger shows the audit logs: their events, found by what they are
// about, signed checkpoints, proofs against them, and bundles that an auditor
// verifies without this program's word for it. It also puts full segments of
// the logs away into files.
//
// It must never sign for a state that is not agreed on, never show a tenant
// another one's log, and never show an event before the reading is in the log.
package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/appliance/access"
	"gatehouse/appliance/act"
	"gatehouse/appliance/problem"
	"gatehouse/store/audit"
	"gatehouse/store/audit/segment"
	"gatehouse/store/audit/trust"
	"gatehouse/store/keys"
	"gatehouse/store/state"
)

// Cluster is asked before a log is read.
type Cluster interface{ Read(context.Context) error }

// Config of the ledger.
type Config struct {
	*act.Proposer
	Dir     string // of the segments' files and of what was signed last
	Cluster Cluster
	State   *state.State
	Keys    *keys.Store
	// Custody changes the logs' keys on all nodes.
	Custody interface {
		RotateSigning(context.Context) (old, fresh keys.SigningKey, err error)
		RetireSigning(ctx context.Context, id uint32) error
	}
	// Witness is this node's own key; Others the nodes that cosign as well. Without
	// others none does.
	Witness func() (*trust.Witness, error)
	Others  Others
	// Leading says whether this node has segments sealed for all.
	Leading func() bool
	// Tick lets time pass in the state, which anchors the logs that have grown.
	Tick    func(context.Context) error
	Log     *slog.Logger
	Version string
}

// Ledger is safe for concurrent use.
type Ledger struct {
	Config
	signer  *audit.Signer
	signing sync.Mutex // one at a time: a smaller size must not come second
	nonces  sync.Mutex // one at a time: none is written twice
	finder  *finder
}

// Open reads what was signed last and compares it with the state: a log that
// does not extend it is a fork, and the node must not serve.
func Open(c Config) (*Ledger, error) {
	signer, err := audit.OpenSigner(filepath.Join(c.Dir, "last-signed"), c.Keys.Signers)
	if err != nil {
		return nil, err
	}
	l := &Ledger{Config: c, signer: signer, finder: newFinder(c.Dir, c.State)}
	return l, l.Check()
}

// Check that the logs of the state extend what this node has signed of them, as
// after a start, and after another node has sent its state. Errors: audit's,
// state.ErrUnusable.
func (l *Ledger) Check() error {
	l.signing.Lock()
	defer l.signing.Unlock()
	logs, err := l.everyLog()
	if err != nil {
		return err
	}
	for _, name := range logs {
		log := l.State.Log(name)
		h, err := log.Head()
		if err != nil {
			return err
		}
		if err := log.Whole(); err != nil {
			return err
		}
		if strings.Contains(name, "/") { // of a closed epoch nothing is signed any more
			continue
		}
		if err := l.signer.Check(h.Origin, h.Size, log); err != nil {
			return fmt.Errorf("audit log %s: %w", h.Origin, err)
		}
	}
	return nil
}

// Logs of the cluster: the system's and each tenant's.
func (l *Ledger) Logs() (logs []string, err error) {
	return logs, l.State.View(func(v *state.View) error { logs, err = v.Logs(); return err })
}

// everyLog is Logs, and behind them those of closed epochs.
func (l *Ledger) everyLog() (logs []string, err error) {
	return logs, l.State.View(func(v *state.View) error { logs, err = v.EveryLog(); return err })
}

// Size of a log, and its origin.
func (l *Ledger) Size(log string) (origin string, size int64, err error) {
	h, err := l.State.Log(log).Head()
	return h.Origin, h.Size, err
}

// Scan gives leaves of a log in order. It is for the node's own use: the reading
// is not in the log.
func (l *Ledger) Scan(ctx context.Context, log string, from, to int64, do func(seq int64, leaf []byte) error) error {
	return l.State.Log(log).Scan(ctx, from, to, do)
}

// Which log a caller may read: the tenant's own, or the cluster's for its
// administrators.
func (l *Ledger) Which(c access.Caller, system bool) (string, error) {
	if !system {
		return c.Tenant, nil
	}
	if !c.Has(access.PlatformAdmin) {
		return "", problem.New(problem.Forbidden, "the system log is for platform_admin").In("log")
	}
	return audit.System, nil
}

// InEpoch names a log in an epoch, a closed one that is only shown or the present
// one; 0: the present one.
func (l *Ledger) InEpoch(log string, epoch int64) (string, error) {
	var present uint64
	if err := l.State.View(func(v *state.View) error { present = v.Epoch(); return nil }); err != nil {
		return "", err
	}
	switch {
	case epoch == 0, epoch == int64(present):
		return log, nil
	case epoch < 0, epoch > int64(present):
		return "", problem.New(problem.BadValue, "the logs have had epochs 1 to %d", present).In("epoch")
	}
	return state.InEpoch(log, uint64(epoch)), nil
}

// Checkpoint signs the head of a log as it stands.
func (l *Ledger) Checkpoint(ctx context.Context, log string) ([]byte, error) {
	if err := l.Cluster.Read(ctx); err != nil {
		return nil, err
	}
	l.signing.Lock()
	defer l.signing.Unlock()
	note, _, err := l.sign(log)
	return note, err
}

func (l *Ledger) sign(name string) (note []byte, size int64, err error) {
	log := l.State.Log(name)
	h, err := log.Head()
	if err != nil {
		return nil, 0, err
	}
	if h.Size == 0 {
		return nil, 0, problem.New(problem.NotFound, "the log is empty")
	}
	if note, err = l.signer.Sign(h.Origin, h.Size, log); errors.Is(err, segment.ErrDamaged) {
		err = damaged(err, h.Origin)
	}
	return note, h.Size, err
}

// Key is the text of the key that verifies a log's checkpoints.
func (l *Ledger) Key(log string) (string, error) {
	h, err := l.State.Log(log).Head()
	if err != nil {
		return "", err
	}
	return l.Keys.Verifier(h.Origin)
}

// Page of events.
type Page struct {
	Origin string
	Size   int64
	First  int64
	Leaves [][]byte
}

// Events gives up to limit events from a sequence number; a negative one
// counts from the end. That they were read is in the log before they leave.
func (l *Ledger) Events(ctx context.Context, c access.Caller, name string, from int64, limit int) (*Page, error) {
	if err := l.Cluster.Read(ctx); err != nil {
		return nil, err
	}
	log := l.State.Log(name)
	h, err := log.Head()
	if err != nil {
		return nil, err
	}
	p := &Page{Origin: h.Origin, Size: h.Size, First: from}
	if from < 0 {
		p.First = max(0, h.Size+from)
	}
	err = log.Scan(ctx, p.First, min(h.Size, p.First+int64(limit)), func(_ int64, leaf []byte) error {
		p.Leaves = append(p.Leaves, bytes.Clone(leaf))
		return nil
	})
	if err != nil {
		return nil, damaged(err, h.Origin)
	}
	if len(p.Leaves) == 0 { // nothing is shown
		return p, nil
	}
	return p, l.seen(ctx, c, name, map[string]string{"events": fmt.Sprintf("%d-%d", p.First, p.First+int64(len(p.Leaves))-1)})
}

// seen records that a log is about to be shown.
func (l *Ledger) seen(ctx context.Context, c access.Caller, log string, what map[string]string) error {
	e := act.Event(c, audit.AccessAudit, "log", log)
	e.Facts = what
	return l.Record(ctx, c, e)
}

// damaged says that a log cannot be read as it was written.
func damaged(err error, origin string) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, state.ErrClosed) {
		return err
	}
	return problem.New(problem.Damaged, "the audit log %s cannot be read", origin).Because(err)
}

// Proof that an event is in the log, under a checkpoint signed now, with the
// event's exact bytes.
func (l *Ledger) Proof(ctx context.Context, c access.Caller, name string, seq int64) (leaf, proof []byte, err error) {
	if err := l.Cluster.Read(ctx); err != nil {
		return nil, nil, err
	}
	p := audit.Proof{Index: seq}
	var size int64
	l.signing.Lock()
	p.Checkpoint, size, err = l.sign(name)
	l.signing.Unlock()
	if err != nil {
		return nil, nil, err
	}
	if seq >= size {
		return nil, nil, problem.New(problem.NotFound, "the log has no event %d", seq).In("seq")
	}
	log := l.State.Log(name)
	if p.Hashes, err = audit.InclusionProof(size, seq, log); err != nil {
		return nil, nil, damaged(err, name)
	}
	if leaf, err = log.Leaf(seq); err != nil {
		return nil, nil, damaged(err, name)
	}
	return leaf, p.Encode(), l.seen(ctx, c, name, map[string]string{"events": fmt.Sprint(seq)})
}

// Consistency proves that the log of size from is the beginning of that of
// size to (0: the present one).
func (l *Ledger) Consistency(ctx context.Context, name string, from, to int64) (origin string, size int64, proof []string, err error) {
	if err := l.Cluster.Read(ctx); err != nil {
		return "", 0, nil, err
	}
	log := l.State.Log(name)
	h, err := log.Head()
	if err != nil {
		return "", 0, nil, err
	}
	if size = to; size == 0 {
		size = h.Size
	}
	if from < 0 || from > size || size > h.Size {
		return "", 0, nil, problem.New(problem.BadValue, "from ≤ to ≤ %d, the size of the log", h.Size).In("from")
	}
	var all []tlog.Hash
	if all, err = audit.ConsistencyProof(from, size, log); errors.Is(err, audit.ErrProof) {
		return "", 0, nil, problem.New(problem.BadValue, "%v", err).In("from")
	} else if err != nil {
		return "", 0, nil, damaged(err, h.Origin)
	}
	for _, h := range all {
		proof = append(proof, h.String())
	}
	return h.Origin, size, proof, nil
}
