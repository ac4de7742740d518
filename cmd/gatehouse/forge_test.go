package main_test

import (
	"archive/tar"
	"bytes"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/store/audit"
)

// forgery is a bundle before it is signed: what the forger changes in it is in
// the manifest, too.
type forgery struct {
	origin      string
	from, to    int64
	nonce       string
	challenge   int64 // -1: none
	start, end  []byte
	consistency []tlog.Hash
	subtrees    []tlog.Hash

	system            string // origin
	sysFrom, sysTo    int64
	sysStart, sysEnd  []byte
	sysConsistency    []tlog.Hash
	anchors           [][]byte
	beyond            []byte // nil: none
	leaves            [][]byte
	erasures, sealed  []byte
	report            []byte
	manifest          func(map[string]any) // the last word on it
	entries           func([]byte) []byte
	firstName, adding string // of the entries; another member at the end
}

// forge gives the bundle that the product would write.
func (b *bank) forge(from, to int64) *forgery {
	b.t.Helper()
	f := &forgery{
		origin: b.log.origin, from: from, to: to, challenge: -1, end: b.checkpoint(b.log, to), consistency: b.log.consistency(from, to), subtrees: b.log.subtrees(from),
		system: b.system.origin, leaves: slices.Clone(b.log.leaves[from:to]),
	}
	covers := func(size int64) anchored {
		i := slices.IndexFunc(b.anchors, func(a anchored) bool { return a.size >= size })
		if i < 0 {
			b.t.Fatalf("no anchor covers %d", size)
		}
		return b.anchors[i]
	}
	last := covers(to)
	f.sysTo = last.seq + 1
	f.sysEnd = b.checkpoint(b.system, f.sysTo)
	if from > 0 {
		f.sysFrom = covers(from).seq + 1
		f.start, f.sysStart = b.checkpoint(b.log, from), b.checkpoint(b.system, f.sysFrom)
		f.sysConsistency = b.system.consistency(f.sysFrom, f.sysTo)
	}
	for i, a := range b.anchors { // all lie in the first 65,536 leaves
		if a == last || from < a.size && a.size <= to && (i+1 == len(b.anchors) || b.anchors[i+1].size > to) {
			f.anchors = append(f.anchors, b.anchorLine(a.seq, f.sysTo))
		}
	}
	if last.size > to {
		f.beyond = lines(b.log.consistency(to, last.size))
	}
	f.list()
	return f
}

func (b *bank) anchorLine(seq, size int64) []byte {
	b.t.Helper()
	p, err := audit.InclusionProof(size, seq, b.system)
	if err != nil {
		b.t.Fatal(err)
	}
	return anchorJSON(b.system.leaves[seq], seq, p)
}

func anchorJSON(leaf []byte, seq int64, proof []tlog.Hash) []byte {
	texts := make([]string, len(proof))
	for i, h := range proof {
		texts[i] = h.String()
	}
	line, _ := json.Marshal(map[string]any{"hashes": texts, "leaf": string(leaf), "seq": seq})
	return append(line, '\n')
}

// list the erasures among the leaves.
func (f *forgery) list() {
	f.erasures = nil
	for _, b := range f.leaves {
		l, err := audit.DecodeLeaf(b)
		if err == nil && strings.HasPrefix(string(l.Action), "subject.erase.") {
			line, _ := json.Marshal(map[string]any{"action": l.Action, "seq": l.Seq, "subject_ref": l.SubjectRef, "ts": l.TS.String()})
			f.erasures = append(append(f.erasures, line...), '\n')
		}
	}
}

// lines has a hash on each.
func lines(all []tlog.Hash) []byte {
	b := []byte{}
	for _, h := range all {
		b = append(append(b, h.String()...), '\n')
	}
	return b
}

// stored is a member of the tar.
type stored struct {
	name string
	body []byte
}

// write the bundle, with a manifest that fits, signed.
func (b *bank) write(f *forgery) []byte { return pack(b.t, b.members(f)) }

