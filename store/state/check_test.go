package state_test

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"

	"gatehouse/store/command"
	"gatehouse/store/state"
)

// lived is a state with a session in every state, closed.
func lived(t *testing.T) *world {
	w := empty(t)
	every(w)
	w.collected("ses_4") // collecting
	w.ok(w.create("ses_5", "sub_5", "customer 9"))
	w.collected("ses_6")
	w.ok(w.submit("ses_6")) // a job
	w.collected("ses_7")
	w.ok(w.submit("ses_7"))
	w.ok(w.complete("ses_7", 1, state.InReview))
	w.ok(w.block("blk_3", "ses_7"))
	w.ok(keyed(w.command(command.Type_RECORD, "ten_a", nil), "key", "r"))
	must(t, w.s.Close())
	return w
}

func k(parts ...string) []byte { return []byte(strings.Join(parts, "\x00")) }

func seq(n uint64) string { return string(binary.BigEndian.AppendUint64(nil, n)) }

// change a row through protobuf.
func change[T any, P interface {
	*T
	proto.Message
}](t *testing.T, tx *bolt.Tx, table string, key []byte, do func(P)) {
	b := tx.Bucket([]byte(table))
	m := P(new(T))
	v := b.Get(key)
	if v == nil {
		t.Fatalf("no row %q in %s", key, table)
	}
	must(t, proto.Unmarshal(v, m))
	do(m)
	v, err := proto.Marshal(m)
	must(t, err)
	must(t, b.Put(key, v))
}

func remove(t *testing.T, tx *bolt.Tx, table string, key []byte) {
	b := tx.Bucket([]byte(table))
	if b.Get(key) == nil {
		t.Fatalf("no row %q in %s", key, table)
	}
	must(t, b.Delete(key))
}

// first row of a table under a prefix.
func first(t *testing.T, tx *bolt.Tx, table, prefix string) []byte {
	key, _ := tx.Bucket([]byte(table)).Cursor().Seek([]byte(prefix))
	if !strings.HasPrefix(string(key), prefix) {
		t.Fatalf("no row %q… in %s", prefix, table)
	}
	return append([]byte(nil), key...)
}

func session(t *testing.T, tx *bolt.Tx, id string, do func(*command.Session)) {
	change(t, tx, "sessions", k("ten_a", id), do)
}

