package main

import (
	"context"
	"fmt"
	"time"

	"gatehouse/appliance/access"
	"gatehouse/appliance/ledger"
	"gatehouse/store/audit"
	"gatehouse/store/id"
)

func (s *auditRun) searchFigures() []figure {
	all := []figure{goal("audit_search_p95_ms", "ms", 1, "<", 1000), info("audit_search_cold_ms", "ms", 1)}
	if !s.enough() {
		all = append(all, info(s.sized("audit_search_p95", "ms"), "ms", 1))
	}
	return all
}

const (
	searchPage   = 50 // the command line's
	warmSearches = 20
)

// wanted is a kind of search. It finds something or, where none is set, nothing.
type wanted struct {
	name  string
	none  bool
	query func(v *verified, n int64) ledger.Query // n is new each time
}

// wants are the kinds of searches; span is how long the log has been written.
func (l *auditLog) wants(span time.Duration, size int64) []wanted {
	return []wanted{
		{"a session", false, func(v *verified, _ int64) ledger.Query { return ledger.Query{Session: v.session} }},
		{"a person", false, func(v *verified, _ int64) ledger.Query { return ledger.Query{Subject: v.subject} }},
		{"an actor's submissions in a hundredth of the time", false, func(v *verified, _ int64) ledger.Query {
			return ledger.Query{Actor: v.client, Action: string(audit.SessionSubmit), After: v.at.Add(-span / 200), Before: v.at.Add(span / 200)}
		}},
		{"all decisions", false, func(*verified, int64) ledger.Query { return ledger.Query{Action: string(audit.DecisionMake)} }},
		{"all decisions, a page near the end", false, func(_ *verified, n int64) ledger.Query {
			return ledger.Query{Action: string(audit.DecisionMake), Below: size/10 - n}
		}},
		{"a session that is not there", true, func(*verified, int64) ledger.Query {
			return ledger.Query{Session: string(id.Session) + "_" + fmt.Sprintf("%026x", l.random.Uint64())}
		}},
	}
}

// searches asks for events as the API does.
func (s *auditRun) searches(ctx context.Context) error {
	h, err := s.log.view().Head()
	if err != nil {
		return err
	}
	colds := s.or(1, 3)
	t := table{title: fmt.Sprintf("Searches over %d events", h.Size), head: []string{"what", "found", "shown", "p50 ms", "p95 ms", "cold ms"},
		note: fmt.Sprintf("A page has up to %d events, each verified against the tree; the search's own event is on the disk before a page is shown. %d searches of\neach kind, of other events each, after one that does not count. Cold: the slowest of %d, each by a state and a ledger that were just opened,\nwhen the system has been told to forget the files; it indexes the %d events that are in no sealed segment.", searchPage, warmSearches, colds, h.Size-h.Sealed)}
	worst, coldest := 0.0, 0.0
	for _, w := range s.log.wants(time.Duration(s.size)*eventEvery, h.Size) {
		var cold []float64
		for i := range colds {
			if err := s.log.reopen(); err != nil {
				return err
			}
			ms, _, err := s.search(ctx, &w, i)
			if err != nil {
				return err
			}
			cold = append(cold, ms)
		}
		var warm []float64
		var found *ledger.Found
		for i := range 1 + warmSearches {
			ms, f, err := s.search(ctx, &w, colds+i)
			if err != nil {
				return err
			}
			if found = f; i > 0 {
				warm = append(warm, ms)
			}
		}
		p95 := percentile(warm, 95)
		worst, coldest = max(worst, p95), max(coldest, percentile(cold, 100))
		t.add(w.name, fmt.Sprint(found.Total), fmt.Sprint(len(found.Leaves)), fmt.Sprintf("%.1f", percentile(warm, 50)), fmt.Sprintf("%.1f", p95), fmt.Sprintf("%.1f", percentile(cold, 100)))
	}
	s.table(t)
	s.measure("audit_search_cold_ms", coldest)
	if s.enough() {
		s.measure("audit_search_p95_ms", worst)
		return nil
	}
	s.leave("audit_search_p95_ms", needsLong)
	s.measure(s.sized("audit_search_p95", "ms"), worst)
	return nil
}

// search number n of a kind, which is of one of the verifications that were kept.
func (s *auditRun) search(ctx context.Context, w *wanted, n int) (ms float64, found *ledger.Found, err error) {
	if err := ctx.Err(); err != nil {
		return 0, nil, err
	}
	kept := s.log.teller.kept
	// Spread over the log, in an order that a cache has no use of.
	q := w.query(&kept[n*len(kept)*7/17%len(kept)], int64(n))
	q.Limit = searchPage
	c := s.log.reader("POST /v1/audit/search")
	ms, err = wall(func() (err error) {
		found, err = s.log.ledger.Search(ctx, c, s.log.tenant, q)
		return err
	})
	if err == nil && w.none != (found.Total == 0) {
		err = fmt.Errorf("%s: %d events were found", w.name, found.Total)
	}
	return ms, found, err
}

// reader is a caller who may read the log.
func (l *auditLog) reader(route string) access.Caller {
	return access.Caller{Client: l.teller.clients[0], Tenant: l.tenant, Roles: []access.Role{access.Auditor}, Authn: access.ByKey, Request: l.acts.ID(id.Request), Route: route}
}
