package main

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"gatehouse/cluster"
)

// The routes of a node's front.
const (
	writePath  = "/writes"  // POST: the body is written
	eventsPath = "/events"  // GET: how many the tenant has
	memberPath = "/members" // POST: the body is a node's id, which gets a vote
	readyPath  = "/ready"   // GET: once the node has what the leader has
)

// front has each body recorded with an event, as an opening: what is sealed for
// the person that the event is about. Writes are for the node that founded.
func (w *writer) front() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("POST "+writePath, answering(valueSize, func(q *http.Request, value []byte) (any, error) {
		c, err := w.record()
		if err != nil {
			return nil, err
		}
		c.Events[0].Openings = value
		return nil, w.propose(q.Context(), c)
	}))
	m.HandleFunc("GET "+eventsPath, answering(0, func(*http.Request, []byte) (any, error) {
		h, err := w.state.Log(w.tenant).Head()
		return h.Size, err
	}))
	m.HandleFunc("POST "+memberPath, answering(128, func(q *http.Request, id []byte) (any, error) {
		if err := w.node.Add(q.Context(), string(id)); err != nil {
			return nil, err
		}
		return nil, w.node.Promote(q.Context(), string(id))
	}))
	m.HandleFunc("GET "+readyPath, answering(0, func(q *http.Request, _ []byte) (any, error) {
		return nil, w.node.Ready(q.Context())
	}))
	return m
}

// answering reads at most limit bytes of a body and writes what do gives as
// JSON, if anything.
func answering(limit int64, do func(q *http.Request, body []byte) (any, error)) http.HandlerFunc {
	return func(a http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(a, q.Body, limit))
		if err != nil {
			http.Error(a, err.Error(), http.StatusBadRequest)
			return
		}
		v, err := do(q, body)
		switch {
		case errors.Is(err, cluster.ErrUnavailable):
			http.Error(a, err.Error(), http.StatusServiceUnavailable)
		case err != nil:
			http.Error(a, err.Error(), http.StatusInternalServerError)
		case v == nil:
			a.WriteHeader(http.StatusNoContent)
		default:
			_ = json.NewEncoder(a).Encode(v) // who asked may have gone
		}
	}
}
