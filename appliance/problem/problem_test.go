package problem_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"

	"gatehouse/appliance/problem"
)

func TestKinds(t *testing.T) {
	titles := map[string]bool{}
	if len(problem.Kinds()) < 30 {
		t.Fatalf("%d kinds", len(problem.Kinds()))
	}
	for _, k := range problem.Kinds() {
		if !regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`).MatchString(string(k)) {
			t.Errorf("%q", k)
		}
		if k.Status() < 400 || http.StatusText(k.Status()) == "" || k.Title() == "" || problem.New(k, "").Advice() == "" || titles[k.Title()] {
			t.Errorf("%s: %d %q %q", k, k.Status(), k.Title(), problem.New(k, "").Advice())
		}
		titles[k.Title()] = true
	}
}

func TestProblem(t *testing.T) {
	p := problem.New(problem.TooLarge, "%d", 7).In("a").Of("b").Because(io.ErrClosedPipe)
	err := fmt.Errorf("above: %w", p)
	if !errors.Is(err, problem.New(problem.TooLarge, "")) || errors.Is(err, problem.New(problem.TooSlow, "")) || !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
	if p.Detail != "7" || p.Field != "a" || p.Limit != "b" || p.Error() == "" {
		t.Errorf("%+v", p)
	}
	if p.Next = "go home"; p.Advice() != "go home" {
		t.Error(p.Advice())
	}
}

// What one node tells another is the same problem there.
func TestToldByAnotherNode(t *testing.T) {
	for _, c := range []struct {
		err  error
		want *problem.Problem
	}{
		{fmt.Errorf("above: %w", problem.New(problem.ClusterState, "50%% of it").Because(io.ErrClosedPipe)), problem.New(problem.ClusterState, "50%% of it")},
		{io.ErrClosedPipe, problem.New(problem.Unavailable, "%v", io.ErrClosedPipe)},
	} {
		w := httptest.NewRecorder()
		problem.Tell(w, c.err)
		if got := problem.Told(w.Body.Bytes()); got == nil || got.Kind != c.want.Kind || got.Detail != c.want.Detail || w.Code != c.want.Kind.Status() {
			t.Errorf("%d, %v, want %v", w.Code, got, c.want)
		}
	}
	if got := problem.Told([]byte(`{"kind":"of-tomorrow","detail":"it says why"}`)); got == nil || got.Kind != problem.Unavailable || got.Detail != "it says why" {
		t.Errorf("of a newer node: %v", got)
	}
	for _, none := range []string{"", "{}", "null", "<html>"} {
		if got := problem.Told([]byte(none)); got != nil {
			t.Errorf("%q: %v", none, got)
		}
	}
}
