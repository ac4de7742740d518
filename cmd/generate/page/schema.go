package main

import (
	"fmt"
	"html"
	"html/template"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// member is one line of a schema's table.
type member struct {
	Name     string
	Type     template.HTML
	Required bool
	Text     string
}

// members of an object, those that are required first, and of the objects in
// it that have no name of their own.
func members(s *openapi3.Schema, prefix string) []member {
	names := slices.Clone(s.Required)
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		if !slices.Contains(s.Required, name) {
			names = append(names, name)
		}
	}
	var all []member
	for _, name := range names {
		p := s.Properties[name]
		if p == nil {
			continue
		}
		m := member{Name: prefix + name, Type: typed(p), Required: slices.Contains(s.Required, name)}
		if p.Ref == "" {
			m.Text = p.Value.Description
		}
		all = append(all, m)
		switch {
		case p.Ref != "":
		case p.Value.Type.Is("array") && p.Value.Items.Ref == "":
			all = append(all, members(p.Value.Items.Value, m.Name+"[].")...)
		default:
			all = append(all, members(p.Value, m.Name+".")...)
		}
	}
	return all
}

// typed says what a value is, with its limits; a schema with a name is linked.
func typed(ref *openapi3.SchemaRef) template.HTML {
	if ref == nil {
		return ""
	}
	if ref.Ref != "" {
		return link(ref.Ref)
	}
	s := ref.Value
	kind := strings.Join(s.Type.Slice(), " or ")
	switch {
	case s.Type.Is("array"):
		kind = "list of " + string(typed(s.Items)) + between(s.MinItems, s.MaxItems, "items")
	case s.Format == "binary":
		kind = "bytes"
	case s.Format != "" && s.Type.Is("string"):
		kind = html.EscapeString(s.Format)
	case s.Format != "":
		kind = html.EscapeString(s.Format) + " " + kind
	}
	if s.Type.Is("object") {
		switch a := s.AdditionalProperties; {
		case a.Schema != nil:
			kind = "object, each member: " + string(typed(a.Schema))
		case a.Has != nil && *a.Has && len(s.Properties) == 0:
			kind = "object with any members"
		}
	}
	if s.Type.Is("string") {
		kind += between(s.MinLength, s.MaxLength, "characters")
	}
	kind += numeric(s)
	if s.Pattern != "" {
		kind += ", matches <code>" + html.EscapeString(s.Pattern) + "</code>"
	}
	if s.Nullable {
		kind += " or null"
	}
	if len(s.Enum) > 0 {
		var values []string
		for _, v := range s.Enum {
			values = append(values, "<code>"+html.EscapeString(fmt.Sprint(v))+"</code>")
		}
		kind += ": " + strings.Join(values, ", ")
	}
	return template.HTML(kind)
}

// link to a component by its reference.
func link(ref string) template.HTML {
	name := html.EscapeString(ref[strings.LastIndexByte(ref, '/')+1:])
	return template.HTML(`<a href="#schema-` + name + `">` + name + `</a>`)
}

func between(low uint64, high *uint64, what string) string {
	switch {
	case high != nil && low > 0:
		return fmt.Sprintf(", %d to %d %s", low, *high, what)
	case high != nil:
		return fmt.Sprintf(", at most %d %s", *high, what)
	case low > 0:
		return fmt.Sprintf(", at least %d %s", low, what)
	}
	return ""
}

func numeric(s *openapi3.Schema) string {
	text := func(v *float64) string { return strconv.FormatFloat(*v, 'f', -1, 64) }
	switch {
	case s.Min != nil && s.Max != nil:
		return ", " + text(s.Min) + " to " + text(s.Max)
	case s.Min != nil:
		return ", at least " + text(s.Min)
	case s.Max != nil:
		return ", at most " + text(s.Max)
	}
	return ""
}
