package bundle_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/store/audit"
	"gatehouse/store/audit/bundle"
	"gatehouse/store/audit/trust"
)

const (
	tenant    = "ten_b"
	tenantLog = "clu_a/ten_b/e1"
	systemLog = "clu_a/system/e1"
)

// began is when the test's cluster was founded; a leaf follows each second.
var began = time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)

// ledger is a log in memory.
type ledger struct {
	origin string
	leaves [][]byte
	hashes []tlog.Hash
	signer note.Signer
	vkey   string
}

func newLedger(t testing.TB, origin string) *ledger {
	t.Helper()
	seed := sha256.Sum256([]byte("seed of " + origin))
	private := ed25519.NewKeyFromSeed(seed[:])
	vkey, err := note.NewEd25519VerifierKey(origin, private.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return &ledger{origin: origin, signer: signer(t, vkey, seed), vkey: vkey}
}

func signer(t testing.TB, vkey string, seed [32]byte) note.Signer {
	t.Helper()
	s, err := note.NewSigner("PRIVATE+KEY+" + strings.Join(strings.SplitN(vkey, "+", 3)[:2], "+") + "+" +
		base64.StdEncoding.EncodeToString(append([]byte{1}, seed[:]...))) // 1: Ed25519
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (l *ledger) size() int64 { return int64(len(l.leaves)) }

func (l *ledger) Hash(i int64) (tlog.Hash, error) {
	if i < 0 || i >= int64(len(l.hashes)) {
		return tlog.Hash{}, fmt.Errorf("hash %d is not stored", i)
	}
	return l.hashes[i], nil
}

func (l *ledger) add(t testing.TB, b []byte) {
	t.Helper()
	hashes, _, err := audit.Append(l.size(), b, l)
	if err != nil {
		t.Fatal(err)
	}
	l.leaves, l.hashes = append(l.leaves, b), append(l.hashes, hashes...)
}

func (l *ledger) root(t testing.TB, size int64) tlog.Hash {
	t.Helper()
	r, err := audit.Root(size, l)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (l *ledger) sign(t testing.TB, text string) []byte {
	t.Helper()
	b, err := note.Sign(&note.Note{Text: text}, l.signer)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (l *ledger) checkpoint(t testing.TB, size int64) []byte {
	t.Helper()
	return l.sign(t, (&audit.Checkpoint{Origin: l.origin, Size: size, Root: l.root(t, size)}).Text())
}

func (l *ledger) consistency(t testing.TB, from, to int64) []tlog.Hash {
	t.Helper()
	p, err := audit.ConsistencyProof(from, to, l)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// event is the seq-th leaf of a log, the same in every run.
func event(origin string, seq int64) *audit.Leaf {
	at := audit.Time(began.Add(time.Duration(seq%(1<<20)) * time.Second).UnixNano())
	l := &audit.Leaf{
		V: 1, Seq: seq, Log: origin, ID: fmt.Sprintf("evt_%016d", seq), TS: at, TSMono: at, Node: "nod_1", Term: 3, Index: uint64(2*seq + 7),
		Actor: audit.Actor{Type: "client", ID: "cli_1", Authn: "key"}, Action: audit.SessionCreate,
		Object: audit.Object{Type: "session", ID: fmt.Sprintf("ses_%d", seq/4)}, Result: audit.OK,
	}
	switch seq % 4 {
	case 1:
		l.Action, l.SubjectRef = audit.DocumentProcess, fmt.Sprintf("sub_%d", seq/4)
		l.Req = audit.Request{RequestID: "req_" + l.ID, Route: "POST /v1/sessions/{id}/submit", PolicyVersion: "default/1", Models: []string{"det@1", "rec@2"}}
		l.Data = map[string]any{"score": "0.9731", "authentic": true, "pages": int64(2)}
		l.PII = map[string]audit.Commitment{}
		for _, o := range openings(seq) {
			l.PII[o.Field], _ = o.Commit(tenant)
		}
	case 2:
		l.Action, l.Data = audit.DecisionMake, map[string]any{"decision": "approve", "scores": map[string]any{"face": "0.81", "list": "0"}}
	case 3:
		if seq%8 == 7 {
			l.Action, l.Object, l.SubjectRef = audit.SubjectEraseRequest, audit.Object{}, fmt.Sprintf("sub_%d", seq/4)
		}
	}
	return l
}

func openings(seq int64) []audit.Opening {
	var r [32]byte
	binary.BigEndian.PutUint64(r[:], uint64(seq)+1)
	return []audit.Opening{{Field: "birth_date", Value: "1988-02-29", R: r}, {Field: "document.number", Value: fmt.Sprintf("P\"%07d\"\n é", seq), R: r}}
}

func encode(t testing.TB, l *audit.Leaf) []byte {
	t.Helper()
	b, err := l.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// world is a cluster with one tenant, whose log is anchored now and then.
type world struct {
	log, system *ledger
	anchors     []anchor
	witness     *trust.Witness
	policy      *trust.Policy
	policyText  string
	secret      *bundle.Secret
}

type anchor struct{ size, seq int64 }

// zeros is a random source for tests.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{log: newLedger(t, tenantLog), system: newLedger(t, systemLog)}
	skey, vkey, err := trust.NewWitness("auditor.example", zeros{})
	if err != nil {
		t.Fatal(err)
	}
	if w.witness, err = trust.ParseWitness(skey); err != nil {
		t.Fatal(err)
	}
	w.policyText = fmt.Sprintf("log %s\nlog %s\nwitness auditor %s\nquorum none\n", w.log.vkey, w.system.vkey, vkey)
	w.policy = parsePolicy(t, w.policyText)
	if w.secret, err = bundle.NewSecret(zeros{}); err != nil {
		t.Fatal(err)
	}
	w.system.add(t, encode(t, event(systemLog, 0)))
	return w
}

func parsePolicy(t testing.TB, text string) *trust.Policy {
	t.Helper()
	p, err := trust.ParsePolicy([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// grow the log to size, with an anchor where each of the sizes at is reached.
func (w *world) grow(t testing.TB, size int64, at ...int64) *world {
	t.Helper()
	for w.log.size() < size {
		w.log.add(t, encode(t, event(tenantLog, w.log.size())))
		if len(at) > 0 && at[0] == w.log.size() {
			w.anchor(t)
			at = at[1:]
		}
	}
	return w
}

// anchor the log as it is, with another leaf before.
func (w *world) anchor(t testing.TB) {
	t.Helper()
	w.system.add(t, encode(t, event(systemLog, w.system.size())))
	w.anchors = append(w.anchors, anchor{w.log.size(), w.system.size()})
	w.system.add(t, encode(t, anchorLeaf(w.system.size(), w.log.size(), w.log.root(t, w.log.size()))))
}

func anchorLeaf(seq, size int64, root tlog.Hash) *audit.Leaf {
	l := event(systemLog, seq)
	l.Action, l.Object, l.SubjectRef, l.Req, l.PII = audit.AuditAnchor, audit.Object{Type: "log", ID: tenant}, "", audit.Request{}, nil
	l.Data = map[string]any{"origin": tenantLog, "size": strconv.FormatInt(size, 10), "root": root.String()}
	return l
}

// covering gives the first anchor of at least that size.
func (w *world) covering(t testing.TB, size int64) anchor {
	t.Helper()
	for _, a := range w.anchors {
		if a.size >= size {
			return a
		}
	}
	t.Fatalf("no anchor covers %d", size)
	return anchor{}
}

// slice finds the anchors that the format asks for.
func (w *world) slice(t testing.TB, from, to int64) *bundle.System {
	t.Helper()
	last := w.covering(t, to)
	var use []anchor
	for i, a := range w.anchors {
		inRange := from < a.size && a.size <= to
		lastOfChunk := i+1 == len(w.anchors) || w.anchors[i+1].size > to || (w.anchors[i+1].size-1)>>16 != (a.size-1)>>16
		if inRange && lastOfChunk || a == last {
			use = append(use, a)
		}
	}
	end := last.seq + 1
	s := &bundle.System{End: w.system.checkpoint(t, end)}
	if from > 0 {
		start := w.covering(t, from).seq + 1
		s.Start, s.Consistency = w.system.checkpoint(t, start), w.system.consistency(t, start, end)
	}
	for _, a := range use {
		p, err := audit.InclusionProof(end, a.seq, w.system)
		if err != nil {
			t.Fatal(err)
		}
		s.Anchors = append(s.Anchors, bundle.Anchor{Leaf: w.system.leaves[a.seq], Seq: a.seq, Hashes: p})
	}
	if last.size > to {
		s.Beyond = w.log.consistency(t, to, last.size)
	}
	return s
}

func (l *ledger) export(t testing.TB, from, to int64) *bundle.Export {
	t.Helper()
	e := &bundle.Export{
		Origin: l.origin, From: from, To: to, Challenge: -1, End: l.checkpoint(t, to), Hashes: l,
		Leaves: func(_ context.Context, from, to int64, do func(int64, []byte) error) error {
			for seq := from; seq < to; seq++ {
				if err := do(seq, l.leaves[seq]); err != nil {
					return err
				}
			}
			return nil
		},
		Keys: []bundle.Key{{VKey: l.vkey}},
		Sign: func(text string) ([]byte, error) { return note.Sign(&note.Note{Text: text}, l.signer) },
		Now:  func() time.Time { return began.Add(24 * time.Hour) },
	}
	if from > 0 {
		e.Start = l.checkpoint(t, from)
	}
	return e
}

func (w *world) export(t testing.TB, from, to int64) *bundle.Export {
	t.Helper()
	e := w.log.export(t, from, to)
	e.System = w.slice(t, from, to)
	return e
}

func write(t testing.TB, e *bundle.Export) []byte {
	t.Helper()
	p, err := e.Prepare(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := p.Write(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	if int64(b.Len()) != p.Size() {
		t.Fatalf("%d bytes were written, Size said %d", b.Len(), p.Size())
	}
	return b.Bytes()
}

func (w *world) options() bundle.Options {
	return bundle.Options{Policy: w.policy, Now: began.Add(48 * time.Hour)}
}

func verify(t testing.TB, b []byte, o bundle.Options) *bundle.Verdict {
	t.Helper()
	v, err := bundle.Verify(t.Context(), bytes.NewReader(b), o)
	if err != nil {
		t.Fatal(err)
	}
	if v.Good != (v.Code == 0) || v.Good != (v.Finding == nil) || !v.Good && (v.Finding.Code != v.Code || v.Finding.Meaning == "" || v.Finding.Detail == "") {
		t.Fatalf("the verdict contradicts itself: %+v, %+v", v, v.Finding)
	}
	return v
}

func good(t testing.TB, b []byte, o bundle.Options) *bundle.Verdict {
	t.Helper()
	v := verify(t, b, o)
	if !v.Good {
		t.Fatalf("%+v", *v.Finding)
	}
	return v
}

// page is a report that counts.
type page struct{ leaves int }

func (p *page) Add(*audit.Leaf) error { p.leaves++; return nil }
func (p *page) Render(w io.Writer) error {
	_, err := fmt.Fprintf(w, "<p>%d records\n", p.leaves)
	return err
}