var damages = []struct {
	name string
	do   func(t *testing.T, tx *bolt.Tx)
	kind string
	what string // in one of the findings of that kind
}{
	{"a leaf is gone", func(t *testing.T, tx *bolt.Tx) { remove(t, tx, "leaves", k("ten_a", seq(3))) }, "log", "leaf 3: it is missing"},
	{"the last leaf is gone", func(t *testing.T, tx *bolt.Tx) {
		key, _ := tx.Bucket([]byte("leaves")).Cursor().Last()
		remove(t, tx, "leaves", key)
	}, "log", "it is missing"},
	{"all leaves are gone", func(t *testing.T, tx *bolt.Tx) {
		must(t, tx.DeleteBucket([]byte("leaves")))
		_, err := tx.CreateBucket([]byte("leaves"))
		must(t, err)
	}, "log", "leaf 0: it is missing"},
	{"a leaf too many", func(t *testing.T, tx *bolt.Tx) {
		must(t, tx.Bucket([]byte("leaves")).Put(k("ten_a", seq(1<<40)), []byte("{}")))
	}, "log", "a leaf beyond"},
	{"a leaf was altered", func(t *testing.T, tx *bolt.Tx) {
		b := tx.Bucket([]byte("leaves"))
		v := strings.Replace(string(b.Get(k("ten_a", seq(0)))), "nod_a", "nod_b", 1)
		must(t, b.Put(k("ten_a", seq(0)), []byte(v)))
	}, "log", "leaf 0: the stored hash 0 does not follow"},
	{"a leaf is not canonical", func(t *testing.T, tx *bolt.Tx) {
		b := tx.Bucket([]byte("leaves"))
		must(t, b.Put(k("ten_a", seq(2)), append(b.Get(k("ten_a", seq(2))), ' ')))
	}, "log", "not in canonical form"},
	{"two leaves changed places", func(t *testing.T, tx *bolt.Tx) {
		b := tx.Bucket([]byte("leaves"))
		one, two := append([]byte(nil), b.Get(k("ten_a", seq(1)))...), append([]byte(nil), b.Get(k("ten_a", seq(2)))...)
		must(t, b.Put(k("ten_a", seq(1)), two))
		must(t, b.Put(k("ten_a", seq(2)), one))
	}, "log", "it says that it is leaf 2"},
	{"a leaf of another log", func(t *testing.T, tx *bolt.Tx) {
		b := tx.Bucket([]byte("leaves"))
		must(t, b.Put(k("ten_a", seq(0)), b.Get(k("system", seq(0)))))
	}, "log", "it is of the log clu_a/system/e1"},
	{"a hash is gone", func(t *testing.T, tx *bolt.Tx) { remove(t, tx, "hashes", k("ten_a", seq(2))) }, "log", "the stored hash 2"},
	{"a hash was altered", func(t *testing.T, tx *bolt.Tx) {
		must(t, tx.Bucket([]byte("hashes")).Put(k("ten_a", seq(2)), make([]byte, 32)))
	}, "log", "the stored hash 2"},
	{"a hash too many", func(t *testing.T, tx *bolt.Tx) {
		must(t, tx.Bucket([]byte("hashes")).Put(k("ten_a", seq(1<<40)), make([]byte, 32)))
	}, "log", "a hash beyond"},
	{"a head is gone", func(t *testing.T, tx *bolt.Tx) { remove(t, tx, "heads", k("ten_a")) }, "log", "its head is missing"},
	{"a head is damaged", func(t *testing.T, tx *bolt.Tx) {
		must(t, tx.Bucket([]byte("heads")).Put(k("ten_a"), []byte("\xff")))
	}, "row", "cannot be read"},
	{"a head says less", func(t *testing.T, tx *bolt.Tx) {
		change(t, tx, "heads", k("ten_a"), func(h *command.Head) { h.Size-- })
	}, "log", "a leaf beyond"},
	{"a head says far more", func(t *testing.T, tx *bolt.Tx) {
		change(t, tx, "heads", k("ten_a"), func(h *command.Head) { h.Size = 1 << 50 })
	}, "log", "it is missing"},
	{"a head's time", func(t *testing.T, tx *bolt.Tx) {
		change(t, tx, "heads", k("ten_a"), func(h *command.Head) { h.TsMonoNs-- })
	}, "log", "its head's time"},
	{"a log was cut and its head with it", func(t *testing.T, tx *bolt.Tx) {
		change(t, tx, "heads", k("ten_a"), func(h *command.Head) { h.Size, h.Anchored = 2, 2 })
	}, "anchor", "leaves, after"},
	{"an anchored size", func(t *testing.T, tx *bolt.Tx) {
		change(t, tx, "heads", k("ten_a"), func(h *command.Head) { h.Anchored-- })
	}, "anchor", "its head was anchored"},
	{"an anchor of another root", func(t *testing.T, tx *bolt.Tx) {
		// The tenant's log is rewritten in full: only the system's log knows.
		b := tx.Bucket([]byte("leaves"))
		must(t, b.Put(k("ten_b", seq(0)), []byte(strings.Replace(string(b.Get(k("ten_b", seq(0)))), "nod_a", "nod_b", 1))))
		must(t, tx.Bucket([]byte("hashes")).Put(k("ten_b", seq(0)), leafHash(b.Get(k("ten_b", seq(0))))))
	}, "anchor", "another root"},
	{"an unknown tenant's row", func(t *testing.T, tx *bolt.Tx) {
		must(t, tx.Bucket([]byte("results")).Put(k("ten_x", "ses_1"), nil))
	}, "tenant", "no such tenant"},
	{"an unknown tenant's log", func(t *testing.T, tx *bolt.Tx) {
		must(t, tx.Bucket([]byte("leaves")).Put(k("ten_x", seq(0)), []byte("{}")))
	}, "tenant", "no such tenant"},
	{"a tenant is gone", func(t *testing.T, tx *bolt.Tx) { remove(t, tx, "tenants", k("ten_b")) }, "tenant", "no such tenant"},
	{"a tenant's row is another's", func(t *testing.T, tx *bolt.Tx) {
		change(t, tx, "tenants", k("ten_b"), func(r *command.Tenant) { r.Id = "ten_a" })
	}, "tenant", "of another row"},
	{"the founding is gone", func(t *testing.T, tx *bolt.Tx) { remove(t, tx, "meta", k("found")) }, "row", "not founded"},
	{"a client is damaged", func(t *testing.T, tx *bolt.Tx) {
		must(t, tx.Bucket([]byte("clients")).Put(k("ten_a", "cli_admin"), []byte("\xff")))
	}, "row", "cannot be read"},
	{"a credential is gone", func(t *testing.T, tx *bolt.Tx) {
		remove(t, tx, "credentials", k("key", string(hash("key of ten_bcli_b"))))
	}, "client", "its key does not find it"},
	{"a credential of nobody", func(t *testing.T, tx *bolt.Tx) {
		must(t, tx.Bucket([]byte("credentials")).Put(k("certificate", string(hash("x"))), k("ten_a", "cli_admin")))
	}, "client", "it belongs to no client"},
	{"a credential came back", func(t *testing.T, tx *bolt.Tx) {
		must(t, tx.Bucket([]byte("credentials")).Put(k("key", string(hash("key of ten_acli_1"))), k("ten_a", "cli_1")))
	}, "client", "it belongs to no client"},
	{"a subject is gone", func(t *testing.T, tx *bolt.Tx) { remove(t, tx, "subjects", k("ten_a", "sub_ses_4")) }, "session", "its subject is missing"},
	{"a reference is gone", func(t *testing.T, tx *bolt.Tx) { remove(t, tx, "references", first(t, tx, "references", "ten_a")) }, "subject", "its reference does not find it"},
	{"a reference of nobody", func(t *testing.T, tx *bolt.Tx) {
		must(t, tx.Bucket([]byte("references")).Put(k("ten_a", string(hash("x"))), []byte("sub_5")))
	}, "subject", "finds no subject"},
	{"an erased subject's key", func(t *testing.T, tx *bolt.Tx) {
		change(t, tx, "subjects", k("ten_a", "sub_ses_1"), func(u *command.Subject) { u.Key = []byte("k") })
	}, "subject", "erased and is not empty"},
	{"an opening of an erased subject", func(t *testing.T, tx *bolt.Tx) {
		must(t, tx.Bucket([]byte("openings")).Put(k("ten_a", "sub_ses_1", "ten_a", seq(0)), []byte("x")))
	}, "subject", "an opening of somebody"},
	{"an opening without a leaf", func(t *testing.T, tx *bolt.Tx) {
		must(t, tx.Bucket([]byte("openings")).Put(k("ten_a", "sub_5", "ten_a", seq(1<<40)), []byte("x")))
	}, "log", "without its leaf"},
	{"a session is gone", func(t *testing.T, tx *bolt.Tx) { remove(t, tx, "sessions", k("ten_a", "ses_4")) }, "session", "the subject has no such session"},
	{"a session is damaged", func(t *testing.T, tx *bolt.Tx) {
		must(t, tx.Bucket([]byte("sessions")).Put(k("ten_a", "ses_4"), []byte("\xff")))
	}, "row", "cannot be read"},
	{"a session that was not logged", func(t *testing.T, tx *bolt.Tx) {
		b, err := proto.Marshal(&command.Session{Id: "ses_x", Tenant: "ten_a", Subject: "sub_5", State: state.Failed})
		must(t, err)
		must(t, tx.Bucket([]byte("sessions")).Put(k("ten_a", "ses_x"), b))
		must(t, tx.Bucket([]byte("by_subject")).Put(k("ten_a", "sub_5", "ses_x"), nil))
	}, "session", "does not say that it was created"},
	{"a session in another's row", func(t *testing.T, tx *bolt.Tx) {
		session(t, tx, "ses_4", func(s *command.Session) { s.Id = "ses_5" })
	}, "session", "of another row"},
	{"a session that its subject does not have", func(t *testing.T, tx *bolt.Tx) { remove(t, tx, "by_subject", k("ten_a", "sub_5", "ses_5")) }, "session", "its subject does not find it"},
	{"a subject's session that is not its own", func(t *testing.T, tx *bolt.Tx) {
		must(t, tx.Bucket([]byte("by_subject")).Put(k("ten_a", "sub_5", "ses_4"), nil))
	}, "session", "the subject has no such session"},
	{"a decision that was not logged", func(t *testing.T, tx *bolt.Tx) {
		session(t, tx, "ses_2", func(s *command.Session) { s.State = state.Approved })
	}, "session", "no decision of it"},
	{"a result is gone", func(t *testing.T, tx *bolt.Tx) { remove(t, tx, "results", k("ten_a", "ses_7")) }, "session", "a result and no decision, or the reverse"},
	{"a result is damaged", func(t *testing.T, tx *bolt.Tx) {
		must(t, tx.Bucket([]byte("results")).Put(k("ten_a", "ses_7"), []byte("\xff")))
	}, "row", "cannot be read"},
	{"a result of nothing", func(t *testing.T, tx *bolt.Tx) {
		must(t, tx.Bucket([]byte("results")).Put(k("ten_a", "ses_x"), nil))
	}, "session", "no such session"},
	{"a template of nothing", func(t *testing.T, tx *bolt.Tx) {
		must(t, tx.Bucket([]byte("templates")).Put(k("ten_a", "ses_4"), nil))
	}, "session", "a template and no decision"},
	{"a template whose session is gone", func(t *testing.T, tx *bolt.Tx) {
		must(t, tx.Bucket([]byte("templates")).Put(k("ten_a", "ses_x"), nil))
	}, "session", "no such session or blocklist entry"},
	{"a template in another's row", func(t *testing.T, tx *bolt.Tx) {
		change(t, tx, "templates", k("ten_a", "ses_7"), func(r *command.Template) { r.Session = "ses_6" })
	}, "enrolment", "of another row"},
	{"a template of another model", func(t *testing.T, tx *bolt.Tx) {
		change(t, tx, "templates", k("ten_a", "ses_7"), func(r *command.Template) { r.Model = "other" })
	}, "enrolment", "is missing or another's"},
	{"a template of another enrolment", func(t *testing.T, tx *bolt.Tx) {
		change(t, tx, "templates", k("ten_a", "ses_7"), func(r *command.Template) { r.Enrolled++ })
	}, "enrolment", "is missing or another's"},
	{"a template is damaged", func(t *testing.T, tx *bolt.Tx) {
		must(t, tx.Bucket([]byte("templates")).Put(k("ten_a", "ses_7"), []byte("\xff")))
	}, "row", "cannot be read"},
	{"a template is gone", func(t *testing.T, tx *bolt.Tx) { remove(t, tx, "templates", k("ten_a", "ses_7")) }, "enrolment", "enrolled no template"},
	{"an enrolment is gone", func(t *testing.T, tx *bolt.Tx) { remove(t, tx, "enrolments", first(t, tx, "enrolments", "ten_a")) }, "enrolment", "is missing or another's"},
	{"an enrolment of another list", func(t *testing.T, tx *bolt.Tx) {
		change(t, tx, "enrolments", first(t, tx, "enrolments", "ten_a"), func(e *command.Enrolment) { e.List = "other" })
	}, "enrolment", "is missing or another's"},
	{"an enrolment of another subject", func(t *testing.T, tx *bolt.Tx) {
		change(t, tx, "enrolments", first(t, tx, "enrolments", "ten_a"), func(e *command.Enrolment) { e.Subject = "sub_5" })
	}, "enrolment", "is missing or another's"},
	{"an enrolment of nothing", func(t *testing.T, tx *bolt.Tx) {
		b := tx.Bucket([]byte("enrolments"))
		must(t, b.Put(k("ten_a", seq(1)), b.Get(first(t, tx, "enrolments", "ten_a"))))
	}, "enrolment", "enrolled no template"},
	{"an enrolment is damaged", func(t *testing.T, tx *bolt.Tx) {
		must(t, tx.Bucket([]byte("enrolments")).Put(first(t, tx, "enrolments", "ten_a"), []byte("\xff")))
	}, "row", "cannot be read"},
	{"an enrolment without a number", func(t *testing.T, tx *bolt.Tx) {
		must(t, tx.Bucket([]byte("enrolments")).Put(k("ten_a", "x"), nil))
	}, "row", "it has no number"},
	{"an enrolment of an unknown tenant", func(t *testing.T, tx *bolt.Tx) {
		must(t, tx.Bucket([]byte("enrolments")).Put(k("ten_x", seq(1)), nil))
	}, "tenant", "no such tenant"},
	{"a removal of what is there", func(t *testing.T, tx *bolt.Tx) {
		key := first(t, tx, "enrolments", "ten_a")
		must(t, tx.Bucket([]byte("removals")).Put(k("ten_a", seq(1<<40)+string(key[len("ten_a")+1:])), nil))
	}, "enrolment", "still there"},
	{"a removal before its time", func(t *testing.T, tx *bolt.Tx) {
		must(t, tx.Bucket([]byte("removals")).Put(k("ten_a", seq(1)+seq(2)), nil))
	}, "enrolment", "before it was enrolled"},
	{"a removal without its numbers", func(t *testing.T, tx *bolt.Tx) {
		must(t, tx.Bucket([]byte("removals")).Put(k("ten_a", seq(1)), nil))
	}, "row", "it has no numbers"},
	{"a removal of an unknown tenant", func(t *testing.T, tx *bolt.Tx) {
		must(t, tx.Bucket([]byte("removals")).Put(k("ten_x", seq(2)+seq(1)), nil))
	}, "tenant", "no such tenant"},
	{"a blocked face has no template", func(t *testing.T, tx *bolt.Tx) { remove(t, tx, "templates", k("ten_a", "blk_3")) }, "blocklist", "its template is missing"},
	{"a blocked face has no subject", func(t *testing.T, tx *bolt.Tx) { remove(t, tx, "subjects", k("ten_a", "sub_blk_3")) }, "blocklist", "its subject is missing"},
	{"a blocked face is a person's", func(t *testing.T, tx *bolt.Tx) {
		change(t, tx, "blocked", k("ten_a", "blk_3"), func(b *command.Blocked) { b.Subject = "sub_5" })
	}, "blocklist", "its subject is missing, erased or another's"},
	{"a blocked face was erased and is there", func(t *testing.T, tx *bolt.Tx) {
		change(t, tx, "subjects", k("ten_a", "sub_blk_3"), func(u *command.Subject) { u.Key, u.ErasedNs = nil, 1 })
	}, "blocklist", "its subject is missing, erased or another's"},
	{"a blocklist entry in another's row", func(t *testing.T, tx *bolt.Tx) {
		change(t, tx, "blocked", k("ten_a", "blk_3"), func(b *command.Blocked) { b.Id = "blk_4" })
	}, "blocklist", "of another row"},
	{"a blocklist entry is damaged", func(t *testing.T, tx *bolt.Tx) {
		must(t, tx.Bucket([]byte("blocked")).Put(k("ten_a", "blk_3"), []byte("\xff")))
	}, "row", "cannot be read"},
	{"a blocklist entry is gone", func(t *testing.T, tx *bolt.Tx) { remove(t, tx, "blocked", k("ten_a", "blk_3")) }, "subject", "its blocklist entry is missing"},
	{"a blocklist entry of an unknown tenant", func(t *testing.T, tx *bolt.Tx) {
		must(t, tx.Bucket([]byte("blocked")).Put(k("ten_x", "blk_3"), nil))
	}, "tenant", "no such tenant"},
	{"a session of a blocklist entry's subject", func(t *testing.T, tx *bolt.Tx) {
		change(t, tx, "subjects", k("ten_a", "sub_5"), func(u *command.Subject) { u.Blocked = "blk_3" })
	}, "session", "its subject is a blocklist entry's"},
	{"a job is gone", func(t *testing.T, tx *bolt.Tx) { remove(t, tx, "jobs", k("ten_a", "ses_6")) }, "session", "submitted and no job"},
	{"a job of nothing", func(t *testing.T, tx *bolt.Tx) {
		must(t, tx.Bucket([]byte("jobs")).Put(k("ten_a", "ses_7"), nil))
	}, "session", "a job without"},
	{"a deadline is gone", func(t *testing.T, tx *bolt.Tx) {
		c := tx.Bucket([]byte("deadlines")).Cursor()
		for key, _ := c.First(); key != nil; key, _ = c.Next() {
			if strings.HasSuffix(string(key), "ses_4") {
				must(t, c.Delete())
			}
		}
	}, "session", "without a deadline"},
	{"a deadline of nothing", func(t *testing.T, tx *bolt.Tx) {
		must(t, tx.Bucket([]byte("deadlines")).Put([]byte(seq(5)+"expire\x00ten_a\x00ses_7"), nil))
	}, "session", "a deadline of nothing"},
	{"a deadline without a time", func(t *testing.T, tx *bolt.Tx) {
		must(t, tx.Bucket([]byte("deadlines")).Put([]byte("x"), nil))
	}, "row", "it has no time"},
	{"evidence that nobody holds", func(t *testing.T, tx *bolt.Tx) {
		session(t, tx, "ses_4", func(s *command.Session) { s.Evidence[0].Blob = "other" })
	}, "evidence", "is not held for it"},
	{"an object is not held", func(t *testing.T, tx *bolt.Tx) { remove(t, tx, "blobs", first(t, tx, "blobs", "")) }, "evidence", "is not held for it"},
	{"an object of nothing", func(t *testing.T, tx *bolt.Tx) {
		must(t, tx.Bucket([]byte("blobs")).Put([]byte("x"), k("ten_a", "ses_4")))
	}, "evidence", "no evidence names it"},
	{"a key is never forgotten", func(t *testing.T, tx *bolt.Tx) { remove(t, tx, "replays_by_time", first(t, tx, "replays_by_time", "")) }, "replay", "never forgotten"},
	{"a key was forgotten by half", func(t *testing.T, tx *bolt.Tx) { remove(t, tx, "replays", first(t, tx, "replays", "")) }, "replay", "forgets nothing"},
}

