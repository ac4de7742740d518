package main_test

import (
	"bytes"
	bin "encoding/binary"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	xdraw "golang.org/x/image/draw"
)

// Pictures that tests make of the samples.

func openPicture(t *testing.T, name string) *image.RGBA {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, _, err := image.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	out := image.NewRGBA(m.Bounds())
	draw.Draw(out, out.Rect, m, image.Point{}, draw.Src)
	return out
}

// savePicture writes a PNG to a directory of the test.
func savePicture(t *testing.T, name string, m image.Image) string {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return saveFile(t, name, b.Bytes())
}

func saveFile(t *testing.T, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func plain(width, height int, c color.Color) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	draw.Draw(m, m.Rect, image.NewUniform(c), image.Point{}, draw.Src)
	return m
}

// turned gives a picture turned clockwise by quarters.
func turned(m *image.RGBA, quarters int) *image.RGBA {
	for range quarters {
		w, h := m.Rect.Dx(), m.Rect.Dy()
		out := image.NewRGBA(image.Rect(0, 0, h, w))
		for y := range h {
			for x := range w {
				out.SetRGBA(h-1-y, x, m.RGBAAt(x, y))
			}
		}
		m = out
	}
	return m
}

// oriented writes a JPEG whose EXIF segment says how to turn it upright.
func oriented(t *testing.T, m image.Image, orientation uint16) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	exif := []byte("Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01")
	exif = bin.BigEndian.AppendUint16(exif, orientation)
	exif = append(exif, 0, 0, 0, 0, 0, 0)
	out := append([]byte("\xff\xd8\xff\xe1"), byte(0), byte(len(exif)+2))
	return append(append(out, exif...), b.Bytes()[2:]...)
}

// collage lays cut faces out as a grid, one after the other.
func collage(t *testing.T, columns, rows, side int) *image.RGBA {
	t.Helper()
	var faces []*image.RGBA
	for _, name := range []string{"obama.jpg", "obama2.jpg", "obama3.jpg", "biden.jpg"} {
		b := inspect(t, samples+name).Faces[0].Box
		middle := image.Pt(int(b[0]+b[2]/2), int(b[1]+b[3]/2))
		r := int(b[3] * 0.75)
		m := openPicture(t, samples+name)
		one := image.NewRGBA(image.Rect(0, 0, side, side))
		xdraw.CatmullRom.Scale(one, one.Rect, m, image.Rectangle{middle.Sub(image.Pt(r, r)), middle.Add(image.Pt(r, r))}.Intersect(m.Rect), draw.Src, nil)
		faces = append(faces, one)
	}
	all := image.NewRGBA(image.Rect(0, 0, columns*side, rows*side))
	for i := range columns * rows {
		at := image.Pt(i%columns*side, i/columns*side)
		draw.Draw(all, image.Rectangle{at, at.Add(image.Pt(side, side))}, faces[i%len(faces)], image.Point{}, draw.Src)
	}
	return all
}

// blankDocument is a card with a portrait on a table, without a letter.
func blankDocument(t *testing.T) *image.RGBA {
	t.Helper()
	m := plain(1400, 1000, color.RGBA{90, 70, 50, 255})
	draw.Draw(m, image.Rect(100, 100, 1300, 900), image.NewUniform(color.RGBA{225, 230, 235, 255}), image.Point{}, draw.Src)
	portrait := openPicture(t, obama)
	xdraw.CatmullRom.Scale(m, image.Rect(150, 250, 500, 700), portrait, portrait.Rect, draw.Src, nil)
	return m
}
