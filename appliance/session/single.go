package session

import (
	"context"
	"errors"

	"gatehouse/appliance/access"
	"gatehouse/appliance/act"
	"gatehouse/appliance/problem"
	"gatehouse/engine/document"
	"gatehouse/engine/face"
	"gatehouse/engine/picture"
	"gatehouse/store/audit"
	"gatehouse/store/command"
)

// Compared is the answer to whether two pictures show one person.
type Compared struct {
	face.Comparison
	Threshold    float64
	ThresholdFMR float64
}

// Compare two pictures; the largest face of each. Nothing is kept but the
// event.
func (s *Service) Compare(ctx context.Context, c access.Caller, a, b []byte, idem *act.Idempotency) (*Compared, error) {
	var templates [2]face.Template
	for i, data := range [][]byte{a, b} {
		field := []string{"a", "b"}[i]
		p, err := s.decode(ctx, data, field)
		if err != nil {
			return nil, err
		}
		found, err := s.Engine.Faces.Detect(ctx, p)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, problem.New(problem.NotAPicture, "no face was found").In(field)
		}
		if templates[i], err = s.Engine.Faces.Embed(ctx, p, &found[0]); err != nil {
			return nil, err
		}
	}
	compared, err := s.Engine.Faces.Compare(templates[0], templates[1])
	if err != nil {
		return nil, err
	}
	cal := &s.Engine.Pack().Calibration.Match
	out := &Compared{compared, cal.Match, cal.FalseMatchRate(cal.Match)}
	e := act.Event(c, audit.FaceCompare, "request", c.Request)
	e.Facts = map[string]string{"similarity": number(compared.Similarity), "fmr": number(compared.FMR), "threshold": number(cal.Match)}
	e.Models = []string{compared.Model}
	return out, s.noted(ctx, c, idem, e)
}

// ReadDocument reads a document. Nothing is kept but the event.
func (s *Service) ReadDocument(ctx context.Context, c access.Caller, data []byte, idem *act.Idempotency) (*document.Document, error) {
	p, err := s.decode(ctx, data, "document_front")
	if err != nil {
		return nil, err
	}
	d, err := s.Verify.Read(ctx, p)
	if err != nil {
		return nil, err
	}
	e := act.Event(c, audit.DocumentRead, "request", c.Request)
	e.Facts = map[string]string{"type": d.Type, "zone": "none"}
	if d.MRZ != nil {
		e.Facts["zone"] = map[bool]string{true: "valid", false: "not valid"}[d.MRZ.Valid]
	}
	return d, s.noted(ctx, c, idem, e)
}

// noted writes the event before the answer leaves: also where the request was
// made before, as it is shown again.
func (s *Service) noted(ctx context.Context, c access.Caller, idem *act.Idempotency, e *command.Event) error {
	a, err := s.Propose(ctx, c, command.Type_RECORD, nil, idem, e)
	if err == nil && a.Replay != nil {
		err = s.Record(ctx, c, e)
	}
	return err
}

func (s *Service) decode(ctx context.Context, data []byte, field string) (*picture.Picture, error) {
	p, err := s.Engine.Decode(ctx, data)
	if errors.Is(err, picture.ErrTooLarge) {
		return nil, problem.New(problem.TooLarge, "%v", err).In(field)
	}
	if picture.Refused(err) {
		return nil, problem.New(problem.NotAPicture, "%v", err).In(field)
	}
	return p, err
}
