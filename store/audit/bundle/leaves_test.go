package bundle_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"gatehouse/store/audit"
	"gatehouse/store/audit/bundle"
)

func TestOrder(t *testing.T) {
	t.Parallel()
	w, b, o := small(t)
	foreign := encode(t, event(systemLog, 20))
	for name, c := range map[string]struct {
		leaf   int64
		change func([][]byte) [][]byte
	}{
		"first missing":  {12, func(l [][]byte) [][]byte { return l[1:] }},
		"missing":        {20, func(l [][]byte) [][]byte { return append(l[:8:8], l[9:]...) }},
		"last missing":   {28, func(l [][]byte) [][]byte { return l[:16] }},
		"all missing":    {12, func(l [][]byte) [][]byte { return nil }},
		"twice":          {15, func(l [][]byte) [][]byte { return append(l[:3:3], l[2:]...) }},
		"once for other": {15, func(l [][]byte) [][]byte { l[3] = l[2]; return l }},
		"swapped":        {14, func(l [][]byte) [][]byte { l[2], l[3] = l[3], l[2]; return l }},
		"one more":       {29, func(l [][]byte) [][]byte { return append(l, append(encode(t, event(tenantLog, 29)), '\n')) }},
		"another log's":  {20, func(l [][]byte) [][]byte { l[8] = append(foreign, '\n'); return l }},
	} {
		v := verify(t, edit(t, b, lines(c.change), w.log), o)
		if v.Code != bundle.CodeOrder || *v.Finding.Leaf != c.leaf {
			t.Errorf("%s: %d %+v", name, v.Code, v.Finding)
		}
	}
	forged := edit(t, b, only(entries12, func([]byte) []byte { return nil }), w.log)
	wants(t, forged, o, bundle.CodeOrder, 12)
	wants(t, edit(t, b, only("erasures.jsonl", func(b []byte) []byte { return b[:0] }), w.log), o, bundle.CodeOrder, -1)
}

func TestAnchorsMissing(t *testing.T) {
	t.Parallel()
	w, b, o := small(t)
	for _, keep := range []int{0, 1} {
		forged := edit(t, b, func(name string, body []byte) []byte {
			switch name {
			case "system/anchors.jsonl":
				return bytes.Join(bytes.SplitAfter(body, []byte("\n"))[:keep], nil)
			case "system/beyond":
				return nil
			}
			return body
		}, w.log)
		wants(t, forged, o, bundle.CodeOrder, -1)
	}
	// The proof for the last one is kept back.
	wants(t, edit(t, b, only("system/beyond", func([]byte) []byte { return nil }), w.log), o, bundle.CodeManifest, -1)
}

func TestAltered(t *testing.T) {
	t.Parallel()
	w, b, o := small(t)
	at := func(i int, change func([]byte) []byte) func(string, []byte) []byte {
		return lines(func(l [][]byte) [][]byte { l[i] = change(l[i]); return l })
	}
	v := wants(t, edit(t, b, at(4, replace("cli_1", "cli_2")), w.log), o, bundle.CodeAltered, -1)
	if !strings.Contains(v.Finding.Detail, "leaves 12 to 19") {
		t.Errorf("%+v", v.Finding)
	}
	for name, change := range map[string]func([]byte) []byte{
		"white space":  replace(`"id":`, `"id": `),
		"order":        replace(`{"action":"session.create",`, `{"v":1,"action":"session.create",`),
		"no leaf":      func([]byte) []byte { return []byte("{}\n") },
		"empty":        func([]byte) []byte { return []byte("\n") },
		"too long":     func([]byte) []byte { return append(bytes.Repeat([]byte("x"), audit.MaxLeaf+1), '\n') },
		"far too long": func([]byte) []byte { return append(bytes.Repeat([]byte("x"), 270_000), '\n') },
	} {
		v := verify(t, edit(t, b, at(4, change), w.log), o)
		if v.Code != bundle.CodeAltered {
			t.Errorf("%s: %d %+v", name, v.Code, v.Finding)
		}
	}
	wants(t, edit(t, b, only(entries12, func(b []byte) []byte { return b[:len(b)-1] }), w.log), o, bundle.CodeAltered, -1)
	wants(t, edit(t, b, only("range-start", func(b []byte) []byte {
		l := bytes.SplitAfter(b, []byte("\n"))
		return bytes.Join([][]byte{l[1], l[0]}, nil)
	}), w.log), o, bundle.CodeAltered, -1)
}

