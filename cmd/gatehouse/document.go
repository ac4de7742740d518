package main

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"gatehouse/engine/document"
)

func documentCommand() command {
	return command{
		name: "document read", args: "FILE…", summary: "read identity documents: MRZ and printed text",
		manual: `
Finds and reads the machine-readable zone (TD1, TD2, TD3, MRV-A, MRV-B) and
prints its lines, fields, check digits, and every character that was repaired
and why. "valid" says that all check digits hold; "trusted" that the recogniser
was also sure of what no check digit covers, or that the printed text confirms
it. The printed text is read too, and compared with the zone (--no-text skips
that: it takes one to three seconds of a core).

A picture without a document gives an empty reading. Barcodes are not read.`,
		flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
			noText := fs.Bool("no-text", false, "read the machine-readable zone only")
			return func(ctx context.Context, c *call, files []string) error {
				return documentRead(ctx, c, files, !*noText)
			}
		},
	}
}

type readDocument struct {
	File string `json:"file"`
	*document.Document
	TimingsMS map[string]float64 `json:"timings_ms"`
}

func documentRead(ctx context.Context, c *call, files []string, text bool) error {
	e, err := c.openEngine()
	if err != nil {
		return err
	}
	defer e.Close()
	today, mode := time.Now(), document.TextNever
	if text {
		mode = document.TextAlways
	}
	return batch(ctx, c, files, e.Workers(), func(ctx context.Context, file string) (readDocument, error) {
		start := time.Now()
		p, err := open(ctx, file)
		if err != nil {
			return readDocument{}, err
		}
		decoded := time.Now()
		d, err := e.Documents.Read(ctx, p, document.Options{Today: today, Text: mode})
		if err != nil {
			return readDocument{}, err
		}
		ms := func(d time.Duration) float64 { return math.Round(10*d.Seconds()*1000) / 10 }
		return readDocument{file, d, map[string]float64{"decode": ms(decoded.Sub(start)), "read": ms(time.Since(decoded))}}, nil
	}, func(r readDocument) { fmt.Fprint(c.out, r.describe()) })
}

func (r readDocument) describe() string {
	var w strings.Builder
	fmt.Fprintf(&w, "%s: %s", r.File, r.Type)
	m := r.MRZ
	if m == nil {
		w.WriteString(", no machine-readable zone\n")
	} else {
		f := &m.Fields
		fmt.Fprintf(&w, ", %s, valid: %t, trusted: %t\n", m.Format, m.Valid, r.Trusted)
		for _, l := range m.Lines {
			fmt.Fprintf(&w, "  %s\n", l)
		}
		for _, p := range [][2]string{{"surname", f.Surname}, {"given names", f.GivenNames}, {"number", f.Number}, {"issuer", f.Issuer}, {"nationality", f.Nationality},
			{"birth", f.Birth.ISO}, {"sex", f.Sex}, {"expiry", f.Expiry.ISO}, {"optional", f.Optional}, {"optional 2", f.Optional2}} {
			if p[1] != "" {
				fmt.Fprintf(&w, "  %-14s %s\n", p[0], p[1])
			}
		}
		for _, name := range slices.Sorted(maps.Keys(m.Checks)) {
			if !m.Checks[name] {
				fmt.Fprintf(&w, "  the check digit of %s does not hold\n", name)
			}
		}
		for _, p := range m.Repairs {
			fmt.Fprintf(&w, "  repaired line %d position %d: %s → %s (%s)\n", p.Line+1, p.Pos+1, p.From, p.To, p.Why)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Fields)) {
		if f := r.Fields[name]; f.Agreement != "" {
			fmt.Fprintf(&w, "  %-14s %s: the printed text says %q\n", name, f.Agreement, f.Visual)
		}
	}
	if len(r.Text) > 0 {
		fmt.Fprintf(&w, "  text:\n")
		for _, t := range r.Text {
			fmt.Fprintf(&w, "    %.2f  %s\n", t.Score, t.Text)
		}
	}
	return w.String()
}
