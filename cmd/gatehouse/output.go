package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"gatehouse/engine/picture"
)

// problem is an error as JSON (the members of RFC 9457 that apply).
type problem struct {
	Title  string `json:"title"`
	Detail string `json:"detail"`
	File   string `json:"file,omitempty"`
	Exit   int    `json:"exit_code"`
}

// output is stdout. It remembers the first error: a result that could not be
// printed is a failure.
type output struct {
	w   io.Writer
	err error
}

func (o *output) Write(b []byte) (int, error) {
	if o.err != nil {
		return 0, o.err
	}
	n, err := o.w.Write(b)
	o.err = err
	return n, err
}

// fail prints an error as one sentence on stderr, with --json also as an
// object, and gives the exit code.
func (c *call) fail(err error) int {
	p := describe(err)
	fmt.Fprintf(c.err, "gatehouse: %s\n", p.Detail)
	if c.json || c.jsonl {
		c.print(map[string]problem{"error": p})
	}
	return p.Exit
}

func describe(err error) problem {
	p := problem{Title: "failure", Detail: err.Error(), Exit: exitFailure}
	var in *inputError
	if errors.As(err, &in) {
		p.Title, p.File, p.Exit = "input refused", in.file, exitRefused
	}
	if errors.Is(err, context.Canceled) {
		p.Title, p.Detail = "interrupted", "interrupted before it was done"
	}
	if rest, ok := strings.CutPrefix(p.Detail, errUsage.Error()+": "); ok && errors.Is(err, errUsage) {
		p.Title, p.Detail, p.Exit = "wrong usage", rest, exitUsage
	}
	p.Detail = oneLine(p.Detail)
	return p
}

// oneLine keeps what a file's name holds from breaking the sentence or
// reaching the terminal's controls.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}

// print writes a value as JSON: indented, or with --jsonl on one line.
func (c *call) print(v any) {
	enc := json.NewEncoder(c.out)
	enc.SetEscapeHTML(false)
	if !c.jsonl {
		enc.SetIndent("", "  ")
	}
	if err := enc.Encode(v); err != nil && c.out.err == nil {
		c.out.err = err
	}
}

// refusal is the error of a file in a batch.
type refusal struct {
	File  string  `json:"file"`
	Error problem `json:"error"`
}

// batch runs one function over many files, several at a time, and prints the
// results in order. A bad file does not stop it; the end says how many were.
func batch[T any](ctx context.Context, c *call, files []string, parallel int, do func(context.Context, string) (T, error), human func(T)) error {
	if len(files) == 0 {
		return fmt.Errorf("%w: it needs at least one file", errUsage)
	}
	type outcome struct {
		v   T
		err error
	}
	results := make([]chan outcome, len(files))
	for i := range results {
		results[i] = make(chan outcome, 1)
	}
	slots := make(chan struct{}, max(1, parallel))
	go func() {
		for i, f := range files {
			slots <- struct{}{}
			go func() {
				defer func() { <-slots }()
				v, err := do(ctx, f)
				results[i] <- outcome{v, err}
			}()
		}
	}()
	bad := 0
	var all []any
	for i, f := range files {
		r := <-results[i]
		if errors.Is(r.err, context.Canceled) {
			return r.err
		}
		var line any = r.v
		if r.err != nil {
			bad++
			p := describe(r.err)
			c.exit = max(c.exit, p.Exit)
			fmt.Fprintf(c.err, "gatehouse: %s\n", p.Detail)
			line = refusal{f, p}
		}
		switch {
		case c.jsonl:
			c.print(line)
		case c.json:
			all = append(all, line)
		case r.err == nil:
			human(r.v)
		}
	}
	if c.json && !c.jsonl {
		if len(all) == 1 {
			c.print(all[0])
		} else {
			c.print(all)
		}
	}
	if bad > 0 {
		if len(files) > 1 {
			fmt.Fprintf(c.err, "gatehouse: %d of %d files failed\n", bad, len(files))
		}
		return errReported
	}
	return nil
}

// refused turns a picture's own errors into an input error with the file's
// name and a remedy.
func refused(file string, err error) error {
	if !picture.Refused(err) {
		return err
	}
	remedy := ""
	switch {
	case errors.Is(err, picture.ErrUnsupported) && strings.Contains(err.Error(), ";"): // it brings its own
	case errors.Is(err, picture.ErrEmpty):
		remedy = "; copy it again"
	case errors.Is(err, picture.ErrUnsupported):
		remedy = "; save it as JPEG, PNG or WebP"
	case errors.Is(err, picture.ErrTooLarge):
		remedy = "; save it smaller"
	case errors.Is(err, picture.ErrTruncated), errors.Is(err, picture.ErrCorrupt):
		remedy = "; copy it again or take another picture"
	}
	return &inputError{file, fmt.Errorf("%w%s", err, remedy)}
}

// tick is a passed mark for tables.
func tick(ok bool) string {
	if ok {
		return "passed"
	}
	return "FAILED"
}

func row(w *strings.Builder, name, value, rest string) {
	fmt.Fprintf(w, "  %-34s %-22s %s\n", name, value, rest)
}
