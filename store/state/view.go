package state

import (
	"crypto/subtle"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
	"google.golang.org/protobuf/proto"

	"gatehouse/store/command"
)

// View reads rows. A row that is missing is ErrNotFound.
type View struct {
	*rows
	index uint64
}

// Index of the last entry that the view holds.
func (v *View) Index() uint64 { return v.index }

// Time is the newest time at which a command was proposed, in Unix
// nanoseconds: the clock by which things expire.
func (v *View) Time() int64 { return int64(number64(v, metaTime)) }

// Founded gives the cluster's first command.
func (v *View) Founded() (*command.Found, error) { return load[command.Found](v, meta, metaFound) }

// SetUp says whether the one-time code was used.
func (v *View) SetUp() bool { return v.get(meta, metaFound) != nil && v.get(meta, metaSetup) == nil }

// SetupCode says whether a code of this SHA-256 may be used.
func (v *View) SetupCode(hash [32]byte) bool {
	want := v.get(meta, metaSetup)
	return len(want) == len(hash) && subtle.ConstantTimeCompare(want, hash[:]) == 1
}

// Due says whether a tick at this time, in Unix nanoseconds, has something to
// let pass.
func (v *View) Due(ns int64) bool {
	due := false
	before := func(t table, ns int64) {
		v.scan(t, nil, nil, func(k, _ []byte) bool {
			due = due || len(k) >= 8 && string(k[:8]) <= number(uint64(max(0, ns)))
			return false
		})
	}
	before(deadlines, ns)
	before(replaysBy, ns-int64(ReplayFor))
	return due
}

// Version of commands that every member of the cluster understands.
func (v *View) Version() uint64 { return number64(v, metaVersion) }

// Origin of an audit log: its name for all time.
func (v *View) Origin(log string) (string, error) { return origin(v, log) }

func (v *View) Tenant(id string) (*command.Tenant, error) {
	return load[command.Tenant](v, tenants, key(id))
}

func (v *View) Client(tenant, id string) (*command.Client, error) {
	return load[command.Client](v, clients, key(tenant, id))
}

// ClientByKey finds the client whose API key has this SHA-256.
func (v *View) ClientByKey(hash [32]byte) (*command.Client, error) {
	return v.byCredential(byKey, hash)
}

// ClientByCertificate finds the client whose certificate's public key (SPKI)
// has this SHA-256.
func (v *View) ClientByCertificate(hash [32]byte) (*command.Client, error) {
	return v.byCredential(byCertificate, hash)
}

func (v *View) byCredential(kind string, hash [32]byte) (*command.Client, error) {
	k := v.get(credentials, key(kind, string(hash[:])))
	if k == nil {
		return nil, ErrNotFound
	}
	return load[command.Client](v, clients, k)
}

func (v *View) Session(tenant, id string) (*command.Session, error) {
	return load[command.Session](v, sessions, key(tenant, id))
}

func (v *View) Subject(tenant, id string) (*command.Subject, error) {
	return load[command.Subject](v, subjects, key(tenant, id))
}

// SubjectByReference finds a subject by the blind index of the bank's own
// reference.
func (v *View) SubjectByReference(tenant string, index []byte) (*command.Subject, error) {
	id := v.get(references, key(tenant, string(index)))
	if id == nil {
		return nil, ErrNotFound
	}
	return v.Subject(tenant, string(id))
}

func (v *View) Result(tenant, session string) (*command.Result, error) {
	return load[command.Result](v, results, key(tenant, session))
}

// Replay finds what a request came to that was carried out before.
func (v *View) Replay(principal string, keyHash [32]byte) (*command.Replay, error) {
	return load[command.Replay](v, replays, key(principal, string(keyHash[:])))
}

// page reads up to limit rows of a tenant after the given id.
func page[T any, P interface {
	*T
	proto.Message
}](v *View, t table, tenant, after string, limit int) ([]P, error) {
	prefix, from := append(key(tenant), 0), key(tenant, after)
	if after != "" {
		from = append(from, 0)
	}
	var all []P
	var err error
	v.scan(t, prefix, from, func(k, _ []byte) bool {
		var row P
		if row, err = load[T, P](v, t, k); err != nil {
			return false
		}
		all = append(all, row)
		return len(all) < limit
	})
	return all, err
}

func (v *View) Sessions(tenant, after string, limit int) ([]*command.Session, error) {
	return page[command.Session](v, sessions, tenant, after, limit)
}

func (v *View) Clients(tenant, after string, limit int) ([]*command.Client, error) {
	return page[command.Client](v, clients, tenant, after, limit)
}

func (v *View) Tenants() ([]*command.Tenant, error) {
	var all []*command.Tenant
	var err error
	v.scan(tenants, nil, nil, func(k, _ []byte) bool {
		var t *command.Tenant
		if t, err = load[command.Tenant](v, tenants, k); err == nil {
			all = append(all, t)
		}
		return err == nil
	})
	return all, err
}

// SessionsOf lists the sessions of a subject, up to limit.
func (v *View) SessionsOf(tenant, subject string, limit int) []string {
	prefix := append(key(tenant, subject), 0)
	var ids []string
	v.scan(bySubject, prefix, nil, func(k, _ []byte) bool {
		ids = append(ids, string(k[len(prefix):]))
		return len(ids) < limit
	})
	return ids
}

// Jobs are the sessions that wait for a worker's answer.
func (v *View) Jobs() ([]*command.Session, error) {
	var all []*command.Session
	var err error
	v.scan(jobs, nil, nil, func(k, _ []byte) bool {
		at := split(k, 2)
		var s *command.Session
		if s, err = v.Session(at[0], at[1]); err != nil {
			err = corrupt(jobs, k, err)
			return false
		}
		all = append(all, s)
		return true
	})
	return all, err
}

// Named says whether a blob belongs to evidence.
func (v *View) Named(blob string) bool { return v.get(blobs, key(blob)) != nil }

// rowHashes are the stored hashes of one log that are in the state.
type rowHashes struct {
	r   reader
	log string
}

func hashesOf(r reader, log string) rowHashes { return rowHashes{r, log} }

// Hash with a stored index (tlog.StoredHashIndex).
func (h rowHashes) Hash(index int64) (tlog.Hash, error) {
	b := h.r.get(hashes, key(h.log, number(uint64(index))))
	if len(b) != tlog.HashSize {
		return tlog.Hash{}, fmt.Errorf("%w: hash %d of log %s is missing", ErrUnusable, index, h.log)
	}
	return tlog.Hash(b), nil
}
