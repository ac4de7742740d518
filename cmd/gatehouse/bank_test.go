package main_test

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"math/bits"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/store/audit"
	"gatehouse/store/keys"
)

// A bank that lies to its auditor: it has the keys of its own logs, as
// store/keys keeps them, and writes bundles without the product's help.

// opened is when the bank's logs begin; a record follows each second.
var opened = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

// history is a log in memory, whatever its leaves are.
type history struct {
	t      testing.TB
	origin string
	leaves [][]byte
	hashes []tlog.Hash
}

func (h *history) size() int64 { return int64(len(h.leaves)) }

func (h *history) Hash(i int64) (tlog.Hash, error) {
	if i < 0 || i >= int64(len(h.hashes)) {
		return tlog.Hash{}, fmt.Errorf("hash %d is not stored", i)
	}
	return h.hashes[i], nil
}

func (h *history) add(leaf []byte) {
	h.t.Helper()
	more, err := tlog.StoredHashes(h.size(), leaf, tlog.HashReaderFunc(func(at []int64) ([]tlog.Hash, error) {
		all := make([]tlog.Hash, len(at))
		for i, a := range at {
			all[i] = h.hashes[a]
		}
		return all, nil
	}))
	if err != nil {
		h.t.Fatal(err)
	}
	h.leaves, h.hashes = append(h.leaves, leaf), append(h.hashes, more...)
}

