// Package verify is the verification workflow: document and selfie in, signals,
// decision and timings out. The document and the face are looked at side by
// side.
//
// It holds the policy (one face in a selfie, the largest in a document) and
// must never measure anything itself.
package verify

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"gatehouse/appliance/decide"
	"gatehouse/engine"
	"gatehouse/engine/document"
	"gatehouse/engine/face"
	"gatehouse/engine/picture"
)

// Input names one of the pictures of a verification.
type Input string

const (
	DocumentFront Input = "document"
	DocumentBack  Input = "document-back"
	Selfie        Input = "selfie"
	Frame         Input = "frame"
)

// InputError says which picture was refused.
type InputError struct {
	Input Input
	Index int // of the frame
	Err   error
}

func (e *InputError) Error() string { return fmt.Sprintf("%s: %v", e.Input, e.Err) }
func (e *InputError) Unwrap() error { return e.Err }

// Evidence is what is verified; DocumentBack and Frames may be absent.
type Evidence struct {
	Document, DocumentBack, Selfie []byte
	Frames                         [][]byte
}

// Result of a verification.
type Result struct {
	Decision decide.Outcome     `json:"decision"`
	Reasons  []decide.Reason    `json:"reasons"`
	Score    *float64           `json:"score"` // 0..100; nil where nothing was measured
	Rules    string             `json:"rules"` // that decided: name, version, hash
	Signals  []engine.Signal    `json:"signals"`
	Document *document.Document `json:"document"`
	Face     Face               `json:"face"`
	// Likeness is whom the face is like; nil where there was no gallery to ask,
	// or no face.
	Likeness  *Likeness          `json:"likeness,omitempty"`
	TimingsMS map[string]float64 `json:"timings_ms"`
	Models    []Model            `json:"models"`
	// Template of the selfie's face, for enrolment; empty where there was none.
	// It is biometric data and leaves the program in no report.
	Template face.Template `json:"-"`
}

// Face is what was seen of the person.
type Face struct {
	Comparison *face.Comparison `json:"comparison"`
	Portrait   *face.Face       `json:"portrait"`
	Selfie     *face.Face       `json:"selfie"`
	Faces      int              `json:"faces_in_selfie"`
	Quality    face.Quality     `json:"quality,omitempty"`
	Liveness   *face.Liveness   `json:"liveness"`
}

// Model names a model that took part.
type Model struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
}

// Verifier runs verifications over one engine. Safe for concurrent use.
type Verifier struct {
	engine *engine.Engine
	rules  *decide.Rules
	alone  *decide.Rules // without a gallery
	now    func() time.Time
	// places bounds the verifications under way: one more than the engine has
	// workers keeps the cores busy while one begins and another ends; more
	// would only hold pictures (20 MB each pair).
	places chan struct{}
}

// New makes a verifier that decides by rules; now gives the day that documents
// are judged by.
func New(e *engine.Engine, rules *decide.Rules, now func() time.Time) *Verifier {
	return &Verifier{e, rules, rules.Alone(), now, make(chan struct{}, e.Workers()+1)}
}

// Verify runs one verification without a gallery, after those that came before.
// Errors: *InputError for a picture that cannot be read, ctx's, the rules', or
// the engine's.
func (v *Verifier) Verify(ctx context.Context, in Evidence) (*Result, error) {
	m, err := v.Measure(ctx, in, nil)
	if err != nil {
		return nil, err
	}
	return m.Decide(ctx, nil)
}

// Identify asks a gallery whom a face is like; Decide is told what came of it.
type Identify func(context.Context, face.Template) error

// Measured is a verification of which everything is known but the decision.
type Measured struct {
	work   *work
	result Result
}

// TimingsMS of the stages so far.
func (m *Measured) TimingsMS() map[string]float64 { return m.result.TimingsMS }

// Template of the selfie's face; without a vector where there is none.
func (m *Measured) Template() face.Template { return m.result.Template }

