package main_test

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"gatehouse/store/audit"
)

// orders of records that are not the log's. Each bundle is signed again.
func (l *lie) orders() []badCase {
	// renumbered gives the record a place.
	renumbered := func(b []byte, seq int64) []byte {
		leaf, err := audit.DecodeLeaf(b)
		if err != nil {
			l.t.Fatal(err)
		}
		leaf.Seq = seq
		return l.bank.encode(leaf)
	}
	elsewhere := newBankOf(l.t, l.keys, "ten_c/e1", 60, 60)
	later := newBankOf(l.t, l.keys, bankTenant+"/e2", 60, 60)
	all := []badCase{
		{name: "the last record is missing", code: 40, leaf: 28, bundle: l.signed(func(f *forgery) { f.leaves = f.leaves[:16] })},
		{name: "the first record is missing", code: 40, leaf: 12, bundle: l.signed(func(f *forgery) { f.leaves = f.leaves[1:] })},
		{name: "the first record is missing, and the file says so", code: 10, bundle: l.signed(func(f *forgery) {
			f.leaves, f.firstName = f.leaves[1:], "entries/000000000013.jsonl"
		})},
		{name: "a record in the middle is missing", code: 40, leaf: 17, bundle: l.signed(func(f *forgery) { f.leaves = slices.Delete(f.leaves, 5, 6) })},
		{name: "all records are missing", code: 40, leaf: 12, bundle: l.signed(func(f *forgery) { f.leaves = nil })},
		{name: "two records are swapped", code: 40, leaf: 17, bundle: l.signed(func(f *forgery) { f.leaves[5], f.leaves[6] = f.leaves[6], f.leaves[5] })},
		{name: "a record twice", code: 40, leaf: 18, bundle: l.signed(func(f *forgery) { f.leaves = slices.Insert(f.leaves, 6, f.leaves[5]) })},
		{name: "a record twice instead of the next", code: 40, leaf: 18, bundle: l.signed(func(f *forgery) { f.leaves[6] = f.leaves[5] })},
		{name: "a record too many at the end", code: 40, leaf: 29, bundle: l.signed(func(f *forgery) { f.leaves = append(f.leaves, l.bank.log.leaves[29]) })},
		{name: "a record put between", code: 40, leaf: 18, bundle: l.signed(func(f *forgery) {
			f.leaves = slices.Insert(f.leaves, 5, renumbered(l.bank.log.leaves[40], 17))
		})},
		{name: "a record put between, the others renumbered", code: 40, leaf: 29, bundle: l.signed(func(f *forgery) {
			f.leaves = slices.Insert(f.leaves, 5, l.bank.log.leaves[40])
			for i := range f.leaves {
				f.leaves[i] = renumbered(f.leaves[i], int64(12+i))
			}
		})},
		{name: "a record missing, the others renumbered, one added", code: 41, bundle: l.signed(func(f *forgery) {
			f.leaves = append(slices.Delete(f.leaves, 5, 6), l.bank.log.leaves[40])
			for i := range f.leaves {
				f.leaves[i] = renumbered(f.leaves[i], int64(12+i))
			}
			f.list()
		})},
		{name: "records of another tenant", code: 40, leaf: 17, bundle: l.signed(func(f *forgery) { copy(f.leaves[5:8], elsewhere.log.leaves[17:20]) })},
		{name: "records of another epoch", code: 40, leaf: 17, bundle: l.signed(func(f *forgery) { copy(f.leaves[5:8], later.log.leaves[17:20]) })},
		{name: "a log that goes on with the next epoch, all signed", code: 40, leaf: 17, bundle: l.logged(l.raw(17, func([]byte) []byte { return later.log.leaves[17] }))},
		{name: "a log that goes on with the epoch before, all signed", code: 40, leaf: 17, state: "none", flags: []string{"--first-use"}, policy: later.policy(), bundle: func() []byte {
			b := newBankOf(l.t, l.keys, bankTenant+"/e2", 12, 12).grow(40, l.raw(17, func([]byte) []byte { return l.bank.log.leaves[17] }), 29, 40)
			return b.write(b.forge(12, 29))
		}()},
		{name: "a log with a gap in its numbers, all signed", code: 40, leaf: 17, bundle: l.logged(func(leaf *audit.Leaf) []byte {
			if leaf.Seq >= 17 {
				leaf.Seq++
			}
			return l.bank.encode(leaf)
		})},
		{name: "an erasure that is not listed", code: 40, bundle: l.signed(func(f *forgery) { f.erasures = nil })},
		{name: "an erasure that was none", code: 40, bundle: l.signed(func(f *forgery) { f.erasures = bytes.ReplaceAll(f.erasures, []byte("sub_3"), []byte("sub_4")) })},
		{name: "no anchor", code: 40, bundle: l.signed(func(f *forgery) { f.anchors = nil })},
	}
	f := l.bank.forge(12, 33) // with an anchor within and one beyond
	f.anchors = f.anchors[:1]
	f.beyond = nil
	all = append(all, badCase{name: "the anchor beyond the end is missing", code: 40, bundle: l.bank.write(f)})
	f = l.bank.forge(12, 33)
	f.beyond = nil
	all = append(all, badCase{name: "the proof to the anchor beyond the end is missing", code: 10, bundle: l.bank.write(f)})
	f = l.bank.forge(12, 33)
	f.beyond = f.beyond[:len(f.beyond)-45]
	return append(all, badCase{name: "the proof to the anchor beyond the end is short", code: 31, bundle: l.bank.write(f)})
}

