package picture_test

import (
	"bytes"
	"errors"
	"image"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gatehouse/engine/picture"
)

// Headers that lie: the error, and that nothing was allocated on their word.
func TestLyingHeader(t *testing.T) {
	baseline := jpegOf(t, fill(image.NewNRGBA(bounds()), knownAt))
	progressive := file(t, "progressive.jpg")
	flat := pngOf(t, fill(image.NewNRGBA(bounds()), knownAt))
	vp8, vp8l := webpFrame(t, file(t, "lossy.webp")), webpFrame(t, file(t, "lossless.webp"))
	alpha := webpChunks(file(t, "lossy_alpha.webp")) // VP8X, ALPH, VP8
	damaged := []error{picture.ErrCorrupt, picture.ErrTruncated}
	tooLarge := []error{picture.ErrTooLarge}

	for _, c := range []struct {
		name string
		data []byte
		want []error
	}{
		{"jpeg taller", jpegSized(t, baseline, knownW, 4*knownH), damaged},
		{"jpeg wider", jpegSized(t, baseline, 4*knownW, knownH), damaged},
		{"jpeg progressive, taller", jpegSized(t, progressive, knownW, 4*knownH), damaged},
		{"jpeg without height", jpegSized(t, baseline, knownW, 0), damaged},
		{"jpeg without width", jpegSized(t, baseline, 0, knownH), damaged},
		{"jpeg 0×0", jpegSized(t, baseline, 0, 0), damaged},
		{"jpeg 65535×65535", jpegSized(t, baseline, 65535, 65535), tooLarge},
		{"jpeg 65500×65500", jpegSized(t, baseline, 65500, 65500), tooLarge},
		{"jpeg progressive, 65535×65535", jpegSized(t, progressive, 65535, 65535), tooLarge},
		{"png taller", pngSized(flat, knownW, 4*knownH), damaged},
		{"png wider", pngSized(flat, 4*knownW, knownH), damaged},
		{"png shorter", pngSized(flat, knownW, knownH-1), damaged},
		{"png narrower", pngSized(flat, knownW-1, knownH), damaged},
		{"png 0×0", pngSized(flat, 0, 0), damaged},
		{"png without height", pngSized(flat, knownW, 0), damaged},
		{"png 65535×65535", pngSized(flat, 65535, 65535), tooLarge},
		{"png 2³¹-1 × 2³¹-1", pngSized(flat, 1<<31-1, 1<<31-1), tooLarge},
		{"png 2³²-1 × 2³²-1", pngSized(flat, 1<<32-1, 1<<32-1), damaged},
		{"webp 16383×16383", webpOf(vp8Sized(vp8, 16383, 16383)), tooLarge},
		{"webp lossless, 16384×16384", webpOf(vp8lSized(vp8l, 16384, 16384)), tooLarge},
		{"webp 0×0", webpOf(vp8Sized(vp8, 0, 0)), damaged},
		{"webp taller", webpOf(vp8Sized(vp8, knownW, 20*knownH)), damaged},
		{"webp lossless, taller", webpOf(vp8lSized(vp8l, knownW, 20*knownH)), damaged},
		{"webp canvas larger than its frame", webpOf(vp8x(0, 1<<24, 1<<24), vp8), damaged},
		{"webp canvas smaller than its frame", webpOf(vp8x(0, 8, 8), vp8Sized(vp8, 7000, 7000)), damaged},
		{"webp lossless canvas smaller than its frame", webpOf(vp8x(0, 8, 8), vp8lSized(vp8l, 7000, 7000)), damaged},
		{"webp alpha canvas larger than its frame", webpOf(vp8x(16, 46340, 46340), chunk{"ALPH", []byte{0}}, vp8), damaged},
		{"webp two canvases", webpOf(vp8x(16, 46340, 46340), chunk{"ALPH", []byte{0}}, vp8x(16, knownW, knownH), vp8), damaged},
		{"webp two frames", webpOf(vp8Sized(vp8, 16383, 16383), vp8), damaged},
		{"webp two frames, the small one first", webpOf(vp8, vp8Sized(vp8, 16383, 16383)), damaged},
		{"webp empty frame first", webpOf(vp8Sized(vp8, 0, 7000), vp8), damaged},
		{"webp animated, huge", webpOf(vp8x(2, 1<<24, 1<<24)), tooLarge},
		{"webp short canvas", webpOf(chunk{"VP8X", []byte{0, 0}}, vp8), damaged},
		{"webp short alpha", webpOf(alpha[0], chunk{"ALPH", nil}, vp8), damaged},
		{"webp without frame bytes", webpOf(chunk{"VP8 ", nil}), damaged},
		{"webp of no bytes", riffSized(webpOf(vp8), 0), damaged},
		{"webp of three bytes", riffSized(webpOf(vp8), 3), damaged},
		{"webp of its name", riffSized(webpOf(vp8), 4), damaged},
		{"webp longer than the file", riffSized(webpOf(vp8), 1<<32-1), damaged},
		{"webp shorter than the file", riffSized(webpOf(vp8), 100), damaged},
		{"webp chunk longer than the file", bytes.Replace(webpOf(vp8), le32(len(vp8.body)), le32(1<<32-1), 1), damaged},
	} {
		t.Run(c.name, func(t *testing.T) {
			var p *picture.Picture
			var err error
			cost := measure(t, func() { p, err = decode(c.data, picture.DefaultLimits()) })
			if p != nil || !isOne(err, c.want...) {
				t.Errorf("%v; want one of %v", err, c.want)
			}
			if cost.heap > 8<<20 || cost.resident > 64<<20 {
				t.Errorf("it took %d MB of heap, %d MB resident", cost.heap>>20, cost.resident>>20)
			}
		})
	}
}

