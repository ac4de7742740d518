package picture

import "math"

// Transform maps a destination pixel to where it comes from in the source, in
// homogeneous coordinates, row by row. Integers are pixel centres.
type Transform [9]float64

// Identity maps every pixel to itself.
func Identity() Transform { return Transform{1, 0, 0, 0, 1, 0, 0, 0, 1} }

// Affine is x' = ax+by+c, y' = dx+ey+f.
func Affine(a, b, c, d, e, f float64) Transform { return Transform{a, b, c, d, e, f, 0, 0, 1} }

// Crop maps a width × height picture onto the source rectangle whose corner is
// x, y and whose sides are w, h, in pixel edges (0 is the left edge of the
// first pixel).
func Crop(x, y, w, h float64, width, height int) Transform {
	sx, sy := w/float64(width), h/float64(height)
	return Affine(sx, 0, x+sx/2-0.5, 0, sy, y+sy/2-0.5)
}

// Rotation turns the source by angle (radians, clockwise as seen) about its
// point x, y.
func Rotation(angle, x, y float64) Transform {
	s, c := math.Sincos(angle)
	return Affine(c, -s, x-c*x+s*y, s, c, y-s*x-c*y)
}

// Then maps with t first, then with u.
func (t Transform) Then(u Transform) Transform {
	var r Transform
	for i := range 3 {
		for j := range 3 {
			for k := range 3 {
				r[3*i+j] += u[3*i+k] * t[3*k+j]
			}
		}
	}
	return r
}

// Apply maps one point.
func (t Transform) Apply(x, y float64) (float64, float64) {
	w := t[6]*x + t[7]*y + t[8]
	return (t[0]*x + t[1]*y + t[2]) / w, (t[3]*x + t[4]*y + t[5]) / w
}

// Invert gives the way back; ok is false where there is none.
func (t Transform) Invert() (inv Transform, ok bool) {
	det := t[0]*(t[4]*t[8]-t[5]*t[7]) - t[1]*(t[3]*t[8]-t[5]*t[6]) + t[2]*(t[3]*t[7]-t[4]*t[6])
	if det == 0 || math.IsNaN(det) || math.IsInf(det, 0) {
		return inv, false
	}
	return Transform{
		(t[4]*t[8] - t[5]*t[7]) / det, (t[2]*t[7] - t[1]*t[8]) / det, (t[1]*t[5] - t[2]*t[4]) / det,
		(t[5]*t[6] - t[3]*t[8]) / det, (t[0]*t[8] - t[2]*t[6]) / det, (t[2]*t[3] - t[0]*t[5]) / det,
		(t[3]*t[7] - t[4]*t[6]) / det, (t[1]*t[6] - t[0]*t[7]) / det, (t[0]*t[4] - t[1]*t[3]) / det,
	}, true
}

func (t Transform) affine() bool { return t[6] == 0 && t[7] == 0 && t[8] == 1 }

// upright says that rows stay rows and columns columns, unmirrored.
func (t Transform) upright() bool {
	return t.affine() && t[1] == 0 && t[3] == 0 && t[0] > 0 && t[4] > 0
}

// Similarity is the least-squares similarity (rotation, scale, shift; no
// reflection) that maps the points from onto to. ok is false where the points
// coincide.
func Similarity(from, to [][2]float64) (t Transform, ok bool) {
	n := float64(len(from))
	var fx, fy, tx, ty float64
	for i := range from {
		fx, fy, tx, ty = fx+from[i][0]/n, fy+from[i][1]/n, tx+to[i][0]/n, ty+to[i][1]/n
	}
	var a, b, norm float64
	for i := range from {
		x, y, u, v := from[i][0]-fx, from[i][1]-fy, to[i][0]-tx, to[i][1]-ty
		a += x*u + y*v
		b += x*v - y*u
		norm += x*x + y*y
	}
	if norm == 0 || math.IsNaN(norm) || math.IsInf(norm, 0) {
		return t, false
	}
	a, b = a/norm, b/norm
	return Affine(a, -b, tx-a*fx+b*fy, b, a, ty-b*fx-a*fy), a != 0 || b != 0
}
