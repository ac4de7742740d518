package main

import (
	"context"
	"fmt"
	"math"
	"path"

	"gatehouse/engine/face"
)

// Slack of the face vectors: they were made with another resampler, on the
// same JPEG decoder.
const (
	vectorSlack     = 1e-3
	similaritySlack = 2e-3
	strengthSlack   = 2e-3 // of the length
	pixelSlack      = 1.0
	liveSlack       = 0.05
)

// knownTemplate is the start of each recogniser's half of a template, and the
// lengths of their raw outputs.
type knownTemplate struct {
	picture  string
	a, b     [8]float64
	strength [2]float64
}

func knownTemplates() []knownTemplate {
	return []knownTemplate{
		{"Abel_Pacheco/Abel_Pacheco_0001.jpg",
			[8]float64{.02212, -.00085, .03600, .03202, -.01777, .02757, -.00178, .02214},
			[8]float64{.00134, .00579, .00988, -.00620, -.00803, -.00327, .06319, .08388}, [2]float64{3.042, 64.97}},
		{"Abel_Pacheco/Abel_Pacheco_0004.jpg",
			[8]float64{-.00448, -.00652, .02348, .04223, -.01405, .02638, -.00984, .00384},
			[8]float64{-.00415, .00037, .00533, -.01728, -.01383, .00999, .00951, .07292}, [2]float64{2.951, 64.52}},
		{"Akhmed_Zakayev/Akhmed_Zakayev_0001.jpg",
			[8]float64{-.01392, -.03236, .00551, -.00865, -.00441, .00970, -.01506, -.00643},
			[8]float64{.00272, -.00006, -.00480, .00039, .00444, -.03778, .10496, .00587}, [2]float64{4.086, 81.05}},
	}
}

// templateVectors compares templates of three aligned crops with the
// reference's.
func (e *evaluation) templateVectors(ctx context.Context) error {
	var made []face.Template
	for i, k := range knownTemplates() {
		p, err := e.open(ctx, path.Join(alignedDir, k.picture))
		if err != nil {
			return err
		}
		t, err := e.engine.Faces.EmbedAligned(ctx, p)
		if err != nil {
			return err
		}
		made = append(made, t)
		var wrong []string
		const second = 512 // where recogniser b begins
		if len(t.Vector) < second+8 || len(t.Strength) != 2 {
			return fmt.Errorf("the vectors are for two recognisers of 512 and 192 values, the pack has %d and %d values", len(t.Strength), len(t.Vector))
		}
		for j := range 8 {
			wrong = apart(wrong, fmt.Sprintf("value %d", j), float64(t.Vector[j]), k.a[j], vectorSlack)
			wrong = apart(wrong, fmt.Sprintf("value %d", second+j), float64(t.Vector[second+j]), k.b[j], vectorSlack)
		}
		for j, s := range k.strength {
			wrong = apart(wrong, fmt.Sprintf("raw length %d", j), float64(t.Strength[j]), s, s*strengthSlack)
		}
		e.vector(fmt.Sprintf("template_P%d", i+1), problem(wrong))
	}
	for _, k := range []struct {
		name string
		i, j int
		want float64
	}{{"P1P2", 0, 1, .6415}, {"P1P3", 0, 2, .0921}, {"P2P3", 1, 2, -.0113}} {
		c, err := e.engine.Faces.Compare(made[k.i], made[k.j])
		if err != nil {
			return err
		}
		e.vector("similarity_"+k.name, problem(apart(nil, "similarity", c.Similarity, k.want, similaritySlack)))
	}
	fmt.Fprintln(e.out)
	return nil
}

// frameVectors compares boxes and landmarks of three frames.
func (e *evaluation) frameVectors(ctx context.Context) error {
	for _, k := range []struct {
		picture string
		box     [4]float64
		points  [5]face.Point
	}{
		{"Aaron_Eckhart_0001.jpg", [4]float64{82.0, 61.3, 165.3, 209.0}, [5]face.Point{{107.4, 111.6}, {142.5, 109.8}, {126.6, 142.8}, {111.9, 162.5}, {141.1, 161.3}}},
		{"Abdullah_Gul_0014.jpg", [4]float64{78.7, 65.6, 182.7, 193.0}, [5]face.Point{{102.7, 116.3}, {148.8, 112.5}, {122.2, 136.3}, {109.4, 158.9}, {147.7, 155.3}}},
		{"Ai_Sugiyama_0002.jpg", [4]float64{61.8, 62.3, 165.4, 198.6}, [5]face.Point{{103.3, 112.2}, {146.3, 110.0}, {131.1, 139.2}, {103.6, 158.5}, {145.5, 156.3}}},
	} {
		f, err := e.largest(ctx, framePath(k.picture))
		if err != nil {
			return err
		}
		wrong := boxApart(f, k.box)
		if f != nil {
			for i, p := range k.points {
				wrong = apart(wrong, fmt.Sprintf("landmark %d x", i), f.Landmarks[i][0], p[0], pixelSlack)
				wrong = apart(wrong, fmt.Sprintf("landmark %d y", i), f.Landmarks[i][1], p[1], pixelSlack)
			}
		}
		e.vector("frame_"+k.picture[:len(k.picture)-len(".jpg")], problem(wrong))
	}
	fmt.Fprintln(e.out)
	return nil
}

// largest finds the largest face of a picture of the data; nil where none is.
func (e *evaluation) largest(ctx context.Context, name string) (*face.Face, error) {
	p, err := e.open(ctx, name)
	if err != nil {
		return nil, err
	}
	found, err := e.engine.Faces.Detect(ctx, p)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

// boxApart compares a box with left, top, right and bottom.
func boxApart(f *face.Face, want [4]float64) []string {
	if f == nil {
		return []string{"no face"}
	}
	var wrong []string
	for i, v := range [4]float64{f.Box.X, f.Box.Y, f.Box.X + f.Box.W, f.Box.Y + f.Box.H} {
		wrong = apart(wrong, "box's "+[4]string{"left", "top", "right", "bottom"}[i], v, want[i], pixelSlack)
	}
	return wrong
}

// apart adds what is wrong where a value lies further than slack from what it
// should be.
func apart(wrong []string, what string, got, want, slack float64) []string {
	if math.Abs(got-want) <= slack {
		return wrong
	}
	return append(wrong, fmt.Sprintf("%s is %.5g, not %.5g", what, got, want))
}
