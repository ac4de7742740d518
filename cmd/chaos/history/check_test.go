package history_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"gatehouse/cmd/chaos/history"
)

// tape writes a history by hand: each operation takes one tick, unless it is
// said to overlap the next ones.
type tape struct {
	ops  []history.Op
	tick int64
}

func (t *tape) add(o history.Op, a history.Answer) *tape {
	o.Answer, o.Outcome = a, history.OK
	return t.put(o)
}

func (t *tape) put(o history.Op) *tape {
	t.tick += 10
	if o.Session == "" {
		o.Session = "key-1"
	}
	o.Call, o.Return = t.tick, t.tick+5
	t.ops = append(t.ops, o)
	return t
}

func (t *tape) create() *tape {
	return t.add(history.Op{Kind: history.Create}, history.Answer{ID: "ses_1", State: "created"})
}

func (t *tape) evidence(slot, bytes, id string) *tape {
	return t.add(put(slot, bytes), history.Answer{ID: "ses_1", Evidence: map[string]string{slot: id}})
}

func (t *tape) submit(a history.Answer) *tape {
	a.ID = "ses_1"
	return t.add(history.Op{Kind: history.Submit, Key: "submit-1"}, a)
}

func (t *tape) read(a history.Answer) *tape {
	if a.ID == "" && !a.Missing {
		a.ID = "ses_1"
	}
	return t.add(history.Op{Kind: history.Read, Client: 1}, a)
}

// unknown is an operation without an answer.
func (t *tape) unknown(o history.Op) *tape {
	o.Outcome, o.Error = history.Unknown, "timeout"
	return t.put(o)
}

// long lets the last operation end only after n more.
func (t *tape) long(n int64) *tape {
	t.ops[len(t.ops)-1].Return += 10 * n
	return t
}

func put(slot, bytes string) history.Op {
	return history.Op{Kind: history.Evidence, Pictures: map[string]string{slot: bytes}}
}

// begun has a session with both pictures at revision 30.
func begun() *tape {
	return new(tape).create().evidence("front", "a", "evi_1").evidence("selfie", "b", "evi_2").
		read(history.Answer{State: "collecting", Revision: 30, Evidence: both})
}

var both = map[string]string{"front": "evi_1", "selfie": "evi_2"}

func done(r uint64) history.Answer {
	return history.Answer{State: "approved", Revision: r, Decision: "approved, 93", Evidence: both}
}

func at(stage string, r uint64) history.Answer { return history.Answer{State: stage, Revision: r} }

var (
	submission   = history.Op{Kind: history.Submit, Key: "submit-1"}
	verification = history.Op{Kind: history.Verify, Pictures: map[string]string{"front": "a", "selfie": "b"}}
	erasure      = history.Op{Kind: history.Erase}
)

func TestGoodHistories(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]*tape{
		"nothing":               {},
		"one session":           begun().submit(at("submitted", 40)).read(at("processing", 40)).read(at("submitted", 40)).read(done(50)).read(done(50)),
		"decided in the answer": begun().submit(done(50)).read(done(50)),
		// Others see what the answer has passed.
		"decided while it waits":     begun().submit(done(50)).long(2).read(at("submitted", 40)).read(done(50)),
		"created twice":              new(tape).create().create().evidence("front", "a", "evi_1").create(),
		"the same picture twice":     begun().evidence("selfie", "b", "evi_2").submit(at("submitted", 40)).evidence("selfie", "b", "evi_2"),
		"another picture":            begun().evidence("selfie", "c", "evi_3").read(history.Answer{State: "collecting", Revision: 33, Evidence: map[string]string{"front": "evi_1", "selfie": "evi_3"}}),
		"submitted twice":            begun().submit(at("submitted", 40)).submit(done(50)),
		"lost answers, done":         new(tape).unknown(history.Op{Kind: history.Create}).create().unknown(put("front", "a")).read(history.Answer{State: "collecting", Revision: 9, Evidence: map[string]string{"front": "evi_1"}}),
		"lost answers, not done":     begun().unknown(submission).read(at("collecting", 30)).read(at("collecting", 30)),
		"lost answers, done late":    begun().unknown(submission).read(at("collecting", 30)).read(at("submitted", 40)).submit(at("submitted", 40)),
		"never created":              new(tape).unknown(history.Op{Kind: history.Create}).read(history.Answer{Missing: true}),
		"refused":                    begun().put(history.Op{Kind: history.Submit, Key: "other", Outcome: history.Failed}).read(at("collecting", 30)),
		"expired":                    begun().read(at("expired", 60)),
		"given back":                 begun().submit(at("submitted", 40)).read(history.Answer{State: "collecting", Revision: 45, Failure: "blurred"}).evidence("selfie", "b", "evi_9").evidence("front", "a", "evi_1").add(history.Op{Kind: history.Submit, Key: "submit-2"}, at("submitted", 60)).read(history.Answer{State: "failed", Revision: 70, Failure: "blurred"}),
		"erased":                     begun().submit(done(50)).add(erasure, history.Answer{}).add(erasure, history.Answer{}).read(history.Answer{State: "erased", Revision: 60, Evidence: map[string]string{}}),
		"perhaps erased, in the end": begun().submit(done(50)).unknown(erasure).read(done(50)).read(at("erased", 60)),
		"one call":                   new(tape).add(verification, with(done(50))).add(verification, with(done(50))).read(done(50)),
		"one call, half done":        new(tape).unknown(verification).read(history.Answer{State: "collecting", Revision: 7, Evidence: map[string]string{"front": "evi_1"}}).add(verification, with(done(50))),
		// A read that overlaps a write may show either.
		"at the same time": begun().submit(at("submitted", 40)).long(2).read(at("collecting", 30)).read(at("submitted", 40)),
	} {
		t.Run(name, func(t *testing.T) {
			r, err := history.Check(t.Context(), h.ops, 10*time.Second, t.TempDir())
			ok(t, err)
			ok(t, r.Err())
			if found := history.Twice(h.ops); len(found) > 0 {
				t.Errorf("%v", found)
			}
		})
	}
}

