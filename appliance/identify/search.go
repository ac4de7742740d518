package identify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"gatehouse/appliance/verify"
	"gatehouse/engine/face"
	"gatehouse/engine/gallery"
	"gatehouse/engine/pack"
	"gatehouse/store/keys"
	"gatehouse/store/state"
)

// Query of a search.
type Query struct {
	K      int     // most candidates of each list
	FPIR   float64 // that the threshold keeps; 0: pack.DefaultFPIR
	Engine gallery.Engine
	// Subject whose own faces are no candidates; empty: all are.
	Subject string
	since   uint64
}

// shown of the candidates of a verification: more people with one face do not
// change the decision.
const shown = 10

// Found is what a search came to, and the newest enrolment that it compared.
type Found struct {
	verify.Likeness
	Searched uint64
}

// Identify searches both lists of a tenant for whom a face is like, but for the
// person's own. Errors: ErrLoading, keys.ErrSealed, face.ErrSpace, ctx's,
// gallery's.
func (k *Keeper) Identify(ctx context.Context, tenant, subject string, t face.Template) (*Found, error) {
	return k.Search(ctx, tenant, t, Query{K: shown, Subject: subject})
}

// Again is Identify for who has asked before: it compares with those alone who
// were enrolled since. Error: as Identify.
func (k *Keeper) Again(ctx context.Context, tenant, subject string, t face.Template, was *Found) (*Found, error) {
	f, err := k.Search(ctx, tenant, t, Query{K: shown, Subject: subject, since: was.Searched})
	if err != nil {
		return nil, err
	}
	for _, l := range []struct{ is, was *verify.Search }{{&f.Subjects, &was.Subjects}, {&f.Blocklist, &was.Blocklist}} {
		if l.is.Threshold < l.was.Threshold || l.is.Compared < l.was.Compared {
			// Some were removed: who was below the threshold, or below those shown,
			// may be a candidate now.
			return k.Identify(ctx, tenant, subject, t)
		}
		for _, c := range l.was.Candidates {
			there, err := k.there(tenant, c.ID)
			if err != nil {
				return nil, err
			}
			if slices.ContainsFunc(l.is.Candidates, func(o verify.Candidate) bool { return o.ID == c.ID }) {
				continue // enrolled while it was searched
			}
			if there && c.Similarity >= l.is.Threshold { // the gallery may have grown
				c.FPIR = pack.FPIR(c.FMR, l.is.Compared)
				l.is.Candidates = append(l.is.Candidates, c)
			} else if !there {
				return k.Identify(ctx, tenant, subject, t)
			}
		}
		slices.SortStableFunc(l.is.Candidates, func(a, b verify.Candidate) int { return cmp.Compare(b.Similarity, a.Similarity) })
		l.is.Candidates = l.is.Candidates[:min(len(l.is.Candidates), shown)]
	}
	return f, nil
}

// Search both lists of a tenant. What was enrolled or removed before it began
// counts. Errors: as Identify; gallery.ErrNoGraph, gallery.ErrQuery.
func (k *Keeper) Search(ctx context.Context, id string, probe face.Template, q Query) (*Found, error) {
	if probe.Model != k.Calibration.EmbeddingID {
		return nil, fmt.Errorf("%w: %q, the gallery has %q", face.ErrSpace, probe.Model, k.Calibration.EmbeddingID)
	}
	if q.FPIR == 0 {
		q.FPIR = pack.DefaultFPIR
	}
	for {
		t, err := k.tenant(id)
		if err != nil {
			return nil, err
		}
		f, err := k.both(ctx, t, probe, q)
		if !errors.Is(err, gallery.ErrClosed) {
			return f, err
		}
		// A rebuilt gallery took its place, or all are gone: then tenant says so.
	}
}

func (k *Keeper) both(ctx context.Context, t *tenant, probe face.Template, q Query) (*Found, error) {
	t.mu.Lock()
	searched, err := k.advance(t)
	lists, others := t.lists, t.others
	t.mu.Unlock()
	if err != nil {
		return nil, err
	}
	own, err := k.own(t.id, q.Subject)
	if err != nil {
		return nil, err
	}
	f := &Found{Searched: searched}
	for list, to := range []*verify.Search{&f.Subjects, &f.Blocklist} {
		if list == blocklist {
			q.Engine = gallery.Exact // it is small, and has no graph
		}
		if *to, err = k.one(ctx, t.id, lists[list], probe, q, own); err != nil {
			return nil, err
		}
		to.Others = others[list]
	}
	return f, nil
}

