package engine_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"gatehouse/engine"
	"gatehouse/engine/document"
	"gatehouse/engine/document/mrz"
	"gatehouse/engine/enginetest"
	"gatehouse/engine/face"
	"gatehouse/engine/onnx"
	"gatehouse/engine/picture"
	"gatehouse/engine/specimen"
)

var today = time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)

func sample(t testing.TB, name string) *picture.Picture {
	t.Helper()
	p, err := engine.Decode(context.Background(), enginetest.Asset(t, "samples/"+name+".jpg"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// passport is a specimen with the portrait of obama.jpg.
func passport(t testing.TB) *specimen.Specimen {
	t.Helper()
	s, err := specimen.Draw(specimen.Options{Format: mrz.TD3, Seed: 7, Portrait: sample(t, "obama"), Today: today, Font: enginetest.Asset(t, "OCRB.otf")})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// scaled gives a picture with this width.
func scaled(p *picture.Picture, width int) *picture.Picture {
	return p.Resize(width, width*p.Height/p.Width)
}

// seen is all that the engine says of a face.
type seen struct {
	found    []face.Face
	template face.Template
	quality  face.Quality
	liveness face.Liveness
}

func look(ctx context.Context, a *face.Analyser, p *picture.Picture) (s seen, err error) {
	if s.found, err = a.Detect(ctx, p); err != nil {
		return s, err
	}
	if len(s.found) == 0 {
		return s, face.ErrNoFace
	}
	if s.template, err = a.Embed(ctx, p, &s.found[0]); err != nil {
		return s, err
	}
	if s.quality, err = a.Quality(ctx, p, &s.found[0]); err != nil {
		return s, err
	}
	s.liveness, err = a.Liveness(ctx, p, &s.found[0])
	return s, err
}

const tolerance = 1e-5

func near(x, y float64) bool { return math.Abs(x-y) <= tolerance }

func (s seen) differs(from seen) string {
	if len(s.found) != len(from.found) || !near(s.found[0].Box.X, from.found[0].Box.X) || !near(s.found[0].Landmarks[2][1], from.found[0].Landmarks[2][1]) {
		return "faces"
	}
	if len(s.template.Vector) != len(from.template.Vector) {
		return "template's length"
	}
	for i, v := range s.template.Vector {
		if !near(float64(v), float64(from.template.Vector[i])) {
			return "template"
		}
	}
	for n, m := range s.quality {
		if !near(m.Value, from.quality[n].Value) {
			return n
		}
	}
	if !near(s.liveness.Live, from.liveness.Live) || s.liveness.Verdict != from.liveness.Verdict {
		return "liveness"
	}
	return ""
}

// Sixty-four callers of one engine each get what a single one gets.
func TestManyCallers(t *testing.T) {
	e := enginetest.Open(t)
	portrait, selfie := scaled(sample(t, "obama"), 300), scaled(sample(t, "obama2"), 300)
	doc := scaled(passport(t).Image, 900)
	read := func() (*document.Document, error) {
		return e.Documents.Read(context.Background(), doc, document.Options{Today: today})
	}
	first, err := look(t.Context(), e.Faces, portrait)
	if err != nil {
		t.Fatal(err)
	}
	alone, err := look(t.Context(), e.Faces, selfie)
	if err != nil {
		t.Fatal(err)
	}
	similar, err := e.Faces.Compare(first.template, alone.template)
	if err != nil || !similar.Match {
		t.Fatalf("%+v, %v", similar, err)
	}
	lone, err := read()
	if err != nil || lone.MRZ == nil || !lone.MRZ.Valid {
		t.Fatalf("the specimen reads as %+v, %v", lone, err)
	}
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			s, err := look(context.Background(), e.Faces, selfie)
			if err != nil {
				t.Errorf("caller %d: %v", i, err)
				return
			}
			if what := s.differs(alone); what != "" {
				t.Errorf("caller %d: another %s:\n%+v\nalone %+v", i, what, s, alone)
			}
			c, err := e.Faces.Compare(first.template, s.template)
			if err != nil || !near(c.Similarity, similar.Similarity) || c.Match != similar.Match {
				t.Errorf("caller %d: %+v, %v; alone %+v", i, c, err, similar)
			}
			if i%4 > 0 { // reading is slow
				return
			}
			d, err := read()
			switch {
			case err != nil:
				t.Errorf("caller %d: %v", i, err)
			case d.MRZ == nil || !slices.Equal(d.MRZ.Lines, lone.MRZ.Lines) || !near(d.MRZ.Confidence, lone.MRZ.Confidence):
				t.Errorf("caller %d reads %+v\nalone %+v", i, d.MRZ, lone.MRZ)
			}
		})
	}
	wg.Wait()
}

func TestClosed(t *testing.T) {
	e := enginetest.Open(t)
	p := scaled(sample(t, "obama"), 300)
	s, err := look(t.Context(), e.Faces, p)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		for what, use := range map[string]func() error{
			"Detect":   func() error { _, err := e.Faces.Detect(t.Context(), p); return err },
			"Embed":    func() error { _, err := e.Faces.Embed(t.Context(), p, &s.found[0]); return err },
			"Quality":  func() error { _, err := e.Faces.Quality(t.Context(), p, &s.found[0]); return err },
			"Liveness": func() error { _, err := e.Faces.Liveness(t.Context(), p, &s.found[0]); return err },
			"Read": func() error {
				_, err := e.Documents.Read(t.Context(), p, document.Options{Today: today, Text: document.TextAlways})
				return err
			},
			"Warm": e.Warm,
		} {
			if err := use(); !errors.Is(err, onnx.ErrClosed) {
				t.Errorf("%s after Close: %v", what, err)
			}
		}
	}
}

// Close under eight callers at work: each ends with results and then with
// ErrClosed.
func TestClosedUnderWork(t *testing.T) {
	tries := 10
	if testing.Short() {
		tries = 2
	}
	p, doc := scaled(sample(t, "obama"), 300), scaled(passport(t).Image, 900)
	for range tries {
		e := enginetest.Open(t)
		if err := e.Warm(); err != nil {
			t.Fatal(err)
		}
		ended, working := make(chan error, 8), make(chan struct{}, 8)
		for i := range 8 {
			work := func() error { _, err := look(context.Background(), e.Faces, p); return err }
			if i%2 == 1 {
				work = func() error {
					_, err := e.Documents.Read(context.Background(), doc, document.Options{Today: today, Text: document.TextAlways})
					return err
				}
			}
			go func() {
				working <- struct{}{}
				for {
					if err := work(); err != nil {
						ended <- err
						return
					}
				}
			}()
		}
		for range 8 {
			<-working
		}
		time.Sleep(20 * time.Millisecond)
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		for range 8 {
			select {
			case err := <-ended:
				if !errors.Is(err, onnx.ErrClosed) {
					t.Errorf("a caller ended with %v", err)
				}
			case <-time.After(30 * time.Second):
				t.Fatal("a caller goes on after Close")
			}
		}
	}
}
