package history_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"gatehouse/cmd/chaos/history"
)

func TestLost(t *testing.T) {
	t.Parallel()
	decided := begun().submit(at("submitted", 40)).read(done(50))
	for name, c := range map[string]struct {
		h     *tape
		final history.Answer
		want  string // in what is found; empty: nothing
	}{
		"all there":            {decided, with(done(50)), ""},
		"further":              {begun().submit(at("submitted", 40)), with(done(50)), ""},
		"session":              {decided, history.Answer{Missing: true}, "is not there"},
		"other session":        {decided, history.Answer{ID: "ses_9", State: "created"}, "is ses_9"},
		"older":                {decided, with(done(49)), "revision 50"},
		"decision":             {decided, with(at("approved", 50)), "decision"},
		"other decision":       {decided, with(history.Answer{State: "rejected", Decision: "rejected"}), "decision"},
		"submission":           {begun().submit(at("submitted", 0)), with(history.Answer{State: "collecting", Evidence: both}), "was submitted"},
		"submission, expired":  {begun().submit(at("submitted", 0)), with(at("expired", 90)), "was submitted"},
		"picture":              {begun(), with(history.Answer{State: "collecting", Evidence: map[string]string{"front": "evi_1"}}), "evi_2 in selfie"},
		"other picture":        {begun(), with(history.Answer{State: "collecting", Evidence: map[string]string{"front": "evi_1", "selfie": "evi_7"}}), "is evi_7"},
		"one call's picture":   {new(tape).add(verification, with(done(50))), with(history.Answer{State: "approved", Decision: "approved, 93", Evidence: map[string]string{"selfie": "evi_2"}}), "evi_1 in front"},
		"picture replaced":     {begun().evidence("selfie", "c", "evi_3"), with(history.Answer{State: "collecting", Evidence: map[string]string{"front": "evi_1", "selfie": "evi_3"}}), ""},
		"picture perhaps":      {begun().unknown(put("selfie", "c")), with(history.Answer{State: "collecting", Evidence: map[string]string{"front": "evi_1", "selfie": "evi_3"}}), ""},
		"perhaps submitted":    {begun().unknown(submission), with(history.Answer{State: "collecting", Evidence: both}), ""},
		"expired and deleted":  {begun(), with(history.Answer{State: "expired", Evidence: map[string]string{}}), ""},
		"given back":           {begun().submit(at("submitted", 40)), with(history.Answer{State: "collecting", Failure: "blurred", Evidence: both}), ""},
		"erased":               {begun().add(erasure, history.Answer{}), with(history.Answer{State: "erased", Evidence: map[string]string{}}), ""},
		"perhaps erased":       {begun().unknown(erasure), with(at("erased", 60)), ""},
		"erasure":              {begun().add(erasure, history.Answer{}), with(history.Answer{State: "collecting", Evidence: both}), "was erased"},
		"erased by nobody":     {begun(), with(at("erased", 60)), "nobody erased"},
		"nobody was told":      {new(tape).unknown(history.Op{Kind: history.Create}), history.Answer{Missing: true}, ""},
		"refused all the same": {new(tape).put(history.Op{Kind: history.Create, Outcome: history.Failed}), history.Answer{Missing: true}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			found, err := history.Lost(t.Context(), c.h.ops, func(_ context.Context, session, id string) (history.Answer, error) {
				asked++
				if session != "key-1" || id != "ses_1" {
					t.Errorf("asked for %s, %s", session, id)
				}
				return c.final, nil
			})
			ok(t, err)
			if c.want == "" && len(found) > 0 || c.want != "" && (len(found) != 1 || !strings.Contains(found[0].String(), c.want) || found[0].Session != "key-1") || asked > 1 {
				t.Errorf("asked %d times, found %q", asked, found)
			}
		})
	}
	gone := errors.New("no node answers")
	_, err := history.Lost(t.Context(), decided.ops, func(context.Context, string, string) (history.Answer, error) { return history.Answer{}, gone })
	is(t, err, gone)
}