func (b *bank) members(f *forgery) []stored {
	b.t.Helper()
	var all []stored
	add := func(is bool, name string, body []byte) {
		if is {
			all = append(all, stored{name, body})
		}
	}
	add(f.from > 0, "checkpoint-start", f.start)
	add(true, "checkpoint-end", f.end)
	add(f.from > 0, "consistency", lines(f.consistency))
	add(f.from > 0, "range-start", lines(f.subtrees))
	if f.system != "" {
		add(f.sysFrom > 0, "system/checkpoint-start", f.sysStart)
		add(true, "system/checkpoint-end", f.sysEnd)
		add(f.sysFrom > 0, "system/consistency", lines(f.sysConsistency))
		add(true, "system/anchors.jsonl", bytes.Join(f.anchors, nil))
		add(f.beyond != nil, "system/beyond", f.beyond)
	}
	add(true, "keys.jsonl", nil)
	if f.firstName == "" {
		f.firstName = fmt.Sprintf("entries/%012d.jsonl", f.from)
	}
	var entries []byte
	for _, l := range f.leaves {
		entries = append(append(entries, l...), '\n')
	}
	if f.entries != nil {
		entries = f.entries(entries)
	}
	add(len(f.leaves) > 0, f.firstName, entries)
	add(true, "erasures.jsonl", f.erasures)
	add(f.sealed != nil, "disclosures.jsonl", f.sealed)
	add(f.report != nil, "report.html", f.report)
	add(f.adding != "", f.adding, []byte("x"))
	parts := strings.Split(f.origin, "/")
	m := map[string]any{"format": 1, "origin": f.origin, "cluster": parts[0], "tenant": parts[1], "from": f.from, "to": f.to}
	if f.system != "" {
		m["system"] = map[string]any{"origin": f.system, "from": f.sysFrom, "to": f.sysTo}
	}
	if f.nonce != "" {
		m["nonce"], m["challenge"] = f.nonce, f.challenge
	}
	return b.manifest(f.origin, m, all, f.manifest)
}

// manifest goes before the members, with its signature.
func (b *bank) manifest(origin string, m map[string]any, all []stored, change func(map[string]any)) []stored {
	b.t.Helper()
	var files []map[string]any
	for _, s := range all {
		files = append(files, map[string]any{"name": s.name, "size": len(s.body), "sha256": fmt.Sprintf("%x", sha256.Sum256(s.body))})
	}
	m["files"] = files
	if change != nil {
		change(m)
	}
	raw, err := json.Marshal(m)
	if err != nil {
		b.t.Fatal(err)
	}
	return append([]stored{{"bundle.json", raw}, {"bundle.sig", b.vouch(origin, raw)}}, all...)
}

// vouch signs a manifest.
func (b *bank) vouch(origin string, manifest []byte) []byte {
	b.t.Helper()
	return b.sign(origin, fmt.Sprintf("gatehouse/bundle/1\n%s\n%x\n%s\n", origin, sha256.Sum256(manifest), opened.Add(24*time.Hour).Format(time.RFC3339)))
}

// disclose seals the openings that change gives for each record that has some.
func (f *forgery) disclose(t testing.TB, recipient string, change func(seq int64, o []audit.Opening) []audit.Opening) {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(strings.TrimSpace(recipient), "gatehouse-hpke-public-1:"))
	if err != nil {
		t.Fatal(err)
	}
	kem, kdf, aead := hpke.MLKEM768X25519(), hpke.HKDFSHA256(), hpke.AES256GCM()
	key, err := kem.NewPublicKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	info := fmt.Sprintf("gatehouse/disclosures/1 %s %d %d", f.origin, f.from, f.to)
	enc, sender, err := hpke.NewSender(key, kdf, aead, []byte(info))
	if err != nil {
		t.Fatal(err)
	}
	encode := func(v any) {
		line, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		f.sealed = append(append(f.sealed, line...), '\n')
	}
	f.sealed = []byte{}
	encode(map[string]any{"aead": aead.ID(), "enc": enc, "info": info, "kdf": kdf.ID(), "kem": kem.ID()})
	for seq := f.from; seq < f.to; seq++ {
		var all []audit.Opening
		if seq%4 == 1 {
			all = openings(seq)
		}
		if all = change(seq, all); all == nil {
			continue
		}
		var plain []map[string]string
		for _, o := range all {
			plain = append(plain, map[string]string{"field": o.Field, "r": fmt.Sprintf("%x", o.R), "value": o.Value})
		}
		text, err := json.Marshal(plain)
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := sender.Seal(strconv.AppendInt(nil, seq, 10), text)
		if err != nil {
			t.Fatal(err)
		}
		encode(map[string]any{"sealed": sealed, "seq": seq})
	}
}

func pack(t testing.TB, all []stored) []byte {
	t.Helper()
	return packed(t, func(w *tar.Writer) {
		for _, s := range all {
			put(t, w, &tar.Header{Name: s.name}, s.body)
		}
	})
}

func packed(t testing.TB, do func(*tar.Writer)) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	do(w)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// put a member that looks like the others where h does not say otherwise.
func put(t testing.TB, w *tar.Writer, h *tar.Header, body []byte) {
	t.Helper()
	h.Mode, h.Size = 0o644, int64(len(body))
	if h.Format == 0 {
		h.Format = tar.FormatUSTAR
	}
	if h.Typeflag != 0 && h.Typeflag != tar.TypeReg {
		h.Size, body = 0, nil
	}
	if err := w.WriteHeader(h); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(body); err != nil {
		t.Fatal(err)
	}
}

func unpack(t testing.TB, b []byte) []stored {
	t.Helper()
	var all []stored
	for r := tar.NewReader(bytes.NewReader(b)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, stored{h.Name, body})
	}
}

// start32 is any hash.
func (f *forgery) start32() tlog.Hash { return sha256.Sum256(f.start) }
