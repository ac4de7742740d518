package audit

import (
	"fmt"
	"strings"
	"time"
)

// LeafVersion is the version of the leaf format, member v.
const LeafVersion = 1

// MaxLeaf bytes in a leaf. C2SP tlog-tiles bounds an entry at 65,535; a quarter
// of it holds the longest event and keeps 256 of them, a bundle, at 4 MiB.
const MaxLeaf = 16 << 10

// maxCode bounds the codes of a leaf (types, results, reasons).
const maxCode = 128

// Leaf is one event of an audit log. Members that are empty are left out; those
// marked "needed" must be set. Ids, times and codes only: a personal value or a
// free text is a commitment in PII.
type Leaf struct {
	V      int    `json:"v"`       // LeafVersion
	Seq    int64  `json:"seq"`     // place in the log, from 0
	Log    string `json:"log"`     // origin of the log; needed
	ID     string `json:"id"`      // of the event; needed
	TS     Time   `json:"ts"`      // by the proposer's clock; needed
	TSMono Time   `json:"ts_mono"` // the latest ts of the log so far; needed
	Node   string `json:"node"`    // that proposed it; needed
	Term   uint64 `json:"term"`    // of the Raft entry
	Index  uint64 `json:"index"`   // of the Raft entry

	Actor      Actor   `json:"actor"`
	Action     Action  `json:"action"`
	Object     Object  `json:"object,omitzero"`
	SubjectRef string  `json:"subject_ref,omitempty"` // random id of a person
	Result     Result  `json:"result"`
	Reason     string  `json:"reason,omitempty"` // a code
	Req        Request `json:"req,omitzero"`

	// PII has a commitment for each personal value, by the field's name.
	PII map[string]Commitment `json:"pii,omitempty"`
	// Data holds strings, int or int64, bool, []string, and map[string]any of
	// these. Decimal fractions, such as scores, are strings.
	Data map[string]any `json:"data,omitempty"`
}

// Actor is who did it.
type Actor struct {
	Type  string `json:"type"`            // a code: client, user, node, setup, anonymous …; needed
	ID    string `json:"id,omitempty"`    // empty where nobody is known
	Authn string `json:"authn,omitempty"` // a code: how the actor was known
}

// Object is what it was done to.
type Object struct {
	Type   string `json:"type"` // a code; needed where there is an object
	ID     string `json:"id,omitempty"`
	SHA256 string `json:"sha256,omitempty"` // of the stored, encrypted bytes, in lower-case hexadecimal digits
}

// Request is what asked for it, and by which rules and models it was answered.
type Request struct {
	RequestID     string   `json:"request_id,omitempty"`
	Route         string   `json:"route,omitempty"`
	PolicyVersion string   `json:"policy_version,omitempty"`
	Models        []string `json:"models,omitempty"`
}

// Result of an event.
type Result string

// What an event came to.
const (
	OK      Result = "ok"      // done
	Denied  Result = "denied"  // the actor may not
	Refused Result = "refused" // a rule of the business or the state does not allow it
	Failed  Result = "failed"  // tried, and an error prevented it
)

// Time is in nanoseconds since 1970, UTC. In a leaf it is RFC 3339 text with
// nine decimals: as a number it would exceed what JSON readers keep exact.
type Time int64

const timeLayout = "2006-01-02T15:04:05.000000000Z"

func (t Time) String() string { return time.Unix(0, int64(t)).UTC().Format(timeLayout) }

// MarshalText gives the text of a leaf.
func (t Time) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads what MarshalText writes, and nothing else.
func (t *Time) UnmarshalText(b []byte) error {
	parsed, err := time.Parse(timeLayout, string(b))
	if err == nil {
		if *t = Time(parsed.UnixNano()); t.String() == string(b) {
			return nil
		}
	}
	return fmt.Errorf("%w: %.40q is not a time like %s", ErrLeaf, b, timeLayout)
}

