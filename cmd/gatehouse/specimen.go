package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"gatehouse"
	"gatehouse/engine"
	"gatehouse/engine/document/mrz"
	"gatehouse/engine/face"
	"gatehouse/engine/picture"
	"gatehouse/engine/specimen"
)

func specimenCommand() command {
	return command{
		name: "specimen", args: "--portrait FILE --out FILE", summary: "draw a synthetic document of the fictional state UTO",
		manual: `
Draws an identity document of Utopia (UTO) with an invented holder, the largest
face of the portrait, a visual zone and a machine-readable zone in OCR-B, for
tests and demonstrations. The same seed draws the same document on the same
day. --camera photographs it: perspective, blur, noise, glare, shadow, JPEG.

The end of --out chooses the format: .png, .jpg or .jpeg.`,
		flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
			var s specimenFlags
			fs.StringVar(&s.portrait, "portrait", "", "picture `FILE` of a face")
			fs.StringVar(&s.out, "out", "", "write the document to this `FILE`")
			fs.StringVar(&s.format, "format", "td3", "`FORMAT`: td1, td2, td3, mrva or mrvb")
			fs.Uint64Var(&s.seed, "seed", 1, "`N` chooses the holder and the camera's faults")
			fs.BoolVar(&s.camera, "camera", false, "photograph the document")
			return s.run
		},
	}
}

type specimenFlags struct {
	portrait, out, format string
	seed                  uint64
	camera                bool
}

type drawn struct {
	File   string     `json:"file"`
	Format mrz.Format `json:"format"`
	Lines  []string   `json:"lines"`
	Fields mrz.Fields `json:"fields"`
}

func (s *specimenFlags) run(ctx context.Context, c *call, args []string) error {
	formats := map[string]mrz.Format{"td1": mrz.TD1, "td2": mrz.TD2, "td3": mrz.TD3, "mrva": mrz.MRVA, "mrvb": mrz.MRVB}
	format, ok := formats[strings.ToLower(s.format)]
	ext := strings.ToLower(filepath.Ext(s.out))
	switch {
	case s.portrait == "" || s.out == "" || len(args) > 0:
		return fmt.Errorf("%w: it needs --portrait FILE and --out FILE", errUsage)
	case !ok:
		return fmt.Errorf("%w: unknown format %q", errUsage, s.format)
	case ext != ".png" && ext != ".jpg" && ext != ".jpeg":
		return fmt.Errorf("%w: --out must end in .png, .jpg or .jpeg", errUsage)
	}
	p, err := open(ctx, s.portrait)
	if err != nil {
		return err
	}
	font, err := gatehouse.OCRB.Open()
	if err != nil {
		return err
	}
	e, err := c.openEngine()
	if err != nil {
		return err
	}
	defer e.Close()
	head, err := portrait(ctx, e, p, s.portrait)
	if err != nil {
		return err
	}
	d, err := specimen.Draw(specimen.Options{Format: format, Seed: s.seed, Portrait: head, Today: time.Now(), Font: font})
	if err != nil {
		return err
	}
	page := d.Image
	if s.camera {
		if page, err = specimen.Photograph(page, s.seed); err != nil {
			return err
		}
	}
	var b bytes.Buffer
	if ext == ".png" {
		err = specimen.WritePNG(&b, page)
	} else {
		const quality = 92 // high enough to leave the camera's own JPEG as it is
		err = specimen.WriteJPEG(&b, page, quality)
	}
	if err != nil {
		return err
	}
	if err := writeWhole(s.out, b.Bytes()); err != nil {
		return err
	}
	if c.json || c.jsonl {
		c.print(drawn{s.out, d.Format, d.Lines, d.Fields})
		return nil
	}
	fmt.Fprintf(c.out, "%s: %s of %s %s, %d×%d pixels\n  %s\n", s.out, d.Format, d.Fields.GivenNames, d.Fields.Surname, page.Width, page.Height, strings.Join(d.Lines, "\n  "))
	return nil
}

// portrait cuts head and shoulders out, 35:45, the face about half as high
// (Doc 9303-3: 70–80 % from chin to crown, which is 1.4 detector boxes).
func portrait(ctx context.Context, e *engine.Engine, p *picture.Picture, file string) (*picture.Picture, error) {
	found, err := e.Faces.Detect(ctx, p)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, &inputError{file, fmt.Errorf("%w; give a portrait", face.ErrNoFace)}
	}
	const faceShare, width, height = 0.55, 700, 900
	k := p.Reduction()
	b := found[0].Box
	h := b.H / k / faceShare
	w := h * width / height
	x, y := (b.X+b.W/2)/k-w/2, (b.Y+b.H/2)/k-h*0.48
	return p.Extract(width, height, picture.Crop(x, y, w, h, width, height), picture.Replicate), nil
}

// writeWhole writes a file so that it is there whole or not at all.
func writeWhole(name string, b []byte) (err error) {
	defer func() {
		var why syscall.Errno // without the temporary file's name
		if errors.As(err, &why) {
			err = fmt.Errorf("%s cannot be written: %w; give --out a file in an existing directory where this user may write", name, why)
		}
	}()
	f, err := os.CreateTemp(filepath.Dir(name), ".gatehouse-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(b); err != nil {
		f.Close()
		return err
	}
	if err = f.Chmod(0o644); err != nil {
		f.Close()
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
