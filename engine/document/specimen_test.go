package document_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/engine"
	"gatehouse/engine/document"
	"gatehouse/engine/document/mrz"
	"gatehouse/engine/enginetest"
	"gatehouse/engine/specimen"
)

var today = time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)

// draw makes the specimen of a seed; photographed, as a camera sees it.
func draw(t testing.TB, f mrz.Format, seed uint64, photographed bool) *specimen.Specimen {
	t.Helper()
	portrait, err := engine.Decode(context.Background(), enginetest.Asset(t, "samples/obama.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := specimen.Draw(specimen.Options{Format: f, Seed: seed, Portrait: portrait, Today: today, Font: enginetest.Asset(t, "OCRB.otf")})
	if err != nil {
		t.Fatal(err)
	}
	if photographed {
		if s.Image, err = specimen.Photograph(s.Image, seed); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// A hundred documents of all formats, half of them photographed. Not every
// letter of every one is read rightly, and that is said: a reading that is
// called trusted must be the truth.
func TestReadsHundredSpecimens(t *testing.T) {
	e := enginetest.Open(t)
	seeds := uint64(20)
	if testing.Short() { // the race detector is slow, and interested in concurrency alone
		seeds = 2
	}
	type outcome struct {
		name                  string
		exact, valid, trusted bool
		got, want             []string
	}
	var (
		mu  sync.Mutex
		all []outcome
		wg  sync.WaitGroup
	)
	slots := make(chan struct{}, e.Workers())
	for _, f := range mrz.Formats() {
		for seed := range seeds {
			wg.Add(1)
			slots <- struct{}{}
			go func() {
				defer wg.Done()
				defer func() { <-slots }()
				photographed := seed%2 == 1
				s := draw(t, f, seed, photographed)
				d, err := e.Documents.Read(context.Background(), s.Image, document.Options{Today: today, Text: document.TextInDoubt})
				if err != nil {
					t.Error(err)
					return
				}
				o := outcome{name: fmt.Sprintf("%s seed %d photographed %t", f, seed, photographed), want: s.Lines}
				if d.MRZ != nil {
					o.got, o.valid, o.trusted = d.MRZ.Lines, d.MRZ.Valid, d.Trusted
				}
				o.exact = slices.Equal(o.got, o.want)
				if o.exact && (d.MRZ.Format != f || d.Country != "UTO" || d.MRZ.Fields.Number != s.Fields.Number || d.MRZ.Fields.Birth.ISO != s.Fields.Birth.ISO) {
					t.Errorf("%s: fields %+v, want %+v", o.name, d.MRZ.Fields, s.Fields)
				}
				mu.Lock()
				all = append(all, o)
				mu.Unlock()
			}()
		}
	}
	wg.Wait()
	exact, trusted := 0, 0
	for _, o := range all {
		if o.exact {
			exact++
		} else {
			t.Logf("%s valid %t trusted %t\n%s\n%s", o.name, o.valid, o.trusted, strings.Join(o.want, "\n"), strings.Join(o.got, "\n"))
		}
		if o.trusted {
			trusted++
		}
		if o.trusted && !o.exact {
			t.Errorf("%s is trusted and wrong:\n%s\n%s", o.name, strings.Join(o.want, "\n"), strings.Join(o.got, "\n"))
		}
	}
	t.Logf("%d of %d exact, %d trusted", exact, len(all), trusted)
	// All are where this was written; other processors round differently.
	if 100*exact < 97*len(all) || 100*trusted < 95*len(all) {
		t.Errorf("only %d of %d exact, %d trusted", exact, len(all), trusted)
	}
}