// altered records. What is no record of the format is no excuse where the log
// itself has signed it.
func (l *lie) altered() []badCase {
	replace := func(from, to string) func([]byte) []byte {
		return func(b []byte) []byte {
			changed := bytes.Replace(b, []byte(from), []byte(to), 1)
			if bytes.Equal(changed, b) {
				l.t.Fatalf("there is no %s in %s", from, b)
			}
			return changed
		}
	}
	padded := func(n int) func([]byte) []byte {
		return func(b []byte) []byte {
			return bytes.Replace(b, []byte(`"cli_1"`), []byte(`"`+strings.Repeat("c", n-len(b)+len("cli_1"))+`"`), 1)
		}
	}
	all := []badCase{
		{name: "a record altered, manifest signed again", code: 41, bundle: l.signed(func(f *forgery) { f.leaves[5] = replace("cli_1", "cli_2")(f.leaves[5]) })},
		{name: "a decision altered, manifest signed again", code: 41, bundle: l.signed(func(f *forgery) { f.leaves[6] = replace("approved", "rejected")(f.leaves[6]) })},
		{name: "a record is longer than the format allows, by a byte", code: 41, bundle: l.logged(l.raw(17, padded(audit.MaxLeaf+1)))},
		{name: "a record of 64 KiB and a byte", code: 41, bundle: l.logged(l.raw(17, padded(64<<10+1)))},
		{name: "the last record without its line's end, manifest signed again", code: 41, bundle: l.signed(func(f *forgery) {
			f.entries = func(b []byte) []byte { return b[:len(b)-1] }
		})},
	}
	for name, change := range map[string]func([]byte) []byte{
		"another order of keys": replace(`"term":1,"ts":"2026-03-02T08:00:18.000000000Z"`, `"ts":"2026-03-02T08:00:18.000000000Z","term":1`),
		"1.0":                   replace(`"attempt":1`, `"attempt":1.0`),
		"1e0":                   replace(`"attempt":1`, `"attempt":1e0`),
		"a number too large":    replace(`"attempt":1`, `"attempt":9007199254740993`),
		"NaN":                   replace(`"attempt":1`, `"attempt":NaN`),
		"Infinity":              replace(`"attempt":1`, `"attempt":Infinity`),
		"null":                  replace(`"attempt":1`, `"attempt":null`),
		"a key twice":           replace(`"node":"nod_1"`, `"node":"nod_1","node":"nod_1"`),
		"a key in another case": replace(`"node":"nod_1"`, `"NODE":"nod_1"`),
		"an unknown key":        replace(`"node":"nod_1"`, `"node":"nod_1","note":"x"`),
		"a BOM":                 func(b []byte) []byte { return append([]byte("\uFEFF"), b...) },
		"CRLF":                  func(b []byte) []byte { return append(bytes.Clone(b), '\r') },
		"white space":           replace(`,"node"`, `, "node"`),
		"a needless escape":     replace(`nod_1`, `\u006eod_1`),
		"no UTF-8":              replace("nod_1", "nod_\xff"),
		"bytes after the end":   func(b []byte) []byte { return append(bytes.Clone(b), "{}"...) },
		"an unknown action":     replace(`"decision.make"`, `"decision.unmake"`),
		"another version":       replace(`"v":1`, `"v":2`),
		"an array":              func(b []byte) []byte { return []byte("[" + string(b) + "]") },
		"nothing":               func([]byte) []byte { return []byte{} },
	} {
		all = append(all, badCase{name: "a record with " + name + ", all signed", code: 41, leaf: 18, bundle: l.logged(l.raw(18, change))})
	}
	return all
}

