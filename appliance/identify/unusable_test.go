package identify_test

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"gatehouse/appliance/identify"
	"gatehouse/store/command"
	"gatehouse/store/state"
)

// A snapshot that is not exactly what the state says is never served: the
// galleries are made anew, and the log says why.
func TestUnusableSnapshot(t *testing.T) {
	w := founded(t)
	w.many(home, 0, 1100) // two packages and more
	w.manyBlocked(home, 1000, 1010)
	w.many(other, 500, 780)
	w.saved()
	kept := map[string][]byte{}
	for _, tenant := range []string{home, other} {
		for _, list := range lists {
			b, err := os.ReadFile(w.file(tenant, list))
			if err != nil {
				t.Fatal(err)
			}
			kept[tenant+list] = b
		}
	}
	flip := func(at int) func([]byte) []byte {
		return func(b []byte) []byte { b[(len(b)+at)%len(b)] ^= 1; return b }
	}
	within := func(what string) func([]byte) []byte { // of the header
		return func(b []byte) []byte { b[bytes.Index(b, []byte(what))+len(what)+4] ^= 1; return b }
	}
	for name, damage := range map[string]func([]byte) []byte{
		"magic":             flip(0),
		"header length":     flip(9),
		"long header":       flip(11),
		"header":            within(`"tenant":"`),
		"index":             within(`"index":`),
		"key":               within(`"key":"`),
		"digest":            within(`"digest":"`),
		"package":           flip(100_000),
		"end":               flip(-1),
		"cut":               func(b []byte) []byte { return b[:len(b)-1] },
		"cut a lot":         func(b []byte) []byte { return b[:len(b)/2] },
		"last package gone": func(b []byte) []byte { n, at := first(b); return b[:at+n] },
		"a package twice":   func(b []byte) []byte { n, at := first(b); return slices.Insert(b, at, b[at:at+n]...) },
		"places changed": func(b []byte) []byte {
			n, at := first(b)
			return slices.Concat(b[:at], b[at+n:at+2*n], b[at:at+n], b[at+2*n:])
		},
		"longer":       func(b []byte) []byte { return append(b, 0) },
		"header alone": func(b []byte) []byte { return b[:bytes.IndexByte(b, '}')+1] },
		"eleven bytes": func(b []byte) []byte { return b[:11] },
		"empty":        func([]byte) []byte { return nil },
		"other tenant": func([]byte) []byte { return slices.Clone(kept[other+state.InSubjects]) },
		"other list":   func([]byte) []byte { return slices.Clone(kept[home+state.InBlocklist]) },
		"without key":  func(b []byte) []byte { return header(t, b, func(h map[string]any) { delete(h, "key") }) },
		"other format": func(b []byte) []byte { return header(t, b, func(h map[string]any) { h["format"] = 2 }) },
		"spaces":       func(b []byte) []byte { return header(t, b, func(h map[string]any) { h["x"] = 1 }) },
	} {
		t.Run(name, func(t *testing.T) {
			for _, list := range lists {
				if err := os.WriteFile(w.file(home, list), kept[home+list], 0o600); err != nil {
					t.Fatal(err)
				}
			}
			b := slices.Clone(kept[home+state.InSubjects])
			if n, at := first(b); len(b) < at+2*n+1000 {
				t.Fatalf("%d bytes are too few packages", len(b))
			}
			if err := os.WriteFile(w.file(home, state.InSubjects), damage(b), 0o600); err != nil {
				t.Fatal(err)
			}
			k := w.loaded()
			k.whole(t, home, 1100, 10)
			k.whole(t, other, 280, 0)
			if !strings.Contains(k.log.String(), unusable) || strings.Count(k.log.String(), "tenant="+home) != 1 || strings.Contains(k.log.String(), "tenant="+other) {
				t.Errorf("the log says %s", k.log)
			}
		})
	}
}

// first package of a snapshot: its bytes, and where it begins.
func first(b []byte) (n, at int) { return 256<<10 + 16, 12 + int(b[8]) + int(b[9])<<8 }

// header changes what a snapshot says of itself.
func header(t *testing.T, b []byte, change func(map[string]any)) []byte {
	t.Helper()
	n := int(b[8]) + int(b[9])<<8
	var h map[string]any
	if err := json.Unmarshal(b[12:12+n], &h); err != nil {
		t.Fatal(err)
	}
	change(h)
	fresh, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	out := append(slices.Clone(b[:8]), byte(len(fresh)), byte(len(fresh)>>8), 0, 0)
	return slices.Concat(out, fresh, b[12+n:])
}