// A header can ask for as much as the limits admit, and get no more than a few
// copies of that.
func TestLyingWithinLimits(t *testing.T) {
	lim := picture.Limits{Bytes: 1 << 20, Pixels: 1 << 20}
	deep := pngOf(t, fill(image.NewNRGBA64(bounds()), fadingAt))
	for name, data := range map[string][]byte{
		"jpeg":             jpegSized(t, file(t, "optimised444.jpg"), 1024, 1024),
		"jpeg progressive": jpegSized(t, file(t, "progressive.jpg"), 1024, 1024),
		"jpeg CMYK":        jpegSized(t, file(t, "cmyk.jpg"), 1024, 1024),
		"png":              pngSized(deep, 1024, 1024),
		"png interlaced":   pngSized(file(t, "interlaced.png"), 1024, 1024),
		"webp":             webpOf(vp8Sized(webpFrame(t, file(t, "lossy.webp")), 1024, 1024)),
		"webp lossless":    webpOf(vp8lSized(webpFrame(t, file(t, "lossless.webp")), 1024, 1024)),
	} {
		t.Run(name, func(t *testing.T) {
			var err error
			cost := measure(t, func() { _, err = decode(data, lim) })
			if !isOne(err, picture.ErrTruncated, picture.ErrCorrupt) {
				t.Errorf("%v", err)
			}
			if cost.heap > 24*int64(lim.Pixels) || cost.resident > 64<<20 {
				t.Errorf("it took %.1f bytes of heap a pixel, %d MB resident", float64(cost.heap)/float64(lim.Pixels), cost.resident>>20)
			}
		})
	}
}

// Some scanners send more lines than they declare: the declared ones are right.
func TestJPEGShorterThanItsData(t *testing.T) {
	baseline := jpegOf(t, fill(image.NewNRGBA(bounds()), knownAt))
	p := mustDecode(t, jpegSized(t, baseline, knownW, 20), picture.DefaultLimits())
	want := picture.New(knownW, 20)
	copy(want.Pix, known().Pix)
	alike(t, p, want, 2.5, 14)
}

// A progressive file may send a scan again and again; real ones have ten.
func TestJPEGScans(t *testing.T) {
	data := file(t, "spectral.jpg")
	end := len(data) - 2
	last := data[bytes.LastIndex(data, []byte("\xff\xda")):end]
	repeated := func(n int) []byte { return slices.Concat(data[:end], bytes.Repeat(last, n), data[end:]) }
	alike(t, mustDecode(t, repeated(20), picture.DefaultLimits()), known(), 2.5, 14)
	if _, err := decode(repeated(1000), picture.DefaultLimits()); !errors.Is(err, picture.ErrCorrupt) || !strings.Contains(err.Error(), "scans") {
		t.Errorf("a thousand scans: %v", err)
	}
}

func riffSized(data []byte, n int) []byte {
	return slices.Concat(data[:4], le32(n), data[8:])
}

type cost struct{ heap, resident int64 }

// measure says what f allocated on the Go heap in all and by how much the
// process grew at its peak, C included.
func measure(t *testing.T, f func()) cost {
	t.Helper()
	debug.FreeOSMemory()
	// 5 resets the peak to the present (proc(5), clear_refs).
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	resident := peak(t)
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return cost{int64(after.TotalAlloc - before.TotalAlloc), peak(t) - resident}
}

// peak is the process's largest resident size, in bytes.
func peak(t *testing.T) int64 {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(status), "VmHWM:")
	kb, err := strconv.ParseInt(strings.Fields(rest + " ?")[0], 10, 64)
	if !ok || err != nil {
		t.Fatal(errors.Join(errors.New("no VmHWM"), err))
	}
	return kb << 10
}
