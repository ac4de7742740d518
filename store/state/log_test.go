package state_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/store/audit"
	"gatehouse/store/command"
	"gatehouse/store/state"
)

func bytesOf(hashes []tlog.Hash) [][]byte {
	all := make([][]byte, len(hashes))
	for i, h := range hashes {
		all[i] = h[:]
	}
	return all
}

// verifyLogs checks every log with another implementation of RFC 6962: each
// leaf is included in its own tree and the last one, each tree begins the next
// and the last, and each anchor is the root that it says.
func verifyLogs(t *testing.T, s *state.State) {
	t.Helper()
	roots := map[string][][]byte{} // origin, size
	type anchored struct {
		log, root string
		size      int
	}
	var anchors []anchored
	var every []string
	must(t, s.View(func(v *state.View) (err error) { every, err = v.EveryLog(); return err }))
	for _, log := range every {
		h := s.Log(log)
		head, err := h.Head()
		must(t, err)
		size := head.Size
		empty, err := audit.Root(0, h)
		must(t, err)
		all := [][]byte{empty[:]}
		for i := range size {
			root, err := audit.Root(i+1, h)
			must(t, err)
			all = append(all, root[:])
		}
		roots[head.Origin] = all
		var mono audit.Time
		for i := range size {
			leaf, err := h.Leaf(i)
			must(t, err)
			for _, of := range []int64{i + 1, size} {
				path, err := audit.InclusionProof(of, i, h)
				must(t, err)
				if err := proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(i), uint64(of), rfc6962.DefaultHasher.HashLeaf(leaf), bytesOf(path), all[of]); err != nil {
					t.Fatalf("%s: leaf %d of %d: %v", log, i, of, err)
				}
				path, err = audit.ConsistencyProof(i+1, min(of+1, size), h)
				must(t, err)
				if err := proof.VerifyConsistency(rfc6962.DefaultHasher, uint64(i+1), uint64(min(of+1, size)), bytesOf(path), all[i+1], all[min(of+1, size)]); err != nil {
					t.Fatalf("%s: from %d to %d: %v", log, i+1, of, err)
				}
			}
			l, err := audit.DecodeLeaf(leaf)
			must(t, err)
			if l.Seq != i || l.TSMono < mono || l.TSMono != max(mono, l.TS) {
				t.Errorf("%s: leaf %d: %+v", log, i, l)
			}
			mono = l.TSMono
			if l.Action == audit.AuditAnchor {
				k, err := strconv.Atoi(l.Data["size"].(string))
				must(t, err)
				origin := strings.Replace(head.Origin, "/system/", "/"+l.Object.ID+"/", 1)
				if l.Data["origin"] != origin {
					t.Errorf("anchor %v in %s", l.Data, head.Origin)
				}
				anchors = append(anchors, anchored{origin, l.Data["root"].(string), k})
			}
		}
	}
	if len(anchors) == 0 {
		t.Error("nothing is anchored")
	}
	for _, a := range anchors {
		if got := tlog.Hash(roots[a.log][a.size]).String(); got != a.root {
			t.Errorf("anchor of %s at %d: %s, its root is %s", a.log, a.size, a.root, got)
		}
	}
}

func TestLogsOfARandomStory(t *testing.T) {
	_, w := tell(t, 11, 1200)
	w.ok(w.tick(w.now + int64(time.Minute)))
	verifyLogs(t, w.s)
}

func TestEventsOfACommandFollowEachOther(t *testing.T) {
	w := founded(t)
	w.collected("ses_1")
	w.ok(w.submit("ses_1"))
	first := w.size("ten_a")
	c := w.complete("ses_1", 1, state.Approved)
	c.Events = nil
	actions := []audit.Action{audit.DocumentProcess, audit.FaceProcess, audit.LivenessProcess, audit.DecisionMake, audit.TemplateEnrol}
	for i, a := range actions {
		c.Events = append(c.Events, &command.Event{Id: fmt.Sprint("evt_c", i), Action: string(a), Result: "ok", ObjectType: "session", ObjectId: "ses_1", Subject: "sub_ses_1",
			PolicyVersion: "3", Models: []string{"arc@1"}, Commitments: map[string][]byte{"name": hash("n")}, Facts: map[string]string{"z": "1", "a": "2"}, RequestId: "req_1", Route: "POST /v1/sessions/{id}/submit"})
	}
	if a := w.ok(c); a.Log != "ten_a" || a.Seq != first {
		t.Errorf("answer %v", a)
	}
	for i, a := range actions {
		l, err := audit.DecodeLeaf(w.leaf("ten_a", first+uint64(i)))
		must(t, err)
		if l.Action != a || l.ID != fmt.Sprint("evt_c", i) || l.Index != uint64(len(w.log)) || l.Term != w.log[len(w.log)-1].Term || l.TS != audit.Time(c.ProposedAtNs) ||
			l.Log != "clu_a/ten_a/e1" || l.Node != "nod_a" || l.SubjectRef != "sub_ses_1" || l.Req.PolicyVersion != "3" || l.Data["a"] != "2" || l.PII["name"] != audit.Commitment(hash("n")) {
			t.Errorf("leaf %d: %+v", i, l)
		}
	}
	w.ok(w.tick(w.now + 1))
	verifyLogs(t, w.s)
}

// A proposer's clock that goes back shows in ts, never in ts_mono.
func TestMonotonicTime(t *testing.T) {
	w := founded(t)
	high := w.now + int64(time.Hour)
	for _, at := range []int64{w.now, high, w.now, high - 1, high + 1} {
		c := w.command(command.Type_RECORD, "ten_a", nil)
		c.ProposedAtNs = at
		w.ok(c)
		l, err := audit.DecodeLeaf(w.leaf("ten_a", w.size("ten_a")-1))
		must(t, err)
		if want := max(at, high); l.TS != audit.Time(at) || at >= high && l.TSMono != audit.Time(want) || l.TSMono < l.TS {
			t.Errorf("at %d: %v, %v", at, l.TS, l.TSMono)
		}
	}
	w.view(func(v *state.View) {
		if v.Time() != high+1 {
			t.Errorf("time %d", v.Time())
		}
	})
	w.ok(w.tick(high + 2))
	verifyLogs(t, w.s)
	// An anchor is written where a log has grown, and only there.
	n := w.size(audit.System)
	w.ok(w.tick(high + 3))
	if got := w.size(audit.System); got != n {
		t.Errorf("%d anchors of nothing", got-n)
	}
}

func leafHash(b []byte) []byte { return rfc6962.DefaultHasher.HashLeaf(b) }