// Encode gives the bytes of the leaf: RFC 8785 canonical JSON.
func (l *Leaf) Encode() ([]byte, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	w := writer{b: make([]byte, 0, 1024), max: MaxLeaf}
	w.raw("{")
	w.member("action", string(l.Action))
	w.key("actor")
	w.raw("{")
	w.optional("authn", l.Actor.Authn)
	w.optional("id", l.Actor.ID)
	w.member("type", l.Actor.Type)
	w.raw("}")
	if len(l.Data) > 0 {
		w.key("data")
		w.value(l.Data, 0)
	}
	w.member("id", l.ID)
	w.key("index")
	w.integer(int64(l.Index))
	w.member("log", l.Log)
	w.member("node", l.Node)
	if l.Object != (Object{}) {
		w.key("object")
		w.raw("{")
		w.optional("id", l.Object.ID)
		w.optional("sha256", l.Object.SHA256)
		w.member("type", l.Object.Type)
		w.raw("}")
	}
	w.pii(l.PII)
	w.optional("reason", l.Reason)
	w.request(&l.Req)
	w.member("result", string(l.Result))
	w.key("seq")
	w.integer(l.Seq)
	w.optional("subject_ref", l.SubjectRef)
	w.key("term")
	w.integer(int64(l.Term))
	ts := l.TS.String()
	mono := ts // it nearly always is
	if l.TSMono != l.TS {
		mono = l.TSMono.String()
	}
	w.member("ts", ts)
	w.member("ts_mono", mono)
	w.key("v")
	w.integer(int64(l.V))
	w.raw("}")
	if w.err != nil {
		return nil, w.err
	}
	return w.b, nil
}

func (w *writer) member(key, value string) {
	w.key(key)
	w.text(value)
}

func (w *writer) optional(key, value string) {
	if value != "" {
		w.member(key, value)
	}
}

func (w *writer) pii(m map[string]Commitment) {
	if len(m) == 0 {
		return
	}
	w.key("pii")
	w.raw("{")
	for _, k := range sorted(m) {
		text, _ := m[k].MarshalText() // never fails
		w.member(k, string(text))
	}
	w.raw("}")
}

func (w *writer) request(r *Request) {
	if r.RequestID == "" && r.Route == "" && r.PolicyVersion == "" && len(r.Models) == 0 {
		return
	}
	w.key("req")
	w.raw("{")
	if len(r.Models) > 0 {
		w.key("models")
		w.list(r.Models)
	}
	w.optional("policy_version", r.PolicyVersion)
	w.optional("request_id", r.RequestID)
	w.optional("route", r.Route)
	w.raw("}")
}

// check everything that the writer does not.
func (l *Leaf) check() error {
	if _, _, _, err := ParseOrigin(l.Log); err != nil {
		return fmt.Errorf("%w: log: %w", ErrLeaf, err)
	}
	wrong := ""
	switch {
	case l.V != LeafVersion:
		wrong = fmt.Sprintf("v is %d, this program knows %d", l.V, LeafVersion)
	case l.Seq < 0 || l.Seq >= maxInteger || l.Term > maxInteger || l.Index > maxInteger:
		wrong = "seq, term or index is out of range"
	case l.ID == "" || l.Node == "":
		wrong = "id and node are needed"
	case l.TS <= 0 || l.TSMono < l.TS:
		wrong = "ts is needed, and ts_mono must not be before it"
	case !l.Action.Valid():
		wrong = fmt.Sprintf("%.40q is not an action", string(l.Action))
	case l.Result != OK && l.Result != Denied && l.Result != Refused && l.Result != Failed:
		wrong = fmt.Sprintf("%.40q is not a result", string(l.Result))
	case l.Object != (Object{}) && l.Object.Type == "":
		wrong = "object.type is needed"
	case l.Object.SHA256 != "" && !digest(l.Object.SHA256):
		wrong = "object.sha256 has 64 lower-case hexadecimal digits"
	}
	if wrong != "" {
		return fmt.Errorf("%w: %s", ErrLeaf, wrong)
	}
	for _, c := range [...]struct {
		name, code string
		needed     bool
	}{
		{"actor.type", l.Actor.Type, true},
		{"actor.authn", l.Actor.Authn, false},
		{"object.type", l.Object.Type, false},
		{"reason", l.Reason, false},
	} {
		if !(code(c.code) || c.code == "" && !c.needed) {
			return fmt.Errorf("%w: %s must be a code of 1 to %d letters, digits or any of %s; free text is a commitment in pii", ErrText, c.name, maxCode, codeMarks)
		}
	}
	return nil
}

const codeMarks = "-_.:+/@"

func code(s string) bool {
	if s == "" || len(s) > maxCode {
		return false
	}
	for i := range len(s) {
		if !alphanumeric(s[i]) && strings.IndexByte(codeMarks, s[i]) < 0 {
			return false
		}
	}
	return true
}

func digest(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}