func with(a history.Answer) history.Answer {
	a.ID = "ses_1"
	return a
}

func TestBrokenHistories(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]*tape{
		"stale read":                     begun().submit(at("submitted", 40)).read(at("collecting", 30)),
		"stale read without revisions":   begun().submit(at("submitted", 0)).read(at("collecting", 0)),
		"stale read of another reader":   begun().submit(at("submitted", 40)).read(done(50)).read(at("submitted", 40)),
		"lost creation":                  new(tape).create().read(history.Answer{Missing: true}),
		"lost creation, seen by a write": new(tape).create().add(put("front", "a"), history.Answer{Missing: true}),
		"lost picture":                   begun().read(history.Answer{State: "collecting", Revision: 31, Evidence: map[string]string{"front": "evi_1"}}),
		"lost replacement":               begun().evidence("selfie", "c", "evi_3").read(history.Answer{State: "collecting", Revision: 35, Evidence: both}),
		"lost submission":                begun().submit(at("submitted", 40)).read(at("collecting", 41)),
		"lost one call":                  new(tape).add(verification, with(at("submitted", 40))).read(history.Answer{Missing: true}),
		"picture from nowhere":           new(tape).create().read(history.Answer{State: "collecting", Evidence: map[string]string{"front": "evi_1"}}),
		"submission from nowhere":        begun().read(at("submitted", 40)),
		"refused and done":               begun().put(history.Op{Kind: history.Submit, Key: "other", Outcome: history.Failed}).read(at("submitted", 40)),
		"two decisions":                  begun().submit(done(50)).read(history.Answer{State: "approved", Revision: 50, Decision: "approved, 94"}),
		"two outcomes":                   begun().submit(done(50)).read(history.Answer{State: "rejected", Revision: 60, Decision: "rejected"}),
		"no decision any more":           begun().submit(done(50)).read(at("approved", 50)),
		"revision back":                  begun().submit(done(50)).read(done(49)),
		"revision back while collecting": begun().read(at("collecting", 29)),
		"a write that changed nothing":   begun().evidence("selfie", "c", "evi_3").read(at("collecting", 30)),
		"one revision, two stages":       begun().submit(at("submitted", 40)).read(at("submitted", 40)).read(done(40)),
		"one key, two sessions":          new(tape).create().add(history.Op{Kind: history.Create}, history.Answer{ID: "ses_2"}),
		"another session's answer":       begun().read(history.Answer{ID: "ses_2", State: "collecting"}),
		"one picture, two identifiers":   begun().evidence("selfie", "b", "evi_9"),
		"submitted twice":                begun().submit(at("submitted", 40)).add(history.Op{Kind: history.Submit, Key: "submit-2"}, at("submitted", 45)),
		"submitted without a picture":    new(tape).create().submit(at("submitted", 40)),
		"picture after the submission":   begun().submit(at("submitted", 40)).evidence("selfie", "c", "evi_3"),
		"given back without a reason":    begun().submit(at("submitted", 40)).read(at("collecting", 45)),
		"decided after it had expired":   begun().read(at("expired", 60)).read(done(70)),
		"erased and shown":               begun().submit(done(50)).add(erasure, history.Answer{}).read(done(50)),
		"erased by nobody":               begun().read(at("erased", 60)),
		"undone late":                    begun().unknown(submission).read(at("submitted", 40)).read(at("collecting", 41)),
	} {
		t.Run(name, func(t *testing.T) {
			good := new(tape).create().ops
			for i := range good { // in the next session all is well
				good[i].Session, good[i].Answer.ID = "key-2", "ses_22"
			}
			r, err := history.Check(t.Context(), append(h.ops, good...), 10*time.Second, t.TempDir())
			ok(t, err)
			is(t, r.Err(), history.ErrIllegal)
			if len(r.Illegal) != 1 || len(r.Undecided) != 0 || r.Illegal[0].Session != "key-1" || r.Sessions != 2 {
				t.Fatalf("%+v", r)
			}
			page, err := os.ReadFile(r.Illegal[0].Picture)
			if err != nil || !strings.Contains(string(page), "<html") || !strings.Contains(string(page), string(h.ops[len(h.ops)-1].Kind)) {
				t.Errorf("the picture: %v", err)
			}
		})
	}
}

// Time that is over is no verdict.
func TestUndecided(t *testing.T) {
	t.Parallel()
	h := begun()
	for i := range 40 { // pictures of which nobody knows anything
		h.unknown(put(fmt.Sprint("slot-", i%8), fmt.Sprint(i)))
	}
	h.read(history.Answer{State: "collecting", Evidence: map[string]string{"none": "evi_0"}})
	began := time.Now()
	r, err := history.Check(t.Context(), append(h.ops, history.Op{Session: "key-2", Kind: history.Create, Outcome: history.OK}), 300*time.Millisecond, t.TempDir())
	ok(t, err)
	is(t, r.Err(), history.ErrUndecided)
	if len(r.Illegal) != 0 || len(r.Undecided) != 2 || time.Since(began) > 5*time.Second || errors.Is(r.Err(), history.ErrIllegal) {
		t.Errorf("after %v: %+v", time.Since(began), r)
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func is(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%v, and not: %v", err, want)
	}
}
