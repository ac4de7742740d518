// Package report makes the page that comes first in an auditor's bundle: what
// happened in a range of an audit log, counted from its leaves.
//
// The page is a convenience. It must never be what anything is concluded from by
// a program, must load nothing, run nothing, and must never show a text from a
// leaf that was not made harmless. Memory is bounded whatever the leaves hold.
package report

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"gatehouse/appliance/decide"
	"gatehouse/engine"
	"gatehouse/store/audit"
)

// Meta of what is reported on. It is shown as it is given: nothing of it is
// verified here.
type Meta struct {
	Origin, Tenant, Cluster string
	From, To                int64 // leaves [From, To)
	Start, End              Head  // the checkpoints around them; no Start: size 0
	Keys                    []string
	Nonce                   string // of the auditor who asked; may be empty
	Anchors                 int    // checkpoints of this log in the system's slice of the bundle
	Version                 string // of the program that made the bundle
}

// Head is a checkpoint and who signed it.
type Head struct {
	Size     int64
	Root     string
	Signed   []string // names of keys
	Cosigned []Cosigner
}

// Cosigner saw that the log only grew.
type Cosigner struct {
	Name string
	At   time.Time
}

// Report counts leaves. It is not safe for concurrent use.
type Report struct {
	meta Meta
	run  run
	days calendar

	began, ended int64 // verifications
	erased       int64 // persons

	kinds                [kinds]int64
	outcomes, reasons    tally
	rules, models        tally
	ends                 tally // without a decision
	reviews              tally
	accesses, looks      tally
	duplicates           tally
	denials, refusals    tally
	clocks               tally
	cosigners, anchors   tally
	blocklist, deletions list
	changes, exports     list
}

// New begins a report.
func New(m Meta) *Report { return &Report{meta: m, run: run{next: m.From}} }

// Add the next leaf. A gap is counted and shown; a leaf of another log, outside
// of the range or out of order is ErrLeaf.
func (r *Report) Add(l *audit.Leaf) error {
	if l.Log != r.meta.Origin {
		return fmt.Errorf("%w: it is of the log %.300q", ErrLeaf, l.Log)
	}
	if l.Seq < r.run.next || l.Seq >= r.meta.To {
		return fmt.Errorf("%w: number %d, expected %d or later and before %d", ErrLeaf, l.Seq, r.run.next, r.meta.To)
	}
	r.run.add(l)
	k := kindOf(l.Action)
	r.kinds[k]++
	r.days.add(l.TS, int(k))
	if l.TS < l.TSMono {
		r.clocks.add(l, l.Node)
	}
	switch l.Result {
	case audit.Denied:
		r.denials.add(l, who(l), what(l.Action), l.Reason)
	case audit.Refused, audit.Failed:
		r.refusals.add(l, what(l.Action), string(l.Result), text(l, "command"), l.Reason)
	}
	switch k {
	case review:
		r.reviews.add(l, who(l), what(l.Action), l.Reason)
	case deletion:
		r.deletions.add(l)
	case settings, secrets:
		r.changes.add(l)
	}
	if personal(l.Action) {
		r.accesses.add(l, who(l), what(l.Action), l.Reason)
	}
	r.one(l)
	return nil
}

// one action at a time, for those that are counted by themselves.
func (r *Report) one(l *audit.Leaf) {
	switch l.Action {
	case audit.SessionCreate:
		r.began++
		r.days.add(l.TS, begun)
	case audit.DecisionMake:
		r.decision(l)
	case audit.SessionFail, audit.SessionExpire, audit.SessionCancel:
		r.ended++
		r.days.add(l.TS, undecided)
		r.ends.add(l, what(l.Action), l.Reason)
	case audit.DuplicateSearch, audit.FaceSearch:
		r.search(l)
	case audit.BlocklistAdd, audit.BlocklistRemove:
		r.blocklist.add(l)
	case audit.SubjectEraseRestrict:
		if l.Result == audit.OK {
			r.erased++
		}
	case audit.AuditCosign:
		r.cosigners.add(l, witness(l), object(l))
	case audit.AuditAnchor:
		r.anchors.add(l, object(l))
	case audit.AuditExport, audit.AuditChallenge, audit.AuditVerify:
		r.looks.add(l, who(l), what(l.Action))
		r.exports.add(l)
	case audit.AccessAudit:
		r.looks.add(l, who(l), what(l.Action))
	}
}

func (r *Report) decision(l *audit.Leaf) {
	outcome := text(l, "outcome")
	r.outcomes.add(l, outcome)
	series := map[string]int{string(decide.Accepted): accepted, string(decide.Review): toReview, string(decide.Rejected): rejected}
	if s, known := series[outcome]; known {
		r.days.add(l.TS, s)
	} else {
		r.days.add(l.TS, otherwise)
	}
	for i := 1; ; i++ { // reason_1, reason_2 …: the worst first
		code := text(l, "reason_"+strconv.Itoa(i))
		if code == "" {
			break
		}
		r.reasons.add(l, code, outcome)
	}
	r.rules.add(l, l.Req.PolicyVersion)
	for _, m := range l.Req.Models {
		r.models.add(l, m)
	}
}

// search reads what looking for a face came to: a signal, "failed" where it was
// found, or the number of candidates of a search outside a verification.
func (r *Report) search(l *audit.Leaf) {
	for _, list := range [...]struct{ name, signal, data string }{
		{"enrolled persons", decide.Unique, "subjects"},
		{"blocklist", decide.NotListed, "blocklist"},
	} {
		came := ""
		switch status, _, _ := strings.Cut(text(l, list.signal), " "); engine.Status(status) {
		case engine.Passed:
			came = "not found"
		case engine.Failed:
			came = "found"
		case "":
			_, n, asked := strings.Cut(text(l, list.data), " found ")
			if !asked {
				continue
			}
			if came = "found"; n == "0" {
				came = "not found"
			}
		default:
			came = "not searched"
		}
		r.duplicates.add(l, what(l.Action), list.name, came)
	}
}

// text of a member of data; empty where it is none.
func text(l *audit.Leaf, name string) string {
	s, _ := l.Data[name].(string)
	return s
}
