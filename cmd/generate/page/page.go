package main

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"gatehouse/appliance/access"
	"gatehouse/appliance/problem"
)

//go:embed page.html
var layout string

// document is what the page shows.
type document struct {
	Title, Version string
	Intro          template.HTML
	Tags           []tag
	Schemas        []schema
	Problems       []kind
	Failure        string // an example
}

type tag struct {
	Name, Text string
	Operations []operation
}

type operation struct {
	ID, Method, Path, Summary string
	Text                      template.HTML
	Who                       []access.Role
	Everybody, Any            bool // without a credential; with every one
	Audit                     string
	Sealed                    bool
	Parameters                []parameter
	Optional                  bool // the body
	Body                      []media
	Responses                 []response
}

type parameter struct {
	Name, In, Text, Example string
	Type                    template.HTML
	Required                bool
}

type media struct {
	Name, Example string
	Type          template.HTML
	Parts         []part
}

// part of a form with the media types that it takes.
type part struct{ Name, Types string }

type response struct {
	Code, Text string
	Headers    []string
	Media      []media
}

type schema struct {
	Name    string
	Text    template.HTML
	Type    template.HTML
	Members []member
}

type kind struct {
	Type, Title, Advice string
	Status              int
}

// render makes the page of a description, with who may call what from the table
// of routes and what can be wrong from the list of problems.
func render(description []byte) ([]byte, error) {
	api, err := openapi3.NewLoader().LoadFromData(description)
	if err != nil {
		return nil, err
	}
	if err := api.Validate(context.Background()); err != nil {
		return nil, err
	}
	d := document{Title: api.Info.Title, Version: api.Info.Version, Intro: prose(api.Info.Description), Problems: problems()}
	if d.Tags, err = tags(api); err != nil {
		return nil, err
	}
	if d.Failure, err = failure(api); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(api.Components.Schemas)) {
		s := api.Components.Schemas[name].Value
		d.Schemas = append(d.Schemas, schema{name, prose(s.Description), typed(&openapi3.SchemaRef{Value: s}), members(s, "")})
	}
	t, err := template.New("page").Funcs(template.FuncMap{"inline": inline}).Parse(layout)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = t.Execute(&out, d)
	return out.Bytes(), err
}

// tags with their operations, in the order of the description and of the table.
func tags(api *openapi3.T) ([]tag, error) {
	var all []tag
	at := map[string]int{}
	for _, t := range api.Tags {
		at[t.Name] = len(all)
		all = append(all, tag{Name: t.Name, Text: t.Description})
	}
	left := map[string]bool{}
	for path, item := range api.Paths.Map() {
		for method := range item.Operations() {
			left[method+" "+path] = true
		}
	}
	for _, r := range access.Routes() {
		item := api.Paths.Value(r.Path)
		if item == nil || item.GetOperation(r.Method) == nil || item.GetOperation(r.Method).OperationID != r.Operation {
			return nil, fmt.Errorf("it has no operation %s (%s %s), the table of routes has", r.Operation, r.Method, r.Path)
		}
		delete(left, r.Method+" "+r.Path)
		o := item.GetOperation(r.Method)
		made, err := operationOf(r, item, o)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.Operation, err)
		}
		for _, name := range o.Tags {
			i, known := at[name]
			if !known {
				return nil, fmt.Errorf("%s: the tag %q is not described", r.Operation, name)
			}
			all[i].Operations = append(all[i].Operations, made)
		}
		if len(o.Tags) == 0 {
			return nil, fmt.Errorf("%s has no tag", r.Operation)
		}
	}
	for _, missing := range slices.Sorted(maps.Keys(left)) {
		return nil, fmt.Errorf("the table of routes has no %s", missing)
	}
	return all, nil
}

func operationOf(r access.Route, item *openapi3.PathItem, o *openapi3.Operation) (operation, error) {
	out := operation{ID: o.OperationID, Method: r.Method, Path: r.Path, Summary: o.Summary, Text: prose(o.Description),
		Who: r.Roles, Everybody: len(r.Roles) == 0, Any: len(r.Roles) == len(access.Roles()), Audit: string(r.Audit), Sealed: r.Sealed}
	for _, ref := range slices.Concat(item.Parameters, o.Parameters) {
		p := ref.Value
		example, err := sample(p.Example)
		if err != nil {
			return out, err
		}
		out.Parameters = append(out.Parameters, parameter{p.Name, p.In, p.Description, example, typed(p.Schema), p.Required})
	}
	var err error
	if o.RequestBody != nil {
		out.Optional = !o.RequestBody.Value.Required
		if out.Body, err = contents(o.RequestBody.Value.Content); err != nil {
			return out, err
		}
	}
	codes := slices.SortedFunc(maps.Keys(o.Responses.Map()), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) // "default" last
	})
	for _, code := range codes {
		v := o.Responses.Value(code).Value
		one := response{Code: code, Headers: slices.Sorted(maps.Keys(v.Headers))}
		if v.Description != nil {
			one.Text = *v.Description
		}
		if one.Media, err = contents(v.Content); err != nil {
			return out, err
		}
		if code == "default" { // its example stands with the problems, once
			for i := range one.Media {
				one.Media[i].Example = ""
			}
		}
		out.Responses = append(out.Responses, one)
	}
	return out, nil
}

func contents(c openapi3.Content) ([]media, error) {
	var all []media
	for _, name := range slices.Sorted(maps.Keys(c)) {
		m := c[name]
		example, err := sample(m.Example)
		if err != nil {
			return nil, err
		}
		one := media{Name: name, Example: example, Type: typed(m.Schema)}
		for _, field := range slices.Sorted(maps.Keys(m.Encoding)) {
			one.Parts = append(one.Parts, part{field, m.Encoding[field].ContentType})
		}
		all = append(all, one)
	}
	return all, nil
}

// sample is an example as text.
func sample(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // the page escapes
	e.SetIndent("", "  ")
	err := e.Encode(v)
	return strings.TrimSpace(b.String()), err
}

// failure is the example of a problem document.
func failure(api *openapi3.T) (string, error) {
	r := api.Components.Responses["Failure"]
	if r == nil {
		return "", errors.New("it has no response named Failure")
	}
	m := r.Value.Content.Get("application/problem+json")
	if m == nil {
		return "", errors.New("the response Failure is no problem document")
	}
	return sample(m.Example)
}

func problems() []kind {
	all := problem.Kinds()
	slices.SortFunc(all, func(a, b problem.Kind) int {
		return cmp.Or(cmp.Compare(a.Status(), b.Status()), cmp.Compare(a, b))
	})
	var out []kind
	for _, k := range all {
		out = append(out, kind{string(k), k.Title(), problem.New(k, "").Advice(), k.Status()})
	}
	return out
}