// One of the two lists alone is no snapshot.
func TestHalfASnapshot(t *testing.T) {
	for _, list := range lists {
		w := founded(t)
		w.many(home, 0, 280)
		w.manyBlocked(home, 1000, 1010)
		w.saved()
		if err := os.Remove(w.file(home, list)); err != nil {
			t.Fatal(err)
		}
		k := w.loaded()
		k.whole(t, home, 280, 10)
		if !strings.Contains(k.log.String(), unusable) {
			t.Errorf("without %s the log says %s", list, k.log)
		}
	}
}

// The lists of two times are no snapshot together.
func TestSnapshotOfTwoTimes(t *testing.T) {
	w := founded(t)
	w.many(home, 0, 280)
	w.saved()
	old, err := os.ReadFile(w.file(home, state.InBlocklist))
	if err != nil {
		t.Fatal(err)
	}
	w.many(home, 280, 600)
	w.saved()
	if err := os.WriteFile(w.file(home, state.InBlocklist), old, 0o600); err != nil {
		t.Fatal(err)
	}
	k := w.loaded()
	k.whole(t, home, 600, 0)
	if !strings.Contains(k.log.String(), unusable) {
		t.Error(k.log)
	}
}

// Templates of another model, or of another length, are of another gallery.
func TestSnapshotOfAnotherModel(t *testing.T) {
	w := founded(t)
	w.many(home, 0, 280)
	w.saved()
	k := w.loaded(func(c *identify.Config) { c.Calibration.EmbeddingID = "other" })
	k.whole(t, home, 0, 0)
	if s, err := k.Stats(home); err != nil || s.Subjects.Others != 280 || !strings.Contains(k.log.String(), unusable) {
		t.Errorf("%+v, %v; the log says %s", s, err, k.log)
	}
	k = w.loaded(func(c *identify.Config) { c.Dimension = 64 })
	if s, err := k.Stats(home); err != nil || s.Subjects.Templates != 0 || s.Subjects.Others != 280 || !strings.Contains(k.log.String(), unusable) {
		t.Errorf("%+v, %v; the log says %s", s, err, k.log)
	}
}

// A snapshot meets a state that was put back, or that has another history at the
// same entries.
func TestSnapshotOfAnotherState(t *testing.T) {
	w := founded(t)
	w.many(home, 0, 290)
	w.erase(home, subject(3)) // and the snapshot knows it
	w.many(home, 290, 300)
	w.saved()
	kept := t.TempDir()
	if err := os.CopyFS(kept, os.DirFS(w.dir)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change   func(i int, c *command.Command) bool
		want     int
		unusable bool
	}{
		"the same": {func(int, *command.Command) bool { return true }, 299, false},
		"older":    {func(i int, _ *command.Command) bool { return i < len(w.log)-8 }, 297, true}, // four commands a session
		"somebody else at one entry": {func(_ int, c *command.Command) bool {
			c.Payload = bytes.ReplaceAll(c.Payload, []byte(session(100)), []byte("ses_others"))
			return true
		}, 298, true}, // whose template does not open

		"another model at one entry": {func(_ int, c *command.Command) bool {
			p := &command.Complete{}
			if c.Type == command.Type_COMPLETE && proto.Unmarshal(c.Payload, p) == nil && p.Session == session(9) {
				p.Template.Model = "other"
				c.Payload, _ = proto.Marshal(p)
			}
			return true
		}, 298, true},
		"nobody was erased": {func(_ int, c *command.Command) bool {
			if c.Type == command.Type_ERASE_SUBJECT { // something else at its entry
				c.Type, c.Payload = command.Type_RECORD, nil
				c.Events[0].Action, c.Events[0].Subject = "access.result", subject(3)
			}
			return true
		}, 300, true},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.RemoveAll(w.dir); err != nil {
				t.Fatal(err)
			}
			if err := os.CopyFS(w.dir, os.DirFS(kept)); err != nil {
				t.Fatal(err)
			}
			k := w.loaded(over(w.again(c.change)))
			got, err := k.Stats(home)
			if err != nil || got.Subjects.Templates != c.want || strings.Contains(k.log.String(), unusable) != c.unusable {
				t.Errorf("%+v, %v; want %d; the log says %s", got, err, c.want, k.log)
			}
			r, err := k.Verify(t.Context(), home)
			if err != nil || r.Missing+r.Different+r.Extra > 0 {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}
