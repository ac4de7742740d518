package api

import (
	"slices"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"gatehouse/appliance/access"
)

// queries has the description's query parameters.
func TestQueries(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(openapiYAML)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range access.Routes() {
		item := doc.Paths.Value(r.Path)
		var want []string
		for _, p := range append(item.Parameters, item.GetOperation(r.Method).Parameters...) {
			if p.Value.In == "query" {
				want = append(want, p.Value.Name)
			}
		}
		got := slices.Sorted(slices.Values(queries(r.Operation)))
		if slices.Sort(want); !slices.Equal(got, want) {
			t.Errorf("%s takes %v, the description says %v", r.Operation, got, want)
		}
	}
}

// The limits of the description are those of the program.
func TestLimits(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(openapiYAML)
	if err != nil {
		t.Fatal(err)
	}
	s := doc.Components.Parameters["Limit"].Value.Schema.Value
	if *s.Min != 1 || *s.Max != maxLimit {
		t.Errorf("limit between %v and %v", *s.Min, *s.Max)
	}
	for _, c := range []struct {
		schema string
		valid  func(string) bool
	}{
		{"Slot", func(v string) bool { return Slot(v).Valid() }},
		{"Role", func(v string) bool { return Role(v).Valid() }},
		{"Purpose", func(v string) bool { return Purpose(v).Valid() }},
		{"ErasureReason", func(v string) bool { return ErasureReason(v).Valid() }},
	} {
		for _, v := range doc.Components.Schemas[c.schema].Value.Enum {
			if !c.valid(v.(string)) {
				t.Errorf("%s: %v is not known", c.schema, v)
			}
		}
		if c.valid("") || c.valid("other") {
			t.Errorf("%s takes anything", c.schema)
		}
	}
}
