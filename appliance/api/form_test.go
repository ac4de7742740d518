package api

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gatehouse/appliance/identify"
	"gatehouse/appliance/problem"
	"gatehouse/engine/gallery"
)

// What a gallery cannot do is told with what to do.
func TestProblemsOfAGallery(t *testing.T) {
	for _, c := range []struct {
		err  error
		kind problem.Kind
		wait time.Duration
	}{
		{identify.ErrLoading, problem.GalleryLoading, 5 * time.Second}, {identify.ErrBusy, problem.Busy, 0},
		{gallery.ErrNoGraph, problem.NoGraph, 0}, {gallery.ErrClosed, problem.Sealed, 0},
	} {
		p := problemOf(fmt.Errorf("a search: %w", c.err))
		if p.Kind != c.kind || p.After != c.wait || p.Detail == "" {
			t.Errorf("%v: %+v", c.err, p)
		}
		w := httptest.NewRecorder()
		fail(w, "req_1", c.err)
		if w.Code != c.kind.Status() || (w.Header().Get("Retry-After") == "5") != (c.wait > 0) {
			t.Errorf("%v: %d %v", c.err, w.Code, w.Header())
		}
	}
}

// What a form of a search may hold, and what is made of it, whatever comes.
func FuzzFaceQuery(f *testing.F) {
	form := func(pairs ...string) []byte {
		var b strings.Builder
		for i := 0; i < len(pairs); i += 2 {
			fmt.Fprintf(&b, "--b\r\nContent-Disposition: form-data; name=%q\r\n\r\n%s\r\n", pairs[i], pairs[i+1])
		}
		return []byte(b.String() + "--b--\r\n")
	}
	for _, b := range [][]byte{form(), form("face", "x"), form("session", "ses_1", "k", "5", "fpir", "0.5", "list", "both", "engine", "graph"), form("face", "x", "session", "y"),
		form("face", "x", "k", "1e2"), form("face", "x", "fpir", "0x1p-3"), form("face", "x", "fpir", "Inf"), form("k", strings.Repeat("1", 70)), []byte("--b\r\n\r\n\r\n--b--")} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := httptest.NewRequest("POST", "/v1/faces/search", bytes.NewReader(b))
		r.Header.Set("Content-Type", "multipart/form-data; boundary=b")
		in, err := fields(r, map[string]int{"face": 1 << 10, "session": maxText, "k": maxText, "fpir": maxText, "list": maxText, "engine": maxText})
		if err != nil {
			bad(t, err)
			return
		}
		q, err := faceQuery(in)
		if err != nil {
			bad(t, err)
			return
		}
		if q.K < 1 || q.K > maxCandidates || !(q.FPIR > 0 && q.FPIR <= maxFPIR) || (len(q.Picture) > 0) == (q.Session != "") || len(q.Session) > maxText || !q.Subjects && !q.Blocklist {
			t.Errorf("%q: %+v", b, q)
		}
		if q.Engine != gallery.Exact && q.Engine != gallery.Graph {
			t.Errorf("%q: engine %q", b, q.Engine)
		}
	})
}
