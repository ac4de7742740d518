package main_test

import (
	"image"
	"image/color"
	"image/draw"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	xdraw "golang.org/x/image/draw"
)

// inspected is what `face inspect` prints of a file.
type inspected struct {
	File          string
	Width, Height int
	Faces         []struct {
		Box       [4]float64
		Score     float64
		Landmarks [5][2]float64
		Quality   map[string]struct {
			Value  *float64
			Unit   string
			Passed *bool
		}
		Liveness map[string]any
	}
}

func inspect(t *testing.T, file string) inspected {
	t.Helper()
	return one[inspected](t, succeed(t, "face", "inspect", file, "--json"))
}

func TestFaceTooSmallToEmbed(t *testing.T) {
	small := image.NewRGBA(image.Rect(0, 0, 110, 138))
	photo := openPicture(t, obama)
	xdraw.CatmullRom.Scale(small, small.Rect, photo, photo.Rect, draw.Src, nil)
	file := savePicture(t, "small.png", small)
	if r := inspect(t, file); len(r.Faces) != 1 {
		t.Errorf("face inspect: %d faces", len(r.Faces))
	}
	gatehouse(t, "face", "embed", file, "--json").fails(t, 3, file, "small.png", "too small", "use a larger picture")
}

func TestTwentyFaces(t *testing.T) {
	const columns, rows, side = 5, 4, 240
	r := inspect(t, savePicture(t, "twenty.png", collage(t, columns, rows, side)))
	cells := map[image.Point]bool{}
	for _, f := range r.Faces {
		cells[image.Pt(int(f.Box[0]+f.Box[2]/2)/side, int(f.Box[1]+f.Box[3]/2)/side)] = true
	}
	if len(r.Faces) != columns*rows || len(cells) != columns*rows {
		t.Errorf("%d faces in %d of %d cells", len(r.Faces), len(cells), columns*rows)
	}
}

// A picture turned by quarters, and one that its EXIF tag turns back: the face
// is found at its place in the picture as a viewer shows it.
func TestTurnedFaces(t *testing.T) {
	upright := openPicture(t, obama)
	box := inspect(t, obama).Faces[0].Box
	w, h := float64(upright.Rect.Dx()), float64(upright.Rect.Dy())
	for _, c := range []struct {
		name string
		file string
		turn int // that a viewer sees
	}{
		{"by a quarter", savePicture(t, "90.png", turned(upright, 1)), 1},
		{"upside down", savePicture(t, "180.png", turned(upright, 2)), 2},
		{"by three quarters", savePicture(t, "270.png", turned(upright, 3)), 3},
		{"turned back by EXIF 6", saveFile(t, "exif6.jpg", oriented(t, turned(upright, 3), 6)), 0},
		{"turned back by EXIF 3", saveFile(t, "exif3.jpg", oriented(t, turned(upright, 2), 3)), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := inspect(t, c.file)
			if len(r.Faces) != 1 {
				t.Fatalf("%d faces", len(r.Faces))
			}
			want, eye := box, [2]float64{box[0] + box[2]*0.27, box[1] + box[3]*0.4}
			width, height := w, h
			for range c.turn {
				want = [4]float64{height - want[1] - want[3], want[0], want[3], want[2]}
				eye = [2]float64{height - eye[1], eye[0]}
				width, height = height, width
			}
			if float64(r.Width) != width || float64(r.Height) != height {
				t.Errorf("%d×%d, want %.0f×%.0f", r.Width, r.Height, width, height)
			}
			if o := overlap(r.Faces[0].Box, want); o < 0.6 {
				t.Errorf("box %v overlaps %v by %.2f", r.Faces[0].Box, want, o)
			}
			near := box[2] / 4
			if got := r.Faces[0].Landmarks[0]; got[0] < eye[0]-near || got[0] > eye[0]+near || got[1] < eye[1]-near || got[1] > eye[1]+near {
				t.Errorf("the eye at %v, want about %v", got, eye)
			}
		})
	}
}

// overlap is intersection over union.
func overlap(a, b [4]float64) float64 {
	w := min(a[0]+a[2], b[0]+b[2]) - max(a[0], b[0])
	h := min(a[1]+a[3], b[1]+b[3]) - max(a[1], b[1])
	if w <= 0 || h <= 0 {
		return 0
	}
	return w * h / (a[2]*a[3] + b[2]*b[3] - w*h)
}

