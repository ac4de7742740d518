// Package picture turns untrusted bytes into pixels: JPEG, PNG and WebP with
// their limits checked before memory is taken, the camera's orientation
// applied, and one fused warp that makes every crop a network is fed.
//
// It must never return half a picture: a file is read whole or refused.
package picture

// Picture is 8-bit RGB without alpha, rows from the top, tightly packed.
type Picture struct {
	Width, Height int
	// Pix holds 3·Width·Height bytes.
	Pix []byte
	// FullWidth and FullHeight are the size of the upright original; the
	// pixels may be a reduction of it. Both equal Width and Height where it
	// is not.
	FullWidth, FullHeight int
	Format                Format
}

// Format is a picture's file format.
type Format string

// The formats read.
const (
	JPEG Format = "jpeg"
	PNG  Format = "png"
	WebP Format = "webp"
)

// New makes a black picture.
func New(width, height int) *Picture {
	return &Picture{Width: width, Height: height, FullWidth: width, FullHeight: height, Pix: make([]byte, 3*width*height)}
}

// Reduction is how many pixels of the original one pixel stands for, along a
// side.
func (p *Picture) Reduction() float64 {
	return float64(p.FullWidth) / float64(p.Width)
}

// Turn gives the picture turned clockwise by 0, 1, 2 or 3 quarters.
func (p *Picture) Turn(quarters int) *Picture {
	orientation := [4]int{1, 6, 3, 8}[quarters&3]
	return p.oriented(orientation)
}

// oriented applies an EXIF orientation, 1 to 8.
func (p *Picture) oriented(o int) *Picture {
	if o <= 1 || o > 8 {
		return p
	}
	w, h := p.Width, p.Height
	// Source index of destination (x,y) is base + x·dx + y·dy, in pixels.
	var base, dx, dy int
	out := &Picture{Width: w, Height: h, FullWidth: p.FullWidth, FullHeight: p.FullHeight, Format: p.Format}
	if o >= 5 {
		out.Width, out.Height = h, w
		out.FullWidth, out.FullHeight = p.FullHeight, p.FullWidth
	}
	switch o {
	case 2: // mirrored
		base, dx, dy = w-1, -1, w
	case 3: // upside down
		base, dx, dy = w*h-1, -1, -w
	case 4: // upside down, mirrored
		base, dx, dy = w*(h-1), 1, -w
	case 5: // transposed
		base, dx, dy = 0, w, 1
	case 6: // to be turned clockwise
		base, dx, dy = w*(h-1), -w, 1
	case 7: // transposed over the other diagonal
		base, dx, dy = w*h-1, -w, -1
	case 8: // to be turned counter-clockwise
		base, dx, dy = w-1, w, -1
	}
	out.Pix = buffer(3 * w * h)
	d := out.Pix
	for y := range out.Height {
		s := base + y*dy
		for range out.Width {
			copy(d[:3], p.Pix[3*s:3*s+3])
			d, s = d[3:], s+dx
		}
	}
	return out
}
