package api

import (
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strings"

	"gatehouse/appliance/problem"
)

// maxPartHeader of one part of a form, with what is read ahead: a name and a
// media type need some hundred bytes, net/http would allow ten million.
const maxPartHeader = 16 << 10

// form reads the parts of a multipart body as they come.
type form struct {
	parts *multipart.Reader
	guard *guarded
}

func newForm(r *http.Request) (*form, error) {
	g := &guarded{ReadCloser: r.Body, left: -1}
	r.Body = g
	parts, err := r.MultipartReader()
	if err != nil {
		return nil, problem.New(problem.BadMediaType, "the body must be multipart/form-data").In("Content-Type")
	}
	return &form{parts, g}, nil
}

// next part, or io.EOF after the last; the part before must have been read to
// its end.
func (f *form) next() (*multipart.Part, error) {
	f.guard.left = maxPartHeader
	p, err := f.parts.NextPart()
	f.guard.left = -1
	if err == nil || errors.Is(err, io.EOF) {
		return p, err
	}
	return nil, malformedForm(err)
}

// rest of the body after its last part, to the end: only then is it known to
// have arrived.
func (f *form) rest() error {
	_, err := io.Copy(io.Discard, f.guard)
	return err
}

// fields reads a form of nothing but the named parts into memory, each of at
// most so many bytes. Those that are absent are nil.
func fields(r *http.Request, most map[string]int) (map[string][]byte, error) {
	parts, err := newForm(r)
	if err != nil {
		return nil, err
	}
	all := map[string][]byte{}
	for {
		p, err := parts.next()
		if errors.Is(err, io.EOF) {
			return all, parts.rest()
		}
		if err != nil {
			return nil, err
		}
		name := p.FormName()
		limit, known := most[name]
		if !known {
			return nil, problem.New(problem.UnknownMember, "there is no part %.80q", name).In(strings.ToValidUTF8(name, "?"))
		}
		if all[name] != nil {
			return nil, problem.New(problem.Malformed, "the part %s stands twice", name).In(name)
		}
		b, err := io.ReadAll(io.LimitReader(p, int64(limit)+1))
		if err != nil {
			return nil, malformedForm(err)
		}
		if len(b) > limit {
			return nil, problem.New(problem.TooLarge, "the part %s is too large", name).In(name).Of(fmt.Sprintf("%d bytes", limit))
		}
		all[name] = b
	}
}

// guarded body: of which at most left bytes may be read now, where that is not
// negative.
type guarded struct {
	io.ReadCloser
	left int
}

func (g *guarded) Read(p []byte) (int, error) {
	if g.left < 0 {
		return g.ReadCloser.Read(p)
	}
	if g.left == 0 {
		return 0, problem.New(problem.Malformed, "no part of the form begins, or its header is too large").Of("16384 bytes")
	}
	n, err := g.ReadCloser.Read(p[:min(len(p), g.left)])
	g.left -= n
	return n, err
}

// malformedForm: the parts cannot be told apart, or end too soon.
func malformedForm(err error) error {
	var tooLarge *http.MaxBytesError
	var p *problem.Problem
	if errors.As(err, &tooLarge) || errors.As(err, &p) {
		return err
	}
	return problem.New(problem.Malformed, "the multipart body is not whole").Because(err)
}
