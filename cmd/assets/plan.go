package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// packFile is the model pack; packDir is how the lock names its entries.
const (
	packFile = "default.pack"
	packDir  = packFile + "/"
)

// part is what one file brings to an output.
type part struct {
	from    string // for headings and errors
	bytes   int64
	sha256  string
	content []byte // known from the start, or filled in by the build
}

// output is a file of build/assets, or an entry of the pack.
type output struct {
	name  string
	parts []part
}

// text tells whether the parts are joined under headings. Other outputs have
// one part and are that part.
func (o *output) text() bool { return strings.HasSuffix(o.name, ".txt") }

// plan is everything that the lock asks for: first the files, by name, and
// then the entries of the pack, in the lock's order.
type plan struct {
	files []*output
	pack  []*output
}

// newPlan makes the plan from the lock, the repository's own files and, for
// their licences, the Go modules.
func newPlan(ctx context.Context, l *lock, root string, offline bool) (*plan, error) {
	byName := map[string]*output{}
	p := &plan{}
	add := func(name string, x part) {
		o := byName[name]
		if o == nil {
			o = &output{name: strings.TrimPrefix(name, packDir)}
			byName[name] = o
			if strings.HasPrefix(name, packDir) {
				p.pack = append(p.pack, o)
			} else {
				p.files = append(p.files, o)
			}
		}
		o.parts = append(o.parts, x)
	}
	for i := range l.Artefacts {
		a := &l.Artefacts[i]
		for _, f := range a.Files {
			x := part{from: a.name() + ": " + f.Path, bytes: f.Bytes, sha256: f.SHA256}
			if c := f.Converted; c != nil {
				x.bytes, x.sha256 = c.Bytes, c.SHA256
			}
			for _, name := range f.Becomes {
				add(name, x)
			}
		}
	}
	for _, own := range l.Own {
		b, err := os.ReadFile(filepath.Join(root, own.Path))
		if err != nil {
			return nil, fmt.Errorf("own file of the repository: %w", err)
		}
		title := cmp.Or(own.Title, own.Path)
		for _, name := range own.Becomes {
			add(name, known(title, b))
		}
	}
	if l.GoLicences != "" {
		parts, err := goLicences(ctx, root, offline)
		if err != nil {
			return nil, err
		}
		for _, x := range parts {
			add(l.GoLicences, x)
		}
	}
	sort.Slice(p.files, func(i, j int) bool { return p.files[i].name < p.files[j].name })
	for name, o := range byName {
		if len(o.parts) > 1 && !o.text() {
			return nil, fmt.Errorf("%w: %d files become %s; only texts are joined", errLock, len(o.parts), name)
		}
	}
	return p, nil
}

// known is a part whose contents need no fetching.
func known(from string, b []byte) part {
	return part{from: from, bytes: int64(len(b)), sha256: sha(b), content: b}
}

func heading(x part) string {
	rule := strings.Repeat("=", 78)
	return rule + "\n" + x.from + "\n" + rule + "\n\n"
}

const textEnd = "\n\n"

// join gives the contents of an output.
func (o *output) join() []byte {
	if !o.text() {
		return o.parts[0].content
	}
	var b []byte
	for _, x := range o.parts {
		b = append(b, heading(x)...)
		b = append(b, x.content...)
		b = append(b, textEnd...)
	}
	return b
}

// verify checks contents against the plan without needing the parts' own.
func (o *output) verify(b []byte) error {
	if !o.text() {
		return same(o.name, b, o.parts[0].bytes, o.parts[0].sha256)
	}
	for _, x := range o.parts {
		rest, ok := bytes.CutPrefix(b, []byte(heading(x)))
		if !ok || int64(len(rest)) < x.bytes {
			return fmt.Errorf("%s %w: the text of %s is not where it belongs", o.name, errChanged, x.from)
		}
		if err := same(o.name+": "+x.from, rest[:x.bytes], x.bytes, x.sha256); err != nil {
			return err
		}
		if b, ok = bytes.CutPrefix(rest[x.bytes:], []byte(textEnd)); !ok {
			return fmt.Errorf("%s %w: the text of %s goes on", o.name, errChanged, x.from)
		}
	}
	if len(b) > 0 {
		return fmt.Errorf("%s %w: %d bytes too many", o.name, errChanged, len(b))
	}
	return nil
}

// find gives the output of a name as the lock has it.
func (p *plan) find(name string) *output {
	list := p.files
	if e, ok := strings.CutPrefix(name, packDir); ok {
		name, list = e, p.pack
	}
	for _, o := range list {
		if o.name == name {
			return o
		}
	}
	return nil
}
