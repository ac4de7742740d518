// Package document reads identity documents: it finds the machine-readable
// zone, reads and mends it, reads the printed text, and says where the two
// agree.
//
// It must never call a reading trusted because its check digits hold alone,
// and never guess what kind of document it sees.
package document

import (
	"context"
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
			return nil, ErrUnsuitable
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
	// Text reads the printed text too: 1 to 3 seconds of a core.
	Text bool
}

// Document is what a picture says.
type Document struct {
	// Type is passport, visa, identity_card, crew_card, driving_licence,
	// residence_permit or unknown.
	Type    string       `json:"type"`
	Country string       `json:"country"`
	MRZ     *mrz.Reading `json:"mrz"`
	Text    []Text       `json:"text,omitempty"`
	// Fields compare the zone with the printed text, where that was read.
	Fields    []CrossCheck `json:"fields,omitempty"`
	Conflicts []CrossCheck `json:"conflicts"`
	Quality   Quality      `json:"quality"`
}

// Text is one printed line; its box in pixels of the original.
type Text struct {
	Text  string     `json:"text"`
	Score float64    `json:"score"` // mean probability of its characters
	Box   [4]float64 `json:"box"`   // x, y, w, h
}

// Read reads one picture. A picture without a document gives an empty reading,
// not an error.
func (r *Reader) Read(ctx context.Context, p *picture.Picture, o Options) (*Document, error) {
	d := &Document{Type: "unknown", Conflicts: []CrossCheck{}}
	zone, err := r.findZone(ctx, p)
	if err != nil {
		return nil, err
	}
	if zone != nil && zone.believable() {
		d.MRZ = &zone.Reading
		if d.MRZ.Fields, err = mrz.Parse(zone.Format, zone.Lines, o.Today); err != nil {
			return nil, err
		}
		d.Country = d.MRZ.Fields.Issuer
		d.Type = typeOf(zone.Format, d.MRZ.Fields.DocumentCode)
	}
	if o.Text {
		if d.Text, err = r.readAll(ctx, p); err != nil {
			return nil, err
		}
		if d.MRZ == nil {
			d.Type = typeByWords(d.Text)
		} else {
			d.crossCheck()
		}
	}
	d.Quality = measure(p, zone)
	return d, nil
}

// believable: a zone, not a page of text that a grammar was forced on.
func (c *candidate) believable() bool {
	return c.Valid || c.ValidShare() >= 0.5 && c.Score > -0.5 || c.Score > agreeScore && c.ValidShare() > 0
}
