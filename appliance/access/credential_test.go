package access_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"gatehouse/appliance/access"
)

func TestKeys(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		text, hash, err := access.NewKey(rand.Reader)
		if err != nil || seen[text] || !strings.HasPrefix(text, "gh_") || len(text) != 61 || hash != sha256.Sum256([]byte(text)) {
			t.Fatalf("%q %x %v", text, hash, err)
		}
		seen[text] = true
		if got, err := access.HashKey(text); err != nil || got != hash {
			t.Errorf("%q: %x %v", text, got, err)
		}
		for i := range text { // every single letter is covered by the checksum
			b := []byte(text)
			if b[i]++; b[i] == '_' {
				b[i] = 'x'
			}
			if _, err := access.HashKey(string(b)); !errors.Is(err, access.ErrKey) {
				t.Fatalf("%q for %q: %v", b, text, err)
			}
		}
		for _, bad := range []string{"", "gh_", text[3:], text + "0", text[:60], " " + text, text + "\n", strings.ToUpper(text)} {
			if _, err := access.HashKey(bad); !errors.Is(err, access.ErrKey) {
				t.Errorf("%q: %v", bad, err)
			}
		}
	}
	if _, _, err := access.NewKey(iotest.ErrReader(io.ErrClosedPipe)); !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
	if _, _, err := access.NewKey(bytes.NewReader(make([]byte, 31))); err == nil {
		t.Error("a key of 31 bytes")
	}
}

func TestSetupCodes(t *testing.T) {
	text, hash, err := access.NewCode(rand.Reader)
	if err != nil || len(strings.ReplaceAll(text, "-", "")) != 26 {
		t.Fatalf("%q %v", text, err)
	}
	for _, typed := range []string{text, strings.ToLower(text), strings.ReplaceAll(text, "-", ""), strings.ReplaceAll(text, "-", " "), strings.ReplaceAll(text, "0", "O"), strings.ReplaceAll(text, "1", "l")} {
		if access.HashCode(typed) != hash {
			t.Errorf("%q is not %q", typed, text)
		}
	}
	other := []byte(text)
	other[0] = map[bool]byte{true: 'B', false: 'A'}[other[0] == 'A']
	if access.HashCode(string(other)) == hash || access.HashCode(text[:len(text)-1]) == hash || access.HashCode("") == hash {
		t.Error("another code has the same hash")
	}
	if _, _, err := access.NewCode(bytes.NewReader(make([]byte, 25))); err == nil {
		t.Error("a code of 25 bytes")
	}
}

// Nobody may what the table does not say.
func TestRoles(t *testing.T) {
	for _, r := range access.Routes() {
		for _, role := range access.Roles() {
			may := access.Caller{Roles: []access.Role{role}}.May(r)
			if want := len(r.Roles) == 0 || slices.Contains(r.Roles, role); may != want {
				t.Errorf("%s as %s: %v", r.Operation, role, may)
			}
		}
		for _, c := range []access.Caller{{}, {Roles: []access.Role{"root"}}, {Client: "cli_1"}} {
			if c.May(r) != (len(r.Roles) == 0) {
				t.Errorf("%s for %+v", r.Operation, c)
			}
		}
	}
	open := 0
	seen := map[string]bool{}
	for _, r := range access.Routes() {
		if len(r.Roles) == 0 {
			open++
		}
		if r.Audit != "" && !r.Audit.Valid() {
			t.Errorf("%s: there is no action %s", r.Operation, r.Audit)
		}
		if seen[r.Operation] || seen[r.Method+r.Path] {
			t.Errorf("%s is twice in the table", r.Operation)
		}
		seen[r.Operation], seen[r.Method+r.Path] = true, true
	}
	if open != 2 {
		t.Errorf("%d routes are open to everybody", open)
	}
}

func FuzzHashKey(f *testing.F) {
	good, _, err := access.NewKey(rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add("gh_")
	f.Add(strings.Repeat("\xff", 61))
	f.Fuzz(func(t *testing.T, text string) {
		hash, err := access.HashKey(text)
		if err != nil {
			if !errors.Is(err, access.ErrKey) || hash != [32]byte{} || len(err.Error()) > 100 {
				t.Errorf("%q: %x %v", text, hash, err)
			}
			return
		}
		if hash != sha256.Sum256([]byte(text)) {
			t.Errorf("%q has another hash", text)
		}
	})
}
