// Package ledger shows the audit logs: their events, signed checkpoints, and
// proofs against them.
//
// It must never sign for a state that is not agreed on, and never show a
// tenant another one's log.
package ledger

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/appliance/access"
	"gatehouse/appliance/problem"
	"gatehouse/store/audit"
	"gatehouse/store/command"
	"gatehouse/store/keys"
	"gatehouse/store/state"
)

// Cluster is asked before a log is read.
type Cluster interface{ Read(context.Context) error }

// Record has an event agreed on.
type Record func(ctx context.Context, c access.Caller, events ...*command.Event) error

// Ledger is safe for concurrent use.
type Ledger struct {
	cluster Cluster
	state   *state.State
	keys    *keys.Store
	signer  *audit.Signer
	record  Record
	signing sync.Mutex // one at a time: a smaller size must not come second
}

// Open reads what was signed last from path and compares it with the state: a
// log that does not extend it is a fork, and the node must not serve.
func Open(path string, c Cluster, s *state.State, k *keys.Store, record Record) (*Ledger, error) {
	signer, err := audit.OpenSigner(path, k.Signer)
	if err != nil {
		return nil, err
	}
	l := &Ledger{cluster: c, state: s, keys: k, signer: signer, record: record}
	return l, s.View(func(v *state.View) error {
		all, err := v.Tenants()
		if err != nil {
			return err
		}
		logs := []string{audit.System}
		for _, t := range all {
			logs = append(logs, t.Id)
		}
		for _, log := range logs {
			origin, err := v.Origin(log)
			if err != nil {
				return err
			}
			size, err := v.Head(log)
			if err != nil {
				return err
			}
			if err := signer.Check(origin, int64(size), v.Hashes(log)); err != nil {
				return fmt.Errorf("audit log %s: %w", origin, err)
			}
		}
		return nil
	})
}

// Log that a caller may read: the tenant's own, or the cluster's for its
// administrators.
func (l *Ledger) Log(c access.Caller, system bool) (string, error) {
	if !system {
		return c.Tenant, nil
	}
	if !c.Has(access.PlatformAdmin) {
		return "", problem.New(problem.Forbidden, "the system log is for platform_admin").In("log")
	}
	return audit.System, nil
}

// Checkpoint signs the head of a log as it stands.
func (l *Ledger) Checkpoint(ctx context.Context, log string) ([]byte, error) {
	if err := l.cluster.Read(ctx); err != nil {
		return nil, err
	}
	l.signing.Lock()
	defer l.signing.Unlock()
	note, _, err := l.sign(log)
	return note, err
}

func (l *Ledger) sign(log string) (note []byte, size int64, err error) {
	var origin string
	err = l.state.View(func(v *state.View) error {
		n, err := v.Head(log)
		if err != nil {
			return err
		}
		if n == 0 {
			return problem.New(problem.NotFound, "the log is empty")
		}
		size = int64(n)
		origin, err = v.Origin(log)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	note, err = l.signer.Sign(origin, size, hashes{l.state, log})
	return note, size, err
}

// hashes of a log, each read by itself: those of a size never change, and the
// state is not held while a signature is made durable.
type hashes struct {
	state *state.State
	log   string
}

func (h hashes) Hash(index int64) (hash tlog.Hash, err error) {
	err = h.state.View(func(v *state.View) (err error) {
		hash, err = v.Hashes(h.log).Hash(index)
		return err
	})
	return hash, err
}

// Key is the text of the key that verifies a log's checkpoints.
func (l *Ledger) Key(log string) (string, error) {
	var origin string
	err := l.state.View(func(v *state.View) (err error) {
		origin, err = v.Origin(log)
		return err
	})
	if err != nil {
		return "", err
	}
	return l.keys.Verifier(origin)
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
func (l *Ledger) Events(ctx context.Context, c access.Caller, log string, from int64, limit int) (*Page, error) {
	if err := l.cluster.Read(ctx); err != nil {
		return nil, err
	}
	p := &Page{First: from}
	err := l.state.View(func(v *state.View) error {
		size, err := v.Head(log)
		if err != nil {
			return err
		}
		if p.Origin, err = v.Origin(log); err != nil {
			return err
		}
		p.Size = int64(size)
		if from < 0 {
			p.First = max(0, p.Size+from)
		}
		for i := p.First; i < min(p.Size, p.First+int64(limit)); i++ {
			b, err := v.Leaf(log, uint64(i))
			if err != nil {
				return fmt.Errorf("event %d of %s: %w", i, p.Origin, err)
			}
			p.Leaves = append(p.Leaves, b)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(p.Leaves) == 0 { // nothing is shown
		return p, nil
	}
	return p, l.seen(ctx, c, log, fmt.Sprintf("%d-%d", p.First, p.First+int64(len(p.Leaves))-1))
}

func (l *Ledger) seen(ctx context.Context, c access.Caller, log, which string) error {
	return l.record(ctx, c, &command.Event{Action: string(audit.AccessAudit), ObjectType: "log", ObjectId: log,
		Result: string(audit.OK), RequestId: c.Request, Route: c.Route, Facts: map[string]string{"events": which}})
}

// Proof that an event is in the log, under a checkpoint signed now, with the
// event's exact bytes.
func (l *Ledger) Proof(ctx context.Context, c access.Caller, log string, seq int64) (leaf, proof []byte, err error) {
	if err := l.cluster.Read(ctx); err != nil {
		return nil, nil, err
	}
	l.signing.Lock()
	defer l.signing.Unlock()
	p := audit.Proof{Index: seq}
	var size int64
	if p.Checkpoint, size, err = l.sign(log); err != nil {
		return nil, nil, err
	}
	if seq >= size {
		return nil, nil, problem.New(problem.NotFound, "the log has no event %d", seq).In("seq")
	}
	if p.Hashes, err = audit.InclusionProof(size, seq, hashes{l.state, log}); err != nil {
		return nil, nil, err
	}
	if err := l.state.View(func(v *state.View) (err error) { leaf, err = v.Leaf(log, uint64(seq)); return err }); err != nil {
		return nil, nil, err
	}
	return leaf, p.Encode(), l.seen(ctx, c, log, fmt.Sprint(seq))
}

// Consistency proves that the log of size from is the beginning of that of
// size to (0: the present one).
func (l *Ledger) Consistency(ctx context.Context, log string, from, to int64) (origin string, size int64, proof []string, err error) {
	if err := l.cluster.Read(ctx); err != nil {
		return "", 0, nil, err
	}
	err = l.state.View(func(v *state.View) error {
		n, err := v.Head(log)
		if err != nil {
			return err
		}
		if origin, err = v.Origin(log); err != nil {
			return err
		}
		if size = to; size == 0 {
			size = int64(n)
		}
		if from < 0 || from > size || size > int64(n) {
			return problem.New(problem.BadValue, "from ≤ to ≤ %d, the size of the log", n).In("from")
		}
		all, err := audit.ConsistencyProof(from, size, v.Hashes(log))
		for _, h := range all {
			proof = append(proof, h.String())
		}
		return err
	})
	if errors.Is(err, audit.ErrProof) {
		err = problem.New(problem.BadValue, "%v", err).In("from")
	}
	return origin, size, proof, err
}
