package picture_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"runtime"
	"slices"
	"testing"
	"time"

	"gatehouse/engine/picture"
)

// side × side is 41 megapixels, in files that are quick to make; WebP's decoder
// needs as long for a quarter of that.
const side, sideWebP = 6400, 3200

// flatJPEG is mid-grey: every 8×8 block is the code of "DC unchanged" (00) and
// the code of "no more AC" (1010), four blocks to three bytes.
func flatJPEG(t testing.TB) []byte {
	t.Helper()
	m := image.NewGray(image.Rect(0, 0, 8, 8))
	for i := range m.Pix {
		m.Pix[i] = 128
	}
	data := jpegSized(t, jpegOf(t, m), side, side)
	scan := bytes.Index(data, []byte("\xff\xda"))
	header := data[:scan+2+int(binary.BigEndian.Uint16(data[scan+2:]))]
	return slices.Concat(header, bytes.Repeat([]byte{0x28, 0xa2, 0x8a}, side/8*side/8/4), []byte("\xff\xd9"))
}

// flatPNG is black.
func flatPNG(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := zlib.NewWriterLevel(&b, zlib.BestSpeed)
	for range side {
		if err == nil {
			_, err = z.Write(make([]byte, 1+side))
		}
	}
	if err = errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	one := pngOf(t, image.NewGray(image.Rect(0, 0, 1, 1)))
	return slices.Concat(pngSized(one[:pngHeaderEnd], side, side), pngChunk("IDAT", b.Bytes()), pngChunk("IEND", nil))
}

// flatWebP is one colour whose codes have no bits: however many pixels, it is
// 34 bytes (RFC 9649, 3.7).
func flatWebP(side int, c color.NRGBA) []byte {
	var bits uint64
	n := 0
	put := func(v uint64, width int) { bits, n = bits|v<<n, n+width }
	put(0, 3) // no transform, no colour cache, no further codes
	for _, v := range []byte{c.G, c.R, c.B, c.A, 0} {
		put(0b101, 3) // a simple code of one symbol, of eight bits
		put(uint64(v), 8)
	}
	body := binary.LittleEndian.AppendUint64([]byte{0x2f, 0, 0, 0, 0}, bits)
	return webpOf(vp8lSized(chunk{"VP8L", body}, side, side))
}

func flatFiles(t testing.TB) map[picture.Format][]byte {
	t.Helper()
	return map[picture.Format][]byte{
		picture.JPEG: flatJPEG(t), picture.PNG: flatPNG(t), picture.WebP: flatWebP(sideWebP, color.NRGBA{128, 128, 128, 255}),
	}
}

func TestAlreadyCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, s := range samples(t) {
		if p, err := picture.Decode(ctx, s.data, picture.DefaultLimits()); p != nil || !errors.Is(err, context.Canceled) || picture.Refused(err) {
			t.Errorf("%s: %v", s.name, err)
		}
	}
}

func TestDeadlineGoesUnharmed(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, s := range samples(t) {
		p, err := picture.Decode(ctx, s.data, picture.DefaultLimits())
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		alike(t, p, s.want, s.mean, s.worst)
	}
}

// A decoder at work on a large picture lets go of its caller. The least of three
// delays counts: the machine may have other work.
func TestCancelledWhileDecoding(t *testing.T) {
	for format, data := range flatFiles(t) {
		t.Run(string(format), func(t *testing.T) {
			least := time.Hour
			for range 3 {
				least = min(least, cancelDecode(t, data))
			}
			if least > 300*time.Millisecond {
				t.Errorf("it returned %v after the cancellation", least)
			}
		})
	}
}

// cancelDecode cancels early in a decode and says how much later it returned.
func cancelDecode(t *testing.T, data []byte) time.Duration {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancelled := make(chan time.Time, 1)
	time.AfterFunc(10*time.Millisecond, func() {
		cancelled <- time.Now()
		cancel()
	})
	p, err := picture.Decode(ctx, data, picture.DefaultLimits())
	if p != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	return time.Since(<-cancelled)
}

// WebP's decoder cannot be told to stop. However many callers leave theirs, no
// more are at work than the machine has processors.
func TestAbandonedDecodersAreFew(t *testing.T) {
	data := flatWebP(1600, color.NRGBA{1, 2, 3, 255})
	before := runtime.NumGoroutine()
	for range 20 {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
		if p, err := picture.Decode(ctx, data, picture.DefaultLimits()); p != nil || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		cancel()
	}
	if n := runtime.NumGoroutine() - before; n > runtime.GOMAXPROCS(0) {
		t.Errorf("%d decoders are at work for nobody", n)
	}
}
