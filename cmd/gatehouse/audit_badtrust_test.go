package main_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/store/audit"
	"gatehouse/store/audit/trust"
)

// other changes a record, so that another tree comes of it.
func other(l *audit.Leaf) { l.Actor.ID = "cli_2" }

// signatures by the wrong keys.
func (l *lie) signatures() []badCase {
	firstUse := []string{"--first-use"}
	stranger := newBank(l.t, newKeys(l.t), 60, 12, 29, 45, 60)
	elsewhere := newBankOf(l.t, l.keys, "ten_c/e1", 60, 12, 29, 45, 60)
	later := newBankOf(l.t, l.keys, bankTenant+"/e2", 60, 12, 29, 45, 60)

	rotated := newBank(l.t, newKeys(l.t), 60, 12, 29, 45, 60)
	before := rotated.policy()
	old, fresh, err := rotated.keys.RotateSigning(opened)
	if err != nil {
		l.t.Fatal(err)
	}
	overlapping := rotated.write(rotated.forge(12, 29))
	both := rotated.policy()
	if err := rotated.keys.RetireSigning(old.ID); err != nil {
		l.t.Fatal(err)
	}
	if after := rotated.policy(); strings.Count(both, "\nlog ")+1 != 4 || strings.Contains(before, lastLine(after)) || fresh.ID == old.ID {
		l.t.Fatalf("the key was not rotated: %s", both)
	}
	// The old key counts below 20 leaves of the tenant's log only, and for all
	// of the system's.
	limited := strings.Replace(before, "quorum", fmt.Sprintf("valid %s - 20\nquorum", id(before)), 1)

	return []badCase{
		{name: "a bank's logs under another cluster's key", code: 21, bundle: stranger.write(stranger.forge(12, 29))},
		{name: "the manifest under another cluster's key", code: 21, bundle: l.unsigned(func(all []stored) []stored {
			all[1].body = stranger.vouch(l.bank.log.origin, all[0].body)
			return all
		})},
		{name: "the head under another cluster's key", code: 21, bundle: l.signed(func(f *forgery) { f.end = stranger.checkpoint(l.bank.log, 29) })},
		{name: "the first head under another cluster's key", code: 21, bundle: l.signed(func(f *forgery) { f.start = stranger.checkpoint(l.bank.log, 12) })},
		{name: "the system's head under another cluster's key", code: 21, bundle: l.signed(func(f *forgery) { f.sysEnd = stranger.checkpoint(l.bank.system, f.sysTo) })},
		{name: "another key that claims name and hash of the pinned one", code: 20, bundle: l.signed(func(f *forgery) {
			f.end = claiming(l.t, stranger.checkpoint(l.bank.log, 29), f.end)
		})},
		{name: "the pinned key and a line that claims to be of it, too", code: 20, bundle: l.signed(func(f *forgery) {
			_, line := cutNote(l.t, claiming(l.t, stranger.checkpoint(l.bank.log, 29), f.end))
			text, honest := cutNote(l.t, f.end)
			f.end = []byte(text + "\n" + line + honest)
		})},
		{name: "records edited, the tree made again, the old signature", code: 20, bundle: l.signed(func(f *forgery) {
			b := newBank(l.t, l.keys, 12, 12).grow(40, l.at(17, other), 29, 40)
			forged := b.forge(12, 29)
			text, _ := cutNote(l.t, forged.end)
			_, sig := cutNote(l.t, f.end)
			*f = *forged
			f.end = []byte(text + "\n" + sig)
		})},
		{name: "the manifest's signature of another bundle", code: 10, bundle: l.unsigned(func(all []stored) []stored {
			all[1].body = l.bank.members(l.bank.forge(29, 45))[1].body
			return all
		})},
		{name: "a checkpoint instead of the manifest's signature", code: 20, bundle: l.unsigned(func(all []stored) []stored {
			all[1].body = l.bank.checkpoint(l.bank.log, 29)
			return all
		})},
		{name: "the manifest's signature for another tenant", code: 20, bundle: l.unsigned(func(all []stored) []stored {
			all[1].body = bytes.ReplaceAll(l.bank.vouch(l.bank.log.origin, all[0].body), []byte("\n"+l.bank.log.origin+"\n"), []byte("\n"+elsewhere.log.origin+"\n"))
			return all
		})},
		// Both have another system's log than the auditor has seen.
		{name: "a bundle of another tenant", code: 21, fork: true, flags: firstUse, bundle: elsewhere.write(elsewhere.forge(12, 29))},
		{name: "a bundle of the next epoch, which is not pinned", code: 21, fork: true, flags: firstUse, bundle: later.write(later.forge(12, 29))},
		{name: "the first head of another tenant", code: 21, bundle: l.signed(func(f *forgery) { f.start = elsewhere.checkpoint(elsewhere.log, 12) })},
		{name: "the head of another tenant", code: 21, bundle: l.signed(func(f *forgery) { f.end = elsewhere.checkpoint(elsewhere.log, 29) })},
		{name: "the tenant's head as the system's", code: 21, bundle: l.signed(func(f *forgery) {
			f.sysEnd, f.sysTo = f.end, 29
		})},
		{name: "a policy without the system's log", code: 21, policy: strings.Join(slices.Delete(strings.Split(l.bank.policy(), "\n"), 1, 2), "\n"), bundle: l.bank.write(l.bank.forge(12, 29))},
		{name: "a rotated key beyond the sizes at which it counts", code: 21, state: "none", flags: firstUse, policy: limited, bundle: overlapping},
		{name: "a key that was retired: only the new one signs", code: 21, state: "none", flags: firstUse, policy: before, bundle: rotated.write(rotated.forge(12, 29))},
	}
}

