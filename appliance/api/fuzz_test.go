package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"gatehouse/appliance/problem"
)

// bad fails where an error is not a problem that the caller is at fault for.
func bad(t *testing.T, err error) {
	t.Helper()
	var p *problem.Problem
	if !errors.As(err, &p) || p.Kind.Status() < 400 || p.Kind.Status() >= 500 || p.Detail == "" || len(p.Detail) > 1000 {
		t.Errorf("%v", err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{"kind":"identity","consent":{"text_version":"1","given_at":"2025-01-24T09:00:00Z","channel":"branch"}}`, `{}`, `null`, `[]`, `{"kind":1}`,
		`{"a":{"a":{"a":1}}}`, `{"kind":"a","kind":"b"}`, "{\"\xff\":1}", `{"consent":{"given_at":{"":1}}}`, `{"name":"x","roles":["operator"]}`, `{"file":true}`, `{"threshold":1e400}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, into := range []any{&SessionRequest{}, &ClientRequest{}, &SetupRequest{}, &TenantRequest{}, &SlotRequest{}, &UnsealRequest{}} {
			if err := decode(b, into); err != nil {
				bad(t, err)
				continue
			}
			// What was taken says all that was sent: written and read again it
			// is the same, and the strict standard decoder takes it too.
			d := json.NewDecoder(bytes.NewReader(b))
			d.DisallowUnknownFields()
			again := reflect.New(reflect.TypeOf(into).Elem()).Interface()
			if err := d.Decode(again); err != nil || !reflect.DeepEqual(into, again) {
				t.Errorf("%q: %+v, then %+v, %v", b, into, again, err)
			}
			text, err := json.Marshal(into)
			if err != nil {
				t.Fatal(err)
			}
			if err := decode(text, again); err != nil {
				t.Errorf("%q was taken, %q not: %v", b, text, err)
			}
		}
	})
}

func FuzzPictures(f *testing.F) {
	part := "--b\r\nContent-Disposition: form-data; name=\"%\"\r\n\r\nx\r\n"
	for _, s := range []string{strings.Replace(part, "%", "a", 1) + strings.Replace(part, "%", "b", 1) + "--b--\r\n", "--b--", "", "--b\r\n\r\n\r\n--b--", strings.Replace(part, "%", "c", 1),
		"--b\r\nContent-Disposition: form-data; name*=UTF-8''%61\r\n\r\nx\r\n--b--\r\n", "--b\r\nX: " + strings.Repeat("y", 5000)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := httptest.NewRequest("POST", "/v1/faces/compare", bytes.NewReader(b))
		r.Header.Set("Content-Type", "multipart/form-data; boundary=b")
		all, err := pictures(r, "a", "b")
		if err != nil {
			bad(t, err)
			return
		}
		if len(all) != 2 || len(all["a"]) == 0 || len(all["b"]) == 0 || len(all["a"])+len(all["b"]) > len(b) {
			t.Errorf("%q: %q", b, all)
		}
	})
}

func FuzzCursor(f *testing.F) {
	for _, s := range []string{"", "!", next("ses_1"), next(strings.Repeat("x", 65)), next("a\x00b"), "AA=="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, err := cursor(&text)
		if err != nil {
			bad(t, err)
			return
		}
		if id == "" || len(id) > 64 || strings.Contains(id, "\x00") {
			t.Errorf("%q is %q", text, id)
		}
		again := next(id)
		if back, err := cursor(&again); err != nil || back != id {
			t.Errorf("%q: %q, %v", id, back, err)
		}
	})
}

func FuzzDigest(f *testing.F) {
	for _, s := range []string{"", "sha-256=", "SHA-256=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", "md5=AAAA", "sha-256=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=,md5=x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b, err := digest(&text)
		if err != nil {
			bad(t, err)
		} else if len(b) != 32 {
			t.Errorf("%q: %x", text, b)
		}
	})
}

func FuzzWait(f *testing.F) {
	for _, s := range []string{"", "10s", "-1s", "30s", "30.1s", "1e9h", "9223372036854775807ns", "0", "1ms500us"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := wait(&text, time.Second)
		if err != nil {
			bad(t, err)
		} else if d < 0 || d > maxWait {
			t.Errorf("%q: %v", text, d)
		}
	})
}
