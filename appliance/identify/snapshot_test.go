package identify_test

import (
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"gatehouse/appliance/identify"
	"gatehouse/store/command"
	"gatehouse/store/state"
)

const unusable = "cannot be used"

// one says whether exactly this is there.
func one(got []string, want string) bool { return len(got) == 1 && got[0] == want }

// A snapshot gives the galleries back, and what the state did since is done.
func TestSnapshot(t *testing.T) {
	w := founded(t)
	w.many(home, 0, 300)
	w.manyBlocked(home, 1000, 1050)
	w.many(other, 0, 3) // not worth one
	w.saved()
	if _, err := os.Stat(w.file(other, state.InSubjects)); !os.IsNotExist(err) {
		t.Errorf("a snapshot of three templates: %v", err)
	}
	at := w.newest[home]
	k := w.loaded()
	k.whole(t, home, 300, 50)
	k.whole(t, other, 3, 0)
	if s, err := k.Stats(home); err != nil || s.Snapshot != at {
		t.Errorf("%+v, %v: want the snapshot of entry %d", s, err, at)
	}
	if strings.Contains(k.log.String(), unusable) {
		t.Error(k.log)
	}
	k.Drop()

	w.many(home, 300, 310)
	w.manyBlocked(home, 1050, 1053)
	w.erase(home, subject(7))   // that the snapshot has
	w.erase(home, subject(305)) // that it has not
	w.unblock(home, blocked(1001))
	k = w.loaded()
	k.whole(t, home, 308, 52)
	for p, want := range map[uint64]bool{8: true, 304: true, 7: false, 305: false} {
		if got, _ := k.find(t, home, probe(p, 1), identify.Query{}); one(got, session(p)) != want {
			t.Errorf("person %d: found %v", p, got)
		}
	}
	if _, got := k.find(t, home, probe(1001, 1), identify.Query{}); slices.Contains(got, blocked(1001)) {
		t.Errorf("the unblocked: %v", got)
	}
	if _, got := k.find(t, home, probe(1052, 1), identify.Query{}); !one(got, blocked(1052)) {
		t.Errorf("the newly blocked: %v", got)
	}
}

// unopenable is a state with the same enrolments, one of whose templates is
// damaged: who opens the templates has one less.
func unopenable(w *world) *state.State {
	return w.again(func(_ int, c *command.Command) bool {
		p := &command.Complete{}
		if c.Type == command.Type_COMPLETE && proto.Unmarshal(c.Payload, p) == nil && p.Session == session(5) {
			p.Template.Sealed[0] ^= 1
			c.Payload, _ = proto.Marshal(p)
		}
		return true
	})
}

// From a snapshot no template is opened.
func TestSnapshotOpensNoTemplate(t *testing.T) {
	w := founded(t)
	w.many(home, 0, 300)
	w.saved()
	k := w.loaded(over(unopenable(w)))
	if s, err := k.Stats(home); err != nil || s.Subjects.Templates != 300 || s.Subjects.Others != 0 {
		t.Errorf("from the snapshot: %+v, %v", s, err)
	}
	if got, _ := k.find(t, home, probe(5, 1), identify.Query{}); !one(got, session(5)) {
		t.Errorf("found %v", got)
	}
	k.Drop()
	// And where it is not there, they are.
	for _, list := range lists {
		if err := os.Remove(w.file(home, list)); err != nil {
			t.Fatal(err)
		}
	}
	k = w.loaded(over(unopenable(w)))
	if s, err := k.Stats(home); err != nil || s.Subjects.Templates != 299 || s.Subjects.Others != 1 {
		t.Errorf("from the templates: %+v, %v", s, err)
	}
}

// On the disk a snapshot tells nothing of a face: what is behind its header is
// noise, and nobody else may read it.
func TestSnapshotIsSealed(t *testing.T) {
	w := founded(t)
	w.many(home, 0, 300)
	w.manyBlocked(home, 1000, 1300)
	w.saved()
	for _, list := range lists {
		b, err := os.ReadFile(w.file(home, list))
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(w.file(home, list)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", list, info.Mode(), err)
		}
		for p := range uint64(1300) {
			if bytes.Contains(b, identify.Bytes(faces.Template(p, 0)[:4])) || bytes.Contains(b, []byte(session(p))) || bytes.Contains(b, []byte(subject(p))) {
				t.Fatalf("%s has something of person %d", list, p)
			}
		}
		_, at := first(b)
		var small bytes.Buffer
		z, err := flate.NewWriter(&small, flate.BestCompression)
		if err == nil {
			_, err = z.Write(b[at:])
		}
		if err := errors.Join(err, z.Close()); err != nil {
			t.Fatal(err)
		}
		if small.Len() < len(b)-at { // rows of small numbers do
			t.Errorf("%s: %d bytes can be compressed to %d", list, len(b)-at, small.Len())
		}
	}
}

// What a save that was cut off has left goes at the next start.
func TestPartOfASnapshot(t *testing.T) {
	w := founded(t)
	w.many(home, 0, 5)
	for _, list := range lists {
		if err := os.WriteFile(w.file(home, list)+".new", []byte("part"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.loaded().whole(t, home, 5, 0)
	if left, err := os.ReadDir(w.dir); err != nil || len(left) != 0 {
		t.Errorf("%v, %v", left, err)
	}
}

// On a full disk no snapshot is written, and none of half its bytes.
func TestNoRoomForASnapshot(t *testing.T) {
	w := founded(t)
	w.many(home, 0, 300)
	k := w.loaded(func(c *identify.Config) { c.Room = func(uint64) bool { return false } })
	k.Close(context.Background())
	if left, err := os.ReadDir(w.dir); err != nil || len(left) != 0 {
		t.Errorf("%v, %v", left, err)
	}
}

// A removal takes the snapshot with it, at once; a stop writes one again, that
// does not have what was removed.
func TestRemovalTakesTheSnapshot(t *testing.T) {
	w := founded(t)
	w.many(home, 0, 300)
	w.manyBlocked(home, 1000, 1002)
	for name, remove := range map[string]func(){
		"erasure":   func() { w.erase(home, subject(5)) },
		"unblocked": func() { w.unblock(home, blocked(1000)) },
	} {
		w.saved()
		k := w.loaded()
		remove()
		if err := k.Sync(home); err != nil {
			t.Fatal(err)
		}
		if left, err := os.ReadDir(w.dir); err != nil || len(left) != 0 {
			t.Errorf("%s: %v, %v", name, left, err)
		}
		k.Close(t.Context())
	}
	k := w.loaded()
	k.whole(t, home, 299, 1)
	if s, err := k.Stats(home); err != nil || s.Snapshot == 0 || strings.Contains(k.log.String(), unusable) {
		t.Errorf("%+v, %v; the log says %s", s, err, k.log)
	}
	// A node whose galleries are not in memory keeps none on its disk.
	k.Drop()
	w.erase(home, subject(6))
	if err := k.Removed(home); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(w.dir); err != nil || len(left) != 0 {
		t.Errorf("%v, %v", left, err)
	}
}
