// Package specimen draws synthetic identity documents of the fictional state
// UTO (Utopia), for tests and demonstrations, and what a camera makes of them.
//
// It must never draw the document of a real state, and everything it draws
// says SPECIMEN. The same options give the same bytes.
package specimen

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"gatehouse/engine/document/mrz"
	"gatehouse/engine/picture"
)

// state is the code that Doc 9303-3, section 5 keeps for specimens.
const state = "UTO"

// Options say what to draw.
type Options struct {
	Format mrz.Format
	// Seed settles everything not given. It invents the same person in every
	// format.
	Seed uint64
	// Portrait fills the portrait window; what does not fit its shape is cut
	// off evenly.
	Portrait *picture.Picture
	// Fields are invented from the seed where nil. Names may have diacritics:
	// the visual zone shows them.
	Fields *mrz.Fields
	// Today is the day of the drawing: the holder is an adult, the document
	// valid for one to nine years.
	Today time.Time
	// Font is an OpenType font of OCR-B for the machine-readable zone.
	Font []byte
}

// Specimen is a drawn document and the truth about it.
type Specimen struct {
	Image *picture.Picture
	// Fields are as printed in the visual zone; Lines hold their
	// transliteration.
	Fields mrz.Fields
	Lines  []string
	Format mrz.Format
}

// Streams of random numbers, so that given fields do not change the paper.
const (
	streamFields = iota + 1
	streamPaper
	streamCamera
)

func stream(seed, which uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, which)) }

// Draw draws one document.
func Draw(o Options) (*Specimen, error) {
	l, ok := layouts[o.Format]
	if !ok {
		return nil, fmt.Errorf("%w: unknown format %q", mrz.ErrFormat, o.Format)
	}
	if err := whole(o.Portrait); err != nil {
		return nil, fmt.Errorf("portrait: %w", err)
	}
	if o.Today.IsZero() {
		return nil, errors.New("today is not given")
	}
	fields := o.Fields
	if fields == nil {
		fields = invent(o.Format, stream(o.Seed, streamFields), o.Today)
	}
	if fields.Issuer != state {
		return nil, fmt.Errorf("issuer %q: only documents of %s are drawn", fields.Issuer, state)
	}
	lines, err := mrz.Compose(o.Format, *fields)
	if err != nil {
		return nil, err
	}
	read, err := mrz.Parse(o.Format, lines, o.Today)
	if err != nil {
		return nil, err
	}
	printed := *fields
	printed.Birth, printed.Expiry, printed.NameTruncated = read.Birth, read.Expiry, read.NameTruncated

	c, err := newCanvas(l.width, l.height, o.Font)
	if err != nil {
		return nil, err
	}
	c.paper(l, stream(o.Seed, streamPaper))
	c.portrait(l.portrait, o.Portrait)
	if err := c.visualZone(l, printed); err != nil {
		return nil, err
	}
	if err := c.machineZone(l, lines); err != nil {
		return nil, err
	}
	return &Specimen{Image: fromImage(c.img), Fields: printed, Lines: lines, Format: o.Format}, nil
}

// whole checks that a picture has all its pixels.
func whole(p *picture.Picture) error {
	switch {
	case p == nil:
		return errors.New("no picture")
	case p.Width <= 0 || p.Height <= 0 || len(p.Pix) != 3*p.Width*p.Height:
		return fmt.Errorf("%d bytes are not a picture of %d×%d", len(p.Pix), p.Width, p.Height)
	}
	return nil
}
