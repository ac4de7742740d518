package report_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatehouse/store/audit"
)

func has(t *testing.T, d *dom, table string, want ...string) {
	t.Helper()
	for _, r := range d.tables[table] {
		if slices.Equal(r, want) {
			return
		}
	}
	t.Errorf("table %s has no row %q but %q", table, want, d.tables[table])
}

func TestWhatIsCounted(t *testing.T) {
	t.Parallel()
	all := bank()
	d := read(t, rendered(t, made(t, meta(int64(len(all))), all)))
	has(t, d, "outcomes", "review", "1", "50.0 %")
	has(t, d, "outcomes", "accepted", "1", "50.0 %")
	has(t, d, "reasons", "duplicate.face", "review", "1", "50.0 %")
	has(t, d, "reasons", "liveness.doubtful", "review", "1", "50.0 %")
	has(t, d, "ends", "a verification was not submitted in time", "not_submitted_in_time", "1", "100.0 %")
	has(t, d, "rules", "default/2", "2", "2025-11-25 18:00:00", "2025-11-26 18:00:00")
	has(t, d, "models", "rec@1", "1", "2025-11-25 18:00:00", "2025-11-25 18:00:00")
	has(t, d, "reviews", "user usr_1", "a reviewer decided a case", "duplicate.face", "1", "2025-11-27 12:00:00", "2025-11-27 12:00:00")
	has(t, d, "accesses", "user usr_1", "evidence of a person was read", "review", "2", "2025-11-27 15:00:00", "2025-11-27 16:00:00")
	has(t, d, "accesses", "user usr_1", "what is held of a person was read", "none given", "1", "2025-11-27 17:00:00", "2025-11-27 17:00:00")
	has(t, d, "accesses", "client cli_1", "enrolled faces were searched outside a verification", "compliance", "1", "2025-11-27 18:00:00", "2025-11-27 18:00:00")
	has(t, d, "searches", "a face was compared with all that are enrolled", "enrolled persons", "found", "1", "33.3 %")
	has(t, d, "searches", "a face was compared with all that are enrolled", "blocklist", "not found", "1", "33.3 %")
	has(t, d, "searches", "enrolled faces were searched outside a verification", "blocklist", "not found", "1", "33.3 %")
	has(t, d, "blocked", "2025-11-27 19:00:00", "15", "a face was put on the blocklist", "client cli_1", "blocklist_entry blk_1", "ok", "", "")
	has(t, d, "deletions", "2025-11-27 20:00:00", "16", "the data of a person can no longer be read", "client cli_1", "subject sub_1", "ok", "subject_request", "")
	has(t, d, "changed", "2025-11-25 12:00:00", "0", "the first administrator was created", "setup setup", "cluster", "ok", "", "client: cli_0; tenant: ten_b")
	has(t, d, "changed", "2025-11-27 23:00:00", "19", "a way to unseal was added", "client cli_1", "slot slot_1", "ok", "", "kind: shamir; threshold: 2")
	has(t, d, "denied", "anonymous", "a sign-in or a credential was not accepted", "unknown_credential", "1", "2025-11-27 21:00:00", "2025-11-27 21:00:00")
	has(t, d, "refused", "a command was refused by a rule of the state", "refused", "SUBMIT", "no_session", "1", "2025-11-27 22:00:00", "2025-11-27 22:00:00")
	has(t, d, "clocks", "nod_2", "1", "7200.000 s", "2025-11-27 12:00:00", "2025-11-27 12:00:00")
	has(t, d, "cosigners", "user usr_auditor", "log ten_b", "1", "2025-11-28 00:00:00", "2025-11-28 00:00:00")
	has(t, d, "looked", "user usr_auditor", "events of an audit log were read", "1", "2025-11-28 02:00:00", "2025-11-28 02:00:00")
	has(t, d, "exports", "2025-11-28 01:00:00", "21", "an auditor's nonce was received", "user usr_auditor", "log ten_b", "ok", "", "nonce: n-1")
	has(t, d, "range-heads", "End", "23", "cm9vdA==", origin)
	has(t, d, "range-cosigners", "End", "regulator.example", "2025-11-26 12:00:00")
	has(t, d, "decisions-plot-table", "2025-11-26", "0", "1", "0", "0")
	has(t, d, "decisions-plot-table", "2025-11-25", "2", "0", "1", "0")
	if !strings.Contains(d.text, "the time went back 1 time; the largest distance to the latest time of the log was 7200.000 s") {
		t.Error("the step of the clock is not told")
	}
}

