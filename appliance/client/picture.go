package client

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strings"

	"gatehouse/appliance/api"
)

// sniffed bytes at a file's beginning say what it is (the same number as
// http.DetectContentType looks at).
const sniffed = 512

// Picture is one to upload. It is read as it is sent, and again where a request
// is repeated.
type Picture struct {
	r         *io.SectionReader
	mediaType string
}

// NewPicture looks at the first bytes of r to learn what it is.
func NewPicture(r io.ReaderAt, size int64) (*Picture, error) {
	if size > maxPicture {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrPicture, size, maxPicture)
	}
	head := make([]byte, min(sniffed, max(size, 0)))
	if _, err := r.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading a picture: %w", err)
	}
	switch kind := http.DetectContentType(head); kind {
	case "image/jpeg", "image/png", "image/webp":
		return &Picture{io.NewSectionReader(r, 0, size), kind}, nil
	}
	return nil, fmt.Errorf("%w: it is no JPEG, PNG or WebP", ErrPicture)
}

func (p *Picture) body() *body {
	return &body{contentType: p.mediaType, size: p.r.Size(), open: again(p.r)}
}

// again reads p from its beginning, each time anew: a request that was given up
// may still be reading while the next one starts.
func again(p *io.SectionReader) func() io.Reader {
	return func() io.Reader { return io.NewSectionReader(p, 0, p.Size()) }
}

// Verification is a whole one. DocumentBack may be nil.
type Verification struct {
	Session                             api.SessionRequest
	DocumentFront, DocumentBack, Selfie *Picture
}

// body streams the verification as a form.
func (v *Verification) body(key string) (*body, error) {
	session, err := json.Marshal(v.Session)
	if err != nil {
		return nil, fmt.Errorf("writing the request: %w", err)
	}
	return form(key, part{name: "session", kind: "application/json", text: string(session)},
		part{name: "document_front", picture: v.DocumentFront}, part{name: "document_back", picture: v.DocumentBack}, part{name: "selfie", picture: v.Selfie})
}

// part of a form: a picture or a text. One that has neither is left out.
type part struct {
	name, kind string // media type of the text; empty: unsaid
	text       string
	picture    *Picture
}

// form streams the parts as multipart/form-data. key decides the boundary, so
// that a repeated request is the same, byte for byte.
func form(key string, all ...part) (*body, error) {
	var parts []*io.SectionReader // written text and pictures in turn
	size := int64(0)
	add := func(p *io.SectionReader) { parts, size = append(parts, p), size+p.Size() }
	var text strings.Builder
	flush := func() {
		s := text.String()
		add(io.NewSectionReader(strings.NewReader(s), 0, int64(len(s))))
		text.Reset()
	}
	w := multipart.NewWriter(&text)
	if err := w.SetBoundary(boundary(key)); err != nil {
		return nil, fmt.Errorf("writing the request: %w", err)
	}
	for _, p := range all {
		header := textproto.MIMEHeader{"Content-Disposition": {fmt.Sprintf(`form-data; name="%s"`, p.name)}}
		switch {
		case p.picture != nil:
			// The file's own name may be a person's: it stays here.
			header.Set("Content-Disposition", fmt.Sprintf(`form-data; name="%s"; filename="%s"`, p.name, p.name))
			header.Set("Content-Type", p.picture.mediaType)
		case p.text == "":
			continue
		case p.kind != "":
			header.Set("Content-Type", p.kind)
		}
		to, err := w.CreatePart(header)
		if err == nil {
			_, err = io.WriteString(to, p.text)
		}
		if err != nil {
			return nil, fmt.Errorf("writing the request: %w", err)
		}
		if p.picture != nil {
			flush()
			add(p.picture.r)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("writing the request: %w", err)
	}
	flush()
	return &body{contentType: w.FormDataContentType(), size: size, open: func() io.Reader {
		readers := make([]io.Reader, len(parts))
		for i, p := range parts {
			readers[i] = again(p)()
		}
		return io.MultiReader(readers...)
	}}, nil
}

// boundary of at most 70 letters (RFC 2046, 5.1.1) that no picture can be made
// to hold by who does not know the key.
func boundary(key string) string {
	sum := sha256.Sum256([]byte("gatehouse boundary " + key))
	return hex.EncodeToString(sum[:])
}
