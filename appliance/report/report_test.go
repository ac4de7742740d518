package report_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/appliance/report"
	"gatehouse/store/audit"
)

var update = flag.Bool("update", false, "write the golden page")

const origin = "clu_a/ten_b/e1"

// noon of the first day.
const noon = audit.Time(1_764_072_000_000_000_000) // 2025-11-25T12:00:00Z

const hour = audit.Time(time.Hour)

func meta(to int64) report.Meta {
	return report.Meta{
		Origin: origin, Tenant: "ten_b", Cluster: "clu_a", To: to,
		End:  report.Head{Size: to, Root: "cm9vdA==", Signed: []string{origin}, Cosigned: []report.Cosigner{{Name: "regulator.example", At: time.Unix(1_764_158_400, 0)}}},
		Keys: []string{origin + "+12345678+AQID"}, Nonce: "n-1", Anchors: 2, Version: "1.0.0",
	}
}

// events with what they are about; the rest is filled in.
func leaves(all ...audit.Leaf) []*audit.Leaf {
	var out []*audit.Leaf
	var latest audit.Time
	for i := range all {
		l := all[i]
		l.V, l.Seq, l.Log, l.ID = audit.LeafVersion, int64(i), origin, fmt.Sprintf("evt_%d", i)
		if l.Node == "" {
			l.Node = "nod_1"
		}
		if l.TS == 0 {
			l.TS = noon + audit.Time(i)*hour
		}
		latest = max(latest, l.TS)
		l.TSMono = latest
		if l.Actor.Type == "" {
			l.Actor = audit.Actor{Type: "client", ID: "cli_1", Authn: "key"}
		}
		if l.Result == "" {
			l.Result = audit.OK
		}
		out = append(out, &l)
	}
	return out
}

// week of a small bank.
func bank() []*audit.Leaf {
	reviewer := audit.Actor{Type: "user", ID: "usr_1", Authn: "certificate"}
	auditor := audit.Actor{Type: "user", ID: "usr_auditor", Authn: "certificate"}
	return leaves(
		audit.Leaf{Action: audit.SetupComplete, Actor: audit.Actor{Type: "setup", ID: "setup"}, Object: audit.Object{Type: "cluster"}, Data: map[string]any{"client": "cli_0", "tenant": "ten_b"}},
		audit.Leaf{Action: audit.SessionCreate, Object: audit.Object{Type: "session", ID: "ses_1"}},
		audit.Leaf{Action: audit.ConsentRecord, Object: audit.Object{Type: "session", ID: "ses_1"}},
		audit.Leaf{Action: audit.DocumentProcess, Object: audit.Object{Type: "session", ID: "ses_1"}},
		audit.Leaf{Action: audit.FaceProcess, Object: audit.Object{Type: "session", ID: "ses_1"}},
		audit.Leaf{Action: audit.DuplicateSearch, Object: audit.Object{Type: "session", ID: "ses_1"}, Data: map[string]any{
			"face.unique": "failed 0.7 threshold 0.5", "face.not_listed": "passed", "subjects": "compared 9 found 1"}},
		audit.Leaf{Action: audit.DecisionMake, Object: audit.Object{Type: "session", ID: "ses_1"}, Req: audit.Request{PolicyVersion: "default/2", Models: []string{"rec@1", "det@2"}},
			Data: map[string]any{"outcome": "review", "score": "71", "reason_1": "duplicate.face", "reason_2": "liveness.doubtful"}},
		audit.Leaf{Action: audit.SessionCreate, Object: audit.Object{Type: "session", ID: "ses_2"}},
		audit.Leaf{Action: audit.DecisionMake, Object: audit.Object{Type: "session", ID: "ses_2"}, Req: audit.Request{PolicyVersion: "default/2"}, Data: map[string]any{"outcome": "accepted"}, TS: noon + 30*hour},
		audit.Leaf{Action: audit.SessionExpire, Reason: "not_submitted_in_time", Actor: audit.Actor{Type: "node", ID: "nod_1"}, TS: noon + 50*hour},
		audit.Leaf{Action: audit.ReviewDecide, Actor: reviewer, Reason: "duplicate.face", Object: audit.Object{Type: "case", ID: "cas_1"}, TS: noon + 48*hour, Node: "nod_2"},
		audit.Leaf{Action: audit.AccessEvidence, Actor: reviewer, Reason: "review", Object: audit.Object{Type: "evidence", ID: "evd_1"}, TS: noon + 51*hour},
		audit.Leaf{Action: audit.AccessEvidence, Actor: reviewer, Reason: "review", Object: audit.Object{Type: "evidence", ID: "evd_2"}, TS: noon + 52*hour},
		audit.Leaf{Action: audit.AccessSubject, Actor: reviewer, Object: audit.Object{Type: "subject", ID: "sub_1"}, TS: noon + 53*hour},
		audit.Leaf{Action: audit.FaceSearch, Reason: "compliance", Data: map[string]any{"blocklist": "compared 4 threshold 0.5 found 0"}, TS: noon + 54*hour},
		audit.Leaf{Action: audit.BlocklistAdd, Object: audit.Object{Type: "blocklist_entry", ID: "blk_1"}, TS: noon + 55*hour},
		audit.Leaf{Action: audit.SubjectEraseRestrict, Reason: "subject_request", Object: audit.Object{Type: "subject", ID: "sub_1"}, TS: noon + 56*hour},
		audit.Leaf{Action: audit.AuthDeny, Actor: audit.Actor{Type: "anonymous", Authn: "none"}, Result: audit.Denied, Reason: "unknown_credential", TS: noon + 57*hour},
		audit.Leaf{Action: audit.CommandRefused, Result: audit.Refused, Reason: "no_session", Data: map[string]any{"command": "SUBMIT"}, TS: noon + 58*hour},
		audit.Leaf{Action: audit.SealSlotAdd, Object: audit.Object{Type: "slot", ID: "slot_1"}, Data: map[string]any{"kind": "shamir", "threshold": "2"}, TS: noon + 59*hour},
		audit.Leaf{Action: audit.AuditCosign, Actor: auditor, Object: audit.Object{Type: "log", ID: "ten_b"}, TS: noon + 60*hour},
		audit.Leaf{Action: audit.AuditChallenge, Actor: auditor, Object: audit.Object{Type: "log", ID: "ten_b"}, Data: map[string]any{"nonce": "n-1"}, TS: noon + 61*hour},
		audit.Leaf{Action: audit.AccessAudit, Actor: auditor, Object: audit.Object{Type: "log", ID: "ten_b"}, TS: noon + 62*hour},
	)
}

