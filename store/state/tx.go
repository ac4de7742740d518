package state

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	bolt "go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"
)

// table is one bucket of the file.
type table int

const (
	meta table = iota
	tenants
	clients      // tenant, client
	credentials  // kind of credential, its hash → tenant, client
	subjects     // tenant, subject
	references   // tenant, blind index → subject
	sessions     // tenant, session
	bySubject    // tenant, subject, session → nothing
	results      // tenant, session
	templates    // tenant, session or blocklist entry
	enrolments   // tenant, entry that enrolled
	removals     // tenant, entry that removed ‖ entry that had enrolled
	blocked      // tenant, blocklist entry
	openings     // tenant, subject, log position → sealed openings
	blobs        // name → tenant, session
	jobs         // tenant, session → nothing
	deadlines    // time, kind, tenant, session → nothing
	replays      // principal, SHA-256 of the key
	replaysBy    // time, principal, SHA-256 of the key → nothing
	heads        // log
	leaves       // log, sequence
	hashes       // log, index of the stored hash
	cosignatures // log, size ‖ SHA-256 of the witness's key
	members      // node
	invitations  // invitation
	tableCount
)

var tableNames = [tableCount]string{"meta", "tenants", "clients", "credentials", "subjects", "references", "sessions", "by_subject",
	"results", "templates", "enrolments", "removals", "blocked", "openings", "blobs", "jobs", "deadlines", "replays", "replays_by_time", "heads", "leaves", "hashes", "cosignatures", "members", "invitations"}

func (t table) name() string { return tableNames[t] }

// key joins parts; none of them holds a zero byte but the last.
func key(parts ...string) []byte {
	n := len(parts)
	for _, p := range parts {
		n += len(p)
	}
	b := make([]byte, 0, n)
	for i, p := range parts {
		if i > 0 {
			b = append(b, 0)
		}
		b = append(b, p...)
	}
	return b
}

// under is the prefix of a tenant's rows.
func under(tenant string) []byte { return append(key(tenant), 0) }

// number sorts as text.
func number(n uint64) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], n)
	return string(b[:])
}

// rows reads tables of one bbolt transaction.
type rows struct {
	buckets [tableCount]*bolt.Bucket
}

func rowsOf(tx *bolt.Tx) (*rows, error) {
	r := &rows{}
	for t := range tableCount {
		b := tx.Bucket([]byte(t.name()))
		if b == nil {
			return nil, fmt.Errorf("%w: table %s is missing", ErrUnusable, t.name())
		}
		b.FillPercent = filled
		r.buckets[t] = b
	}
	return r, nil
}

// filled of a page that is split. Most keys begin with a time or a number, so
// that rows come at the end, where bbolt's usual half would stay empty for ever.
const filled = 0.9

func (r *rows) get(t table, k []byte) []byte { return r.buckets[t].Get(k) }

// scan calls do for the rows whose key begins with prefix and is not before
// from, until it returns false.
func (r *rows) scan(t table, prefix, from []byte, do func(k, v []byte) bool) {
	c := r.buckets[t].Cursor()
	if bytes.Compare(from, prefix) < 0 {
		from = prefix
	}
	for k, v := c.Seek(from); k != nil && bytes.HasPrefix(k, prefix); k, v = c.Next() {
		if !do(k, v) {
			return
		}
	}
}

// last is the last key of a tenant's rows; nil: there are none.
func (r *rows) last(t table, tenant string) []byte {
	return r.before(t, tenant, append(key(tenant), 1))
}

// before finds the last key of a tenant's rows that sorts before end.
func (r *rows) before(t table, tenant string, end []byte) []byte {
	c := r.buckets[t].Cursor()
	if k, _ := c.Seek(under(tenant)); k == nil || bytes.Compare(k, end) >= 0 {
		return nil
	}
	c.Seek(end)
	k, _ := c.Prev()
	for k == nil { // a page whose rows were deleted since the last commit: bbolt stops at it
		k, _ = c.Prev()
	}
	return k
}