// times that contradict each other or the clock. The log itself has signed them.
func (l *lie) times() []badCase {
	// moved sets the clock at record 17; with mono, ts_mono follows it.
	moved := func(d time.Duration, mono bool) func(*audit.Leaf) []byte {
		latest := audit.Time(0)
		return func(leaf *audit.Leaf) []byte {
			if leaf.Seq == 17 {
				leaf.TS += audit.Time(d)
			}
			latest = max(latest, leaf.TS)
			if leaf.TSMono = latest; mono && leaf.Seq == 17 {
				leaf.TSMono = leaf.TS
			}
			return l.bank.encode(leaf)
		}
	}
	return []badCase{
		{name: "the clock goes back by an hour", code: 50, leaf: 17, bundle: l.logged(moved(-time.Hour, false))},
		{name: "the clock goes back by more than is accepted", code: 50, leaf: 17, flags: []string{"--clock-tolerance", "10s"}, bundle: l.logged(moved(-20*time.Second, false))},
		{name: "the clock goes forward by a year", code: 50, leaf: 17, bundle: l.logged(moved(time.Since(opened)+365*24*time.Hour, true))},
		{name: "ts_mono goes back", code: 50, leaf: 17, bundle: l.logged(moved(-time.Second*5, true))},
		{name: "ts_mono is ahead of every ts", code: 50, leaf: 17, bundle: l.logged(l.at(17, func(leaf *audit.Leaf) { leaf.TSMono += audit.Time(time.Second) }))},
	}
}

// disclosing what was not logged. Each bundle is signed again.
func (l *lie) disclosing() []badCase {
	o := l.disclosureKey("mine")
	stranger := l.disclosureKey("stranger")
	to := func(key [2]string, change func(seq int64, all []audit.Opening) []audit.Opening) []byte {
		return l.signed(func(f *forgery) { f.disclose(l.t, key[1], change) })
	}
	at17 := func(change func([]audit.Opening) []audit.Opening) func(int64, []audit.Opening) []audit.Opening {
		return func(seq int64, all []audit.Opening) []audit.Opening {
			if seq == 17 {
				return change(all)
			}
			return all
		}
	}
	honest := func(_ int64, all []audit.Opening) []audit.Opening { return all }
	cases := []badCase{
		{name: "disclosed with a wrong r", leaf: 17, bundle: to(o, at17(func(all []audit.Opening) []audit.Opening { all[0].R[3] ^= 1; return all }))},
		{name: "disclosed with r of zeros", leaf: 17, bundle: to(o, at17(func(all []audit.Opening) []audit.Opening { all[0].R = [32]byte{}; return all }))},
		{name: "disclosed is another value", leaf: 17, bundle: to(o, at17(func(all []audit.Opening) []audit.Opening { all[0].Value = "1999-01-01"; return all }))},
		{name: "disclosed is the value of another field", leaf: 17, bundle: to(o, at17(func(all []audit.Opening) []audit.Opening { all[0].Field = "expiry"; return all }))},
		{name: "disclosed are the values of another record", leaf: 17, bundle: to(o, at17(func([]audit.Opening) []audit.Opening { return openings(13) }))},
		{name: "disclosed is what was never logged", leaf: 18, bundle: to(o, func(seq int64, all []audit.Opening) []audit.Opening {
			if seq == 18 {
				return openings(17)
			}
			return all
		})},
		{name: "disclosed to another key", bundle: to(stranger, honest)},
		{name: "disclosures of another bundle", bundle: l.signed(func(f *forgery) {
			g := l.bank.forge(12, 33)
			g.disclose(l.t, o[1], honest)
			f.sealed = g.sealed
		})},
		{name: "disclosures with a line moved", bundle: l.signed(func(f *forgery) {
			f.disclose(l.t, o[1], honest)
			all := bytes.SplitAfter(f.sealed, []byte("\n"))
			all[1], all[2] = all[2], all[1]
			f.sealed = bytes.Join(all, nil)
		})},
		{name: "disclosures that are cut", bundle: l.signed(func(f *forgery) {
			f.disclose(l.t, o[1], honest)
			f.sealed = f.sealed[:len(f.sealed)-10]
		})},
		{name: "disclosures without anything", bundle: l.signed(func(f *forgery) { f.sealed = []byte{} })},
	}
	for i := range cases {
		cases[i].code, cases[i].flags = 60, []string{"--secret", o[0]}
	}
	return cases
}