func TestTwice(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		h    *tape
		want string
	}{
		"one key, two sessions":  {begun().add(history.Op{Kind: history.Create}, history.Answer{ID: "ses_2"}), "ses_1 and ses_2"},
		"two keys, one session":  {begun().add(history.Op{Kind: history.Create, Session: "key-2"}, history.Answer{ID: "ses_1"}), "key-1 gave ses_1"},
		"one key, two decisions": {begun().submit(done(50)).submit(history.Answer{State: "approved", Decision: "approved, 92"}), "decided"},
	} {
		t.Run(name, func(t *testing.T) {
			if found := history.Twice(c.h.ops); len(found) != 1 || !strings.Contains(found[0].String(), c.want) {
				t.Errorf("found %q", found)
			}
		})
	}
}

func TestUnavailable(t *testing.T) {
	t.Parallel()
	begin := time.Unix(1000, 0)
	op := func(kind history.Kind, o history.Outcome, from, to float64) history.Op {
		at := func(s float64) int64 { return begin.Add(time.Duration(s * float64(time.Second))).UnixNano() }
		return history.Op{Session: "k", Kind: kind, Outcome: o, Call: at(from), Return: at(to)}
	}
	for name, c := range map[string]struct {
		ops  []history.Op
		want [][2]float64 // of gaps over one second
	}{
		"nothing":          {nil, nil},
		"all is well":      {[]history.Op{op("create", "ok", 0, 0.5), op("submit", "ok", 0.6, 1), op("submit", "ok", 1, 1.9)}, nil},
		"an outage":        {[]history.Op{op("create", "ok", 0, 0.5), op("submit", "unknown", 0.6, 2.6), op("submit", "ok", 3, 4)}, [][2]float64{{0.6, 4}}},
		"nobody asked":     {[]history.Op{op("create", "ok", 0, 0.5), op("create", "ok", 60, 60.5)}, nil},
		"asked late":       {[]history.Op{op("create", "ok", 0, 0.5), op("create", "ok", 60, 62)}, [][2]float64{{60, 62}}},
		"asked before":     {[]history.Op{op("create", "ok", 0, 9), op("create", "ok", 1, 2), op("create", "ok", 8.5, 8.9)}, [][2]float64{{0, 2}, {2, 8.9}}},
		"reads are none":   {[]history.Op{op("create", "ok", 0, 0.5), op("read", "ok", 1, 2), op("create", "failed", 1, 1.1), op("create", "ok", 2, 3)}, [][2]float64{{1, 3}}},
		"until the end":    {[]history.Op{op("create", "ok", 0, 0.5), op("create", "unknown", 1, 5)}, [][2]float64{{1, 5}}},
		"from the start":   {[]history.Op{op("create", "unknown", 0, 2), op("create", "ok", 2, 2.5)}, [][2]float64{{0, 2.5}}},
		"two, out of turn": {[]history.Op{op("create", "ok", 10, 13), op("create", "ok", 9, 9.1), op("create", "ok", 0, 2)}, [][2]float64{{0, 2}, {10, 13}}},
	} {
		t.Run(name, func(t *testing.T) {
			gaps := history.Unavailable(c.ops, time.Second)
			var got [][2]float64
			for _, g := range gaps {
				got = append(got, [2]float64{g.From.Sub(begin).Seconds(), g.To.Sub(begin).Seconds()})
			}
			if len(got) != len(c.want) {
				t.Fatalf("%v, and not %v", got, c.want)
			}
			for i := range got {
				if got[i] != c.want[i] {
					t.Errorf("%v, and not %v", got, c.want)
				}
			}
		})
	}
	var g history.Gaps
	if g.At(0.5) != 0 {
		t.Error("the middle of nothing")
	}
	for _, s := range []int64{3, 1, 2, 10} {
		g = append(g, history.Gap{From: begin, To: begin.Add(time.Duration(s) * time.Second)})
	}
	if g.At(0) != time.Second || g.At(0.5) != 3*time.Second || g.At(0.99) != 10*time.Second || g.At(1) != 10*time.Second {
		t.Errorf("%v %v %v", g.At(0), g.At(0.5), g.At(1))
	}
}