// one list. A gallery that was closed meanwhile says so: gallery.ErrClosed.
func (k *Keeper) one(ctx context.Context, tenant string, g *gallery.Gallery, probe face.Template, q Query, own map[uint64]bool) (verify.Search, error) {
	s := verify.Search{Compared: g.Len(), Engine: string(cmp.Or(q.Engine, gallery.Exact)), FPIR: q.FPIR, Candidates: []verify.Candidate{}}
	s.Threshold, s.Beyond = k.Calibration.Threshold(q.FPIR, s.Compared)
	s.ThresholdFMR, _ = k.Calibration.OpenSet(s.Threshold)
	query := gallery.Query{K: q.K, Min: s.Threshold, Since: q.since, Engine: q.Engine}
	if len(own) > 0 {
		query.Skip = func(number uint64) bool { return own[number] }
	}
	found, err := g.Search(ctx, gallery.Template{Model: probe.Model, Vector: probe.Vector}, query)
	if err == nil {
		s.Candidates, err = k.candidates(tenant, found, q.Subject, s.Compared)
	}
	return s, err
}

// own enrolments of a subject.
func (k *Keeper) own(tenant, subject string) (map[uint64]bool, error) {
	if subject == "" {
		return nil, nil
	}
	own := map[uint64]bool{}
	err := k.State.View(func(v *state.View) error {
		for _, session := range v.SessionsOf(tenant, subject, everySession) {
			switch t, err := v.Template(tenant, session); {
			case err == nil:
				own[t.Enrolled] = true
			case !errors.Is(err, state.ErrNotFound):
				return err
			}
		}
		return nil
	})
	return own, err
}

// everySession of a person: nobody has near as many.
const everySession = 1 << 20

// candidates gives the numbers their names. A face of the subject's own may have
// been enrolled since those were looked up.
func (k *Keeper) candidates(tenant string, found []gallery.Candidate, subject string, compared int) ([]verify.Candidate, error) {
	all := []verify.Candidate{}
	err := k.State.View(func(v *state.View) error {
		for _, c := range found {
			e, err := v.Enrolment(tenant, c.Number)
			if errors.Is(err, state.ErrNotFound) {
				continue // removed since
			}
			if err != nil {
				return err
			}
			if e.Subject == subject {
				continue
			}
			fmr, _ := k.Calibration.OpenSet(c.Similarity)
			all = append(all, verify.Candidate{ID: e.Id, Subject: e.Subject, Similarity: c.Similarity,
				FMR: fmr, FPIR: pack.FPIR(fmr, compared)})
		}
		return nil
	})
	return all, err
}

// there says whether a template still is.
func (k *Keeper) there(tenant, id string) (bool, error) {
	err := k.State.View(func(v *state.View) error { _, err := v.Template(tenant, id); return err })
	if errors.Is(err, state.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Lane is held by one decision of a tenant at a time, from its last look at the
// gallery until its own face is enrolled: of two verifications of one new face
// the later finds the earlier.
func (k *Keeper) Lane(id string) (leave func(), err error) {
	t, err := k.tenant(id)
	if err != nil {
		return nil, err
	}
	t.lane.Lock()
	return t.lane.Unlock, nil
}

// Sync brings a tenant's galleries up to date now, where they are in memory.
func (k *Keeper) Sync(id string) error {
	k.mu.Lock()
	t := k.tenants[id]
	k.mu.Unlock()
	if t == nil {
		return nil
	}
	if err := k.sync(t); err != nil && !dropped(err) {
		return err
	}
	return nil
}

// dropped says whether the galleries went while they were brought up to date.
func dropped(err error) bool {
	return errors.Is(err, keys.ErrSealed) || errors.Is(err, gallery.ErrClosed)
}

// Removed is Sync after a removal: when it returns, the face is wiped from the
// galleries that serve, and in no snapshot.
func (k *Keeper) Removed(id string) error {
	k.mu.Lock()
	t := k.tenants[id]
	k.mu.Unlock()
	if t != nil {
		if err := k.sync(t); !dropped(err) {
			return err // what was removed has taken the snapshot with it
		}
	}
	return k.forget(&tenant{id: id}) // nobody knows here whether it holds the face
}
