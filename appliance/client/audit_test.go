package client_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"testing"

	"gatehouse/appliance/api"
	"gatehouse/appliance/client"
)

func TestExportAudit(t *testing.T) {
	content := bytes.Repeat([]byte("bundle "), 50_000)
	length := strconv.Itoa(len(content))
	n := start(t, says(http.StatusOK, "application/x-tar", string(content), "Content-Length", length))
	from, nonce := int64(17), "the auditor's"
	var got bytes.Buffer
	var done, total int64
	err := n.client(t).ExportAudit(t.Context(), api.AuditRange{From: &from, Nonce: &nonce}, api.PurposeAudit, &got, func(now, of int64) {
		if now < done {
			t.Errorf("%d after %d", now, done)
		}
		done, total = now, of
	})
	if err != nil || !bytes.Equal(got.Bytes(), content) || done != int64(len(content)) || total != done {
		t.Errorf("%d bytes, told of %d of %d: %v", got.Len(), done, total, err)
	}
	c := n.received()[0]
	if c.header.Get("Purpose") != "audit" || string(c.body) != `{"from":17,"nonce":"the auditor's"}` || c.header.Get("Idempotency-Key") != "" {
		t.Errorf("%+v %s", c.header, c.body)
	}
	full := errors.New("no room")
	if err := n.client(t).ExportAudit(t.Context(), api.AuditRange{}, "", refusing{full}, nil); !errors.Is(err, full) {
		t.Errorf("where it cannot be written: %v", err)
	}
}

type refusing struct{ why error }

func (r refusing) Write([]byte) (int, error) { return 0, r.why }

// What was cut off is not taken for a bundle, and is not asked for again: the
// node has it in its log.
func TestExportIsCutOff(t *testing.T) {
	for name, answer := range map[string]answer{
		"the node stops": func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "70000")
			w.WriteHeader(http.StatusOK)
			io.WriteString(w, "bundle")
			panic(http.ErrAbortHandler)
		},
		"without a length": func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusOK)
			io.WriteString(w, "bundle")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		},
	} {
		n := start(t, answer)
		var got bytes.Buffer
		if err := n.client(t).ExportAudit(t.Context(), api.AuditRange{}, "", &got, nil); !errors.Is(err, client.ErrUnreachable) {
			t.Errorf("%s: %d bytes, %v", name, got.Len(), err)
		}
		if len(n.received()) != 1 {
			t.Errorf("%s: asked %d times", name, len(n.received()))
		}
	}
	n := start(t, problem(http.StatusConflict))
	var p *client.Problem
	if err := n.client(t).ExportAudit(t.Context(), api.AuditRange{}, "", io.Discard, nil); !errors.As(err, &p) || p.Status != 409 || len(n.received()) != 1 {
		t.Errorf("%v", err)
	}
}
