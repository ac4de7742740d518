package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"gatehouse/appliance/access"
	"gatehouse/appliance/problem"
	"gatehouse/engine/picture"
)

// body reads a JSON body strictly, and gives its SHA-256 with the route's.
func body(r *http.Request, into any) (hash [32]byte, err error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return hash, problem.New(problem.BadMediaType, "the body must be application/json").In("Content-Type")
	}
	b, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxJSON))
	if err != nil {
		return hash, err
	}
	return requestHash(r, b), decode(b, into)
}

func requestHash(r *http.Request, parts ...[]byte) [32]byte {
	h := sha256.New()
	fmt.Fprintf(h, "%s %s\n", r.Method, r.URL.Path)
	for _, p := range parts {
		sum := sha256.Sum256(p)
		h.Write(sum[:])
	}
	return [32]byte(h.Sum(nil))
}

// decode one JSON value: no member that is not known, none twice, none in
// another case, nothing after it.
func decode(b []byte, into any) error {
	if !utf8.Valid(b) { // RFC 8259, 8.1
		return problem.New(problem.Malformed, "the body is not UTF-8")
	}
	if err := members(b, reflect.TypeOf(into).Elem()); err != nil {
		return err
	}
	if err := json.Unmarshal(b, into); err != nil {
		var kind *json.UnmarshalTypeError
		if errors.As(err, &kind) {
			if kind.Field == "" {
				return problem.New(problem.BadValue, "the body must be a JSON object, it is a %s", kind.Value)
			}
			return problem.New(problem.BadValue, "%s must not be a %s", kind.Field, kind.Value).In(kind.Field)
		}
		return problem.New(problem.BadValue, "a value cannot be read: times are RFC 3339")
	}
	return nil
}

// maxDepth of a JSON body; the deepest that is known has three levels.
const maxDepth = 8

func members(b []byte, t reflect.Type) error {
	d := json.NewDecoder(bytes.NewReader(b))
	if err := value(d, t, "", 0); err != nil {
		var p *problem.Problem
		if errors.As(err, &p) {
			return err
		}
		return problem.New(problem.Malformed, "the body is not JSON: near byte %d", d.InputOffset())
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return problem.New(problem.Malformed, "something follows the JSON value")
	}
	return nil
}

func value(d *json.Decoder, t reflect.Type, path string, depth int) error {
	if depth > maxDepth {
		return problem.New(problem.Malformed, "the JSON is nested too deeply")
	}
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	token, err := d.Token()
	if err != nil {
		return err
	}
	switch token {
	case json.Delim('{'):
		return object(d, t, path, depth)
	case json.Delim('['):
		var of reflect.Type
		if t != nil && t.Kind() == reflect.Slice {
			of = t.Elem()
		}
		for d.More() {
			if err := value(d, of, path+"[]", depth+1); err != nil {
				return err
			}
		}
		_, err := d.Token()
		return err
	case nil:
		if path == "" {
			return problem.New(problem.BadValue, "the body must not be null")
		}
		return problem.New(problem.BadValue, "%s must not be null; leave it out", path).In(path)
	}
	return nil
}

func object(d *json.Decoder, t reflect.Type, path string, depth int) error {
	seen := map[string]bool{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return err
		}
		name, _ := token.(string)
		at := strings.TrimPrefix(path+"."+name, ".")
		field, known := fieldOf(t, name)
		if !known {
			return problem.New(problem.UnknownMember, "there is no member %.80q", at).In(strings.ToValidUTF8(at, "?"))
		}
		if seen[name] {
			return problem.New(problem.Malformed, "the member %s stands twice", at).In(at)
		}
		seen[name] = true
		if err := value(d, field, at, depth+1); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return err
	}
	if t == nil || t.Kind() != reflect.Struct || t == reflect.TypeFor[time.Time]() {
		return nil
	}
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !strings.Contains(options, "omitempty") && !seen[name] {
			at := strings.TrimPrefix(path+"."+name, ".")
			return problem.New(problem.BadValue, "%s is missing", at).In(at)
		}
	}
	return nil
}

// fieldOf finds a member's type; where the value is not an object at all, the
// decoder says so later.
func fieldOf(t reflect.Type, name string) (reflect.Type, bool) {
	if t == nil || t.Kind() != reflect.Struct {
		return nil, true
	}
	for f := range t.Fields() {
		if tag, _, _ := strings.Cut(f.Tag.Get("json"), ","); tag == name {
			return f.Type, true
		}
	}
	return nil, false
}

// parameters refuses query parameters that the operation does not have.
func parameters(route access.Route, r *http.Request) error {
	known := queries(route.Operation)
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return problem.New(problem.Malformed, "the query cannot be read").In("query")
	}
	for name, values := range query {
		if !slices.Contains(known, name) {
			return problem.New(problem.UnknownMember, "there is no query parameter %.80q", name).In(strings.ToValidUTF8(name, "?"))
		}
		if len(values) > 1 {
			return problem.New(problem.BadValue, "the query parameter %s stands twice", name).In(name)
		}
	}
	return nil
}

// queries of each operation, as the description has them; a test compares.
func queries(operation string) []string {
	switch operation {
	case "listSessions", "listClients", "listBlocked":
		return []string{"cursor", "limit"}
	case "getSession", "submitSession", "verify":
		return []string{"wait"}
	case "eraseSubject", "removeBlocked":
		return []string{"reason"}
	case "checkpoint", "auditKey", "auditProof":
		return []string{"log"}
	case "auditEvents":
		return []string{"log", "from", "limit", "epoch"}
	case "auditConsistency":
		return []string{"log", "from", "to"}
	case "retireAuditKey":
		return []string{"early"}
	}
	return nil
}

// wait parses how long a caller waits for a decision.
func wait(text *Wait, usual time.Duration) (time.Duration, error) {
	if text == nil {
		return usual, nil
	}
	d, err := time.ParseDuration(*text)
	if err != nil || d < 0 || d > maxWait {
		return 0, problem.New(problem.BadValue, "wait is a time like 10s").In("wait").Of(maxWait.String())
	}
	return d, nil
}

func limit(n *Limit) (int, error) {
	if n == nil {
		return defaultLimit, nil
	}
	if *n < 1 || *n > maxLimit {
		return 0, problem.New(problem.BadValue, "limit is between 1 and %d", maxLimit).In("limit")
	}
	return *n, nil
}

// digest parses a Digest header (RFC 3230), of which SHA-256 is known.
func digest(text *string) ([]byte, error) {
	if text == nil {
		return nil, nil
	}
	name, value, _ := strings.Cut(*text, "=")
	b, err := base64.StdEncoding.DecodeString(value)
	if !strings.EqualFold(name, "sha-256") || err != nil || len(b) != sha256.Size {
		return nil, problem.New(problem.BadValue, "Digest is sha-256=<base64 of 32 bytes>").In("Digest")
	}
	return b, nil
}

// pictures reads a form of nothing but the named pictures into memory.
func pictures(r *http.Request, names ...string) (map[string][]byte, error) {
	most := map[string]int{}
	for _, name := range names {
		most[name] = picture.DefaultLimits().Bytes
	}
	all, err := fields(r, most)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if len(all[name]) == 0 {
			return nil, problem.New(problem.BadValue, "the part %s is missing or empty", name).In(name)
		}
	}
	return all, nil
}