// readDocument is what `document read` prints of a file.
type readDocument struct {
	File, Type, Country string
	MRZ                 *struct {
		Format  string
		Lines   []string
		Valid   bool
		Trusted bool
	}
	Text   []struct{ Text string }
	Fields map[string]struct {
		Value, Visual, Agreement string
	}
	Conflicts []any
}

// A turned document is read as the upright one is: its zone, and the printed
// text that the zone is compared with.
func TestTurnedDocument(t *testing.T) {
	upright := one[readDocument](t, succeed(t, "document", "read", passport, "--json"))
	if f := upright.Fields; f["number"].Agreement != "confirmed" || f["birth"].Agreement != "confirmed" || f["expiry"].Agreement != "confirmed" {
		t.Fatalf("upright: %+v", f)
	}
	for _, turn := range []int{1, 2, 3} {
		t.Run([]string{"", "by a quarter", "upside down", "by three quarters"}[turn], func(t *testing.T) {
			t.Parallel()
			file := savePicture(t, "turned.png", turned(openPicture(t, passport), turn))
			d := one[readDocument](t, succeed(t, "document", "read", file, "--json"))
			if d.MRZ == nil || !slices.Equal(d.MRZ.Lines, printed) || !d.MRZ.Valid || d.Type != "passport" {
				t.Fatalf("read %+v, printed %q", d.MRZ, printed)
			}
			if !maps.Equal(d.Fields, upright.Fields) || len(d.Conflicts) > 0 {
				t.Errorf("compared %v, upright %v; conflicts %v, text %v", d.Fields, upright.Fields, d.Conflicts, d.Text)
			}
		})
	}
}

// What holds nothing to find is no error: each command says so honestly.
func TestNothingToFind(t *testing.T) {
	pictures := map[string]image.Image{
		"black.png": plain(800, 600, color.Black), "one.png": plain(1, 1, color.Black), "eight.png": plain(8, 8, color.White),
		"narrow.png": plain(1, 3000, color.Gray{90}), "faceless.png": gradient(),
	}
	for name, m := range pictures {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := savePicture(t, name, m)
			r := inspect(t, file)
			if r.Faces == nil || len(r.Faces) > 0 || r.Width != m.Bounds().Dx() || r.Height != m.Bounds().Dy() {
				t.Errorf("face inspect: %+v", r)
			}
			gatehouse(t, "face", "embed", file, "--json").fails(t, 3, file, name, "no face was found", "use a picture that shows")
			gatehouse(t, "face", "compare", obama, file, "--json").fails(t, 3, file, name, "no face was found", "use a picture that shows")
			noDocument(t, file, "--no-text")
			v := one[struct {
				Decision string
				Reasons  []struct{ Signal, Text string }
			}](t, succeed(t, "verify", "--json", "--document", file, "--selfie", file))
			missed := map[string]bool{}
			for _, r := range v.Reasons {
				missed[r.Signal] = r.Text != ""
			}
			if v.Decision == "accepted" || !missed["document.zone"] || !missed["selfie.face"] {
				t.Errorf("verify: %+v", v)
			}
		})
	}
}

func TestDocumentWithoutText(t *testing.T) {
	noDocument(t, savePicture(t, "blank.png", blankDocument(t)))
}

func noDocument(t *testing.T, file string, flags ...string) {
	t.Helper()
	o := one[object](t, succeed(t, append([]string{"document", "read", file, "--json"}, flags...)...))
	if kind := part[string](t, o, "type"); kind != "unknown" || string(o["mrz"]) != "null" || string(o["conflicts"]) != "[]" {
		t.Errorf("%s: document read: type %q, mrz %s, conflicts %s", filepath.Base(file), kind, o["mrz"], o["conflicts"])
	}
	if text, ok := o["text"]; ok && string(text) != "[]" {
		t.Errorf("%s: text %s", filepath.Base(file), text)
	}
}

func gradient() image.Image {
	m := plain(800, 600, color.White)
	for y := range 600 {
		for x := range 800 {
			m.SetRGBA(x, y, color.RGBA{uint8(x * 255 / 800), uint8(y * 255 / 600), 128, 255})
		}
	}
	return m
}