func TestCheckFindsEachDamage(t *testing.T) {
	for _, d := range damages {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			w := lived(t)
			alter(t, w.path, func(tx *bolt.Tx) { d.do(t, tx) })
			findings := checked(t, w, nil)
			for _, f := range findings {
				if f.Kind == d.kind && strings.Contains(f.String(), d.what) {
					return
				}
			}
			t.Errorf("want %s … %s, found %v", d.kind, d.what, findings)
		})
	}
}

func checked(t *testing.T, w *world, blob func(string) error) []state.Finding {
	t.Helper()
	s, err := state.Open(w.path, false)
	must(t, err)
	defer s.Close()
	findings, err := s.Check(t.Context(), blob, nil)
	must(t, err)
	return findings
}

func TestCheckOfAGoodState(t *testing.T) {
	w := lived(t)
	asked := map[string]bool{}
	if found := checked(t, w, func(name string) error { asked[name] = true; return nil }); len(found) > 0 {
		t.Errorf("%v", found)
	}
	if len(asked) != 8 { // of ses_2, 4, 6 and 7; ses_1 was erased, ses_3 has expired
		t.Errorf("asked for %d objects", len(asked))
	}
	rot := errors.New("rotten")
	found := checked(t, w, func(string) error { return rot })
	if len(found) != 8 || found[0].Kind != "evidence" || !strings.Contains(found[0].String(), "rotten") || !strings.Contains(found[0].Where, "ten_a/ses_") {
		t.Errorf("%v", found)
	}
	if found := checked(t, empty(t).closed(), nil); len(found) > 0 {
		t.Errorf("an empty state: %v", found)
	}
}

