package document

import "gatehouse/engine/picture"

// Measure is one quality of a picture of a document.
type Measure struct {
	Value  float64 `json:"value"`
	Unit   string  `json:"unit"`
	Passed bool    `json:"passed"`
}

// Quality are the measures by name.
type Quality map[string]Measure

// Names and gates (research "documents", section 6; the ranges seen on 16
// specimen photographs were 93–4233, 119–234 and 5.7–38).
const (
	Sharpness  = "sharpness"  // variance of the Laplacian at a long side of 640
	Brightness = "brightness" // mean grey, 0..255
	Resolution = "resolution" // pixels of the original for a character of the MRZ

	qualitySide                  = 640
	minSharpness                 = 60
	minBrightness, maxBrightness = 60, 245
	minResolution                = 6
)

func measure(p *picture.Picture, zone *candidate) Quality {
	k := min(1, float64(qualitySide)/float64(max(p.Width, p.Height)))
	w, h := max(1, int(float64(p.Width)*k)), max(1, int(float64(p.Height)*k))
	luma := p.Luma(w, h)
	sum := 0.0
	for _, v := range luma {
		sum += float64(v)
	}
	q := Quality{}
	mean := sum / float64(len(luma))
	q[Brightness] = Measure{mean, "grey", mean >= minBrightness && mean <= maxBrightness}
	sharp := picture.Sharpness(luma, w, h)
	q[Sharpness] = Measure{sharp, "variance", sharp >= minSharpness}
	if zone != nil {
		pitch := zone.lines[0].long * p.Reduction() / float64(zone.Format.Length())
		q[Resolution] = Measure{pitch, "px/char", pitch >= minResolution}
	}
	return q
}
