package appliancetest

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"gatehouse/engine"
	"gatehouse/engine/document/mrz"
	"gatehouse/engine/enginetest"
	"gatehouse/engine/specimen"
)

// Pictures of one person, and of another.
type Pictures struct {
	Document, Selfie []byte // JPEG
	Stranger         []byte // a selfie of somebody else
}

// drawn once in a process: drawing is slow under the race detector.
var drawn = struct {
	sync.Mutex
	document []byte
}{}

// Evidence gives a specimen passport and selfies.
func Evidence(t testing.TB) Pictures {
	t.Helper()
	drawn.Lock()
	defer drawn.Unlock()
	if drawn.document == nil {
		portrait, err := engine.Decode(context.Background(), enginetest.Asset(t, "samples/obama.jpg"))
		if err != nil {
			t.Fatal(err)
		}
		s, err := specimen.Draw(specimen.Options{Format: mrz.TD3, Seed: 7, Portrait: portrait, Today: time.Now(), Font: enginetest.Asset(t, "OCRB.otf")})
		if err != nil {
			t.Fatal(err)
		}
		const width = 900 // as a scanner at 180 dpi gives it
		var b bytes.Buffer
		if err := specimen.WriteJPEG(&b, s.Image.Resize(width, width*s.Image.Height/s.Image.Width), 92); err != nil {
			t.Fatal(err)
		}
		drawn.document = b.Bytes()
	}
	return Pictures{drawn.document, enginetest.Asset(t, "samples/obama2.jpg"), enginetest.Asset(t, "samples/biden.jpg")}
}

// Request for a session; reference may be empty.
func Request(reference string) string {
	ref := ""
	if reference != "" {
		ref = fmt.Sprintf(`"subject_ref":%q,`, reference)
	}
	return `{"kind":"identity",` + ref + `"consent":{"text_version":"2026-03","given_at":"2025-01-24T09:00:00Z","channel":"branch"}}`
}

// Create begins a session and gives its id.
func (c *Client) Create(t testing.TB, headers ...string) string {
	t.Helper()
	return c.Do(t, "POST", "/v1/sessions", JSON(Request("")), headers...).Want(t, 201).Text(t, "id")
}

// Put uploads a JPEG picture.
func (c *Client) Put(t testing.TB, session, slot string, picture []byte, headers ...string) *Answer {
	t.Helper()
	return c.Do(t, "PUT", "/v1/sessions/"+session+"/evidence/"+slot, &Body{"image/jpeg", picture}, headers...)
}

// Filled is a session with a document and a selfie, of a person without a
// reference: where the same face is decided twice so, the later is a duplicate.
func (c *Client) Filled(t testing.TB) string { return c.FilledOf(t, "") }

// FilledOf is Filled for the person of a reference.
func (c *Client) FilledOf(t testing.TB, reference string) string {
	t.Helper()
	p := Evidence(t)
	id := c.Do(t, "POST", "/v1/sessions", JSON(Request(reference))).Want(t, 201).Text(t, "id")
	c.Put(t, id, "document_front", p.Document).Want(t, 200)
	c.Put(t, id, "selfie", p.Selfie).Want(t, 200)
	return id
}

// VerificationForm is a whole verification in one body, of a person without a
// reference.
func VerificationForm(t testing.TB, document, selfie []byte) *Body {
	return VerificationFormOf(t, "", document, selfie)
}

// VerificationFormOf is VerificationForm for the person of a reference.
func VerificationFormOf(t testing.TB, reference string, document, selfie []byte) *Body {
	t.Helper()
	return Form(t, Part{"session", "application/json", []byte(Request(reference))}, Part{"document_front", "image/jpeg", document}, Part{"selfie", "image/jpeg", selfie})
}
