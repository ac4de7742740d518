package audit_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"gatehouse/store/audit"
)

// declared gives the constants of type Action in the source: a constant that is
// not in the list would be refused in a leaf.
func declared(t *testing.T) []audit.Action {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "actions.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var all []audit.Action
	ast.Inspect(f, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || len(v.Values) != 1 {
			return true
		}
		if typ, ok := v.Type.(*ast.Ident); ok && typ.Name == "Action" {
			s, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, audit.Action(s))
		}
		return true
	})
	return all
}

func TestActions(t *testing.T) {
	all := audit.Actions()
	if !slices.IsSorted(all) || len(slices.Compact(slices.Clone(all))) != len(all) {
		t.Error("not sorted, or one is there twice")
	}
	constants := declared(t)
	slices.Sort(constants)
	if !slices.Equal(all, constants) {
		t.Errorf("listed %v\ndeclared %v", all, constants)
	}
	form := regexp.MustCompile(`^[a-z]+(\.[a-z]+){1,2}$`)
	for _, a := range all {
		if !a.Valid() || a.Meaning() == "" || !form.MatchString(string(a)) {
			t.Errorf("%q: %q", a, a.Meaning())
		}
	}
	for _, a := range []audit.Action{"", "session", "session.Create", "session.create ", "zzz"} {
		if a.Valid() || a.Meaning() != "" {
			t.Errorf("%q is valid", a)
		}
	}
	all[0] = "changed"
	if audit.Actions()[0] == "changed" {
		t.Error("the list can be changed from outside")
	}
}
