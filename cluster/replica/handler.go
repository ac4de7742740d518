package replica

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"gatehouse/store/blob"
)

// Handler answers the other nodes, which the server must have told from
// strangers:
//
//	GET, HEAD /blobs/{name}  the stored bytes: 200, 404
//	PUT /blobs/{name}        takes them in, with their Content-Length: 204 when they are durable
//	POST /blobs/have         at most 1,000 names, one a line: 200 and those that are here
//
// It sets the connection's deadlines itself, and is for HTTP/1.1. Of those that
// read 64 and of those that write 16 get their turn at a time; who waits longer
// than 2 s for it gets 503. A full disk is 507.
func (r *Replica) Handler() http.Handler {
	reading, writing := make(chan struct{}, r.limits.readers), make(chan struct{}, r.limits.writers)
	m := http.NewServeMux()
	m.Handle("GET /blobs/{name}", r.turn(reading, r.serve))
	m.Handle("PUT /blobs/{name}", r.turn(writing, r.take))
	m.Handle("POST /blobs/have", r.turn(reading, r.list))
	return m
}

// turn lets as many at a time do it as turns has room for.
func (r *Replica) turn(turns chan struct{}, do func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		wait := time.NewTimer(r.limits.queue)
		defer wait.Stop()
		var err error
		select {
		case turns <- struct{}{}:
			defer func() { <-turns }()
			err = do(w, q)
		case <-wait.C:
			err = errBusy
		case <-q.Context().Done(): // never an answer by chance: 200 would say that nothing is here
			err = q.Context().Err()
		}
		// For what is left of the body: the server reads that away before it answers,
		// and the answer has its own deadline.
		http.NewResponseController(w).SetReadDeadline(time.Now().Add(r.limits.idle / 10))
		if err == nil {
			return
		}
		if errors.Is(err, blob.ErrSync) {
			r.stop(err)
		}
		r.deadline(w, true)
		http.Error(w, err.Error(), status(err))
	})
}

func status(err error) int {
	switch {
	case errors.Is(err, errBusy):
		return http.StatusServiceUnavailable
	case errors.Is(err, blob.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, blob.ErrForeign):
		return http.StatusUnprocessableEntity
	case errors.Is(err, blob.ErrTooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, blob.ErrEmpty):
		return http.StatusLengthRequired
	case errors.Is(err, blob.ErrRotten):
		return http.StatusConflict
	case errors.Is(err, blob.ErrFull):
		return http.StatusInsufficientStorage
	case errors.Is(err, errNames):
		return http.StatusBadRequest
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return http.StatusRequestTimeout
	}
	return http.StatusInternalServerError
}

// deadline of the next write or read.
func (r *Replica) deadline(w http.ResponseWriter, write bool) error {
	c, at := http.NewResponseController(w), time.Now().Add(r.limits.idle)
	var err error
	if write {
		err = c.SetWriteDeadline(at)
	} else {
		err = c.SetReadDeadline(at)
	}
	if err != nil {
		return fmt.Errorf("the connection takes no deadline: %w", err)
	}
	return nil
}

func (r *Replica) serve(w http.ResponseWriter, q *http.Request) error {
	f, size, err := r.config.Blobs.Raw(q.PathValue("name"))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := r.deadline(w, true); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	if q.Method == http.MethodHead {
		return nil
	}
	b := make([]byte, piece)
	for { // less than was promised ends the connection: the other side sees it
		n, err := f.Read(b)
		if n > 0 {
			if err := r.deadline(w, true); err != nil {
				return nil
			}
			if _, err := w.Write(b[:n]); err != nil {
				return nil
			}
		}
		if err != nil {
			if err != io.EOF {
				r.config.Log.Warn("a blob could not be read for another node", "blob", q.PathValue("name"), "error", err)
			}
			return nil
		}
	}
}

func (r *Replica) take(w http.ResponseWriter, q *http.Request) error {
	// The sender's own bound, and as much for a queue and a slow disk.
	ctx, cancel := context.WithTimeout(q.Context(), 2*(r.limits.send+inTime(q.ContentLength)))
	defer cancel()
	if err := r.config.Blobs.Import(ctx, q.PathValue("name"), &upload{r, w, q.Body}, q.ContentLength); err != nil {
		return err
	}
	if err := r.deadline(w, true); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// upload is a request's body that must not stand still. At its end the server
// takes the deadline off.
type upload struct {
	replica *Replica
	w       http.ResponseWriter
	body    io.Reader
}

func (b *upload) Read(p []byte) (int, error) {
	if err := b.replica.deadline(b.w, false); err != nil {
		return 0, err
	}
	return b.body.Read(p)
}

func (r *Replica) list(w http.ResponseWriter, q *http.Request) error {
	if err := r.deadline(w, false); err != nil {
		return err
	}
	names, err := readNames(q.Body)
	if err != nil {
		return err
	}
	here := names[:0]
	for _, name := range names {
		_, ok, err := r.config.Blobs.Exists(name)
		if err != nil {
			return err
		}
		if ok {
			here = append(here, name)
		}
	}
	if err := r.deadline(w, true); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, writeNames(here)) // where it fails nobody is there to be told
	return nil
}
