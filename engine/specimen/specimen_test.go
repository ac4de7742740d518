package specimen_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"image/png"
	"os"
	"strings"
	"testing"
	"time"

	"gatehouse/engine/document/mrz"
	"gatehouse/engine/picture"
	"gatehouse/engine/specimen"
)

var today = time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)

func font(t *testing.T) []byte {
	t.Helper()
	data, err := os.ReadFile("../../build/assets/OCRB.otf")
	if err != nil {
		t.Fatalf("%v; run make assets", err)
	}
	return data
}

// gradient stands in for a portrait.
func gradient(width, height int) *picture.Picture {
	p := picture.New(width, height)
	for i := range width * height {
		x, y := i%width, i/width
		p.Pix[3*i], p.Pix[3*i+1], p.Pix[3*i+2] = byte(255*x/width), byte(255*y/height), 128
	}
	return p
}

func options(t *testing.T, f mrz.Format, seed uint64) specimen.Options {
	return specimen.Options{Format: f, Seed: seed, Portrait: gradient(300, 420), Today: today, Font: font(t)}
}

func draw(t *testing.T, o specimen.Options) *specimen.Specimen {
	t.Helper()
	s, err := specimen.Draw(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDrawIsDeterministic(t *testing.T) {
	hash := func(seed uint64) [32]byte { return sha256.Sum256(draw(t, options(t, mrz.TD3, seed)).Image.Pix) }
	first, again := hash(1), hash(1)
	if first != again {
		t.Error("one seed drew two documents")
	}
	if first == hash(2) {
		t.Error("two seeds drew one document")
	}
}

func TestZoneHoldsTheFields(t *testing.T) {
	for _, f := range mrz.Formats() {
		t.Run(string(f), func(t *testing.T) {
			t.Parallel()
			long := 0
			for seed := range uint64(20) {
				s := draw(t, options(t, f, seed))
				if s.Format != f || len(s.Lines) != f.Lines() {
					t.Fatalf("seed %d: %d lines of %s", seed, len(s.Lines), s.Format)
				}
				for name, ok := range mrz.Checks(f, s.Lines) {
					if !ok {
						t.Errorf("seed %d: check digit %s is wrong in %q", seed, name, s.Lines)
					}
				}
				got, err := mrz.Parse(f, s.Lines, today)
				if err != nil {
					t.Fatal(err)
				}
				want := s.Fields
				want.Surname, want.GivenNames = inZone(f, want.Surname, want.GivenNames)
				if got != want {
					t.Errorf("seed %d: %+v\nreads as %+v", seed, want, got)
				}
				if len(want.Number) > 9 {
					long++
				}
				plausible(t, s)
			}
			if want := f == mrz.TD1 || f == mrz.TD2; want != (long > 0) {
				t.Errorf("%d numbers of more than nine characters", long)
			}
		})
	}
}

// inZone gives names as the zone has room for them.
func inZone(f mrz.Format, surname, given string) (string, string) {
	room := map[mrz.Format]int{mrz.TD3: 39, mrz.MRVA: 39, mrz.TD2: 31, mrz.MRVB: 31, mrz.TD1: 30}[f]
	s, g := mrz.Transliterate(surname), mrz.Transliterate(given)
	if len(s)+2+len(g) > room {
		s = s[:min(len(s), room-3)]
		g = g[:min(len(g), room-2-len(s))]
	}
	return strings.TrimSpace(s), strings.TrimSpace(g)
}

func plausible(t *testing.T, s *specimen.Specimen) {
	t.Helper()
	birth, err := time.Parse(time.DateOnly, s.Fields.Birth.ISO)
	if err != nil || birth.AddDate(18, 0, 0).After(today) {
		t.Errorf("born %s: not an adult", s.Fields.Birth.ISO)
	}
	expiry, err := time.Parse(time.DateOnly, s.Fields.Expiry.ISO)
	if err != nil || expiry.Before(today.AddDate(1, 0, 0)) || expiry.After(today.AddDate(9, 0, 0)) {
		t.Errorf("expires %s", s.Fields.Expiry.ISO)
	}
}

func TestSizes(t *testing.T) {
	sizes := map[mrz.Format][2]float64{
		mrz.TD1: {85.6, 54}, mrz.TD2: {105, 74}, mrz.TD3: {125, 88}, mrz.MRVA: {120, 80}, mrz.MRVB: {105, 74},
	}
	for f, mm := range sizes {
		p := draw(t, options(t, f, 3)).Image
		if w, h := int(mm[0]*12+0.5), int(mm[1]*12+0.5); p.Width != w || p.Height != h {
			t.Errorf("%s: %d×%d, want %d×%d", f, p.Width, p.Height, w, h)
		}
		// Two millimetres along the bottom and the top of the zone are empty.
		zone := p.Height - 278 // 23.2 mm
		for _, y := range []int{zone + 4, zone + 24, p.Height - 24, p.Height - 1} {
			row := p.Pix[3*y*p.Width:][:3*p.Width]
			if !bytes.Equal(row, bytes.Repeat(row[:3], p.Width)) || row[0] < 240 {
				t.Errorf("%s: something is printed in row %d of the machine-readable zone", f, y)
			}
		}
	}
}

func TestGivenFields(t *testing.T) {
	o := options(t, mrz.TD3, 1)
	o.Fields = &mrz.Fields{DocumentCode: "P", Issuer: "UTO", Surname: "Eriksson", GivenNames: "Anna Maria",
		Number: "L898902C3", Nationality: "UTO", Birth: mrz.Date{Raw: "740812"}, Sex: "F",
		Expiry: mrz.Date{Raw: "120415"}, Optional: "ZE184226B"}
	s := draw(t, o)
	// The specimen of Doc 9303-4, appendix A.
	want := "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\nL898902C36UTO7408122F1204159ZE184226B<<<<<10"
	if got := strings.Join(s.Lines, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if s.Fields.Surname != "Eriksson" || s.Fields.Birth.ISO != "1974-08-12" {
		t.Errorf("printed %+v", s.Fields)
	}
}

func TestDrawRefuses(t *testing.T) {
	good := draw(t, options(t, mrz.TD3, 1)).Fields
	with := func(change func(*mrz.Fields)) *mrz.Fields {
		f := good
		change(&f)
		return &f
	}
	for name, change := range map[string]func(*specimen.Options){
		"no portrait":        func(o *specimen.Options) { o.Portrait = nil },
		"half a portrait":    func(o *specimen.Options) { o.Portrait.Pix = o.Portrait.Pix[:100] },
		"no font":            func(o *specimen.Options) { o.Font = nil },
		"garbage for a font": func(o *specimen.Options) { o.Font = bytes.Repeat([]byte("OTTO\x0c\x25"), 500) },
		"half a font":        func(o *specimen.Options) { o.Font = o.Font[:len(o.Font)/2] },
		"no day":             func(o *specimen.Options) { o.Today = time.Time{} },
		"real state":         func(o *specimen.Options) { o.Fields = with(func(f *mrz.Fields) { f.Issuer = "FRA" }) },
		"other script":       func(o *specimen.Options) { o.Fields = with(func(f *mrz.Fields) { f.Surname = "李" }) },
		"unprintable number": func(o *specimen.Options) { o.Fields = with(func(f *mrz.Fields) { f.Number = "0123456789" }) },
	} {
		o := options(t, mrz.TD3, 1)
		change(&o)
		if _, err := specimen.Draw(o); err == nil {
			t.Errorf("%s: drawn", name)
		}
	}
	if _, err := specimen.Draw(options(t, "TD9", 1)); !errors.Is(err, mrz.ErrFormat) {
		t.Errorf("unknown format: %v", err)
	}
}

func TestPhotograph(t *testing.T) {
	// A red card, so that it can be told from any table.
	card := picture.New(1260, 888)
	for i := 0; i < len(card.Pix); i += 3 {
		card.Pix[i] = 255
	}
	take := func(seed uint64) *picture.Picture {
		p, err := specimen.Photograph(card, seed)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	red := func(p *picture.Picture, x, y int) bool {
		px := p.Pix[3*(y*p.Width+x):]
		return int(px[0]) > 120+int(px[1])
	}
	for seed := range uint64(6) {
		p := take(seed)
		if long := max(p.Width, p.Height); long < 1600 || long > 2400 {
			t.Errorf("seed %d: %d×%d", seed, p.Width, p.Height)
		}
		if !red(p, p.Width/2, p.Height/2) {
			t.Errorf("seed %d: no document in the middle", seed)
		}
		for x := range p.Width {
			if red(p, x, 4) || red(p, x, p.Height-5) {
				t.Fatalf("seed %d: the document leaves the picture", seed)
			}
		}
		for y := range p.Height {
			if red(p, 4, y) || red(p, p.Width-5, y) {
				t.Fatalf("seed %d: the document leaves the picture", seed)
			}
		}
	}
	if !bytes.Equal(take(1).Pix, take(1).Pix) {
		t.Error("one seed took two photographs")
	}
	if bytes.Equal(take(1).Pix, take(2).Pix) {
		t.Error("two seeds took one photograph")
	}
	if _, err := specimen.Photograph(nil, 1); err == nil {
		t.Error("photographed nothing")
	}
}

func TestWrite(t *testing.T) {
	p := gradient(40, 30)
	var file bytes.Buffer
	if err := specimen.WritePNG(&file, p); err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(&file)
	if err != nil {
		t.Fatal(err)
	}
	for i := range p.Width * p.Height {
		r, g, b, _ := img.At(i%p.Width, i/p.Width).RGBA()
		if byte(r>>8) != p.Pix[3*i] || byte(g>>8) != p.Pix[3*i+1] || byte(b>>8) != p.Pix[3*i+2] {
			t.Fatalf("pixel %d differs", i)
		}
	}
	file.Reset()
	if err := specimen.WriteJPEG(&file, p, 90); err != nil || !bytes.HasPrefix(file.Bytes(), []byte{0xff, 0xd8}) {
		t.Errorf("no JPEG: %v", err)
	}
	if err := specimen.WriteJPEG(&file, nil, 90); err == nil {
		t.Error("wrote no picture")
	}
}

func BenchmarkDraw(b *testing.B) {
	data, err := os.ReadFile("../../build/assets/OCRB.otf")
	if err != nil {
		b.Fatal(err)
	}
	o := specimen.Options{Format: mrz.TD3, Portrait: gradient(1200, 1600), Today: today, Font: data}
	for b.Loop() {
		if _, err := specimen.Draw(o); err != nil {
			b.Fatal(err)
		}
		o.Seed++
	}
}

func BenchmarkPhotograph(b *testing.B) {
	p := gradient(1500, 1056)
	for seed := uint64(0); b.Loop(); seed++ {
		if _, err := specimen.Photograph(p, seed); err != nil {
			b.Fatal(err)
		}
	}
}
