package verify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"gatehouse/appliance/decide"
	"gatehouse/appliance/verify"
	"gatehouse/engine"
	"gatehouse/engine/document/mrz"
	"gatehouse/engine/enginetest"
	"gatehouse/engine/picture"
	"gatehouse/engine/specimen"
)

var today = time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)

func clock(day time.Time) func() time.Time { return func() time.Time { return day } }

func rules(t testing.TB) *decide.Rules {
	t.Helper()
	r, err := decide.Default()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func photo(t testing.TB, name string) []byte {
	t.Helper()
	return enginetest.Asset(t, "samples/"+name+".jpg")
}

func decoded(t testing.TB, data []byte) *picture.Picture {
	t.Helper()
	p, err := engine.Decode(context.Background(), data)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func scaled(p *picture.Picture, width int) *picture.Picture {
	return p.Resize(width, width*p.Height/p.Width)
}

func jpeg(t testing.TB, p *picture.Picture) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := specimen.WriteJPEG(&b, p, 92); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// cut gives the part of a picture that has these shares of its sides.
func cut(p *picture.Picture, x0, y0, x1, y1 float64) *picture.Picture {
	w, h := float64(p.Width), float64(p.Height)
	width, height := int((x1-x0)*w), int((y1-y0)*h)
	return p.Extract(width, height, picture.Crop(x0*w, y0*h, float64(width), float64(height), width, height), picture.Replicate)
}

// beside puts one picture beside another.
func beside(a, b *picture.Picture) *picture.Picture {
	p := picture.New(a.Width+b.Width, max(a.Height, b.Height))
	at := 0
	for _, part := range []*picture.Picture{a, b} {
		for y := range part.Height {
			copy(p.Pix[3*(y*p.Width+at):], part.Pix[3*y*part.Width:][:3*part.Width])
		}
		at += part.Width
	}
	return p
}

// drawn is a specimen, 900 pixels wide, and as a file.
type drawn struct {
	*picture.Picture
	jpeg  []byte
	lines []string
}

// draw is slow under the race detector: each specimen is drawn once.
var draw = func() func(testing.TB, mrz.Format, uint64, *picture.Picture) drawn {
	type key struct {
		f        mrz.Format
		seed     uint64
		portrait bool
	}
	var mu sync.Mutex
	known := map[key]drawn{}
	return func(t testing.TB, f mrz.Format, seed uint64, portrait *picture.Picture) drawn {
		t.Helper()
		mu.Lock()
		defer mu.Unlock()
		k := key{f, seed, portrait != nil}
		if d, ok := known[k]; ok {
			return d
		}
		if portrait == nil {
			portrait = decoded(t, photo(t, "obama"))
		}
		s, err := specimen.Draw(specimen.Options{Format: f, Seed: seed, Portrait: portrait, Today: today, Font: enginetest.Asset(t, "OCRB.otf")})
		if err != nil {
			t.Fatal(err)
		}
		p := scaled(s.Image, 900)
		known[k] = drawn{p, jpeg(t, p), s.Lines}
		return known[k]
	}
}()

// passport is a specimen of the person of the obama pictures.
func passport(t testing.TB) drawn { return draw(t, mrz.TD3, 7, nil) }

func verified(t testing.TB, v *verify.Verifier, in verify.Evidence) *verify.Result {
	t.Helper()
	r, err := v.Verify(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func signal(t testing.TB, r *verify.Result, name string) engine.Signal {
	t.Helper()
	i := slices.IndexFunc(r.Signals, func(s engine.Signal) bool { return s.Name == name })
	if i < 0 {
		t.Fatalf("no signal %s among %+v", name, r.Signals)
	}
	return r.Signals[i]
}

// reasons are the signals of a result's reasons, worst first.
func reasons(r *verify.Result) []string {
	var names []string
	for _, reason := range r.Reasons {
		names = append(names, reason.Signal)
	}
	return names
}

func TestSamePersonIsAccepted(t *testing.T) {
	e := enginetest.Open(t)
	r := verified(t, verify.New(e, rules(t), clock(today)), verify.Evidence{Document: passport(t).jpeg, Selfie: photo(t, "obama2")})
	if r.Decision != decide.Accepted || len(r.Reasons) != 0 || r.Reasons == nil {
		t.Fatalf("%s: %+v", r.Decision, r.Reasons)
	}
	for _, name := range []string{decide.Zone, decide.ZoneValid, decide.ZoneTrusted, decide.Dates, decide.Unexpired, decide.Portrait, decide.SelfieFace,
		decide.SingleFace, decide.EyeDistance, decide.NoAttack, decide.Liveness, decide.PossibleFace, decide.Match} {
		if s := signal(t, r, name); s.Status != engine.Passed || s.Value == nil {
			t.Errorf("%+v", s)
		}
	}
	if slices.ContainsFunc(r.Signals, func(s engine.Signal) bool { return s.Name == decide.SamePerson }) {
		t.Error("frames were judged where none were given")
	}
	m := &e.Pack().Calibration.Match
	for name, threshold := range map[string]float64{decide.PossibleFace: m.Review, decide.Match: m.Match} {
		s := signal(t, r, name)
		if s.Threshold == nil || *s.Threshold != threshold || s.FMR == nil || *s.FMR != m.FalseMatchRate(*s.Value) || s.Model != m.EmbeddingID || s.Note == "" {
			t.Errorf("%s does not say what it is worth: %+v", name, s)
		}
	}
	cal := &e.Pack().Calibration.Liveness
	for name, threshold := range map[string]float64{decide.NoAttack: cal.Attack, decide.Liveness: cal.Live} {
		if s := signal(t, r, name); s.Threshold == nil || *s.Threshold != threshold || s.Model != "face.liveness" {
			t.Errorf("%s does not say what it is worth: %+v", name, s)
		}
	}
	if s := signal(t, r, decide.Liveness); s.Note != cal.Note {
		t.Errorf("%s does not say how little it was tested: %q", s.Name, s.Note)
	}
	if c := r.Face.Comparison; c == nil || c.Similarity != *signal(t, r, decide.Match).Value || r.Face.Faces != 1 || r.Face.Portrait == nil || r.Face.Selfie == nil {
		t.Errorf("face: %+v", r.Face)
	}
	if !slices.Equal(r.Document.MRZ.Lines, passport(t).lines) || r.Document.Type != "passport" {
		t.Errorf("document: %+v", r.Document)
	}
	if len(r.Models) != len(e.Networks()) || r.Models[0].SHA256 != e.Networks()[0].Model.SHA256 {
		t.Errorf("models: %+v", r.Models)
	}
	if r.Rules != rules(t).Alone().Version() || r.Score == nil || *r.Score < 85 || *r.Score > 100 {
		t.Errorf("rules %q, score %v", r.Rules, r.Score)
	}
	if d := len(r.Template.Vector); d == 0 || r.Template.Model != m.EmbeddingID {
		t.Errorf("the template has %d numbers, of %q", d, r.Template.Model)
	}
	for _, stage := range []string{"decode_document", "decode_selfie", "document", "portrait", "face", "quality", "liveness", "total"} {
		if ms := r.TimingsMS[stage]; !(ms > 0) || ms > r.TimingsMS["total"] {
			t.Errorf("stage %s took %v ms of %v", stage, ms, r.TimingsMS["total"])
		}
	}
}

// The same evidence gives the same result, but for the time that it took.
func TestDeterministic(t *testing.T) {
	v := verify.New(enginetest.Open(t), rules(t), clock(today))
	in := verify.Evidence{Document: passport(t).jpeg, Selfie: photo(t, "obama2")}
	var first []byte
	for range 2 {
		b, err := json.MarshalIndent(timeless(verified(t, v, in)), "", " ")
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = b
		}
		if !bytes.Equal(first, b) {
			t.Errorf("first\n%s\nthen\n%s", first, b)
		}
	}
}

func timeless(r *verify.Result) *verify.Result {
	r.TimingsMS = nil
	for i := range r.Signals {
		r.Signals[i].Milliseconds = 0
	}
	return r
}

func TestFrames(t *testing.T) {
	e := enginetest.Open(t)
	v := verify.New(e, rules(t), clock(today))
	live := func(name string) float64 {
		p := decoded(t, photo(t, name))
		found, err := e.Faces.Detect(t.Context(), p)
		if err != nil || len(found) == 0 {
			t.Fatalf("%d faces, %v", len(found), err)
		}
		l, err := e.Faces.Liveness(t.Context(), p, &found[0])
		if err != nil {
			t.Fatal(err)
		}
		return l.Live
	}
	empty := jpeg(t, picture.New(64, 64))
	in := verify.Evidence{Document: passport(t).jpeg, Selfie: photo(t, "obama2"), Frames: [][]byte{photo(t, "obama3"), empty, photo(t, "obama")}}
	r := verified(t, v, in)
	if s := signal(t, r, decide.SamePerson); s.Status != engine.Passed || *s.Value != 0 || r.Decision != decide.Accepted {
		t.Errorf("frames of the same person: %s, %+v, %+v", r.Decision, r.Reasons, s)
	}
	want := (live("obama2") + live("obama3") + live("obama")) / 3
	if s := signal(t, r, decide.Liveness); math.Abs(*s.Value-want) > 1e-6 || r.Face.Liveness.Live != *s.Value {
		t.Errorf("liveness %v, the mean of the frames is %v", *s.Value, want)
	}
	in.Frames = [][]byte{photo(t, "obama3"), photo(t, "biden")}
	r = verified(t, v, in)
	if s := signal(t, r, decide.SamePerson); s.Status != engine.Failed || *s.Value != 1 || r.Decision != decide.Rejected || reasons(r)[0] != decide.SamePerson {
		t.Errorf("a frame of another person: %s, %+v, %+v", r.Decision, r.Reasons, s)
	}
}

func TestBackCarriesTheZone(t *testing.T) {
	v := verify.New(enginetest.Open(t), rules(t), clock(today))
	front, back := passport(t), draw(t, mrz.TD1, 8, nil)
	in := verify.Evidence{Document: jpeg(t, cut(front.Picture, 0, 0, 1, 0.75)), Selfie: photo(t, "obama2")}
	r := verified(t, v, in)
	if r.Document.MRZ != nil || r.Decision != decide.Review || reasons(r)[0] != decide.Zone {
		t.Fatalf("a front without a zone: %s, %+v, %+v", r.Decision, r.Reasons, r.Document.MRZ)
	}
	in.DocumentBack = back.jpeg
	r = verified(t, v, in)
	if r.Document.MRZ == nil || !slices.Equal(r.Document.MRZ.Lines, back.lines) || r.Document.MRZ.Format != mrz.TD1 {
		t.Errorf("the zone is %+v, want %v", r.Document.MRZ, back.lines)
	}
	if r.Decision != decide.Accepted {
		t.Errorf("%s: %+v", r.Decision, r.Reasons)
	}
	in = verify.Evidence{Document: front.jpeg, DocumentBack: jpeg(t, picture.New(300, 200)), Selfie: photo(t, "obama2")}
	if r = verified(t, v, in); r.Document.MRZ == nil || !slices.Equal(r.Document.MRZ.Lines, front.lines) {
		t.Errorf("an empty back hides the front's zone: %+v", r.Document.MRZ)
	}
}
