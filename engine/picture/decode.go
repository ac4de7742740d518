package picture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"math"
	"runtime"

	"golang.org/x/image/webp"
)

// Limits bound what Decode takes in. They are checked on declared sizes,
// before memory is taken.
type Limits struct {
	Bytes  int // of the file
	Pixels int // width × height, as declared
	// LongSide lets the picture be reduced by 2, 4 or 8 as long as its longer
	// side keeps at least this many pixels; 0 means never.
	LongSide int
}

// DefaultLimits take 20 MB and 50 megapixels: more than any phone's usual
// picture (requirements 5.2, 6.1).
func DefaultLimits() Limits { return Limits{Bytes: 20 << 20, Pixels: 50_000_000} }

// maxSide is the largest side that any of the formats can hold (JPEG: 65,535).
const maxSide = 65535

// Decode reads a picture, upright, without alpha (over white), 8 bits.
// Errors: the package's, or ctx's.
func Decode(ctx context.Context, data []byte, lim Limits) (*Picture, error) {
	if len(data) == 0 {
		return nil, ErrEmpty
	}
	if len(data) > lim.Bytes {
		return nil, fmt.Errorf("%w: %d bytes; at most %d are taken", ErrTooLarge, len(data), lim.Bytes)
	}
	f, err := sniff(data)
	if err != nil {
		return nil, err
	}
	head, err := readHead(f, data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f, err)
	}
	if err := lim.admit(head.width, head.height); err != nil {
		return nil, fmt.Errorf("%s: %w", f, err)
	}
	if head.frames {
		return nil, fmt.Errorf("%s: %w; send a single picture", f, ErrAnimated)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p, err := decodePixels(ctx, f, data, head, lim.reduction(head.width, head.height))
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("%s: %w", f, err)
	}
	p.Format = f
	return p.oriented(head.orientation), nil
}

// head is what is known of a picture before its pixels are read.
type head struct {
	width, height int
	orientation   int // EXIF, 1 to 8; 0 unknown
	frames        bool
}

func readHead(f Format, data []byte) (head, error) {
	switch f {
	case JPEG:
		w, h, err := jpegSize(data)
		return head{width: w, height: h, orientation: jpegOrientation(data)}, err
	case PNG:
		return pngHead(data)
	}
	return webpHead(data)
}

func (l Limits) admit(w, h int) error {
	switch {
	case w <= 0 || h <= 0:
		return fmt.Errorf("%w: it declares %d×%d pixels", ErrCorrupt, w, h)
	case w > maxSide || h > maxSide || w*h > l.Pixels:
		return fmt.Errorf("%w: it declares %d×%d pixels; at most %d megapixels are taken", ErrTooLarge, w, h, l.Pixels/1_000_000)
	}
	return nil
}

func (l Limits) reduction(w, h int) int {
	r := 1
	for l.LongSide > 0 && r < 8 && max(w, h)/(2*r) >= l.LongSide {
		r *= 2
	}
	return r
}

func decodePixels(ctx context.Context, f Format, data []byte, h head, reduce int) (*Picture, error) {
	if f == JPEG {
		return decodeJPEG(ctx, data, h.width, h.height, reduce)
	}
	read := png.Decode
	if f == WebP {
		read = webp.Decode
	}
	m, err := aside(ctx, func() (image.Image, error) { return read(&watched{ctx, bytes.NewReader(data)}) })
	if err != nil {
		return nil, goDecoderError(err)
	}
	if b := m.Bounds(); b.Dx() != h.width || b.Dy() != h.height {
		return nil, fmt.Errorf("%w: it declares %d×%d pixels and holds %d×%d", ErrCorrupt, h.width, h.height, b.Dx(), b.Dy())
	}
	p, err := fromImage(ctx, m)
	if err != nil {
		return nil, err
	}
	if reduce == 1 {
		return p, nil
	}
	small := p.Resize((p.Width+reduce-1)/reduce, (p.Height+reduce-1)/reduce)
	small.FullWidth, small.FullHeight = p.FullWidth, p.FullHeight
	return small, ctx.Err()
}

// atWork bounds the decoders run aside, those counted whose callers have gone.
// It belongs to the process, as the memory does that it guards.
var atWork = make(chan struct{}, runtime.GOMAXPROCS(0))

