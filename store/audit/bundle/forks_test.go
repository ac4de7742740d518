package bundle_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/store/audit"
	"gatehouse/store/audit/bundle"
	"gatehouse/store/audit/trust"
)

// rewritten is a log of the same name and key whose leaf which differs.
func rewritten(t *testing.T, w *world, which int64) *world {
	t.Helper()
	other := newWorld(t)
	for seq := range w.log.size() {
		l := event(tenantLog, seq)
		if seq == which {
			l.Node = "nod_2"
		}
		other.log.add(t, encode(t, l))
		for _, a := range w.anchors {
			if a.size == seq+1 {
				other.anchor(t)
			}
		}
	}
	return other
}

// convinces a third party, who has the policy alone.
func convinces(t *testing.T, v *bundle.Verdict, p *trust.Policy) {
	t.Helper()
	if v.Evidence == nil {
		t.Fatalf("no evidence: %+v", v.Finding)
	}
	b, err := v.Evidence.Encode()
	if err != nil {
		t.Fatal(err)
	}
	e, err := trust.ParseEvidence(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Check(p); err != nil {
		t.Error(err)
	}
}

func TestForks(t *testing.T) {
	t.Parallel()
	w, b, o := small(t)
	other := rewritten(t, w, 5) // before the range
	s := w.slice(t, 12, 29)

	// What the auditor remembers, the log now denies.
	for _, m := range []*trust.Memory{
		remembering(t, other.log.checkpoint(t, 12), s.Start),
		remembering(t, other.log.checkpoint(t, 29), s.End),
		remembering(t, w.log.checkpoint(t, 12), other.slice(t, 12, 29).Start),
	} {
		denied := o
		denied.Memory = m
		convinces(t, wants(t, b, denied, bundle.CodeFork, -1), w.policy)
	}

	// The bundle starts with a tree that its end does not begin with, whose own
	// subtrees are given.
	forged := edit(t, b, only("checkpoint-start", func([]byte) []byte { return other.log.checkpoint(t, 12) }), w.log)
	convinces(t, wants(t, forged, o, bundle.CodeFork, -1), w.policy)
	// And one that hides them.
	forged = edit(t, b, func(name string, b []byte) []byte {
		switch name {
		case "checkpoint-start":
			return other.log.checkpoint(t, 12)
		case "range-start":
			return member(t, write(t, other.export(t, 12, 29)), name)
		}
		return b
	}, w.log)
	if v := wants(t, forged, o, bundle.CodeFork, -1); v.Evidence != nil {
		t.Error("evidence that does not convince")
	}

	// The whole cluster agrees on a log that the system's log has not anchored.
	altered := rewritten(t, w, 25)
	e := everything(t, altered, 12, 29)
	wants(t, edit(t, write(t, e), only("system/anchors.jsonl", func([]byte) []byte { return member(t, b, "system/anchors.jsonl") }), w.log), o, bundle.CodeFork, -1)
	e = altered.export(t, 12, 29)
	forged = edit(t, write(t, e), func(name string, body []byte) []byte {
		if strings.HasPrefix(name, "system/") && name != "system/beyond" {
			return member(t, b, name)
		}
		return body
	}, w.log)
	if v := wants(t, forged, o, bundle.CodeFork, -1); !strings.Contains(v.Finding.Detail, "size 30") {
		t.Errorf("%+v", v.Finding)
	}

	// A system's log that was rewritten.
	forged = edit(t, b, only("system/checkpoint-start", func([]byte) []byte { return other.slice(t, 12, 29).Start }), w.log)
	wants(t, forged, o, bundle.CodeFork, -1)
	// Leaves of the system's log that are no anchors of this one.
	for old, new := range map[string]string{`\"size\":\"20\"`: `\"size\":\"21\"`, `audit.anchor`: `audit.cosign`} {
		forged = edit(t, b, only("system/anchors.jsonl", replace(old, new)), w.log)
		wants(t, forged, o, bundle.CodeFork, -1)
	}
}

// An anchor may say anything once it is in the system's log.
func TestAnchorsThatLie(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*audit.Leaf){
		"root":          func(l *audit.Leaf) { l.Data["root"] = tlog.Hash{1}.String() },
		"size":          func(l *audit.Leaf) { l.Data["size"] = "21" },
		"size twice":    func(l *audit.Leaf) { l.Data["size"] = "020" },
		"size a number": func(l *audit.Leaf) { l.Data["size"] = int64(20) },
		"tenant":        func(l *audit.Leaf) { l.Object.ID = "ten_c" },
		"origin":        func(l *audit.Leaf) { l.Data["origin"] = "clu_a/ten_b/e2" },
		"seq":           func(l *audit.Leaf) { l.Seq++ },
		"log":           func(l *audit.Leaf) { l.Log = tenantLog },
	} {
		w := newWorld(t).grow(t, 20, 10)
		seq := w.system.size()
		l := anchorLeaf(seq, 20, w.log.root(t, 20))
		w.system.add(t, encode(t, l))
		w.anchors = append(w.anchors, anchor{20, seq})
		w.grow(t, 30, 30)
		b := write(t, w.export(t, 0, 25))

		// The same system's log with the lie in that place.
		change(l)
		w.system.leaves, w.system.hashes = w.system.leaves[:seq], w.system.hashes[:tlog.StoredHashIndex(0, seq)]
		w.system.add(t, encode(t, l))
		w.anchor(t)
		s := w.slice(t, 0, 25)
		forged := edit(t, b, func(name string, body []byte) []byte {
			switch name {
			case "system/checkpoint-end":
				return s.End
			case "system/anchors.jsonl":
				return anchorLines(t, s.Anchors)
			}
			return body
		}, w.log)
		if v := verify(t, forged, w.options()); v.Code != bundle.CodeFork {
			t.Errorf("%s: %d %+v", name, v.Code, v.Finding)
		}
	}
}

func anchorLines(t *testing.T, all []bundle.Anchor) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, a := range all {
		line, err := json.Marshal(map[string]any{"seq": a.Seq, "leaf": string(a.Leaf), "hashes": a.Hashes})
		if err != nil {
			t.Fatal(err)
		}
		b.Write(append(line, '\n'))
	}
	return b.Bytes()
}