func (h *history) root(size int64) tlog.Hash {
	h.t.Helper()
	r, err := audit.Root(size, h)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

func (h *history) consistency(from, to int64) []tlog.Hash {
	h.t.Helper()
	if from == 0 {
		return nil
	}
	p, err := audit.ConsistencyProof(from, to, h)
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

// subtrees are the perfect ones of the first size leaves, the largest first.
func (h *history) subtrees(size int64) []tlog.Hash {
	var all []tlog.Hash
	for done := int64(0); done < size; {
		level := bits.Len64(uint64(size-done)) - 1
		all = append(all, h.hashes[tlog.StoredHashIndex(level, done>>level)])
		done += 1 << level
	}
	return all
}

// bank has one tenant, whose log is anchored now and then in the system's.
type bank struct {
	t           testing.TB
	keys        *keys.Store
	log, system *history
	anchors     []anchored
}

type anchored struct{ size, seq int64 }

const bankCluster, bankTenant = "clu_bank", "ten_b"

func newKeys(t testing.TB) *keys.Store {
	t.Helper()
	dir := t.TempDir()
	k, err := keys.Create(dir, bankCluster, rand.Reader, func(s *keys.Store) error {
		_, err := s.AddFile(filepath.Join(dir, "stick"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// newBank has a log of size leaves, anchored at each of the sizes at.
func newBank(t testing.TB, k *keys.Store, size int64, at ...int64) *bank {
	t.Helper()
	return newBankOf(t, k, bankTenant+"/e1", size, at...)
}

func newBankOf(t testing.TB, k *keys.Store, log string, size int64, at ...int64) *bank {
	t.Helper()
	b := &bank{t: t, keys: k, log: &history{t: t, origin: bankCluster + "/" + log}, system: &history{t: t, origin: bankCluster + "/system/e1"}}
	b.system.add(b.encode(event(b.system.origin, 0)))
	return b.grow(size, nil, at...)
}

// grow the log. change, where it is not nil, gives what is logged instead.
func (b *bank) grow(size int64, change func(*audit.Leaf) []byte, at ...int64) *bank {
	b.t.Helper()
	for {
		for len(at) > 0 && at[0] <= b.log.size() {
			b.anchor()
			at = at[1:]
		}
		if b.log.size() == size {
			return b
		}
		l := event(b.log.origin, b.log.size())
		if change != nil {
			b.log.add(change(l))
		} else {
			b.log.add(b.encode(l))
		}
	}
}

// rewritten is the same bank with other records from the beginning, all signed
// and anchored anew.
func (b *bank) rewritten(change func(*audit.Leaf) []byte) *bank {
	b.t.Helper()
	other := newBank(b.t, b.keys, 0)
	var at []int64
	for _, a := range b.anchors {
		at = append(at, a.size)
	}
	return other.grow(b.log.size(), change, at...)
}

func (b *bank) encode(l *audit.Leaf) []byte {
	b.t.Helper()
	raw, err := l.Encode()
	if err != nil {
		b.t.Fatal(err)
	}
	return raw
}

// event is the seq-th record of a log, the same in every run.
func event(origin string, seq int64) *audit.Leaf {
	at := audit.Time(opened.Add(time.Duration(seq%1000) * time.Second).UnixNano())
	l := &audit.Leaf{
		V: audit.LeafVersion, Seq: seq, Log: origin, ID: fmt.Sprintf("evt_%016d", seq), TS: at, TSMono: at, Node: "nod_1", Term: 1, Index: uint64(seq + 9),
		Actor: audit.Actor{Type: "client", ID: "cli_1", Authn: "key"}, Action: audit.SessionCreate,
		Object: audit.Object{Type: "session", ID: fmt.Sprintf("ses_%d", seq/4)}, Result: audit.OK,
	}
	switch seq % 4 {
	case 1:
		l.Action, l.SubjectRef = audit.DocumentProcess, fmt.Sprintf("sub_%d", seq/4)
		l.PII = map[string]audit.Commitment{}
		for _, o := range openings(seq) {
			l.PII[o.Field], _ = o.Commit(bankTenant)
		}
	case 2:
		l.Action, l.Data = audit.DecisionMake, map[string]any{"decision": "approved", "attempt": int64(1)}
	case 3:
		if seq%8 == 7 {
			l.Action, l.Object, l.SubjectRef = audit.SubjectEraseRequest, audit.Object{}, fmt.Sprintf("sub_%d", seq/4)
		}
	}
	return l
}

// openings of the record seq.
func openings(seq int64) []audit.Opening {
	r := sha256.Sum256(fmt.Append(nil, seq))
	return []audit.Opening{{Field: "birth_date", Value: "1988-02-29", R: r}, {Field: "document.number", Value: fmt.Sprintf("P%07d", seq), R: r}}
}

// sign with the keys that sign the bank's logs now.
func (b *bank) sign(origin, text string) []byte {
	b.t.Helper()
	signers, err := b.keys.Signers(origin)
	if err != nil {
		b.t.Fatal(err)
	}
	signed, err := note.Sign(&note.Note{Text: text}, signers...)
	if err != nil {
		b.t.Fatal(err)
	}
	return signed
}

func (b *bank) checkpoint(h *history, size int64) []byte {
	b.t.Helper()
	return b.head(h.origin, size, h.root(size))
}

func (b *bank) head(origin string, size int64, root tlog.Hash) []byte {
	b.t.Helper()
	return b.sign(origin, (&audit.Checkpoint{Origin: origin, Size: size, Root: root}).Text())
}

// policy pins the keys that sign now.
func (b *bank) policy(more ...string) string {
	b.t.Helper()
	var w strings.Builder
	for _, h := range []*history{b.log, b.system} {
		all, err := b.keys.Verifiers(h.origin)
		if err != nil {
			b.t.Fatal(err)
		}
		for _, v := range all {
			fmt.Fprintf(&w, "log %s\n", v)
		}
	}
	if len(more) == 0 {
		more = []string{"quorum none"}
	}
	return w.String() + strings.Join(more, "\n") + "\n"
}

// anchor the log as it is.
func (b *bank) anchor() {
	b.t.Helper()
	seq := b.system.size()
	b.anchors = append(b.anchors, anchored{b.log.size(), seq})
	b.system.add(b.anchorLeaf(seq, b.log.origin, b.log.size(), b.log.root(b.log.size())))
	b.system.add(b.encode(event(b.system.origin, seq+1)))
}

func (b *bank) anchorLeaf(seq int64, origin string, size int64, root tlog.Hash) []byte {
	b.t.Helper()
	l := event(b.system.origin, seq)
	l.Action, l.SubjectRef, l.PII = audit.AuditAnchor, "", nil
	l.Object = audit.Object{Type: "log", ID: strings.Split(origin, "/")[1]}
	l.Data = map[string]any{"origin": origin, "size": strconv.FormatInt(size, 10), "root": root.String()}
	return b.encode(l)
}
