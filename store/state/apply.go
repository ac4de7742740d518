package state

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"gatehouse/store/audit"
	"gatehouse/store/audit/segment"
	"gatehouse/store/command"
)

// ReplayFor is how long a request's idempotency key is remembered, by the
// times of commands.
const ReplayFor = 24 * time.Hour

// apply is one command being applied. All its checks come before the events,
// and what it wrote is dropped where it is refused.
type apply struct {
	tx
	*command.Command
	entry    Entry
	answer   *command.Answer
	segments *segment.Store
}

func (a *apply) run(payload proto.Message) error {
	if err := a.wellFormed(); err != nil {
		return err
	}
	if done, err := a.replayed(); done || err != nil {
		return err
	}
	// Who recovers has nobody to finalise with: to start an epoch does it.
	if uint64(command.Since(a.Type)) > max(1, number64(a, metaVersion)) && a.Type != command.Type_START_EPOCH {
		return refuse(VersionUnsupported)
	}
	if err := a.dispatch(payload); err != nil {
		return err
	}
	if err := a.record(a.Events); err != nil {
		return err
	}
	if now := a.ProposedAtNs; now > int64(number64(a, metaTime)) {
		a.put(meta, metaTime, binary.BigEndian.AppendUint64(nil, uint64(now)))
	}
	return a.remember()
}

func (a *apply) dispatch(payload proto.Message) error {
	switch p := payload.(type) {
	case *command.Found:
		return a.found(p)
	case *command.Setup:
		return a.setup(p)
	case *command.CreateTenant:
		return a.createTenant(p.Tenant, p.Admin)
	case *command.CreateClient:
		return a.createClient(a.Tenant, p.Client)
	case *command.RevokeClient:
		return a.revokeClient(p)
	case *command.CreateSession:
		return a.createSession(p)
	case *command.AddEvidence:
		return a.addEvidence(p)
	case *command.Submit:
		return a.submit(p)
	case *command.Retry:
		return a.retry(p)
	case *command.Complete:
		return a.complete(p)
	case *command.Return:
		return a.giveBack(p)
	case *command.Fail:
		return a.failed(p)
	case *command.EraseSubject:
		return a.eraseSubject(p)
	case *command.Finalise:
		return a.finalise(p)
	case *command.RenewCode:
		return a.renewCode(p)
	case *command.Block:
		return a.block(p)
	case *command.Unblock:
		return a.unblock(p)
	case *command.SealSegment:
		return a.sealSegment(p)
	case *command.Cosign:
		return a.cosign(p.Cosignature)
	case *command.SetAuthority:
		return a.setAuthority(p)
	case *command.ChangeAuthority:
		return a.changeAuthority(p)
	case *command.SetRing:
		return a.setRing(p)
	case *command.Invite:
		return a.invite(p)
	case *command.Join:
		return a.join(p)
	case *command.ChangeMember:
		return a.changeMember(p)
	case *command.RemoveMember:
		return a.removeMember(p)
	case *command.Reassign:
		return a.reassign(p)
	case *command.StartEpoch:
		return a.startEpoch(p)
	case *command.Tick:
		if a.Type == command.Type_TICK {
			return a.tick()
		}
		if a.Tenant != "" {
			_, err := a.tenant()
			return err
		}
		return nil
	}
	return fmt.Errorf("%w: %v", command.ErrUnknown, a.Type)
}

