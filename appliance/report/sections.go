package report

import (
	"fmt"
	"strconv"
	"strings"
)

// page in the order in which a regulator asks.
func (r *Report) page() *page {
	m, run := &r.meta, r.run.until(r.meta.To)
	p := &page{
		Title:   "Audit report: " + harmless(m.Origin, maxMeta),
		Command: "gatehouse audit verify BUNDLE.ekab --trust TRUST --state STATE",
	}
	glance := func(section string, n int64, one, many string) {
		f := fact{Number: grouped(n), Text: many, Section: section}
		if n == 1 {
			f.Text = one
		}
		p.Glance = append(p.Glance, f)
	}
	glance("range", run.leaves, "event", "events")
	glance("range", run.missing, "missing event", "missing events")
	glance("decisions", r.began, "verification begun", "verifications begun")
	glance("decisions", r.outcomes.events, "decision", "decisions")
	glance("access", r.accesses.events, "access to evidence or personal data", "accesses to evidence or personal data")
	glance("deletion", r.erased, "person erased", "persons erased")
	glance("changes", r.changes.n, "change of settings, members or keys", "changes of settings, members and keys")
	glance("denials", r.denials.events, "denial", "denials")
	glance("clock", run.steps, "time the clock went back", "times the clock went back")
	p.Sections = []section{
		r.rangeSection(&run), r.kindSection(), r.decisionSection(), r.reviewSection(), r.accessSection(), r.duplicateSection(),
		r.deletionSection(), r.changeSection(), r.denialSection(), r.refusalSection(), r.clockSection(&run), r.checkpointSection(), r.lookSection(),
	}
	return p
}

func (r *Report) rangeSection(run *run) section {
	m := &r.meta
	t := newTable("range-facts", "What this report covers", "", column{"", words}, column{"", code})
	for _, f := range [...]struct{ name, value string }{
		{"Log", m.Origin}, {"Tenant", m.Tenant}, {"Cluster", m.Cluster},
		{"Program", m.Version}, {"Auditor's nonce", m.Nonce},
	} {
		if f.value != "" {
			t.row(f.name, harmless(f.value, maxMeta))
		}
	}
	for _, k := range m.Keys {
		t.row("Key", harmless(k, maxMeta))
	}
	say := func(name, text string) {
		t.row(name, text)
		t.Rows[len(t.Rows)-1][1].How = words
	}
	say("Range", fmt.Sprintf("from event %d up to, not including, %d (events count from 0)", m.From, m.To))
	say("Events", grouped(run.leaves))
	if run.leaves > 0 {
		say("First time (UTC)", clock(run.first))
		say("Last time (UTC)", clock(run.last))
	}
	say("Missing", gapsOf(run))

	heads := newTable("range-heads", "Checkpoints at both ends", "", column{"", words}, column{"Size", number}, column{"Root", code}, column{"Signed by", code})
	seen := newTable("range-cosigners", "Who cosigned them", "Nobody cosigned them.", column{"Checkpoint", words}, column{"Cosigner", code}, column{"Time (UTC)", when})
	for _, h := range [...]struct {
		name string
		Head
	}{{"Start", m.Start}, {"End", m.End}} {
		signed := harmless(strings.Join(h.Signed, ", "), maxMeta)
		if h.Size == 0 {
			signed = "nobody: the log begins here"
		}
		heads.row(h.name, grouped(h.Size), harmless(h.Root, maxText), signed)
		for _, c := range h.Cosigned {
			seen.row(h.name, harmless(c.Name, maxMeta), moment(c.At))
		}
	}
	return section{ID: "range", Title: "Range", Tables: []table{t, heads, seen}}
}

func gapsOf(run *run) string {
	if run.missing == 0 {
		return "none: the numbers of the events follow each other without a gap"
	}
	var all []string
	for _, g := range run.gaps {
		if g.to-g.from == 1 {
			all = append(all, strconv.FormatInt(g.from, 10))
		} else {
			all = append(all, fmt.Sprintf("%d to %d", g.from, g.to-1))
		}
	}
	s := count(run.missing, "event is", "events are") + " missing: " + strings.Join(all, ", ")
	if more := run.gapCount - int64(len(run.gaps)); more > 0 {
		s += ", and " + count(more, "more gap", "more gaps")
	}
	return s
}

func (r *Report) kindSection() section {
	t := newTable("by-kind", "Events by kind", "", column{"Kind", words}, column{"What belongs to it", words}, column{"Events", number}, column{"Share", share})
	names, of := make([]string, kinds), make([]int, kinds)
	for k := range kinds {
		t.row(k.String(), k.about(), grouped(r.kinds[k]), "")
		t.bar(r.kinds[k], r.run.leaves)
		names[k], of[k] = k.String(), int(k)
	}
	return section{ID: "kinds", Title: "Events", Tables: []table{t}, Figure: r.days.figure("events-plot", "Events", names, of)}
}