// aside runs a decoder that cannot be interrupted so that the caller can be:
// on cancellation the decoder goes on alone, bounded by the limits on its
// picture, and its result is dropped.
func aside(ctx context.Context, f func() (image.Image, error)) (image.Image, error) {
	if ctx.Done() == nil {
		return contained(f)
	}
	type result struct {
		m   image.Image
		err error
	}
	select {
	case atWork <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	done := make(chan result, 1)
	go func() {
		defer func() { <-atWork }()
		m, err := contained(f)
		done <- result{m, err}
	}()
	select {
	case r := <-done:
		return r.m, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// contained keeps a decoder's panic over hostile bytes from ending the process.
func contained(f func() (image.Image, error)) (m image.Image, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: its decoder gave up: %v", ErrCorrupt, r)
		}
	}()
	return f()
}

// watched is a reader that ends with its context.
type watched struct {
	ctx context.Context
	r   io.Reader
}

func (w *watched) Read(b []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.r.Read(b)
}

func goDecoderError(err error) error {
	var unsupported png.UnsupportedError
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), errors.Is(err, png.FormatError("not enough pixel data")):
		return fmt.Errorf("%w: it ends before its last pixel", ErrTruncated)
	case errors.As(err, &unsupported):
		return fmt.Errorf("%w that can be read: %v", ErrUnsupported, err)
	}
	return fmt.Errorf("%w: %v", ErrCorrupt, err)
}

// fromImage copies any image over white.
func fromImage(ctx context.Context, m image.Image) (*Picture, error) {
	b := m.Bounds()
	p := &Picture{Width: b.Dx(), Height: b.Dy(), FullWidth: b.Dx(), FullHeight: b.Dy(), Pix: buffer(3 * b.Dx() * b.Dy())}
	d := p.Pix
	for y := b.Min.Y; y < b.Max.Y; y++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		switch m := m.(type) {
		case *image.Gray:
			for _, v := range m.Pix[m.PixOffset(b.Min.X, y):][:b.Dx()] {
				d[0], d[1], d[2], d = v, v, v, d[3:]
			}
		case *image.RGBA: // opaque in practice: image/png makes it for 8-bit RGB
			for s := m.Pix[m.PixOffset(b.Min.X, y):][:4*b.Dx()]; len(s) > 0; s, d = s[4:], d[3:] {
				white := 255 - s[3]
				d[0], d[1], d[2] = s[0]+white, s[1]+white, s[2]+white
			}
		case *image.NRGBA:
			for s := m.Pix[m.PixOffset(b.Min.X, y):][:4*b.Dx()]; len(s) > 0; s, d = s[4:], d[3:] {
				a := int(s[3])
				for c := range 3 {
					d[c] = overWhite(s[c], a)
				}
			}
		case *image.YCbCr:
			for x := b.Min.X; x < b.Max.X; x, d = x+1, d[3:] {
				yi, ci := m.YOffset(x, y), m.COffset(x, y)
				d[0], d[1], d[2] = studioRGB(m.Y[yi], m.Cb[ci], m.Cr[ci])
			}
		case *image.NYCbCrA:
			for x := b.Min.X; x < b.Max.X; x, d = x+1, d[3:] {
				yi, ci := m.YOffset(x, y), m.COffset(x, y)
				d[0], d[1], d[2] = studioRGB(m.Y[yi], m.Cb[ci], m.Cr[ci])
				a := int(m.A[m.AOffset(x, y)])
				for c := range 3 {
					d[c] = overWhite(d[c], a)
				}
			}
		default:
			for x := b.Min.X; x < b.Max.X; x++ {
				r, g, bl, a := m.At(x, y).RGBA() // 16 bits, alpha multiplied in
				white := math.MaxUint16 - a
				d[0], d[1], d[2], d = byte((r+white)>>8), byte((g+white)>>8), byte((bl+white)>>8), d[3:]
			}
		}
	}
	return p, nil
}

func overWhite(v byte, a int) byte { return byte((int(v)*a + 255*(255-a) + 127) / 255) }

// studioRGB converts the YCbCr of a lossy WebP: BT.601 with luma from 16 to 235
// (RFC 9649, 2.5), where image/color takes JPEG's 0 to 255.
func studioRGB(y, cb, cr byte) (r, g, b byte) {
	// 16.16 fixed point: 255/219 for luma, 255/224 × the matrix for chroma.
	l := 76309*(int(y)-16) + 1<<15
	u, v := int(cb)-128, int(cr)-128
	clip := func(v int) byte { return byte(max(0, min(v>>16, 255))) }
	return clip(l + 104597*v), clip(l - 25675*u - 53279*v), clip(l + 132201*u)
}

// buffer takes memory for pixels that the caller writes in full.
func buffer(n int) []byte { return make([]byte, n) }