// A log whose clock was wrong is signed like any other.
func TestTime(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(l *audit.Leaf)
		from   int64
		leaf   int64
	}{
		"behind":       {func(l *audit.Leaf) { l.TS -= audit.Time(6 * time.Minute); l.TSMono -= 1e9 }, 0, 10},
		"mono ahead":   {func(l *audit.Leaf) { l.TSMono++ }, 0, 10},
		"mono first":   {func(l *audit.Leaf) { l.TSMono++ }, 10, -1}, // by a leaf before: it cannot be told
		"mono behind":  {func(l *audit.Leaf) { l.TS -= 2e9; l.TSMono = l.TS }, 0, 10},
		"slightly":     {func(l *audit.Leaf) { l.TS -= 2e9; l.TSMono -= 1e9 }, 0, -1},
		"in future":    {func(l *audit.Leaf) { l.TS += audit.Time(73 * time.Hour); l.TSMono = l.TS }, 10, 10},
		"behind first": {func(l *audit.Leaf) { l.TS -= audit.Time(6 * time.Minute) }, 10, 10},
	} {
		w := newWorld(t)
		mono := audit.Time(0)
		for seq := range int64(12) {
			l := event(tenantLog, seq)
			if l.TSMono = max(mono, l.TS); seq == 10 {
				c.change(l)
			}
			mono = max(mono, l.TSMono)
			w.log.add(t, encode(t, l))
			if seq == 9 {
				w.anchor(t)
			}
		}
		w.anchor(t)
		o := w.options()
		o.FirstUse = true
		v := verify(t, write(t, w.export(t, c.from, 12)), o)
		if code := map[bool]int{true: bundle.CodeTime}[c.leaf >= 0]; v.Code != code || code != 0 && *v.Finding.Leaf != c.leaf {
			t.Errorf("%s: %d %+v", name, v.Code, v.Finding)
		}
	}
}

func TestDisclosuresThatLie(t *testing.T) {
	t.Parallel()
	w, b, o := small(t)
	stranger, err := bundle.NewSecret(bytes.NewReader(bytes.Repeat([]byte{7}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	wrongKey := o
	wrongKey.Secret = stranger
	wants(t, b, wrongKey, bundle.CodeDisclosure, 13)
	const name = "disclosures.jsonl"
	for what, change := range map[string]func([]byte) []byte{
		"another bundle's": func([]byte) []byte { return member(t, write(t, everything(t, w, 12, 28)), name) },
		"a line missing": func(b []byte) []byte {
			l := bytes.SplitAfter(b, []byte("\n"))
			return bytes.Join(append(l[:1:1], l[2:]...), nil)
		},
		"moved":     replace(`"seq":13`, `"seq":14`),
		"no header": func(b []byte) []byte { return b[bytes.IndexByte(b, '\n')+1:] },
		"cut":       func(b []byte) []byte { return b[:len(b)-1] },
		"empty":     func(b []byte) []byte { return b[:0] },
		"algorithm": replace(`"kdf":1`, `"kdf":2`),
	} {
		if v := verify(t, edit(t, b, only(name, change), w.log), o); v.Code != bundle.CodeDisclosure {
			t.Errorf("%s: %d %+v", what, v.Code, v.Finding)
		}
	}
	// Sealed rightly, by an operator who made the values up.
	lie := write(t, liar(t, w))
	forged := edit(t, b, only(name, func([]byte) []byte { return member(t, lie, name) }), w.log)
	wants(t, forged, o, bundle.CodeDisclosure, 13)
}

// liar exports a log in which other values were committed to.
func liar(t *testing.T, w *world) *bundle.Export {
	t.Helper()
	other := newWorld(t)
	made := func(seq int64) []audit.Opening {
		all := openings(seq)
		all[0].Value = "2001-01-01"
		return all
	}
	for seq := range w.log.size() {
		l := event(tenantLog, seq)
		for field := range l.PII {
			for _, o := range made(seq) {
				if o.Field == field {
					l.PII[field], _ = o.Commit(tenant)
				}
			}
		}
		other.log.add(t, encode(t, l))
	}
	other.anchor(t)
	e := everything(t, other, 12, 29)
	e.Openings = func(l *audit.Leaf) ([]audit.Opening, error) { return made(l.Seq), nil }
	return e
}

func TestFresh(t *testing.T) {
	t.Parallel()
	w := newWorld(t).grow(t, 10)
	l := event(tenantLog, 10)
	l.Action, l.Data = audit.AuditChallenge, map[string]any{"nonce": "4711/+="}
	w.log.add(t, encode(t, l))
	w.grow(t, 15, 15)
	e := w.export(t, 0, 15)
	e.Nonce, e.Challenge = "4711/+=", 10
	b := write(t, e)
	o := w.options()
	good(t, b, o)
	o.Nonce = "4711/+="
	good(t, b, o)
	o.Nonce = "4712"
	wants(t, b, o, bundle.CodeStale, -1)
	wants(t, write(t, w.export(t, 0, 15)), o, bundle.CodeStale, -1)
	// A manifest that claims what no leaf says.
	forged := edit(t, b, only("bundle.json", replace("4711/+=", "4712")), w.log)
	wants(t, forged, o, bundle.CodeStale, 10)
	o.Nonce = "4711/+="
	forged = edit(t, b, only("bundle.json", replace(`"challenge":10`, `"challenge":9`)), w.log)
	wants(t, forged, o, bundle.CodeStale, 9)
}

// The step that comes first decides, whatever was read first.
func TestFirstStepDecides(t *testing.T) {
	t.Parallel()
	w, b, o := small(t)
	forged := edit(t, b, lines(func(l [][]byte) [][]byte { return l[1:] }), w.log)
	o.Nonce = "unknown"
	wants(t, forged, o, bundle.CodeOrder, 12)
	o.Policy = parsePolicy(t, strings.Replace(w.policyText, "quorum none", "quorum auditor", 1))
	wants(t, forged, o, bundle.CodeQuorum, -1)
	wants(t, forged[:len(forged)-1], o, bundle.CodeManifest, -1)
}