// Measure looks at the evidence, and asks the gallery as soon as the selfie's
// template is made, while the document is still being read. Errors: as Verify,
// and identify's.
func (v *Verifier) Measure(ctx context.Context, in Evidence, identify Identify) (*Measured, error) {
	select {
	case v.places <- struct{}{}:
		defer func() { <-v.places }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := &work{v: v, clock: newStopwatch(), identify: identify}
	var sides sync.WaitGroup
	errs := make([]error, 2)
	for i, side := range []func(context.Context, Evidence) error{w.documentSide, w.selfieSide} {
		sides.Go(func() {
			if errs[i] = side(ctx, in); errs[i] != nil {
				cancel()
			}
		})
	}
	sides.Wait()
	if err := firstCause(errs); err != nil {
		return nil, err
	}
	if err := w.compare(); err != nil {
		return nil, err
	}
	return w.measured(), nil
}

// firstCause prefers an error to the cancellation that it led to.
func firstCause(errs []error) error {
	var cancelled error
	for _, err := range errs {
		if errors.Is(err, context.Canceled) {
			cancelled = err
		} else if err != nil {
			return err
		}
	}
	return cancelled
}

// work is one verification under way. The two sides write to fields of their
// own.
type work struct {
	v     *Verifier
	clock *stopwatch

	document *document.Document
	portrait *person

	faces    int
	selfie   *person
	quality  face.Quality
	liveness *face.Liveness
	strays   int // frames of somebody else
	frames   int

	comparison *face.Comparison

	identify Identify
}

// person is a face with its template.
type person struct {
	face     face.Face
	template face.Template
}

func (w *work) decode(ctx context.Context, in Input, index int, data []byte) (*picture.Picture, error) {
	defer w.clock.time("decode_" + string(in))()
	p, err := w.v.engine.Decode(ctx, data)
	if picture.Refused(err) { // also when the other side's failure has cancelled this one
		return nil, &InputError{in, index, err}
	}
	return p, err
}

func (w *work) documentSide(ctx context.Context, in Evidence) error {
	p, err := w.decode(ctx, DocumentFront, 0, in.Document)
	if err != nil {
		return err
	}
	if w.document, err = w.read(ctx, p); err != nil {
		return err
	}
	if in.DocumentBack != nil {
		back, err := w.decode(ctx, DocumentBack, 0, in.DocumentBack)
		if err != nil {
			return err
		}
		d, err := w.read(ctx, back)
		if err != nil {
			return err
		}
		if better(d, w.document) {
			w.document = d
		}
	}
	defer w.clock.time("portrait")()
	found, err := w.v.engine.Faces.Detect(ctx, p)
	if err != nil || len(found) == 0 {
		return err
	}
	w.portrait, err = w.embed(ctx, p, found[0])
	return err
}

func (w *work) read(ctx context.Context, p *picture.Picture) (*document.Document, error) {
	defer w.clock.time("document")()
	return w.v.Read(ctx, p)
}

// Read reads a document as a verification does.
func (v *Verifier) Read(ctx context.Context, p *picture.Picture) (*document.Document, error) {
	return v.engine.Documents.Read(ctx, p, document.Options{Today: v.now(), Text: document.TextInDoubt})
}

// better says whether a has the zone that b lacks, or the surer one.
func better(a, b *document.Document) bool {
	rank := func(d *document.Document) int {
		switch {
		case d.MRZ == nil:
			return 0
		case d.Trusted:
			return 3
		case d.MRZ.Valid:
			return 2
		}
		return 1
	}
	return rank(a) > rank(b)
}

func (w *work) embed(ctx context.Context, p *picture.Picture, f face.Face) (*person, error) {
	t, err := w.v.engine.Faces.Embed(ctx, p, &f)
	if errors.Is(err, face.ErrDegenerate) {
		return nil, nil
	}
	return &person{f, t}, err
}

func (w *work) selfieSide(ctx context.Context, in Evidence) error {
	p, err := w.decode(ctx, Selfie, 0, in.Selfie)
	if err != nil {
		return err
	}
	if err := w.subject(ctx, p); err != nil || w.selfie == nil {
		return err
	}
	faces := w.v.engine.Faces
	if err := w.search(ctx); err != nil {
		return err
	}
	done := w.clock.time("quality")
	if w.quality, err = faces.Quality(ctx, p, &w.selfie.face); err != nil {
		return err
	}
	done()
	defer w.clock.time("liveness")()
	l, err := faces.Liveness(ctx, p, &w.selfie.face)
	if err != nil {
		return err
	}
	w.liveness = &l
	return w.fuse(ctx, in.Frames)
}

// search asks the gallery whom the face is like.
func (w *work) search(ctx context.Context) error {
	if w.identify == nil {
		return nil
	}
	defer w.clock.time("search")()
	return w.identify(ctx, w.selfie.template)
}

// subject finds the face of the selfie, if there is one.
func (w *work) subject(ctx context.Context, p *picture.Picture) error {
	defer w.clock.time("face")()
	found, err := w.v.engine.Faces.Detect(ctx, p)
	if w.faces = len(found); err != nil || w.faces == 0 {
		return err
	}
	w.selfie, err = w.embed(ctx, p, found[0])
	return err
}

// fuse adds the frames: the mean of the assessable ones' probabilities, and
// whether all show the person of the selfie.
func (w *work) fuse(ctx context.Context, frames [][]byte) error {
	faces := w.v.engine.Faces
	assessed := []face.Liveness{*w.liveness}
	for i, data := range frames {
		p, err := w.decode(ctx, Frame, i, data)
		if err != nil {
			return err
		}
		found, err := faces.Detect(ctx, p)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			continue
		}
		who, err := w.embed(ctx, p, found[0])
		if err != nil {
			return err
		}
		if who == nil {
			continue
		}
		w.frames++
		c, err := faces.Compare(w.selfie.template, who.template)
		if err != nil {
			return err
		}
		if !c.Match && !c.Review {
			w.strays++
		}
		l, err := faces.Liveness(ctx, p, &found[0])
		if err != nil {
			return err
		}
		assessed = append(assessed, l)
	}
	fused := faces.Fuse(assessed)
	w.liveness = &fused
	return nil
}

func (w *work) compare() error {
	if w.portrait == nil || w.selfie == nil {
		return nil
	}
	c, err := w.v.engine.Faces.Compare(w.portrait.template, w.selfie.template)
	w.comparison = &c
	return err
}
