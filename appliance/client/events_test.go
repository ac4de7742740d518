package client_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"gatehouse/appliance/client"
)

func TestEvents(t *testing.T) {
	const first, second = "event: session\nid: 1\ndata: {\"id\":\"ses_1\",\ndata: \"state\":\"created\"}\n\n", "event:session\r\ndata:{\"id\":\"ses_1\",\"state\":\"approved\"}\r\n\r\n"
	for _, c := range []struct {
		name, stream string
		states       []string
		fails        error
	}{
		{"two", ": hello\n\n" + first + ":\n" + second, []string{"created", "approved"}, nil},
		{"none", "", nil, nil},
		{"of another kind", "event: other\ndata: x\n\n" + first + "data: {}\n\n", []string{"created"}, nil},
		{"no data", "event: session\n\n" + first, []string{"created"}, nil},
		{"cut off", first + "event: session\ndata: {\"id\":", []string{"created"}, nil},
		{"no JSON", first + "event: session\ndata: x\n\n" + second, []string{"created"}, client.ErrAnswer},
		{"a long line", first + "data: " + strings.Repeat("x", 1<<20) + "\n\n", []string{"created"}, client.ErrAnswer},
		{"many lines", first + strings.Repeat("data: "+strings.Repeat("x", 1<<10)+"\n", 1<<10+1) + "\n", []string{"created"}, client.ErrAnswer},
	} {
		n := start(t, says(200, "text/event-stream", c.stream))
		var states []string
		var failed error
		for s, err := range n.client(t).Events(t.Context(), "ses_1") {
			if err != nil {
				failed = err
				continue
			}
			states = append(states, string(s.State))
		}
		if !slices.Equal(states, c.states) || !errors.Is(failed, c.fails) {
			t.Errorf("%s: %q, %v", c.name, states, failed)
		}
	}
}

// A stream that breaks is told from one that ended.
func TestABrokenStream(t *testing.T) {
	n := start(t, func(w http.ResponseWriter) {
		says(200, "text/event-stream", "event: session\ndata: {}\n\n")(w)
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	var failed error
	events := 0
	for _, err := range n.client(t).Events(t.Context(), "ses_1") {
		if failed = err; err == nil {
			events++
		}
	}
	if events != 1 || !errors.Is(failed, client.ErrUnreachable) {
		t.Errorf("%d events, %v", events, failed)
	}
	var p *client.Problem
	for _, err := range start(t, problem(404)).client(t).Events(t.Context(), "ses_1") {
		if !errors.As(err, &p) {
			t.Error(err)
		}
	}
	if p == nil {
		t.Error("no error of a session that is not there")
	}
}
