package ledger

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"gatehouse/appliance/access"
	"gatehouse/appliance/act"
	"gatehouse/appliance/problem"
	"gatehouse/store/audit"
	"gatehouse/store/audit/trust"
	"gatehouse/store/command"
	"gatehouse/store/keys"
)

// Cosigned is a witness's signature that the log keeps.
type Cosigned struct {
	Origin  string
	Size    int64
	Witness string
	At      time.Time
}

// Cosign keeps the signature that a witness gave to a checkpoint: of the
// caller's log or, for administrators, of the cluster's. Both are verified
// first, and the log has it when it returns.
func (l *Ledger) Cosign(ctx context.Context, c access.Caller, vkey string, checkpoint []byte) (*Cosigned, error) {
	if err := l.Cluster.Read(ctx); err != nil {
		return nil, err
	}
	cp, err := audit.ParseCheckpoint(checkpoint)
	if err != nil {
		return nil, problem.New(problem.BadValue, "%v", err).In("checkpoint")
	}
	name, err := l.named(c, cp)
	if err != nil {
		return nil, err
	}
	if name == audit.System {
		c = system(c)
	}
	return l.keep(ctx, c, name, cp, vkey, checkpoint)
}

// keep a cosignature of a log's checkpoint, once it is verified.
func (l *Ledger) keep(ctx context.Context, c access.Caller, name string, cp *audit.Checkpoint, vkey string, checkpoint []byte) (*Cosigned, error) {
	at, err := trust.VerifyCosignature(vkey, checkpoint)
	if err != nil {
		return nil, problem.New(problem.BadValue, "%v", err).In("witness")
	}
	line, err := trust.LineOf(vkey, checkpoint)
	if err != nil {
		return nil, problem.New(problem.BadValue, "%v", err).In("witness")
	}
	e := act.Event(c, audit.AuditCosign, "log", name)
	e.Facts = map[string]string{"origin": cp.Origin, "size": strconv.FormatInt(cp.Size, 10), "root": cp.Root.String(), "witness": vkey,
		"cosigned_at": at.Format(time.RFC3339), "cosignature": line}
	_, err = l.Propose(ctx, c, command.Type_COSIGN, &command.Cosign{Cosignature: &command.Cosignature{Size: uint64(cp.Size), Witness: vkey, Line: line}}, nil, e)
	return &Cosigned{cp.Origin, cp.Size, vkey, at}, err
}

// named gives the log that a checkpoint is of, and shows that the log begins
// with its tree.
func (l *Ledger) named(c access.Caller, cp *audit.Checkpoint) (string, error) {
	_, tenant, _, err := audit.ParseOrigin(cp.Origin)
	if err != nil {
		return "", problem.New(problem.BadValue, "%v", err).In("checkpoint")
	}
	name, err := l.Which(c, tenant == audit.System)
	if err != nil {
		return "", err
	}
	log := l.State.Log(name)
	h, err := log.Head()
	if err != nil {
		return "", err
	}
	if h.Origin != cp.Origin {
		return "", problem.New(problem.BadValue, "the checkpoint is of the log %s, yours is %s", cp.Origin, h.Origin).In("checkpoint")
	}
	if cp.Size == 0 || cp.Size > h.Size {
		return "", problem.New(problem.BadValue, "the checkpoint is of %d events, the log has %d: keep it, it may show that the log was cut", cp.Size, h.Size).In("checkpoint")
	}
	root, err := audit.Root(cp.Size, log)
	if err != nil {
		return "", damaged(err, h.Origin)
	}
	if root != cp.Root {
		return "", problem.New(problem.BadValue, "the log had another root at %d events: keep the checkpoint, it may show that the log was rewritten", cp.Size).In("checkpoint")
	}
	return name, nil
}

// overlap of two keys of the log, so that auditors can take up the new one
// (research A.5).
const overlap = 30 * 24 * time.Hour

// signingKey is the type of the object of events about the logs' keys.
const signingKey = "signing_key"

