package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"sort"
	"strings"
	"time"

	"gatehouse/appliance/decide"
	"gatehouse/appliance/verify"
	"gatehouse/engine"
)

func verifyCommand() command {
	return command{
		name: "verify", summary: "verify a person from a document and a selfie",
		args: "--document FILE [--document-back FILE] --selfie FILE [--frame FILE…]",
		manual: `
Reads the document's machine-readable zone, compares the portrait with the
selfie, checks liveness, and decides: accepted, review or rejected. Prints the
decision with its reasons, every signal with its threshold and, for
similarities, the false match rate (FMR) that it corresponds to, and the time
of each stage.

The decision follows one fixed set of rules: the zone valid and read with
certainty, dates possible, the document not expired, one face in the selfie,
live, and the same person at the pack's match threshold. Between the review and
the match threshold, and wherever something could not be measured, the outcome
is review.

--frame may be given several times: more frames of the same capture, fused
into the liveness signal. They must show the person of the selfie.

Example:
  gatehouse verify --document passport.jpg --selfie selfie.jpg --json`,
		flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
			var v verifyFiles
			fs.StringVar(&v.document, "document", "", "picture `FILE` of the document's data page or front")
			fs.StringVar(&v.back, "document-back", "", "picture `FILE` of the document's back")
			fs.StringVar(&v.selfie, "selfie", "", "picture `FILE` of the person")
			fs.Func("frame", "another picture `FILE` of the same capture; may be repeated", func(s string) error {
				v.frames = append(v.frames, s)
				return nil
			})
			return v.run
		},
	}
}

type verifyFiles struct {
	document, back, selfie string
	frames                 []string
}

func (v *verifyFiles) run(ctx context.Context, c *call, args []string) error {
	if v.document == "" || v.selfie == "" || len(args) > 0 {
		return fmt.Errorf("%w: it needs --document FILE and --selfie FILE", errUsage)
	}
	in, err := v.read(ctx)
	if err != nil {
		return err
	}
	rules, err := decide.Default()
	if err != nil {
		return err
	}
	e, err := c.openEngine()
	if err != nil {
		return err
	}
	defer e.Close()
	r, err := verify.New(e, rules, time.Now).Verify(ctx, in)
	if err != nil {
		return v.named(err)
	}
	if c.json || c.jsonl {
		c.print(r)
		return nil
	}
	fmt.Fprint(c.out, summary(r))
	return nil
}

func (v *verifyFiles) read(ctx context.Context) (in verify.Evidence, err error) {
	for _, f := range []struct {
		name string
		to   *[]byte
	}{{v.document, &in.Document}, {v.back, &in.DocumentBack}, {v.selfie, &in.Selfie}} {
		if f.name == "" {
			continue
		}
		if *f.to, err = readFile(ctx, f.name); err != nil {
			return in, err
		}
	}
	for _, name := range v.frames {
		b, err := readFile(ctx, name)
		if err != nil {
			return in, err
		}
		in.Frames = append(in.Frames, b)
	}
	return in, nil
}

// named gives a refused picture its file's name.
func (v *verifyFiles) named(err error) error {
	var in *verify.InputError
	if !errors.As(err, &in) {
		return err
	}
	file := map[verify.Input]string{verify.DocumentFront: v.document, verify.DocumentBack: v.back, verify.Selfie: v.selfie}[in.Input]
	if in.Input == verify.Frame {
		file = v.frames[in.Index]
	}
	return refused(file, in.Err)
}

func summary(r *verify.Result) string {
	var w strings.Builder
	fmt.Fprintf(&w, "Decision: %s\n", strings.ToUpper(string(r.Decision)))
	for _, reason := range r.Reasons {
		fmt.Fprintf(&w, "  %s: %s\n", reason.Outcome, reason.Text)
	}
	if m := r.Document.MRZ; m != nil {
		f := m.Fields
		fmt.Fprintf(&w, "\nDocument: %s of %s, number %s\n  %s, %s; born %s, %s; expires %s\n", r.Document.Type, f.Issuer, f.Number, f.Surname, f.GivenNames, f.Birth.ISO, f.Sex, f.Expiry.ISO)
		for _, l := range m.Lines {
			fmt.Fprintf(&w, "  %s\n", l)
		}
	}
	w.WriteString("\nSignals:\n")
	for _, s := range r.Signals {
		row(&w, s.Name, value(s), string(s.Status)+about(s))
	}
	w.WriteString("\nTime (ms):\n")
	var stages []string
	for s := range r.TimingsMS {
		if s != "total" {
			stages = append(stages, s)
		}
	}
	sort.Strings(stages)
	for _, s := range append(stages, "total") {
		fmt.Fprintf(&w, "  %-34s %8.1f\n", s, r.TimingsMS[s])
	}
	return w.String()
}

func value(s engine.Signal) string {
	switch {
	case s.Value == nil:
		return "–"
	case s.Unit == "boolean":
		return map[bool]string{true: "yes", false: "no"}[*s.Value != 0]
	}
	v := fmt.Sprintf("%.4g %s", *s.Value, s.Unit)
	if s.Threshold != nil {
		v = fmt.Sprintf("%.4f (%.4g)", *s.Value, *s.Threshold)
	}
	return v
}

func about(s engine.Signal) string {
	out := ""
	if s.FMR != nil {
		out += fmt.Sprintf(", FMR ≤ %.1e", *s.FMR)
	}
	if s.Note != "" {
		out += "; " + s.Note
	}
	return out
}