// number64 reads a counter of the meta table; 0 where it is not set.
func number64(r reader, k []byte) uint64 {
	if b := r.get(meta, k); len(b) == 8 {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// replayed answers a request that was carried out before.
func (a *apply) replayed() (bool, error) {
	id := a.Idempotency
	if id == nil {
		return false, nil
	}
	r, err := load[command.Replay](a, replays, key(id.Principal, string(id.Key)))
	switch {
	case errors.Is(err, ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	case string(r.Request) != string(id.Request):
		return false, refuse(KeyReused)
	}
	a.answer.Replay, a.answer.Id = r, r.Id
	return true, nil
}

func (a *apply) remember() error {
	id := a.Idempotency
	if id == nil {
		return nil
	}
	r := &command.Replay{Request: id.Request, Id: a.answer.Id, Answer: id.Answer, AtNs: a.ProposedAtNs, Type: a.Type, Index: a.entry.Index}
	a.put(replaysBy, key(number(uint64(r.AtNs))+id.Principal, string(id.Key)), nil)
	return a.store(replays, key(id.Principal, string(id.Key)), r)
}

func (a *apply) log() string {
	if a.Tenant == "" {
		return audit.System
	}
	return a.Tenant
}

// record appends the events to the command's log.
func (a *apply) record(events []*command.Event) error {
	for i, e := range events {
		seq, err := a.append(a.log(), e)
		if err != nil {
			return err
		}
		if i == 0 {
			a.answer.Log, a.answer.Seq = a.log(), seq
		}
	}
	return nil
}

func (a *apply) append(log string, e *command.Event) (uint64, error) {
	log = logRow(a, log)
	head, err := load[command.Head](a, heads, key(log))
	if errors.Is(err, ErrNotFound) {
		head, err = &command.Head{}, nil
	}
	if err != nil {
		return 0, err
	}
	name, err := origin(a, log)
	if err != nil {
		return 0, err
	}
	seq := head.Size
	head.Size++
	head.TsMonoNs = max(head.TsMonoNs, a.ProposedAtNs)
	leaf, err := a.leaf(name, seq, head.TsMonoNs, e)
	if err != nil {
		return 0, err
	}
	added, first, err := audit.Append(int64(seq), leaf, hashesOf(a, log))
	if err != nil {
		return 0, fmt.Errorf("%w: audit log %s: %v", ErrUnusable, log, err)
	}
	a.put(leaves, key(log, number(seq)), leaf)
	for i, h := range added {
		a.put(hashes, key(log, number(uint64(first)+uint64(i))), h[:])
	}
	known, err := a.onFile(e.Subject)
	if err != nil {
		return 0, err
	}
	if len(e.Openings) > 0 && known { // nothing is kept of an erased person
		a.put(openings, key(a.Tenant, e.Subject, log, number(seq)), e.Openings)
	}
	return seq, a.store(heads, key(log), head)
}

func (a *apply) leaf(log string, seq uint64, mono int64, e *command.Event) ([]byte, error) {
	if !audit.Action(e.Action).Valid() {
		return nil, fmt.Errorf("%w: action %.40q", command.ErrUnknown, e.Action)
	}
	l := audit.Leaf{
		V: audit.LeafVersion, Seq: int64(seq), Log: log, ID: e.Id, TS: audit.Time(a.ProposedAtNs), TSMono: audit.Time(mono),
		Node: a.Proposer, Term: a.entry.Term, Index: a.entry.Index,
		Actor:  audit.Actor{Type: a.Actor.GetType(), ID: a.Actor.GetId(), Authn: a.Actor.GetAuthn()},
		Action: audit.Action(e.Action), Object: audit.Object{Type: e.ObjectType, ID: e.ObjectId, SHA256: hex.EncodeToString(e.ObjectSha256)},
		SubjectRef: e.Subject, Result: audit.Result(e.Result), Reason: e.Reason,
		Req: audit.Request{RequestID: e.RequestId, Route: e.Route, PolicyVersion: e.PolicyVersion, Models: e.Models},
	}
	if len(e.Commitments) > 0 {
		l.PII = make(map[string]audit.Commitment, len(e.Commitments))
	}
	for field, c := range e.Commitments {
		if len(c) != 32 {
			return nil, refuse(LeafRefused)
		}
		l.PII[field] = audit.Commitment(c)
	}
	if len(e.Facts) > 0 {
		l.Data = make(map[string]any, len(e.Facts))
	}
	for name, v := range e.Facts {
		l.Data[name] = v
	}
	b, err := l.Encode()
	if err != nil { // what its author wrote cannot stand in a log
		return nil, refuse(LeafRefused)
	}
	return b, nil
}

// recordRefusal writes that the command was refused, in place of its events.
func (a *apply) recordRefusal(code Refusal) error {
	log := a.log()
	if a.Tenant != "" && a.get(tenants, key(a.Tenant)) == nil {
		log = audit.System
	}
	if a.get(meta, metaFound) == nil {
		return fmt.Errorf("%w: %v before the cluster was founded", ErrUnusable, a.Type)
	}
	e := &command.Event{Id: a.derived(0), Action: string(audit.CommandRefused), Result: string(audit.Refused), Reason: string(code),
		Facts: map[string]string{"command": a.Type.String()}}
	if len(a.Events) > 0 {
		first := a.Events[0]
		e.ObjectType, e.ObjectId, e.RequestId, e.Route = first.ObjectType, first.ObjectId, first.RequestId, first.Route
	}
	seq, err := a.append(log, e)
	var r refused
	if errors.As(err, &r) { // not even that: then without what the command says of itself
		e = &command.Event{Id: a.derived(0), Action: string(audit.CommandRefused), Result: string(audit.Refused), Reason: string(code)}
		a.Actor, a.Proposer, a.ProposedAtNs = &command.Actor{Type: "unknown"}, "unknown", max(a.ProposedAtNs, 1)
		seq, err = a.append(log, e)
	}
	a.answer.Log, a.answer.Seq = log, seq
	return err
}

// derived makes the id of an event that the state machine writes by itself.
func (a *apply) derived(n uint64) string {
	sum := sha256.Sum256([]byte(a.Id + number(a.entry.Index) + number(n)))
	return fmt.Sprintf("evt_%x", sum[:16])
}