// Rotate makes a new key of the logs. The earlier one signs beside it until it is
// retired. The system's log has the keys, under both signatures from then on.
func (l *Ledger) Rotate(ctx context.Context, c access.Caller) error {
	before, err := l.SigningKeys()
	if err != nil {
		return err
	}
	if len(before) > 1 {
		return busy(keys.ErrOverlap)
	}
	// Before it happens: a rotation that the log does not know must not be. What
	// is announced and fails is rotated by asking again.
	begun := act.Event(c, audit.LogKeyRotate, signingKey, "")
	begun.Facts = map[string]string{"phase": "begin", "key": before[0].Key}
	if err := l.Record(ctx, system(c), begun); err != nil {
		return err
	}
	if _, _, err := l.Custody.RotateSigning(ctx); errors.Is(err, keys.ErrOverlap) {
		return busy(err)
	} else if err != nil {
		return err
	}
	after, err := l.SigningKeys()
	if err != nil {
		return err
	}
	done := act.Event(c, audit.LogKeyRotate, signingKey, "")
	done.Facts = map[string]string{"phase": "done", "earlier_key": before[0].Key, "key": after[0].Key}
	return l.Record(ctx, system(c), done)
}

func busy(err error) error {
	return problem.New(problem.Busy, "two keys sign together already: retire the earlier one first").Because(err)
}

// Retire ends the overlap: the earlier key is destroyed.
func (l *Ledger) Retire(ctx context.Context, c access.Caller, early bool) error {
	var old, active *keys.SigningKey
	for _, k := range l.Keys.SigningKeys() {
		switch k.State {
		case "overlapping":
			old = &k
		case "active":
			active = &k
		}
	}
	if old == nil || active == nil {
		return problem.New(problem.NotFound, "one key signs alone")
	}
	together := l.Now().Sub(active.Created)
	if together < overlap && !early {
		return problem.New(problem.Busy, "the keys have signed together for %d days, auditors have %d to take up the new one", int(together.Hours())/24, int(overlap.Hours())/24)
	}
	// Into every log, with its size: an auditor bounds the key there, and finds the
	// size in his own bundle.
	logs, err := l.Logs()
	if err != nil {
		return err
	}
	for _, name := range logs {
		if err := l.retires(ctx, c, name, together < overlap); err != nil {
			return err
		}
	}
	l.signing.Lock() // nobody signs with it meanwhile
	defer l.signing.Unlock()
	return l.Custody.RetireSigning(ctx, old.ID)
}

// retires writes into a log that its earlier key signs no more.
func (l *Ledger) retires(ctx context.Context, c access.Caller, name string, early bool) error {
	h, err := l.State.Log(name).Head()
	if err != nil {
		return err
	}
	verifiers, err := l.Keys.Verifiers(h.Origin)
	if err != nil {
		return err
	}
	e := act.Event(c, audit.KeyDestroy, signingKey, "")
	e.Facts = map[string]string{"key": verifiers[len(verifiers)-1], "log_size": strconv.FormatInt(h.Size, 10), "early": strconv.FormatBool(early)}
	if c.Tenant = name; name == audit.System {
		c.Tenant = ""
	}
	return l.Record(ctx, c, e)
}

// SigningKey is a key that signs the logs now.
type SigningKey struct {
	Key     string // of the system's log, as a note vkey
	Active  bool   // the other signs beside it until it is retired
	Created time.Time
}

// SigningKeys gives the active key, and the earlier one where two overlap.
func (l *Ledger) SigningKeys() ([]SigningKey, error) {
	h, err := l.State.Log(audit.System).Head()
	if err != nil {
		return nil, err
	}
	verifiers, err := l.Keys.Verifiers(h.Origin)
	if err != nil {
		return nil, err
	}
	var all []SigningKey
	for _, k := range slices.Backward(l.Keys.SigningKeys()) { // the newest is the active one
		if k.State != "retired" && len(all) < len(verifiers) {
			all = append(all, SigningKey{verifiers[len(all)], k.State == "active", k.Created})
		}
	}
	return all, nil
}

// system makes a caller's act one of the cluster's own.
func system(c access.Caller) access.Caller {
	c.Tenant = ""
	return c
}