func lastLine(policy string) string { return strings.Split(policy, "\n")[1] }

// id of the first key of a policy: name and hash.
func id(policy string) string {
	key := strings.SplitN(strings.TrimPrefix(policy, "log "), "+", 3)
	return key[0] + "+" + key[1]
}

// cutNote gives the text and the signature lines.
func cutNote(t testing.TB, note []byte) (text, lines string) {
	t.Helper()
	i := bytes.LastIndex(note, []byte("\n\n"))
	if i < 0 {
		t.Fatalf("not a note: %q", note)
	}
	return string(note[:i+1]), string(note[i+2:])
}

// claiming is a note with its signature under the key's hash of another note.
func claiming(t testing.TB, forged, honest []byte) []byte {
	t.Helper()
	raw := func(lines string) []byte {
		b, err := base64.StdEncoding.DecodeString(strings.Fields(lines)[2])
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	text, lines := cutNote(t, forged)
	_, theirs := cutNote(t, honest)
	sig := append(raw(theirs)[:4:4], raw(lines)[4:]...)
	return fmt.Appendf(nil, "%s\n— %s %s\n", text, strings.Fields(lines)[1], base64.StdEncoding.EncodeToString(sig))
}

// newWitness gives a key and its public half.
func newWitness(t testing.TB, name string) (*trust.Witness, string) {
	t.Helper()
	skey, vkey, err := trust.NewWitness(name, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w, err := trust.ParseWitness(skey)
	if err != nil {
		t.Fatal(err)
	}
	return w, vkey
}

// cosigned has all heads of the forgery cosigned.
func (f *forgery) cosigned(t testing.TB, at time.Time, all ...*trust.Witness) *forgery {
	t.Helper()
	for _, head := range []*[]byte{&f.start, &f.end, &f.sysStart, &f.sysEnd} {
		for _, w := range all {
			var err error
			if *head, err = w.Cosign(*head, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	return f
}

func (l *lie) witnesses() []badCase {
	a, aKey := newWitness(l.t, "a.example")
	b, bKey := newWitness(l.t, "b.example")
	_, cKey := newWitness(l.t, "c.example")
	unknown, _ := newWitness(l.t, "unknown.example")
	namesake, _ := newWitness(l.t, "a.example")
	one := l.bank.policy("witness a "+aKey, "quorum a")
	two := l.bank.policy("witness a "+aKey, "witness b "+bKey, "witness c "+cKey, "group two 2 a b c", "quorum two")
	at := opened.Add(48 * time.Hour)
	by := func(change func(*forgery), all ...*trust.Witness) []byte {
		return l.signed(func(f *forgery) {
			f.cosigned(l.t, at, all...)
			if change != nil {
				change(f)
			}
		})
	}
	line := func(head []byte) string { // of the last that signed
		_, all := cutNote(l.t, head)
		each := strings.SplitAfter(all, "\n")
		return each[len(each)-2]
	}
	return []badCase{
		{name: "no cosignature", code: 22, policy: one, bundle: by(nil)},
		{name: "a cosignature of an unknown witness", code: 22, policy: one, bundle: by(nil, unknown)},
		{name: "a cosignature of another key with the witness's name", code: 22, policy: one, bundle: by(nil, namesake)},
		{name: "one witness of two", code: 22, policy: two, bundle: by(nil, a)},
		{name: "one witness of two, and an unknown one", code: 22, policy: two, bundle: by(nil, a, unknown)},
		{name: "one witness of two, with its line twice", code: 22, policy: two, bundle: by(func(f *forgery) { f.end = append(f.end, line(f.end)...) }, a)},
		{name: "the head alone is not cosigned", code: 22, policy: one, bundle: by(func(f *forgery) { f.end = l.bank.checkpoint(l.bank.log, 29) }, a)},
		{name: "the system's head alone is not cosigned", code: 22, policy: one, bundle: by(func(f *forgery) { f.sysEnd = l.bank.checkpoint(l.bank.system, f.sysTo) }, a)},
		{name: "a cosignature that is broken", code: 20, policy: one, bundle: by(func(f *forgery) { f.end = flipped(f.end, len(f.end)-4) }, a)},
		{name: "one cosignature that is broken and enough others", code: 20, policy: two, bundle: by(func(f *forgery) { f.end = flipped(f.end, len(f.end)-4) }, a, b)},
		{name: "a cosignature of another head", code: 20, policy: one, bundle: by(func(f *forgery) {
			f.end = append(l.bank.checkpoint(l.bank.log, 29), line(f.start)...)
		}, a)},
		{name: "a cosignature that claims to be of the witness", code: 20, policy: one, bundle: by(func(f *forgery) {
			honest, err := a.Cosign(l.bank.checkpoint(l.bank.log, 29), at)
			if err != nil {
				l.t.Fatal(err)
			}
			keep := func(head []byte) []byte { // the witness's line alone
				text, _ := cutNote(l.t, head)
				return []byte(text + "\n" + line(head))
			}
			f.end = append(l.bank.checkpoint(l.bank.log, 29), line(claiming(l.t, keep(f.end), keep(honest)))...)
		}, namesake)},
		{name: "cosigned before the last record was made", code: 50, policy: one, bundle: l.bank.write(l.bank.forge(12, 29).cosigned(l.t, opened.Add(-time.Hour), a))},
		{name: "history rewritten since the witness saw it", code: 20, policy: one, bundle: func() []byte {
			f := l.bank.forge(12, 29).cosigned(l.t, at, a)
			forged := newBank(l.t, l.keys, 12, 12).grow(40, l.at(20, other), 29, 40).forge(12, 29)
			forged.start, forged.sysStart = f.start, f.sysStart
			forged.end, forged.sysEnd = append(forged.end, line(f.end)...), append(forged.sysEnd, line(f.sysEnd)...)
			return l.bank.write(forged)
		}()},
	}
}

// starts that are not where the auditor's state ends.
func (l *lie) starts() []badCase {
	second := l.bank.write(l.bank.forge(12, 29))
	seen := [][]byte{l.first, second}
	return []badCase{
		{name: "an older bundle again, the first", code: 30, before: seen, bundle: l.first},
		{name: "an older bundle again, the last", code: 30, before: seen, bundle: second},
		{name: "an older part of the log", code: 30, before: seen, bundle: l.bank.write(l.bank.forge(5, 20))},
		{name: "a gap", code: 30, bundle: l.bank.write(l.bank.forge(29, 45))},
		{name: "a gap, with --first-use", code: 30, flags: []string{"--first-use"}, bundle: l.bank.write(l.bank.forge(29, 45))},
		{name: "from the beginning again", code: 30, bundle: l.bank.write(l.bank.forge(0, 29))},
		{name: "a log that was cut", code: 30, before: seen, bundle: l.bank.write(l.bank.forge(12, 20))},
		{name: "a first bundle that does not begin at 0", code: 30, before: [][]byte{}, bundle: second},
		{name: "no state, and it does not begin at 0", code: 30, state: "none", bundle: second},
		{name: "the system's log goes on elsewhere", code: 30, bundle: l.signed(func(f *forgery) {
			f.sysFrom++
			f.sysStart, f.sysConsistency = l.bank.checkpoint(l.bank.system, f.sysFrom), l.bank.system.consistency(f.sysFrom, f.sysTo)
		})},
	}
}

// forks: the bank shows another history than before.
func (l *lie) forks() []badCase {
	second := l.bank.write(l.bank.forge(12, 29))
	past := l.bank.rewritten(l.at(5, other))
	proof := func(change func(*forgery)) []byte { return l.signed(change) }
	return []badCase{
		{name: "a record before the bundle rewritten, all signed again", code: 31, fork: true, bundle: past.write(past.forge(12, 29))},
		{name: "a record before the bundle rewritten, and the old head shown", code: 31, fork: true, bundle: func() []byte {
			f := past.forge(12, 29)
			f.start = l.bank.checkpoint(l.bank.log, 12)
			f.sysFrom, f.sysStart = l.bank.forge(12, 29).sysFrom, l.bank.forge(12, 29).sysStart
			return past.write(f)
		}()},
		{name: "two heads of one size", code: 31, fork: true, before: [][]byte{l.first, second}, bundle: l.logged(l.at(20, other))},
		{name: "the system's log rewritten, the tenant's as it was", code: 31, fork: true, bundle: func() []byte {
			b := newBank(l.t, l.keys, 0)
			b.system = &history{t: l.t, origin: b.system.origin}
			leaf := event(b.system.origin, 0)
			other(leaf)
			b.system.add(b.encode(leaf))
			b.grow(60, nil, 12, 29, 45, 60)
			return b.write(b.forge(12, 29))
		}()},
		{name: "records rewritten, but anchored were the old ones", code: 31, bundle: func() []byte {
			f := newBank(l.t, l.keys, 12, 12).grow(40, l.at(20, other), 29, 40).forge(12, 29)
			h := l.bank.forge(12, 29)
			f.sysTo, f.sysEnd, f.sysConsistency, f.anchors = h.sysTo, h.sysEnd, h.sysConsistency, h.anchors
			return l.bank.write(f)
		}()},
		{name: "an anchor of another tenant", code: 31, bundle: func() []byte {
			b := newBank(l.t, l.keys, 12, 12).grow(29, nil)
			seq := b.system.size()
			b.system.add(b.anchorLeaf(seq, bankCluster+"/ten_c/e1", 29, b.log.root(29)))
			b.anchors = append(b.anchors, anchored{29, seq})
			return b.write(b.forge(12, 29))
		}()},
		{name: "a proof without hashes", code: 31, bundle: proof(func(f *forgery) { f.consistency = nil })},
		{name: "a proof with a hash too few", code: 31, bundle: proof(func(f *forgery) { f.consistency = f.consistency[1:] })},
		{name: "a proof with a hash too many", code: 31, bundle: proof(func(f *forgery) { f.consistency = append(f.consistency, f.start32()) })},
		{name: "a proof of 64 hashes", code: 31, bundle: proof(func(f *forgery) {
			for len(f.consistency) < 64 {
				f.consistency = append(f.consistency, f.start32())
			}
		})},
		{name: "a proof of 200 hashes", code: 10, bundle: proof(func(f *forgery) {
			for len(f.consistency) < 200 {
				f.consistency = append(f.consistency, f.start32())
			}
		})},
		{name: "a proof of the system's log with a hash too few", code: 31, bundle: proof(func(f *forgery) { f.sysConsistency = f.sysConsistency[1:] })},
		{name: "a range that begins with a hash too few", code: 10, bundle: proof(func(f *forgery) { f.subtrees = f.subtrees[1:] })},
	}
}