func made(t testing.TB, m report.Meta, all []*audit.Leaf) *report.Report {
	t.Helper()
	r := report.New(m)
	for _, l := range all {
		if err := r.Add(l); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func rendered(t testing.TB, r *report.Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.Render(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestGoldenPage(t *testing.T) {
	t.Parallel()
	all := bank()
	got := rendered(t, made(t, meta(int64(len(all))), all))
	path := filepath.Join("testdata", "bank.html")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the page is not %s; look at the difference after go test -update", path)
	}
}

func TestSameLeavesSameBytes(t *testing.T) {
	t.Parallel()
	all := bank()
	for i := range 300 { // ties, which only a fixed order tells apart
		l := *all[6]
		l.Seq, l.Actor.ID, l.Req.PolicyVersion = int64(len(all)), fmt.Sprint("cli_", i%40), fmt.Sprint("v", i%40)
		l.Data = map[string]any{"outcome": fmt.Sprint("o", i%30), "reason_1": fmt.Sprint("r", i%30), "a": "1", "b": "2"}
		all = append(all, &l)
	}
	m := meta(int64(len(all)))
	r := made(t, m, all)
	first := rendered(t, r)
	if rendered(t, r) != first {
		t.Error("a second rendering differs")
	}
	for range 5 {
		if rendered(t, made(t, m, all)) != first {
			t.Fatal("the same leaves give other bytes")
		}
	}
}

func TestWhatDoesNotBelong(t *testing.T) {
	t.Parallel()
	all := bank()
	m := meta(int64(len(all)))
	m.From = 2
	for name, change := range map[string]func(l *audit.Leaf){
		"of another log":   func(l *audit.Leaf) { l.Log = "clu_a/ten_c/e1" },
		"before the range": func(l *audit.Leaf) { l.Seq = 1 },
		"after the range":  func(l *audit.Leaf) { l.Seq = m.To },
		"twice":            func(l *audit.Leaf) { l.Seq = 2 },
	} {
		r := made(t, m, all[2:3])
		before := rendered(t, r)
		l := *all[3]
		change(&l)
		if err := r.Add(&l); !errors.Is(err, report.ErrLeaf) {
			t.Errorf("a leaf %s: %v", name, err)
		}
		if rendered(t, r) != before {
			t.Errorf("a leaf %s was counted", name)
		}
	}
}

func TestGapsAreNamed(t *testing.T) {
	t.Parallel()
	all := bank()
	m := meta(int64(len(all)))
	for _, c := range []struct {
		keep func(seq int64) bool
		says string
	}{
		{func(int64) bool { return true }, "none: the numbers of the events follow each other without a gap"},
		{func(s int64) bool { return s != 0 }, "1 event is missing: 0"},
		{func(s int64) bool { return s < 3 || s > 5 }, "3 events are missing: 3 to 5"},
		{func(s int64) bool { return s != 4 && s < m.To-2 }, fmt.Sprintf("3 events are missing: 4, %d to %d", m.To-2, m.To-1)},
		{func(int64) bool { return false }, fmt.Sprintf("%d events are missing: 0 to %d", m.To, m.To-1)},
	} {
		r := report.New(m)
		for _, l := range all {
			if c.keep(l.Seq) {
				if err := r.Add(l); err != nil {
					t.Fatal(err)
				}
			}
		}
		if got := rendered(t, r); !strings.Contains(got, ">"+c.says+"</td>") {
			t.Errorf("nothing says %q", c.says)
		}
	}

	m = meta(1000)
	r := report.New(m)
	for seq := int64(1); seq < m.To; seq += 2 {
		l := *all[1]
		l.Seq = seq
		if err := r.Add(&l); err != nil {
			t.Fatal(err)
		}
	}
	if got := rendered(t, r); !strings.Contains(got, "500 events are missing: 0, 2, 4") || !strings.Contains(got, ", 38, and 480 more gaps</td>") {
		t.Error("many gaps are not counted and cut")
	}
}
