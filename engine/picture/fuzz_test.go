package picture_test

import (
	"image/color"
	"slices"
	"testing"

	"gatehouse/engine/picture"
)

// FuzzDecode: whatever the bytes, a whole picture within the limits, ready for
// use, or an error that blames them.
func FuzzDecode(f *testing.F) {
	var seeds [][]byte
	for _, s := range samples(f) {
		seeds = append(seeds, s.data, s.data[:len(s.data)/2], slices.Concat(s.data, []byte("tail")))
	}
	for o := range 10 {
		for _, data := range oriented(f, o) {
			seeds = append(seeds, data)
		}
	}
	alpha := webpChunks(file(f, "lossy_alpha.webp"))
	seeds = append(seeds, nil, []byte("text"), file(f, "twelve.jpg"), file(f, "lossless.jpg"), file(f, "animated.webp"),
		jpegSized(f, file(f, "progressive.jpg"), 65535, 65535), jpegSized(f, file(f, "arithmetic.jpg"), 100, 20),
		pngSized(file(f, "interlaced.png"), 0, 0), pngSized(file(f, "interlaced.png"), 65535, 65535),
		pngWith(file(f, "grey_alpha.png"), "acTL", make([]byte, 8)),
		webpOf(alpha[0], alpha[0], alpha[1], alpha[2]), webpOf(alpha[2], alpha[2]), riffSized(webpOf(alpha[2]), 0),
		flatWebP(300, color.NRGBA{1, 2, 3, 4}))
	for i, data := range seeds {
		f.Add(data, uint16(i%3*16))
	}
	f.Fuzz(func(t *testing.T, data []byte, longSide uint16) {
		lim := picture.Limits{Bytes: 1 << 20, Pixels: 1 << 20, LongSide: int(longSide)}
		p, err := decode(data, lim)
		if err != nil {
			if p != nil || !picture.Refused(err) {
				t.Fatalf("%v, and a picture: %v", err, p != nil)
			}
			return
		}
		if p.Width <= 0 || p.Height <= 0 || len(p.Pix) != 3*p.Width*p.Height {
			t.Fatalf("%d×%d, %d bytes", p.Width, p.Height, len(p.Pix))
		}
		if p.FullWidth < p.Width || p.FullHeight < p.Height || p.FullWidth*p.FullHeight > lim.Pixels || max(p.Width, p.Height) < min(lim.LongSide, p.FullWidth, p.FullHeight) {
			t.Fatalf("%d×%d of %d×%d", p.Width, p.Height, p.FullWidth, p.FullHeight)
		}
		checkWarp(t, p, 8, 8, picture.Crop(0, 0, float64(p.Width), float64(p.Height), 8, 8), picture.Replicate)
		checkWarp(t, p.Turn(1), 8, 8, picture.Rotation(0.5, 4, 4), picture.Black)
	})
}

// FuzzWarp: whatever the transform, values between black and white, in bounds.
func FuzzWarp(f *testing.F) {
	for i, m := range []picture.Transform{
		picture.Identity(), picture.Crop(1, 2, 3, 4, 5, 6), picture.Crop(-9, -9, 99, 99, 3, 2), picture.Rotation(1, 2, 3),
		{0.9, 0.05, -0.5, 0.02, 0.8, 0.3, 0.01, 0.02, 1}, picture.Affine(1e300, 0, -1e300, 0, 1e-300, 1e300), {},
	} {
		f.Add(m[0], m[1], m[2], m[3], m[4], m[5], m[6], m[7], m[8], byte(i), byte(7*i), byte(3*i), byte(5*i), byte(i))
	}
	f.Fuzz(func(t *testing.T, a, b, c, d, e, g, h, i, j float64, w, ht, tw, th, mode byte) {
		p := noise(1+int(w%16), 1+int(ht%16))
		checkWarp(t, p, 1+int(tw%16), 1+int(th%16), picture.Transform{a, b, c, d, e, g, h, i, j}, picture.Mode(mode%4))
	})
}

// checkWarp fails for a value that no picture has; NaN is the transform's own.
func checkWarp(t *testing.T, p *picture.Picture, w, h int, m picture.Transform, mode picture.Mode) {
	t.Helper()
	for _, v := range warp(p, w, h, m, mode) {
		if v < -0.01 || v > 255.01 {
			t.Fatalf("%v, mode %d: %v", m, mode, v)
		}
	}
	if q := p.Extract(w, h, m, mode); len(q.Pix) != 3*w*h {
		t.Fatalf("%v, mode %d: %d bytes", m, mode, len(q.Pix))
	}
}