func (r *Report) decisionSection() section {
	return section{ID: "decisions", Title: "Verifications and decisions",
		Text: []string{fmt.Sprintf("%s begun, %s made, %s ended without a decision.",
			count(r.began, "verification", "verifications"), count(r.outcomes.events, "decision", "decisions"), grouped(r.ended))},
		Tables: []table{
			r.outcomes.shares("outcomes", "Decisions by outcome", "outcome", "No verification was decided.", column{"Outcome", code}),
			r.reasons.shares("reasons", "Decisions by reason; a decision may have several", "reason", "No decision has a reason.", column{"Reason", code}, column{"Outcome", code}),
			r.ends.shares("ends", "Verifications without a decision", "reason", "No verification ended without a decision.", column{"What", words}, column{"Reason", code}),
			r.rules.times("rules", "Rules that decided", "version", "No verification was decided.", column{"Version", code}),
			r.models.times("models", "Models that were used in decisions", "model", "No decision names a model.", column{"Model", code}),
		},
		Figure: r.days.figure("decisions-plot", "Verifications",
			[]string{"Begun", "Accepted", "To review", "Rejected", "Other outcome", "No decision"},
			[]int{begun, accepted, toReview, rejected, otherwise, undecided}),
	}
}

func (r *Report) reviewSection() section {
	return section{ID: "review", Title: "Reviews", Tables: []table{
		r.reviews.times("reviews", "Who did what with cases", "row", "No case was before a person.", column{"Who", code}, column{"What", words}, column{"Reason", code}),
	}}
}

func (r *Report) accessSection() section {
	return section{ID: "access", Title: "Access to evidence and personal data",
		Text: []string{"Each access is in the log before anything is shown. The purpose is what the caller gave."},
		Tables: []table{
			r.accesses.times("accesses", "Who looked at what, and why", "row", "Nobody looked at evidence or personal data.", column{"Who", code}, column{"What", words}, column{"Purpose", code}),
		}}
}

func (r *Report) duplicateSection() section {
	return section{ID: "duplicates", Title: "Duplicates and blocklist", Tables: []table{
		r.duplicates.shares("searches", "What searches for faces came to", "row", "No face was searched for.", column{"Search", words}, column{"Among", words}, column{"Result", words}),
		r.blocklist.table("blocked", "Changes of the blocklist: "+grouped(r.blocklist.n), "The blocklist was not changed."),
	}}
}

func (r *Report) deletionSection() section {
	return section{ID: "deletion", Title: "Erasures and deletions",
		Text: []string{count(r.erased, "person was", "persons were") + " erased: from then on nothing that is held of them can be read."},
		Tables: []table{
			r.deletions.table("deletions", "Erasures, deletions and legal holds: "+grouped(r.deletions.n), "Nothing was erased or deleted."),
		}}
}

func (r *Report) changeSection() section {
	return section{ID: "changes", Title: "Changes of settings, members and keys", Tables: []table{
		r.changes.table("changed", "Changes: "+grouped(r.changes.n), "Nothing was changed."),
	}}
}

func (r *Report) denialSection() section {
	return section{ID: "denials", Title: "Denials",
		Text: []string{"A flood of denials is not logged one by one: these are at least so many."},
		Tables: []table{
			r.denials.times("denied", "Who was denied what", "row", "Nobody was denied anything.", column{"Who", code}, column{"What", words}, column{"Reason", code}),
		}}
}

func (r *Report) refusalSection() section {
	return section{ID: "refusals", Title: "Refusals and failures",
		Text: []string{"Refused: a rule did not allow it. Failed: it was tried, and an error prevented it."},
		Tables: []table{
			r.refusals.times("refused", "What was refused or failed", "row", "Nothing was refused, and nothing failed.",
				column{"What", words}, column{"Result", words}, column{"Command", code}, column{"Reason", code}),
		}}
}

func (r *Report) clockSection(run *run) section {
	t := newTable("clocks", "Events with a time before the latest of the log, by node", "Every event has the latest time of the log so far.",
		column{"Node", code}, column{"Events", number}, column{"Furthest behind", number}, column{"First (UTC)", when}, column{"Last (UTC)", when})
	rows, cut := r.clocks.top("node")
	for _, c := range rows {
		t.row(c.names[0], grouped(c.n), behind(c.behind), clock(c.first), clock(c.last))
	}
	t.Cut = cut
	return section{ID: "clock", Title: "Clock",
		Text: []string{
			fmt.Sprintf("From one event to the next the time went back %s; the largest distance to the latest time of the log was %s.", count(run.steps, "time", "times"), behind(run.behind)),
			"Nodes have clocks of their own. Steps of some milliseconds are usual when several nodes write; longer ones are to be explained.",
		}, Tables: []table{t}}
}

func (r *Report) checkpointSection() section {
	s := section{ID: "checkpoints", Title: "Checkpoints and cosigners",
		Text: []string{fmt.Sprintf("The bundle has %s of this log that the cluster's own log holds.", count(int64(r.meta.Anchors), "checkpoint", "checkpoints"))},
		Tables: []table{
			r.cosigners.times("cosigners", "Who cosigned checkpoints in this range", "cosigner", "The range records no cosignature.", column{"Who", code}, column{"Of what", code}),
		}}
	if r.anchors.events > 0 {
		s.Tables = append(s.Tables, r.anchors.times("anchors", "Checkpoints of tenants' logs in this log", "log", "", column{"Log", code}))
	}
	return s
}

func (r *Report) lookSection() section {
	return section{ID: "looks", Title: "Who looked at the log", Tables: []table{
		r.looks.times("looked", "Readings, exports, challenges and verifications of the log", "row", "Nobody looked at the log.", column{"Who", code}, column{"What", words}),
		r.exports.table("exports", "Exports, challenges and verifications: "+grouped(r.exports.n), "No bundle was asked for or made."),
	}}
}
