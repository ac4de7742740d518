package session

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"gatehouse/appliance/access"
	"gatehouse/appliance/act"
	"gatehouse/appliance/identify"
	"gatehouse/appliance/problem"
	"gatehouse/appliance/verify"
	"gatehouse/engine/face"
	"gatehouse/engine/gallery"
	"gatehouse/store/audit"
	"gatehouse/store/command"
	"gatehouse/store/state"
)

// Probe is a face to be looked for or kept: that of a decided session, or the
// largest of a picture; one of them.
type Probe struct {
	Session string
	Picture []byte
}

// source of the face, for the log.
func (p Probe) source() string {
	if p.Session != "" {
		return p.Session
	}
	return "picture"
}

// FaceQuery is a search outside a verification.
type FaceQuery struct {
	Probe
	Subjects, Blocklist bool // the lists whose candidates are shown
	K                   int
	FPIR                float64
	Engine              gallery.Engine
}

// FacesFound is what it came to.
type FacesFound struct {
	verify.Likeness
	Model  string
	Recall float64 // of the graph, where it was asked
}

// SearchFaces tells whom, of all that the tenant has enrolled, a face is like.
// It is in the audit log before it returns, and the reading of a session's
// template before that is used. A session's own person is no candidate.
func (s *Service) SearchFaces(ctx context.Context, c access.Caller, q FaceQuery, idem *act.Idempotency) (*FacesFound, error) {
	t, of, err := s.probe(ctx, c, q.Probe)
	if err != nil {
		return nil, err
	}
	defer clear(t.Vector)
	e := act.Event(c, audit.FaceSearch, "request", c.Request)
	e.Models, e.Facts = []string{t.Model}, map[string]string{"probe": q.source()}
	query := identify.Query{K: q.K, FPIR: q.FPIR, Engine: q.Engine}
	if of != nil {
		query.Subject, e.Subject = of.Subject, of.Subject
		if err := s.seen(ctx, c, of.Subject, readTemplate(c, of)); err != nil {
			return nil, err
		}
	}
	if !q.Subjects { // the blocklist has no graph
		query.Engine = gallery.Exact
	}
	found, err := s.Faces.Search(ctx, c.Tenant, t, query)
	if err != nil {
		return nil, err
	}
	out := &FacesFound{Likeness: found.Likeness, Model: t.Model}
	if query.Engine == gallery.Graph {
		stats, err := s.Faces.Stats(c.Tenant)
		if err != nil {
			return nil, err
		}
		out.Recall = stats.Subjects.Recall
	}
	for _, l := range []struct {
		name  string
		asked bool
		of    *verify.Search
	}{{state.InSubjects, q.Subjects, &out.Subjects}, {state.InBlocklist, q.Blocklist, &out.Blocklist}} {
		if l.asked {
			e.Facts[l.name] = searched(l.of)
		}
	}
	if err := s.noted(ctx, c, idem, e); err != nil {
		return nil, err
	}
	for _, l := range []*verify.Search{&out.Subjects, &out.Blocklist} {
		if err := s.standing(c.Tenant, l); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// searched is a search as the audit log has it.
func searched(g *verify.Search) string {
	return fmt.Sprintf("compared %d threshold %s fmr %s fpir %s engine %s found %d", g.Compared, number(g.Threshold), number(g.ThresholdFMR), number(g.FPIR), g.Engine, len(g.Candidates))
}

// standing leaves out whose template was removed since the search: of whom was
// erased meanwhile nothing may leave.
func (s *Service) standing(tenant string, g *verify.Search) error {
	kept := []verify.Candidate{}
	err := s.State.View(func(v *state.View) error {
		for _, one := range g.Candidates {
			switch _, err := v.Template(tenant, one.ID); {
			case err == nil:
				kept = append(kept, one)
			case !errors.Is(err, state.ErrNotFound):
				return err
			}
		}
		return nil
	})
	g.Candidates = kept
	return err
}

// probe makes the template of a face; with the session that it is from, where
// it is from one.
func (s *Service) probe(ctx context.Context, c access.Caller, p Probe) (face.Template, *command.Session, error) {
	if p.Session != "" {
		return s.enrolled(c.Tenant, p.Session)
	}
	t, err := s.embed(ctx, p.Picture, "face")
	return t, nil, err
}

func readTemplate(c access.Caller, of *command.Session) *command.Event {
	e := act.Event(c, audit.AccessTemplate, "template", of.Id)
	e.Subject = of.Subject
	return e
}

// embed makes the template of the largest face of a picture.
func (s *Service) embed(ctx context.Context, data []byte, field string) (face.Template, error) {
	p, err := s.decode(ctx, data, field)
	if err != nil {
		return face.Template{}, err
	}
	found, err := s.Engine.Faces.Detect(ctx, p)
	switch {
	case err != nil:
		return face.Template{}, err
	case len(found) == 0:
		return face.Template{}, problem.New(problem.NotAPicture, "no face was found").In(field)
	case found[0].EyeDistance() < face.MinEyes:
		return face.Template{}, problem.New(problem.NotAPicture, "the face is too small: %.0f pixels between the eyes", found[0].EyeDistance()).
			In(field).Of(strconv.Itoa(face.MinEyes) + " pixels")
	}
	t, err := s.Engine.Faces.Embed(ctx, p, &found[0])
	if errors.Is(err, face.ErrDegenerate) {
		err = problem.New(problem.NotAPicture, "the face cannot be told from others").In(field)
	}
	return t, err
}

// enrolled opens the template of a session.
func (s *Service) enrolled(tenant, session string) (t face.Template, row *command.Session, err error) {
	if row, err = s.session(tenant, session); err != nil {
		return t, nil, err
	}
	u, _, err := s.subject(tenant, row.Subject)
	if err != nil {
		return t, nil, err
	}
	var kept *command.Template
	err = s.State.View(func(v *state.View) (err error) {
		kept, err = v.Template(tenant, row.Id)
		return err
	})
	switch {
	case errors.Is(err, state.ErrNotFound):
		return t, nil, problem.New(problem.NotFound, "the session has no template: it is not decided, or showed no face").In("session")
	case err != nil:
		return t, nil, err
	case kept.Model != s.Faces.Calibration.EmbeddingID:
		p := problem.New(problem.BadValue, "the session's template is of another model").In("session")
		p.Next = "send the picture itself"
		return t, nil, p
	}
	b, err := u.Open(identify.Place(kept.Model, row.Id), kept.Sealed)
	if err != nil {
		return t, nil, damaged(err, "the template of session "+row.Id)
	}
	defer clear(b)
	t = face.Template{Model: kept.Model}
	if t.Vector, err = s.Faces.Vector(b); err != nil {
		return t, nil, damaged(err, "the template of session "+row.Id)
	}
	return t, row, nil
}