// Whoever adds an action must say of which kind it is: only these are of none.
func TestKindOfEveryAction(t *testing.T) {
	t.Parallel()
	others := []string{"audit.", "backup.", "command.", "evidence.", "gallery.", "log.", "node."}
	for _, a := range audit.Actions() {
		d := read(t, rendered(t, made(t, meta(1), leaves(audit.Leaf{Action: a}))))
		var kinds []string
		for _, r := range d.tables["by-kind"] {
			if r[2] == "1" {
				kinds = append(kinds, r[0])
			}
		}
		if len(kinds) != 1 {
			t.Errorf("%s is of the kinds %q", a, kinds)
		} else if family := slices.ContainsFunc(others, func(f string) bool { return strings.HasPrefix(string(a), f) }); kinds[0] == "Other" && !family {
			t.Errorf("%s is of no kind", a)
		}
	}
	for action, want := range map[audit.Action]string{
		audit.SessionCreate: "Verification", audit.DocumentProcess: "Document", audit.LivenessProcess: "Face", audit.ScreeningPerform: "Screening",
		audit.DecisionMake: "Decision", audit.ReviewClaim: "Review", audit.AccessEvidence: "Access", audit.SubjectExport: "Access",
		audit.SubjectEraseFinalise: "Deletion", audit.TemplateDelete: "Deletion", audit.AuthzDeny: "Sign-in", audit.RulesActivate: "Settings",
		audit.NodeMemberRemove: "Settings", audit.LogEpochStart: "Settings", audit.BackupRestore: "Settings", audit.LogKeyRotate: "Keys", audit.SealUnseal: "Keys", audit.NodeStart: "Other",
	} {
		d := read(t, rendered(t, made(t, meta(1), leaves(audit.Leaf{Action: action}))))
		for _, r := range d.tables["by-kind"] {
			if (r[2] == "1") != (r[0] == want) {
				t.Errorf("%s: %q, expected %s", action, r, want)
			}
		}
	}
}

func TestLongRangesAreShownInLongerUnits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		days        int
		unit, first string
		last        string
		bars        int
	}{
		{1, "day", "2025-11-25", "2025-11-25", 1},
		{92, "day", "2025-11-25", "2026-02-24", 92},
		{93, "week", "2025-11-24", "2026-02-23", 14},
		{106 * 7, "month", "2025-11", "2027-12", 26}, // the first week is no whole one
		{9 * 365, "month", "2025-11", "2034-11", 109},
		{100 * 365, "year", "2025", "2125", 101},
	} {
		all := leaves(
			audit.Leaf{Action: audit.NodeStart, TS: noon},
			audit.Leaf{Action: audit.NodeStart, TS: noon + audit.Time(c.days-1)*24*hour},
			audit.Leaf{Action: audit.NodeStart, TS: noon + audit.Time(c.days/2)*24*hour},
		)
		d := read(t, rendered(t, made(t, meta(3), all)))
		rows, sum := d.tables["events-plot-table"], 0
		for _, r := range rows {
			n, err := strconv.Atoi(r[1])
			if err != nil {
				t.Fatal(err)
			}
			sum += n
		}
		if len(rows) != c.bars || rows[0][0] != c.first || rows[len(rows)-1][0] != c.last || sum != 3 || !strings.Contains(d.text, "Events by "+c.unit) {
			t.Errorf("%d days: %d bars from %s to %s with %d events, expected %+v", c.days, len(rows), rows[0][0], rows[len(rows)-1][0], sum, c)
		}
	}
}

func TestTimesBefore1970(t *testing.T) {
	t.Parallel()
	l := leaves(audit.Leaf{Action: audit.NodeStart, TS: -audit.Time(time.Second)}) // no valid leaf has it
	d := read(t, rendered(t, made(t, meta(1), l)))
	has(t, d, "events-plot-table", "1969-12-31", "1")
}

func TestCutsAreTold(t *testing.T) {
	t.Parallel()
	var all []audit.Leaf
	for i := range 130 {
		all = append(all, audit.Leaf{Action: audit.ClientCreate, Object: audit.Object{Type: "client", ID: fmt.Sprint("cli_", i)}})
	}
	for i := range 30 {
		for range 31 - i { // the last ones are the rarest
			all = append(all, audit.Leaf{Action: audit.AccessResult, Reason: fmt.Sprint("reason-", i)})
		}
	}
	d := read(t, rendered(t, made(t, meta(int64(len(all))), leaves(all...))))
	rows := d.tables["changed"]
	if len(rows) != 100 || rows[0][4] != "client cli_0" || rows[49][4] != "client cli_49" || rows[50][4] != "client cli_80" || rows[99][4] != "client cli_129" {
		t.Errorf("%d rows: %q", len(rows), rows)
	}
	if !strings.Contains(d.text, "Cut: the first 50 and the last 50 of 130 are shown; the 30 between are not.") {
		t.Error("that the list was cut is not told")
	}
	rows = d.tables["accesses"]
	if len(rows) != 25 || rows[0][2] != "reason-0" || rows[0][3] != "31" || rows[24][2] != "reason-24" {
		t.Errorf("%d rows: %q", len(rows), rows)
	}
	if !strings.Contains(d.text, "Cut: 5 rows with fewer events are not shown; together 20 events.") {
		t.Error("that the table was cut is not told")
	}
}
