package specimen

import (
	"bytes"
	"fmt"
	"image/jpeg"
	"math"
	"math/rand/v2"

	"gatehouse/engine/picture"
)

// Photograph gives what a camera makes of a document that lies on a table:
// perspective, a little blur, a reflection, uneven light, noise, and the marks
// of a JPEG. The reflection keeps off the portrait at the left and the
// machine-readable zone at the bottom.
func Photograph(p *picture.Picture, seed uint64) (*picture.Picture, error) {
	if err := whole(p); err != nil {
		return nil, err
	}
	r := stream(seed, streamCamera)
	v := newView(p, r)
	out := v.shoot(p, newTable(r))
	blur(out, 0.4+0.5*r.Float64())
	v.light(out, r)
	grain(out, 2+4*r.Float64(), r)

	var file bytes.Buffer
	if err := WriteJPEG(&file, out, 80+r.IntN(13)); err != nil {
		return nil, err
	}
	img, err := jpeg.Decode(&file)
	if err != nil {
		return nil, fmt.Errorf("photograph: %w", err)
	}
	return fromImage(img), nil
}

// view is where the camera sees the document.
type view struct {
	width, height int     // of the photograph
	toDocument    project // from its pixels to the document's
	reduction     float64 // document pixels in one of its pixels
	docW, docH    float64
}

func newView(p *picture.Picture, r *rand.Rand) *view {
	long := 1600 + 700*r.Float64()
	fill := 0.80 + 0.06*r.Float64()
	v := &view{docW: float64(p.Width), docH: float64(p.Height)}
	k := long * fill / max(v.docW, v.docH)
	margin := long * (1 - fill)
	v.width, v.height = int(k*v.docW+margin), int(k*v.docH+margin)
	v.reduction = 1 / k

	sin, cos := math.Sincos((r.Float64()*2 - 1) * 4 * math.Pi / 180)
	var corners [4][2]float64
	for i, c := range [4][2]float64{{-0.5, -0.5}, {0.5, -0.5}, {0.5, 0.5}, {-0.5, 0.5}} {
		// The corners move by up to 4 % of the side.
		x := (c[0] + 0.08*(r.Float64()-0.5)) * k * v.docW
		y := (c[1] + 0.08*(r.Float64()-0.5)) * k * v.docH
		corners[i] = [2]float64{float64(v.width)/2 + x*cos - y*sin, float64(v.height)/2 + x*sin + y*cos}
	}
	v.toDocument = fromSquare(corners).inverse().scaled(v.docW, v.docH)
	return v
}

// shoot draws the document as seen, on its table.
func (v *view) shoot(p *picture.Picture, t *table) *picture.Picture {
	out := picture.New(v.width, v.height)
	// Samples are at most one and a half document pixels apart, which reading
	// between four pixels bridges.
	n := max(1, int(math.Round(v.reduction)))
	for y := range v.height {
		for x := range v.width {
			px := out.Pix[3*(y*v.width+x):][:3]
			dx, dy := v.toDocument.at(float64(x)+0.5, float64(y)+0.5)
			outside := max(-dx, dx-v.docW, -dy, dy-v.docH) / v.reduction // in pixels
			if outside < 0.5 {
				v.sample(p, x, y, n, px)
			}
			if outside > -0.5 {
				cover := max(0, 0.5-outside)
				for c, b := range t.at(x, y, outside) {
					px[c] = uint8(float64(px[c])*cover + b*(1-cover) + 0.5)
				}
			}
		}
	}
	return out
}

// sample means n·n places of one pixel of the photograph.
func (v *view) sample(p *picture.Picture, x, y, n int, px []byte) {
	const one = 256
	var sum [3]int
	for i := range n * n {
		dx, dy := v.toDocument.at(float64(x)+(float64(i%n)+0.5)/float64(n), float64(y)+(float64(i/n)+0.5)/float64(n))
		left := int(min(max(dx-0.5, 0), float64(p.Width-1)) * one)
		top := int(min(max(dy-0.5, 0), float64(p.Height-1)) * one)
		fx, fy := left%one, top%one
		left, top = left/one, top/one
		above := p.Pix[3*(top*p.Width+left):]
		below, right := above, 0
		if top < p.Height-1 {
			below = p.Pix[3*((top+1)*p.Width+left):]
		}
		if left < p.Width-1 {
			right = 3
		}
		for c := range 3 {
			a := int(above[c])*(one-fx) + int(above[c+right])*fx
			b := int(below[c])*(one-fx) + int(below[c+right])*fx
			sum[c] += a*(one-fy) + b*fy
		}
	}
	for c := range 3 {
		px[c] = uint8((sum[c]/(n*n) + one*one/2) / (one * one))
	}
}

// project is a projective map of the plane, by rows.
type project [9]float64

// at maps a place.
func (m project) at(x, y float64) (float64, float64) {
	w := 1 / (m[6]*x + m[7]*y + m[8])
	return (m[0]*x + m[1]*y + m[2]) * w, (m[3]*x + m[4]*y + m[5]) * w
}

// fromSquare maps the unit square to four corners, clockwise from the upper
// left (Heckbert, Fundamentals of Texture Mapping, 1989, 2.2.3).
func fromSquare(q [4][2]float64) project {
	x1, y1 := q[1][0]-q[2][0], q[1][1]-q[2][1]
	x2, y2 := q[3][0]-q[2][0], q[3][1]-q[2][1]
	sx, sy := q[0][0]-q[1][0]+q[2][0]-q[3][0], q[0][1]-q[1][1]+q[2][1]-q[3][1]
	det := x1*y2 - x2*y1
	g, h := (sx*y2-x2*sy)/det, (x1*sy-sx*y1)/det
	return project{
		q[1][0] - q[0][0] + g*q[1][0], q[3][0] - q[0][0] + h*q[3][0], q[0][0],
		q[1][1] - q[0][1] + g*q[1][1], q[3][1] - q[0][1] + h*q[3][1], q[0][1],
		g, h, 1,
	}
}

// inverse is the map back; a factor common to all nine makes no difference.
func (m project) inverse() project {
	return project{
		m[4]*m[8] - m[5]*m[7], m[2]*m[7] - m[1]*m[8], m[1]*m[5] - m[2]*m[4],
		m[5]*m[6] - m[3]*m[8], m[0]*m[8] - m[2]*m[6], m[2]*m[3] - m[0]*m[5],
		m[3]*m[7] - m[4]*m[6], m[1]*m[6] - m[0]*m[7], m[0]*m[4] - m[1]*m[3],
	}
}

// scaled stretches what the map gives.
func (m project) scaled(x, y float64) project {
	for i := range 3 {
		m[i] *= x
		m[3+i] *= y
	}
	return m
}
