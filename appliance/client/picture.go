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

// body streams the parts as multipart/form-data. key decides the boundary, so
// that a repeated request is the same, byte for byte.
func (v *Verification) body(key string) (*body, error) {
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
	session, err := json.Marshal(v.Session)
	if err != nil {
		return nil, fmt.Errorf("writing the request: %w", err)
	}
	part, err := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {`form-data; name="session"`}, "Content-Type": {"application/json"}})
	if err == nil {
		_, err = part.Write(session)
	}
	if err != nil {
		return nil, fmt.Errorf("writing the request: %w", err)
	}
	for _, f := range []struct {
		name    string
		picture *Picture
	}{{"document_front", v.DocumentFront}, {"document_back", v.DocumentBack}, {"selfie", v.Selfie}} {
		if f.picture == nil {
			continue
		}
		// The file's own name may be a person's: it stays here.
		disposition := fmt.Sprintf(`form-data; name="%s"; filename="%s"`, f.name, f.name)
		if _, err := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {disposition}, "Content-Type": {f.picture.mediaType}}); err != nil {
			return nil, fmt.Errorf("writing the request: %w", err)
		}
		flush()
		add(f.picture.r)
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
