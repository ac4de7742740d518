package state

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"maps"

	bolt "go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"

	"gatehouse/store/audit"
	"gatehouse/store/audit/segment"
	"gatehouse/store/command"
)

// maxFindings end a check: a file so damaged is not read further.
const maxFindings = 1000

// Finding is one thing in the state that cannot be.
type Finding struct {
	Kind  string `json:"kind"` // file, row, tenant, log, anchor, client, subject, session, evidence, enrolment, blocklist, replay, member, invitation
	Where string `json:"where"`
	What  string `json:"what"`
}

func (f Finding) String() string { return f.Kind + " " + f.Where + ": " + f.What }

var errEnough = errors.New("more findings than are listed")

// Check replays what holds of every state: tables agree with each other, each
// audit log is whole, in the state and in its files, and its tree recomputes, and blob finds every object that
// evidence names (nil: not asked). Nothing is applied meanwhile, so it is for a
// node that is not serving. After 1,000 findings it stops. Error: ErrUnusable,
// or the context's.
func (s *State) Check(ctx context.Context, blob func(name string) error, progress func(done, total int)) ([]Finding, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.commit(); err != nil {
		return nil, err
	}
	if s.open != nil { // nothing was applied in it
		tx := s.open
		s.open, s.rows = nil, nil
		if err := tx.Rollback(); err != nil {
			return nil, s.fail(err)
		}
	}
	c := &check{ctx: ctx, blob: blob, progress: progress, segments: s.segments}
	err := s.db.View(c.run)
	if errors.Is(err, errEnough) {
		err = nil
	}
	return c.findings, err
}

// check is one check under way.
type check struct {
	*rows
	ctx         context.Context
	blob        func(name string) error
	progress    func(done, total int)
	done, total int
	findings    []Finding
	segments    *segment.Store
	logged      map[string]mark // sessions of one tenant, as its log has them
}

// mark is what a log says of a session.
type mark uint8

const (
	created mark = 1 << iota
	decided
)

func (c *check) run(tx *bolt.Tx) (err error) {
	for e := range tx.Check() { // read to its end, as it asks for
		if err == nil {
			err = c.found("file", "", "%v", e)
		}
	}
	if err != nil {
		return err
	}
	if c.rows, err = rowsOf(tx); err != nil {
		return err
	}
	for _, b := range c.buckets {
		c.total += b.Stats().KeyN
	}
	if c.get(meta, metaFound) == nil {
		return c.empty()
	}
	if err := c.tenants(); err != nil {
		return err
	}
	// The system's log holds the anchors, so it comes first.
	anchors := map[string][]anchored{}
	for epoch := range c.epochs() {
		of, err := c.log(rowOf(audit.System, epoch), nil)
		if err != nil {
			return err
		}
		maps.Copy(anchors, of)
	}
	err = c.each(tenants, nil, func(k, v []byte) error {
		r := &command.Tenant{}
		ok, err := c.decode(tenants, k, v, r)
		if ok {
			err = c.expect(r.Id == string(k), "tenant", where(tenants, k), "it is of another row")
		}
		if err != nil {
			return err
		}
		return c.tenant(string(k), anchors)
	})
	if err != nil {
		return err
	}
	for _, do := range []func() error{c.credentials, c.jobs, c.blobs, c.deadlines, c.replays, c.members, c.invitations, c.trust} {
		if err := do(); err != nil {
			return err
		}
	}
	c.step(c.total - c.done)
	return nil
}

// empty checks that a cluster that was not founded has no rows.
func (c *check) empty() error {
	for t := meta + 1; t < tableCount; t++ {
		if k, _ := c.buckets[t].Cursor().First(); k != nil {
			if err := c.found("row", where(t, k), "the cluster was not founded"); err != nil {
				return err
			}
		}
	}
	return nil
}

