// Package document reads identity documents: it finds the machine-readable
// zone, reads and mends it, reads the printed text, and says where the two
// agree.
//
// It must never call a reading trusted because its check digits hold alone,
// and never guess what kind of document it sees.
package document

import (
	"context"
	"fmt"
	"sync"
	"time"

	"gatehouse/engine/document/mrz"
	"gatehouse/engine/onnx"
	"gatehouse/engine/pack"
	"gatehouse/engine/picture"
)

// Reader holds the text networks of a pack. Safe for concurrent use.
type Reader struct {
	detector, recogniser *onnx.Network

	once sync.Once
	abc  *alphabet
	err  error
}

// New takes the text models from a pack. Nothing is loaded before its first
// use.
func New(rt *onnx.Runtime, p *pack.Pack) (*Reader, error) {
	r := &Reader{}
	for _, n := range []struct {
		net  **onnx.Network
		task pack.Task
	}{{&r.detector, pack.TextDetect}, {&r.recogniser, pack.TextRecognise}} {
		m, err := p.One(n.task)
		if err != nil {
			return nil, err
		}
		if len(m.Outputs) != 1 || m.Input.Batch > 1 || m.Input.Width != 0 || m.Input.Layout != pack.NCHW {
			return nil, fmt.Errorf("%s: %w: %s takes NCHW of any width in a batch of 1 or any, and has one output", m.File.Name, ErrUnsuitable, n.task)
		}
		*n.net = rt.NewNetwork(p, m)
	}
	return r, nil
}

// Networks lists the reader's networks.
func (r *Reader) Networks() []*onnx.Network { return []*onnx.Network{r.detector, r.recogniser} }

// dictionaryKey is where PaddleOCR's exports keep the alphabet.
const dictionaryKey = "character"

func (r *Reader) alphabet() (*alphabet, error) {
	r.once.Do(func() {
		var dictionary string
		if dictionary, r.err = r.recogniser.Metadata(dictionaryKey); r.err == nil {
			r.abc, r.err = newAlphabet(dictionary)
		}
	})
	return r.abc, r.err
}

// Options say what to read.
type Options struct {
	// Today resolves two-digit years.
	Today time.Time
	// Text says when to read the printed text too: 1 to 3 seconds of a core.
	Text TextMode
}

// TextMode says when the printed text is read.
type TextMode int

const (
	TextNever   TextMode = iota
	TextInDoubt          // where the zone is valid and not trusted by itself
	TextAlways
)

// Document is what a picture says.
type Document struct {
	// Type is passport, visa, identity_card, crew_card, driving_licence,
	// residence_permit or unknown.
	Type    string       `json:"type"`
	Country string       `json:"country"`
	MRZ     *mrz.Reading `json:"mrz"`
	// Trusted: the zone is trusted by itself, or it is valid and the printed
	// text confirms its names and number.
	Trusted bool `json:"trusted"`
	// Text is empty where it was not asked for.
	Text []Text `json:"text"`
	// Fields are the zone's values, with what the printed text says of them
	// where that was read.
	Fields    map[string]Field `json:"fields"`
	Conflicts []Conflict       `json:"conflicts"`
	Quality   Quality          `json:"quality"`
}

// Text is one printed line; its box in pixels of the original.
type Text struct {
	Text  string     `json:"text"`
	Score float64    `json:"score"` // mean probability of its characters
	Box   [4]float64 `json:"box"`   // x, y, w, h
}

// minSide is the least long side of a picture that can hold a zone: 30
// characters of 5 pixels, of which nothing can be read reliably as it is.
const minSide = 150

// Read reads one picture. A picture without a document gives an empty reading,
// not an error.
func (r *Reader) Read(ctx context.Context, p *picture.Picture, o Options) (*Document, error) {
	d := &Document{Type: Unknown, Text: []Text{}, Fields: map[string]Field{}, Conflicts: []Conflict{}}
	if max(p.Width, p.Height) < minSide {
		d.Quality = measure(p, nil)
		return d, ctx.Err()
	}
	zone, err := r.findZone(ctx, p)
	if err != nil {
		return nil, err
	}
	right := vec{1, 0}
	if zone != nil && zone.believable() {
		right = zone.right()
		d.MRZ = &zone.Reading
		if d.MRZ.Fields, err = mrz.Parse(zone.Format, zone.Lines, o.Today); err != nil {
			return nil, err
		}
		d.Country = d.MRZ.Fields.Issuer
		d.Type = typeOf(zone.Format, d.MRZ.Fields.DocumentCode)
		d.fillFields()
		d.Trusted = d.MRZ.Trusted
	}
	if o.Text == TextAlways || o.Text == TextInDoubt && d.MRZ != nil && d.MRZ.Valid && !d.MRZ.Trusted {
		if d.Text, err = r.readAll(ctx, p, right); err != nil {
			return nil, err
		}
		if d.MRZ == nil {
			d.Type = typeByWords(d.Text)
		} else {
			d.crossCheck()
			d.Trusted = d.Trusted || d.MRZ.Valid && d.confirms()
		}
	}
	d.Quality = measure(p, zone)
	return d, nil
}

// believable: a zone, not a page of text that a grammar was forced on.
func (c *candidate) believable() bool {
	return c.Valid || c.ValidShare() >= 0.5 && c.Score > -0.5 || c.Score > agreeScore && c.ValidShare() > 0
}
