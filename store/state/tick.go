package state

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"gatehouse/store/audit"
	"gatehouse/store/command"
)

// These bound the work of one entry, in which the state is held; what is left
// is for the next. Ticks come each minute: that is 68 requests a second
// forgotten.
const (
	maxPerTick   = 256
	maxForgotten = 4096
)

// EvidenceAfterExpiry is how long an abandoned session's evidence is kept
// (requirement 5.7).
const EvidenceAfterExpiry = 24 * time.Hour

// Kinds of deadline.
const (
	expiry = "expire"
	purge  = "purge"
)

// deadline is a row that sorts by time: time, kind, tenant, session.
func deadline(ns int64, kind string, s *command.Session) []byte {
	return key(number(uint64(ns))+kind, s.Tenant, s.Id)
}

// tick lets time pass: by the command's clock, never by the node's.
func (a *apply) tick() error {
	now := number(uint64(a.ProposedAtNs))
	if err := a.forgetReplays(); err != nil {
		return err
	}
	if err := a.passDeadlines(now); err != nil {
		return err
	}
	return a.anchor()
}

func (a *apply) forgetReplays() error {
	until := number(uint64(max(0, a.ProposedAtNs-int64(ReplayFor))))
	var old [][]byte
	a.scan(replaysBy, nil, nil, func(k, _ []byte) bool {
		if len(k) < 8 || string(k[:8]) > until {
			return false
		}
		old = append(old, append([]byte(nil), k...))
		return len(old) < maxForgotten
	})
	for _, k := range old {
		a.del(replaysBy, k)
		a.del(replays, k[8:])
	}
	return nil
}

func (a *apply) passDeadlines(now string) error {
	type due struct{ key, kind, tenant, session string }
	var all []due
	a.scan(deadlines, nil, nil, func(k, _ []byte) bool {
		if len(k) < 8 || string(k[:8]) > now {
			return false
		}
		parts := split(k[8:], 3)
		all = append(all, due{string(k), parts[0], parts[1], parts[2]})
		return len(all) < maxPerTick
	})
	for i, d := range all {
		a.del(deadlines, []byte(d.key))
		s, err := load[command.Session](a, sessions, key(d.tenant, d.session))
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if err := a.due(d.kind, s, uint64(i)); err != nil {
			return err
		}
	}
	return nil
}

func (a *apply) due(kind string, s *command.Session, n uint64) error {
	e := &command.Event{Id: a.derived(n), ObjectType: "session", ObjectId: s.Id, Subject: s.Subject, Result: string(audit.OK)}
	switch {
	case kind == expiry && collecting(s):
		s.State, s.FinishedNs = Expired, a.ProposedAtNs
		a.put(deadlines, deadline(a.ProposedAtNs+int64(EvidenceAfterExpiry), purge, s), nil)
		e.Action, e.Reason = string(audit.SessionExpire), "not_submitted_in_time"
	case kind == purge && s.State == Expired && len(s.Evidence) > 0:
		for _, v := range s.Evidence {
			a.forget(v)
		}
		e.Action, e.Reason = string(audit.RetentionDelete), "session_abandoned"
		e.Facts = map[string]string{"evidence": strconv.Itoa(len(s.Evidence))}
		s.Evidence = nil
	default:
		return nil
	}
	s.Revision = a.entry.Index
	a.answer.Sessions = append(a.answer.Sessions, s.Id)
	if err := a.store(sessions, key(s.Tenant, s.Id), s); err != nil {
		return err
	}
	_, err := a.append(s.Tenant, e)
	return err
}

// anchor writes where each tenant's log stands into the system's log, so that
// a bundle of one tenant is complete by construction.
func (a *apply) anchor() error {
	var logs []string
	a.scan(tenants, nil, nil, func(k, _ []byte) bool {
		logs = append(logs, string(k))
		return true
	})
	for i, tenant := range logs {
		log := logRow(a, tenant)
		head, err := load[command.Head](a, heads, key(log))
		if errors.Is(err, ErrNotFound) || err == nil && head.Size == head.Anchored {
			continue
		}
		if err != nil {
			return err
		}
		root, err := audit.Root(int64(head.Size), hashesOf(a, log))
		if err != nil {
			return fmt.Errorf("%w: audit log %s: %v", ErrUnusable, log, err)
		}
		name, err := origin(a, log)
		if err != nil {
			return err
		}
		_, err = a.append(audit.System, &command.Event{
			Id: a.derived(maxPerTick + uint64(i)), Action: string(audit.AuditAnchor), ObjectType: "log", ObjectId: tenant, Result: string(audit.OK),
			Facts: map[string]string{"origin": name, "size": strconv.FormatUint(head.Size, 10), "root": root.String()},
		})
		if err != nil {
			return err
		}
		head.Anchored = head.Size
		if err := a.store(heads, key(log), head); err != nil {
			return err
		}
	}
	return nil
}

// split cuts a key into n parts; the last keeps what is left.
func split(k []byte, n int) []string {
	parts := make([]string, n)
	for i := range n - 1 {
		for j, c := range k {
			if c == 0 {
				parts[i], k = string(k[:j]), k[j+1:]
				break
			}
		}
	}
	parts[n-1] = string(k)
	return parts
}