// tenants checks that every row belongs to a tenant that there is.
func (c *check) tenants() error {
	for _, t := range []table{clients, subjects, references, sessions, bySubject, results, templates, enrolments, removals, blocked, openings, heads, leaves, hashes, cosignatures} {
		cursor := c.buckets[t].Cursor()
		for k, _ := cursor.First(); k != nil; {
			first, _, _ := bytes.Cut(k, []byte{0})
			owner := first
			system := t == heads || t == leaves || t == hashes || t == cosignatures
			if system {
				log, epoch, ok := ofRow(string(first))
				if err := c.expect(ok && epoch <= number64(c, metaEpoch), "log", where(t, k), "there is no such epoch"); err != nil {
					return err
				}
				owner = []byte(log)
			}
			if c.get(tenants, owner) == nil && !(system && string(owner) == audit.System) {
				if err := c.found("tenant", where(t, k), "there is no such tenant"); err != nil {
					return err
				}
			}
			k, _ = cursor.Seek(append(bytes.Clone(first), 1))
		}
		// An audit log without a head is not read otherwise.
		if t == leaves || t == hashes || t == cosignatures {
			if err := c.headless(t); err != nil {
				return err
			}
		}
	}
	return nil
}

// epochs that the logs have had.
func (c *check) epochs() iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		for epoch := uint64(1); epoch <= number64(c, metaEpoch) && yield(epoch); epoch++ {
		}
	}
}

func (c *check) headless(t table) error {
	cursor := c.buckets[t].Cursor()
	for k, _ := cursor.First(); k != nil; {
		log, _, _ := bytes.Cut(k, []byte{0})
		if c.get(heads, log) == nil {
			if err := c.found("log", string(log), "its head is missing"); err != nil {
				return err
			}
		}
		k, _ = cursor.Seek(append(bytes.Clone(log), 1))
	}
	return nil
}

func (c *check) tenant(id string, anchors map[string][]anchored) error {
	c.logged = map[string]mark{}
	for epoch := range c.epochs() {
		row := rowOf(id, epoch)
		if _, err := c.log(row, anchors[row]); err != nil {
			return err
		}
	}
	for _, do := range []func(string) error{c.clients, c.subjects, c.references, c.sessions, c.bySubject, c.results, c.templates, c.enrolments, c.removals, c.blocklist, c.openings} {
		if err := do(id); err != nil {
			return err
		}
	}
	return nil
}

// found adds a finding. Error: errEnough.
func (c *check) found(kind, where, what string, args ...any) error {
	if len(c.findings) == maxFindings {
		return errEnough
	}
	c.findings = append(c.findings, Finding{kind, where, fmt.Sprintf(what, args...)})
	return nil
}

// expect adds a finding where ok is false.
func (c *check) expect(ok bool, kind, where, what string, args ...any) error {
	if ok {
		return nil
	}
	return c.found(kind, where, what, args...)
}

// each calls do for every row of a table under a prefix.
func (c *check) each(t table, prefix []byte, do func(k, v []byte) error) (err error) {
	c.scan(t, prefix, nil, func(k, v []byte) bool {
		if err = c.ctx.Err(); err == nil {
			err = do(k, v)
		}
		c.step(1)
		return err == nil
	})
	return err
}

// reportEvery so many rows.
const reportEvery = 1024

func (c *check) step(n int) {
	before := c.done
	c.done += n
	if c.progress != nil && (c.done/reportEvery > before/reportEvery || c.done == c.total) {
		c.progress(c.done, c.total)
	}
}

// decode reads a row into m; false where it is no such row, which is found.
func (c *check) decode(t table, k, v []byte, m proto.Message) (bool, error) {
	if err := proto.Unmarshal(v, m); err != nil {
		return false, c.found("row", where(t, k), "it cannot be read: %v", err)
	}
	return true, nil
}

// peek reads a row that another one refers to; nil where it is missing or
// damaged: who holds the row finds out.
func peek[T any, P interface {
	*T
	proto.Message
}](c *check, t table, parts ...string) P {
	m, err := load[T, P](c, t, key(parts...))
	if err != nil {
		return nil
	}
	return m
}

// where names a row.
func where(t table, k []byte) string { return fmt.Sprintf("%s %q", t.name(), k) }

// sequence reads the number that ends a key; false where there is none.
func sequence(k []byte, prefix int) (uint64, bool) {
	if len(k) != prefix+8 {
		return 0, false
	}
	return binary.BigEndian.Uint64(k[prefix:]), true
}
