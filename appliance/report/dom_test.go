package report_test

import (
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// dom is what a strict reader found in a page.
type dom struct {
	tables  map[string][][]string // by the id of the caption
	tags    map[string]int
	ids     map[string]bool
	links   []string
	heads   []string
	text    string
	style   string
	attrs   []xml.Attr
	plots   int // of them
	titled  int // with title and description
	lang    string
	policy  string
	columns map[string][]string
}

func read(t testing.TB, page string) *dom {
	t.Helper()
	out := &dom{tables: map[string][][]string{}, tags: map[string]int{}, ids: map[string]bool{}, columns: map[string][]string{}}
	d := xml.NewDecoder(strings.NewReader(page)) // strict: every element is closed, every entity known
	var open []string
	var cell *string
	table, plot := "", 0
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("the page is not well-formed: %v", err)
		}
		switch e := tok.(type) {
		case xml.StartElement:
			name := e.Name.Local
			open = append(open, name)
			out.tags[name]++
			out.attrs = append(out.attrs, e.Attr...)
			attr := map[string]string{}
			for _, a := range e.Attr {
				attr[a.Name.Local] = a.Value
			}
			if id := attr["id"]; id != "" {
				if out.ids[id] {
					t.Errorf("two elements have the id %q", id)
				}
				out.ids[id] = true
			}
			switch name {
			case "html":
				out.lang = attr["lang"]
			case "meta":
				if attr["http-equiv"] == "Content-Security-Policy" {
					out.policy = attr["content"]
				}
			case "a":
				out.links = append(out.links, attr["href"])
			case "h1", "h2", "h3", "h4", "h5", "h6":
				out.heads = append(out.heads, name)
			case "caption":
				table = attr["id"]
			case "tr":
				if slices.Contains(open, "tbody") {
					out.tables[table] = append(out.tables[table], nil)
				}
			case "td", "th":
				cell = new(string)
			case "svg":
				if plot = 0; attr["aria-hidden"] != "true" {
					out.plots++
				}
			case "title", "desc":
				if slices.Contains(open, "svg") && attr["id"] != "" {
					if plot++; plot == 2 {
						out.titled++
					}
				}
			}
		case xml.EndElement:
			if name := e.Name.Local; name == "td" || name == "th" {
				if slices.Contains(open, "tbody") {
					rows := out.tables[table]
					rows[len(rows)-1] = append(rows[len(rows)-1], *cell)
				} else {
					out.columns[table] = append(out.columns[table], *cell)
				}
				cell = nil
			}
			open = open[:len(open)-1]
		case xml.CharData:
			if cell != nil {
				*cell += string(e)
			}
			if slices.Contains(open, "style") {
				out.style += string(e)
			} else {
				out.text += string(e)
			}
		}
	}
}