func (w *world) closed() *world {
	must(w.t, w.s.Close())
	return w
}

func TestCheckOfAnOpenState(t *testing.T) {
	w := founded(t)
	for i := range 40 {
		w.collected(strings.Repeat("x", i+1))
	}
	ctx, cancel := context.WithCancel(t.Context())
	last, total := 0, 0
	found, err := w.s.Check(ctx, func(string) error { return nil }, func(done, of int) {
		if done < last || done > of {
			t.Errorf("%d after %d of %d", done, last, of)
		}
		last, total = done, of
	})
	if err != nil || len(found) > 0 || total == 0 || last != total {
		t.Errorf("%v, %v, %d of %d", found, err, last, total)
	}
	w.ok(w.create("ses_1", "sub_1", "")) // it goes on
	if _, err := w.s.Check(ctx, func(string) error { cancel(); return nil }, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	w.ok(w.create("ses_2", "sub_2", ""))
}

func TestCheckEnds(t *testing.T) {
	w := lived(t)
	alter(t, w.path, func(tx *bolt.Tx) {
		for i := range uint64(2000) {
			must(t, tx.Bucket([]byte("blobs")).Put([]byte(seq(i)), k("ten_a", "ses_4")))
		}
	})
	if found := checked(t, w, nil); len(found) != 1000 {
		t.Errorf("%d findings", len(found))
	}
}