// disclosureKey gives the files of a secret key and the public text.
func (l *lie) disclosureKey(name string) [2]string {
	file := l.t.TempDir() + "/" + name
	succeed(l.t, "audit", "keygen", "--disclosure", "--out", file)
	return [2]string{file, string(readFile(l.t, file+".pub"))}
}

const nonce = "2026-q4-7f3a"

// asked has the auditor's nonce in record 20.
func asked(text string) func(*audit.Leaf) {
	return func(leaf *audit.Leaf) {
		leaf.Action, leaf.SubjectRef, leaf.PII = audit.AuditChallenge, "", nil
		leaf.Object, leaf.Data = audit.Object{Type: "log", ID: bankTenant}, map[string]any{"nonce": text}
	}
}

// answering is a bundle that says that record 20 is the answer to nonce.
func (l *lie) answering(nonce string, change func(*audit.Leaf) []byte) []byte {
	f := newBank(l.t, l.keys, 12, 12).grow(40, change, 29, 40).forge(12, 29)
	f.nonce, f.challenge = nonce, 20
	return l.bank.write(f)
}

// stale bundles do not answer the auditor's nonce.
func (l *lie) stale() []badCase {
	honest := l.bank.write(l.bank.forge(12, 29))
	outside := l.bank.forge(12, 29)
	outside.nonce, outside.challenge = nonce, 8
	cases := []badCase{
		{name: "no nonce", bundle: honest},
		{name: "a nonce that is in the records alone", bundle: l.logged(l.at(20, asked(nonce)))},
		{name: "an older nonce", bundle: l.answering("2026-q3-11aa", l.at(20, asked("2026-q3-11aa")))},
		{name: "a nonce in the manifest alone", leaf: 20, bundle: l.answering(nonce, nil)},
		{name: "the manifest has the nonce, the record an older one", leaf: 20, bundle: l.answering(nonce, l.at(20, asked("2026-q3-11aa")))},
		{name: "the nonce in a record that is no challenge", leaf: 20, bundle: l.answering(nonce, l.at(20, func(leaf *audit.Leaf) {
			asked(nonce)(leaf)
			leaf.Action = audit.DecisionMake
		}))},
		{name: "a nonce that is longer", bundle: l.answering(nonce+"0", l.at(20, asked(nonce+"0")))},
	}
	for i := range cases {
		cases[i].code = 70
	}
	cases = append(cases, badCase{name: "the nonce of a record before the bundle", code: 10, bundle: l.bank.write(outside)})
	for i := range cases {
		cases[i].flags = []string{"--nonce", nonce}
	}
	return append(cases, badCase{name: "the first step that fails decides", code: 40, leaf: 17, flags: []string{"--nonce", nonce}, bundle: l.signed(func(f *forgery) {
		f.leaves[5], f.leaves[6] = f.leaves[6], f.leaves[5]
		f.leaves[8] = []byte("{}")
		f.nonce, f.challenge = nonce, 20
	})})
}
