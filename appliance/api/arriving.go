package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"gatehouse/appliance/problem"
)

// arriving is a request's body. Where it does not arrive as its headers said,
// every later reading says so too: net/http gives io.EOF after a body that was
// cut off, which would make a part of it look whole.
type arriving struct {
	io.ReadCloser
	control *http.ResponseController
	err     error
}

// begin gives the body its time; a request without one needs none. With
// HTTP/1.1 the deadline would end the request itself while its answer waits for
// something, so that it goes as soon as the body is there.
func (a *arriving) begin(r *http.Request) error {
	if r.Body == nil || r.Body == http.NoBody {
		return a.control.SetReadDeadline(time.Time{})
	}
	return a.control.SetReadDeadline(time.Now().Add(bodyTime))
}

func (a *arriving) Read(p []byte) (n int, err error) {
	if a.err != nil {
		return 0, a.err
	}
	n, err = a.ReadCloser.Read(p)
	switch {
	case err == nil:
		return n, nil
	case err == io.EOF:
		if failed := a.control.SetReadDeadline(time.Time{}); failed != nil {
			a.err = failed
			return n, failed
		}
		return n, err
	case errors.Is(err, os.ErrDeadlineExceeded):
		a.err = problem.New(problem.TooSlow, "the body did not arrive within %v", bodyTime)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		a.err = err
	default:
		// Nobody may take it for an end that was looked for: the cause is text.
		a.err = problem.New(problem.Malformed, "the body did not arrive as its headers say").Because(errors.New(err.Error()))
	}
	return n, a.err
}