// reader is what reads rows: a view, or a command under way.
type reader interface {
	get(t table, k []byte) []byte
	last(t table, tenant string) []byte
}

// load decodes one row. Errors: ErrNotFound, ErrUnusable.
func load[T any, P interface {
	*T
	proto.Message
}](r reader, t table, k []byte) (P, error) {
	b := r.get(t, k)
	if b == nil {
		return nil, ErrNotFound
	}
	m := P(new(T))
	if err := proto.Unmarshal(b, m); err != nil {
		return nil, corrupt(t, k, err)
	}
	return m, nil
}

// tx is one command's changes: seen by its own reads at once, written to the
// file together, or not at all.
type tx struct {
	*rows
	writes  []write
	pending map[string]int // table and key → last write; nil where there are few
}

// few writes are looked through sooner than found by a map: an event has six.
const few = 16

type write struct {
	table table
	key   []byte
	value []byte // nil: deleted
}

func pendingKey(t table, k []byte) string { return string(rune(t)) + string(k) }

func (t *tx) get(tb table, k []byte) []byte {
	if t.pending != nil {
		if i, ok := t.pending[pendingKey(tb, k)]; ok {
			return t.writes[i].value
		}
		return t.rows.get(tb, k)
	}
	for i := len(t.writes) - 1; i >= 0; i-- {
		if w := &t.writes[i]; w.table == tb && bytes.Equal(w.key, k) {
			return w.value
		}
	}
	return t.rows.get(tb, k)
}

func (t *tx) last(tb table, tenant string) []byte {
	k := t.rows.last(tb, tenant)
	for k != nil && t.get(tb, k) == nil {
		k = t.rows.before(tb, tenant, k)
	}
	for _, w := range t.writes {
		if w.table == tb && bytes.HasPrefix(w.key, under(tenant)) && bytes.Compare(w.key, k) > 0 && t.get(tb, w.key) != nil {
			k = w.key
		}
	}
	return k
}

func (t *tx) set(tb table, k, v []byte) {
	if t.writes == nil {
		t.writes = make([]write, 0, few/2)
	}
	t.writes = append(t.writes, write{tb, k, v})
	switch n := len(t.writes); {
	case t.pending != nil:
		t.pending[pendingKey(tb, k)] = n - 1
	case n > few:
		t.pending = make(map[string]int, 2*few)
		for i, w := range t.writes {
			t.pending[pendingKey(w.table, w.key)] = i
		}
	}
}

func (t *tx) put(tb table, k, v []byte) {
	if v == nil {
		v = []byte{}
	}
	t.set(tb, k, v)
}

func (t *tx) del(tb table, k []byte) { t.set(tb, k, nil) }

func (t *tx) store(tb table, k []byte, m proto.Message) error {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return err
	}
	t.put(tb, k, b)
	return nil
}

// flush writes the changes and extends the write-set chain
// h = SHA-256(h ‖ table ‖ key ‖ value or tombstone), each with its length. The
// scratch is kept from command to command.
func (t *tx) flush(h [32]byte, scratch *[]byte) ([32]byte, error) {
	for _, w := range t.writes {
		var err error
		if w.value == nil {
			err = t.buckets[w.table].Delete(w.key)
		} else {
			err = t.buckets[w.table].Put(w.key, w.value)
		}
		if err != nil {
			return h, err
		}
		*scratch = w.link((*scratch)[:0], h)
		h = sha256.Sum256(*scratch)
	}
	return h, nil
}

// link appends what is hashed for the chain.
func (w *write) link(b []byte, h [32]byte) []byte {
	name := w.table.name()
	b = append(b, h[:]...)
	b = append(b, byte(len(name)))
	b = append(b, name...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(w.key)))
	b = append(b, w.key...)
	if w.value == nil {
		return append(b, 0)
	}
	b = append(b, 1)
	b = binary.BigEndian.AppendUint64(b, uint64(len(w.value)))
	return append(b, w.value...)
}
