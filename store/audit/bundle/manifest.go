package bundle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"gatehouse/store/audit"
)

// format is the version of the bundle.
const format = 1

const (
	// chunk is the leaves in one member: a segment of the log, whose first leaf
	// is a multiple of it.
	chunk = 1 << 16
	// maxChunks bounds the manifest. 2³² leaves are eleven years of a million a
	// day.
	maxChunks = 1 << 16
	// maxFiles: 16 beside the entries.
	maxFiles = maxChunks + 16
	// maxManifest bytes: a file takes at most 140.
	maxManifest = maxFiles*140 + 4<<10
	// maxNonce characters. Sixteen random bytes need 32 in hexadecimal digits.
	maxNonce = 128
)

// manifest is bundle.json, its members in canonical order (RFC 8785).
type manifest struct {
	Challenge *int64 `json:"challenge,omitempty"`
	Cluster   string `json:"cluster"`
	Files     []file `json:"files"`
	Format    int    `json:"format"`
	From      int64  `json:"from"`
	Nonce     string `json:"nonce,omitempty"`
	Origin    string `json:"origin"`
	System    *slice `json:"system,omitempty"`
	Tenant    string `json:"tenant"`
	To        int64  `json:"to"`
}

type file struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// slice says which part of the system's log anchors this one.
type slice struct {
	From   int64  `json:"from"`
	Origin string `json:"origin"`
	To     int64  `json:"to"`
}

// encode gives canonical JSON: members are in order, numbers are integers, and
// no text needs an escape once check has passed.
func (m *manifest) encode() ([]byte, error) { return json.Marshal(m) }

func parseManifest(b []byte) (*manifest, error) {
	if len(b) > maxManifest {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", errForm, len(b), maxManifest)
	}
	// A file has three commas. An empty one of JSON would take twenty times the
	// memory of its text.
	if bytes.Count(b, []byte{','}) > 3*maxFiles+16 {
		return nil, fmt.Errorf("%w: more than %d files", errForm, maxFiles)
	}
	var m manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("%w: %w", errForm, err)
	}
	if again, err := m.encode(); err != nil || !bytes.Equal(again, b) {
		return nil, fmt.Errorf("%w: not canonical JSON of the members that are known", errForm)
	}
	return &m, m.check()
}

// check everything that can be told from the manifest alone.
func (m *manifest) check() error {
	cluster, tenant, _, err := audit.ParseOrigin(m.Origin)
	if err != nil {
		return err
	}
	wrong := ""
	switch {
	case m.Format != format:
		wrong = fmt.Sprintf("format %d, this program knows %d", m.Format, format)
	case m.Cluster != cluster || m.Tenant != tenant:
		wrong = "cluster and tenant are not those of the origin"
	case m.From < 0 || m.To < m.From || m.To > audit.MaxSize:
		wrong = fmt.Sprintf("no range from %d to %d", m.From, m.To)
	case (m.To-m.From)/chunk+2 > maxChunks:
		wrong = fmt.Sprintf("more than %d leaves", (maxChunks-2)*chunk)
	case (m.System == nil) != (tenant == audit.System):
		wrong = "the log of a tenant needs the slice of the system's log, and that one none"
	case (m.Nonce == "") != (m.Challenge == nil) || m.Nonce != "" && !nonce(m.Nonce):
		wrong = "nonce and challenge belong together"
	case m.Challenge != nil && (*m.Challenge < m.From || *m.Challenge >= m.To):
		wrong = "the challenge is not in the range"
	}
	if wrong != "" {
		return fmt.Errorf("%w: %s", errForm, wrong)
	}
	if s := m.System; s != nil {
		c, t, _, err := audit.ParseOrigin(s.Origin)
		if err != nil {
			return err
		}
		if c != cluster || t != audit.System || s.From < 0 || s.To < s.From || s.To > audit.MaxSize || (s.From > 0) != (m.From > 0) {
			return fmt.Errorf("%w: no slice of %.200s from %d to %d goes with it", errForm, s.Origin, s.From, s.To)
		}
	}
	return nil
}

// nonce: the characters of hexadecimal and base64 text, so that it needs no
// escape anywhere.
func nonce(s string) bool {
	const marks = "-_.:+/="
	if s == "" || len(s) > maxNonce {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9') && strings.IndexByte(marks, c) < 0 {
			return false
		}
	}
	return true
}

func digits(s string) bool { return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == "" }
