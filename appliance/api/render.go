package api

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"os"
	"strconv"
	"time"

	"gatehouse/appliance/identify"
	"gatehouse/appliance/problem"
	"gatehouse/cluster"
	"gatehouse/engine/gallery"
	"gatehouse/store/blob"
	"gatehouse/store/command"
	"gatehouse/store/keys"
	"gatehouse/store/state"
)

// show writes a JSON answer.
func show(w http.ResponseWriter, code int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)+1))
	w.WriteHeader(code)
	_, _ = w.Write(append(b, '\n')) // who does not read it has no answer
	return nil
}

// fail writes a problem document.
func fail(w http.ResponseWriter, request string, err error) {
	p := problemOf(err)
	doc := Problem{Type: "urn:gatehouse:problem:" + string(p.Kind), Title: p.Kind.Title(), Status: p.Kind.Status(), Detail: p.Detail,
		Field: some(p.Field), Limit: some(p.Limit), Next: some(p.Advice()), RequestId: some(request)}
	b, err := json.Marshal(doc)
	if err != nil { // not with these types
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	if p.After > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(p.After.Seconds()))))
	}
	if doc.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="gatehouse"`)
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(doc.Status)
	_, _ = w.Write(append(b, '\n'))
}

// problemOf finds the problem in an error; what is none is the node's own
// fault, or the caller's who is gone.
func problemOf(err error) *problem.Problem {
	var p *problem.Problem
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &tooLarge):
		return problem.New(problem.TooLarge, "the body is too large").Of(strconv.FormatInt(tooLarge.Limit, 10) + " bytes")
	case errors.Is(err, identify.ErrLoading):
		p := problem.New(problem.GalleryLoading, "nothing is searched in a part of a gallery")
		p.After = galleryPause
		return p
	case errors.Is(err, identify.ErrBusy):
		return problem.New(problem.Busy, "the gallery is being rebuilt, or its graph built; 'gatehouse gallery stats' tells how far it is")
	case errors.Is(err, gallery.ErrNoGraph):
		return problem.New(problem.NoGraph, "there is no graph of the subjects in memory").In("engine")
	case errors.Is(err, keys.ErrSealed), errors.Is(err, gallery.ErrClosed):
		return problem.New(problem.Sealed, "the node is sealed")
	case errors.Is(err, keys.ErrErased):
		return problem.New(problem.SubjectErased, "the person was erased")
	case errors.Is(err, blob.ErrFull):
		return problem.New(problem.DiskFull, "there is no room for new evidence")
	case errors.Is(err, cluster.ErrVersion):
		return problem.New(problem.ClusterState, "it needs a newer version than is active: 'gatehouse cluster finalise' once all nodes run this release")
	case errors.Is(err, cluster.ErrUnavailable):
		p := problem.New(problem.Unavailable, "the cluster did not agree in time; whether it was done is not known")
		p.After = time.Second
		return p
	case errors.Is(err, os.ErrDeadlineExceeded): // inside: a body that does not come is a problem by itself
		p := problem.New(problem.Unavailable, "another node did not answer in time; whether it was done is not known")
		p.After = time.Second
		return p
	case errors.Is(err, state.ErrUnusable), errors.Is(err, state.ErrClosed):
		return problem.New(problem.Unavailable, "the node is stopping")
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return problem.New(problem.Unavailable, "the request ended before its answer")
	case errors.Is(err, command.ErrTooLarge):
		return problem.New(problem.TooLarge, "what would be kept of it is too large")
	}
	return problem.New(problem.Internal, "the request could not be answered")
}

// some gives a pointer to a value, nil for the zero value.
func some[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

func at(ns int64) time.Time { return time.Unix(0, ns).UTC() }

func someTime(ns int64) *time.Time {
	if ns == 0 {
		return nil
	}
	t := at(ns)
	return &t
}
