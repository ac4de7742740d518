package appliance

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"sync/atomic"
	"time"

	"gatehouse/appliance/problem"
	"gatehouse/store/id"
)

// handler answers requests: until the node has found its cluster, with that
// alone.
type handler struct {
	api atomic.Pointer[http.Handler]
	// outside is why the node waits in vain, or nil; set before it serves.
	outside func() *problem.Problem
}

func (h *handler) open(api http.Handler) { h.api.Store(&api) }

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if api := h.api.Load(); api != nil {
		(*api).ServeHTTP(w, r)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	request := id.New(id.Request, time.Now(), rand.Reader)
	w.Header().Set("X-Request-Id", request)
	if r.Method == http.MethodGet && r.URL.Path == "/livez" {
		_, _ = w.Write([]byte("ok\n")) // who does not read it has no answer
		return
	}
	p := problem.New(problem.Unavailable, "the node waits for the others of its cluster: a majority of the voters must answer")
	p.Next = "start the other nodes, or see 'gatehouse cluster status' there; the log of this node says whom it cannot reach"
	if o := h.outside(); o != nil {
		p = o
	}
	w.Header().Set("Retry-After", "1")
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Kind.Status())
	_ = json.NewEncoder(w).Encode(map[string]any{"type": "urn:gatehouse:problem:" + string(p.Kind), "title": p.Kind.Title(), "status": p.Kind.Status(), "detail": p.Detail, "next": p.Advice(), "request_id": request})
}
