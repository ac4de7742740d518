package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"gatehouse"
	"gatehouse/appliance/decide"
	"gatehouse/appliance/verify"
	"gatehouse/engine"
	"gatehouse/engine/document/mrz"
	"gatehouse/engine/picture"
	"gatehouse/engine/specimen"
)

const (
	longSide, shortSide = 4000, 3000 // pixels: a phone's 12 megapixels
	jpegQuality         = 90
	// sensorNoise makes the files as long, and so as slow to decode, as a
	// camera's: enlarged pictures are smooth.
	sensorNoise = 3
)

// inputs are the pictures that speed is measured on, as files.
type inputs struct {
	evidence verify.Evidence
	lines    []string // of the document's zone
}

// makeInputs draws a passport with one picture of a person, photographs it, and
// takes another picture of that person as the selfie.
func makeInputs(ctx context.Context, e *engine.Engine) (*inputs, error) {
	holder, err := sample(ctx, "obama.jpg")
	if err != nil {
		return nil, err
	}
	selfie, err := sample(ctx, "obama2.jpg")
	if err != nil {
		return nil, err
	}
	head, err := portrait(ctx, e, holder)
	if err != nil {
		return nil, err
	}
	font, err := gatehouse.OCRB.Open()
	if err != nil {
		return nil, err
	}
	d, err := specimen.Draw(specimen.Options{Format: mrz.TD3, Seed: 7, Portrait: head, Today: time.Now(), Font: font})
	if err != nil {
		return nil, err
	}
	page, err := specimen.Photograph(d.Image, 7)
	if err != nil {
		return nil, err
	}
	in := &inputs{lines: d.Lines}
	if in.evidence.Document, err = camera(page, longSide, shortSide); err != nil {
		return nil, err
	}
	if in.evidence.Selfie, err = camera(selfie, shortSide, longSide); err != nil {
		return nil, err
	}
	return in, in.check(ctx, e)
}

// check makes sure that the work is done whose time is taken.
func (in *inputs) check(ctx context.Context, e *engine.Engine) error {
	rules, err := decide.Default()
	if err != nil {
		return err
	}
	r, err := verify.New(e, rules, time.Now).Verify(ctx, in.evidence)
	switch {
	case err != nil:
		return err
	case r.Document.MRZ == nil || !slices.Equal(r.Document.MRZ.Lines, in.lines):
		return errors.New("the specimen was not read right: its time would mean nothing")
	case r.Face.Comparison == nil || !r.Face.Comparison.Match:
		return errors.New("the selfie did not match the specimen: its time would mean nothing")
	}
	return nil
}

func sample(ctx context.Context, name string) (*picture.Picture, error) {
	b, err := os.ReadFile(samplePath(name))
	if err != nil {
		return nil, fmt.Errorf("%w; run make assets, at the root of the repository", err)
	}
	return engine.Decode(ctx, b)
}

// portrait cuts head and shoulders out, as a passport shows them.
func portrait(ctx context.Context, e *engine.Engine, p *picture.Picture) (*picture.Picture, error) {
	found, err := e.Faces.Detect(ctx, p)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, errors.New("no face in the sample picture")
	}
	const width, height, faceShare = 700, 900, 0.55
	b, k := found[0].Box, p.Reduction()
	h := b.H / k / faceShare
	w := h * width / height
	return p.Extract(width, height, picture.Crop((b.X+b.W/2)/k-w/2, (b.Y+b.H/2)/k-0.48*h, w, h, width, height), picture.Replicate), nil
}

// camera enlarges a picture to a phone's size, its border drawn out to fill
// the frame, and writes the file that a phone would.
func camera(p *picture.Picture, width, height int) ([]byte, error) {
	w, h := float64(p.Width), float64(p.Height)
	k := max(w/float64(width), h/float64(height))
	fw, fh := k*float64(width), k*float64(height)
	big := p.Extract(width, height, picture.Crop((w-fw)/2, (h-fh)/2, fw, fh, width, height), picture.Replicate)
	var b bytes.Buffer
	err := specimen.WriteJPEG(&b, noisy(big, sensorNoise), jpegQuality)
	return b.Bytes(), err
}

// samplePath names one of the sample pictures that make assets fetches.
func samplePath(name string) string { return filepath.Join(buildDir, "assets", "samples", name) }
