package face_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"

	"gatehouse/engine"
	"gatehouse/engine/enginetest"
	"gatehouse/engine/face"
	"gatehouse/engine/picture"
)

var ctx = context.Background()

func sample(t testing.TB, name string) *picture.Picture {
	t.Helper()
	p, err := engine.Decode(ctx, enginetest.Asset(t, "samples/"+name+".jpg"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func largest(t testing.TB, a *face.Analyser, p *picture.Picture) *face.Face {
	t.Helper()
	found, err := a.Detect(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Fatal("no face")
	}
	return &found[0]
}

func template(t testing.TB, a *face.Analyser, p *picture.Picture) face.Template {
	t.Helper()
	v, err := a.Embed(ctx, p, largest(t, a, p))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func similarity(t testing.TB, a *face.Analyser, x, y face.Template) float64 {
	t.Helper()
	c, err := a.Compare(x, y)
	if err != nil {
		t.Fatal(err)
	}
	return c.Similarity
}

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s: %.4f, want %.4f ± %g", what, got, want, tolerance)
	}
}

// The numbers of the research's reference program for the packaged pictures:
// same person .75–.78, different persons at most .07, live at least .98.
func TestSamples(t *testing.T) {
	a := enginetest.Open(t).Faces
	boxes := map[string][4]float64{
		"obama": {384.9, 79.3, 221.4, 330.0}, "obama2": {204.4, 240.9, 258.9, 377.2},
		"obama3": {652.6, 230.8, 261.8, 382.5}, "biden": {439.0, 170.2, 271.1, 385.1},
	}
	templates := map[string]face.Template{}
	for name, box := range boxes {
		p := sample(t, name)
		found, err := a.Detect(ctx, p)
		if err != nil || len(found) != 1 {
			t.Fatalf("%s: %d faces, %v", name, len(found), err)
		}
		f := &found[0]
		for i, v := range []float64{f.Box.X, f.Box.Y, f.Box.W, f.Box.H} {
			near(t, fmt.Sprintf("%s box[%d]", name, i), v, box[i], 2)
		}
		if f.Score < 0.99 {
			t.Errorf("%s: score %.3f", name, f.Score)
		}
		l, err := a.Liveness(ctx, p, f)
		if err != nil || l.Verdict != face.Live || l.Live < 0.97 {
			t.Errorf("%s: liveness %+v, %v", name, l, err)
		}
		near(t, name+" probabilities", l.Live+l.Spoof2D+l.Spoof3D, 1, 1e-6)
		if templates[name], err = a.Embed(ctx, p, f); err != nil {
			t.Fatal(err)
		}
		near(t, name+" length", dot(templates[name].Vector, templates[name].Vector), 1, 1e-5)
		if n := len(templates[name].Vector); n != 704 {
			t.Errorf("%s: %d dimensions", name, n)
		}
		q, err := a.Quality(ctx, p, f)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range face.QualityNames() {
			if m, ok := q[n]; !ok || !m.Passed || m.Unit == "" {
				t.Errorf("%s: %s %+v", name, n, m)
			}
		}
	}
	for _, c := range []struct {
		x, y string
		want float64
	}{{"obama", "obama2", .7577}, {"obama", "obama3", .7809}, {"obama2", "obama3", .7531}, {"obama", "biden", -.1004}, {"obama2", "biden", .0242}, {"obama3", "biden", .0691}} {
		r, err := a.Compare(templates[c.x], templates[c.y])
		if err != nil {
			t.Fatal(err)
		}
		near(t, c.x+" and "+c.y, r.Similarity, c.want, .01)
		if same := c.want > .5; r.Match != same || same && r.FMR > 1e-5 || !same && r.FMR < .01 {
			t.Errorf("%s and %s: %+v", c.x, c.y, r)
		}
	}
}

func dot(x, y []float32) float64 {
	s := 0.0
	for i := range x {
		s += float64(x[i]) * float64(y[i])
	}
	return s
}

// A face is the same face however the camera was held.
func TestTurned(t *testing.T) {
	a := enginetest.Open(t).Faces
	p := sample(t, "obama")
	upright := largest(t, a, p)
	want := template(t, a, p)
	w, h := float64(p.Width), float64(p.Height)
	for quarters := 1; quarters <= 3; quarters++ {
		turned := p.Turn(quarters)
		f := largest(t, a, turned)
		x, y := upright.Landmarks[2][0], upright.Landmarks[2][1]
		switch quarters {
		case 1:
			x, y = h-y, x
		case 2:
			x, y = w-x, h-y
		case 3:
			x, y = y, w-x
		}
		near(t, fmt.Sprintf("nose x, %d quarters", quarters), f.Landmarks[2][0], x, 4)
		near(t, fmt.Sprintf("nose y, %d quarters", quarters), f.Landmarks[2][1], y, 4)
		if s := similarity(t, a, want, template(t, a, turned)); s < .97 {
			t.Errorf("%d quarters: similarity to the upright face %.3f", quarters, s)
		}
		if l, err := a.Liveness(ctx, turned, f); err != nil || l.Verdict != face.Live {
			t.Errorf("%d quarters: %+v, %v", quarters, l, err)
		}
	}
	for _, degrees := range []float64{-40, -20, 20, 40} {
		m := picture.Rotation(degrees*math.Pi/180, w/2, h/2)
		if s := similarity(t, a, want, template(t, a, p.Extract(p.Width, p.Height, m, picture.Replicate))); s < .95 {
			t.Errorf("%.0f°: similarity to the upright face %.3f", degrees, s)
		}
	}
}

// Reduction while decoding must not move what is reported.
func TestReducedPictureKeepsCoordinates(t *testing.T) {
	a := enginetest.Open(t).Faces
	data := enginetest.Asset(t, "samples/obama3.jpg")
	full := sample(t, "obama3")
	limits := picture.DefaultLimits()
	limits.LongSide = 1000
	half, err := picture.Decode(ctx, data, limits)
	if err != nil || half.Reduction() < 1.9 {
		t.Fatalf("reduction %v, %v", half.Reduction(), err)
	}
	f, g := largest(t, a, full), largest(t, a, half)
	for i := range f.Landmarks {
		near(t, "landmark x", g.Landmarks[i][0], f.Landmarks[i][0], 6)
		near(t, "landmark y", g.Landmarks[i][1], f.Landmarks[i][1], 6)
	}
	if s := similarity(t, a, template(t, a, full), template(t, a, half)); s < .97 {
		t.Errorf("similarity %.3f", s)
	}
}

func TestNothingToFind(t *testing.T) {
	a := enginetest.Open(t).Faces
	grey := picture.New(640, 480)
	for i := range grey.Pix {
		grey.Pix[i] = 128
	}
	for name, p := range map[string]*picture.Picture{"black": picture.New(300, 200), "grey": grey, "a pixel": picture.New(1, 1), "a line": picture.New(2000, 1), "a column": picture.New(1, 2000)} {
		if found, err := a.Detect(ctx, p); err != nil || len(found) != 0 {
			t.Errorf("%s: %d faces, %v", name, len(found), err)
		}
	}
}

// Small faces in a large picture, twenty of them.
func TestTwentyFaces(t *testing.T) {
	a := enginetest.Open(t).Faces
	names := []string{"obama", "obama2", "obama3", "biden"}
	const cols, rows, cell, head = 5, 4, 300, 240
	group := picture.New(cols*cell, rows*cell)
	for i := range cols * rows {
		p := sample(t, names[i%len(names)])
		b := largest(t, a, p).Box
		side := 1.6 * b.H
		one := p.Extract(head, head, picture.Crop(b.X+b.W/2-side/2, b.Y+b.H/2-side/2, side, side, head, head), picture.Replicate)
		for y := range head {
			copy(group.Pix[3*((i/cols*cell+y)*group.Width+i%cols*cell):], one.Pix[3*y*head:3*(y+1)*head])
		}
	}
	found, err := a.Detect(ctx, group)
	if err != nil || len(found) != cols*rows {
		t.Fatalf("%d faces, %v", len(found), err)
	}
	for i, f := range found {
		if i > 0 && f.Box.W*f.Box.H > found[i-1].Box.W*found[i-1].Box.H*1.001 {
			t.Error("faces are not sorted by size")
		}
	}
}

// Without surroundings liveness has no meaning, in either direction.
func TestLivenessNeedsSurroundings(t *testing.T) {
	a := enginetest.Open(t).Faces
	p := sample(t, "obama")
	b := largest(t, a, p).Box
	tight := p.Extract(400, 500, picture.Crop(b.X-b.W*.1, b.Y-b.H*.1, b.W*1.2, b.H*1.2, 400, 500), picture.Replicate)
	l, err := a.Liveness(ctx, tight, largest(t, a, tight))
	if err != nil || l.Verdict != face.NotAssessable || l.ContextRatio >= 1.5 {
		t.Errorf("%+v, %v", l, err)
	}
}

func TestFuse(t *testing.T) {
	a := enginetest.Open(t).Faces
	live, doubt, attack := face.Liveness{Live: .95, Verdict: face.Live}, face.Liveness{Live: .4, Verdict: face.Unsure}, face.Liveness{Live: .05, Verdict: face.Attack}
	blind := face.Liveness{Live: .99, Verdict: face.NotAssessable}
	for _, c := range []struct {
		name   string
		frames []face.Liveness
		want   face.Verdict
	}{
		{"one", []face.Liveness{doubt}, face.Unsure},
		{"a doubtful frame among good ones", []face.Liveness{live, live, doubt}, face.Live},
		{"an attack among good ones", []face.Liveness{live, live, live, live, attack}, face.Unsure},
		{"attacks", []face.Liveness{attack, attack, doubt}, face.Attack},
		{"what cannot be assessed does not count", []face.Liveness{attack, blind, blind}, face.Attack},
		{"nothing assessable", []face.Liveness{blind, blind}, face.NotAssessable},
	} {
		if got := a.Fuse(c.frames); got.Verdict != c.want {
			t.Errorf("%s: %+v, want %s", c.name, got, c.want)
		}
	}
}

func TestRefuses(t *testing.T) {
	a := enginetest.Open(t).Faces
	if _, err := a.EmbedAligned(ctx, picture.New(100, 112)); !errors.Is(err, face.ErrNotAlignment) {
		t.Errorf("a crop of another size: %v", err)
	}
	x := template(t, a, sample(t, "obama"))
	y := x
	y.Model = "another"
	if _, err := a.Compare(x, y); !errors.Is(err, face.ErrSpace) {
		t.Errorf("templates of two packs: %v", err)
	}
	p := sample(t, "obama")
	if _, err := a.Embed(ctx, p, &face.Face{}); !errors.Is(err, face.ErrDegenerate) {
		t.Errorf("landmarks in one point: %v", err)
	}
}
