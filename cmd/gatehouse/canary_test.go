package main_test

import (
	"bytes"
	"encoding/base64"
	endian "encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

// canary is something that must never be found in the clear.
type canary struct {
	name  string
	value []byte
}

// forms of a value that a careless writer might choose.
func (c canary) forms() map[string][]byte {
	all := map[string][]byte{
		"raw": c.value, "hex": []byte(hex.EncodeToString(c.value)), "HEX": []byte(strings.ToUpper(hex.EncodeToString(c.value))),
		"UTF-16LE": wide(c.value, endian.LittleEndian), "UTF-16BE": wide(c.value, endian.BigEndian),
	}
	for shift := range 3 {
		for name, e := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64url": base64.RawURLEncoding} {
			text := e.EncodeToString(append(make([]byte, shift), c.value...))
			// The ends hold bits of what stands beside the value.
			all[fmt.Sprintf("%s shifted by %d", name, shift)] = []byte(text[(8*shift+5)/6 : len(text)-1])
		}
	}
	return all
}

func wide(b []byte, order endian.AppendByteOrder) (out []byte) {
	for _, u := range utf16.Encode([]rune(string(b))) {
		out = order.AppendUint16(out, u)
	}
	return out
}

// cage holds canaries, and finds those that got out.
type cage []canary

func (c *cage) add(name string, values ...string) {
	for _, v := range values {
		c.bytes(name, []byte(v))
	}
}

func (c *cage) bytes(name string, v []byte) {
	if len(v) >= 6 { // a shorter one is found by chance
		*c = append(*c, canary{name, v})
	}
}

// find tells which canaries are in b, and in which form.
func (c cage) find(where string, b []byte) (found []string) {
	b = withoutZeros(b)
	for _, one := range c {
		for form, v := range one.forms() {
			if bytes.Contains(b, v) {
				found = append(found, fmt.Sprintf("%s holds the %s (%s)", where, one.name, form))
			}
		}
	}
	slices.Sort(found)
	return found
}

// withoutZeros leaves out the blocks of a file that hold nothing but zeros: of
// a fresh database most of it.
func withoutZeros(b []byte) []byte {
	var zeros [4096]byte
	out := make([]byte, 0, min(len(b), 1<<20))
	for block := range slices.Chunk(b, len(zeros)) {
		if !bytes.Equal(block, zeros[:len(block)]) {
			out = append(out, block...)
		}
	}
	return out
}

// findIn looks into every file below a directory, and at their names.
func (c cage) findIn(t *testing.T, dir string) (found []string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		found = append(found, c.find("the name "+path, []byte(path))...)
		found = append(found, c.find(path, b)...)
		return nil
	})
	if err != nil || files < 10 {
		t.Fatalf("%d files: %v", files, err)
	}
	return found
}

// personal are the values of a document that say who somebody is.
func (c *cage) personal(t *testing.T, document string) {
	t.Helper()
	type date struct{ ISO string }
	read := one[struct {
		MRZ struct {
			Lines  []string
			Fields struct {
				Surname       string
				GivenNames    string `json:"given_names"`
				Number        string
				Birth, Expiry date
			}
		}
	}](t, succeed(t, "document", "read", "--no-text", document, "--json")).MRZ
	f := read.Fields
	if len(f.Surname) < 6 && len(f.GivenNames) < 6 || len(f.Number) < 6 || f.Birth.ISO == "" || f.Expiry.ISO == "" {
		t.Fatalf("the document has no canaries: %+v", f)
	}
	c.add("lines of the document", read.Lines...)
	for _, name := range []string{f.Surname, f.GivenNames} {
		c.add("name of the person", name, strings.ToLower(name), strings.ToUpper(name[:1])+strings.ToLower(name[1:]))
	}
	c.add("number of the document", f.Number)
	c.add("date of birth", f.Birth.ISO)
	c.add("date of expiry", f.Expiry.ISO)
}

// biometric values of a picture: its bytes, and runs of its template.
func (c *cage) biometric(t *testing.T, file string) {
	t.Helper()
	b := readFile(t, file)
	c.bytes("bytes of "+filepath.Base(file), b[len(b)/2:len(b)/2+64])
	e := one[struct{ Embedding []float32 }](t, succeed(t, "face", "embed", file, "--json")).Embedding
	for i := 0; i+4 <= len(e); i += 64 { // four at a time: the last bit of one may differ from run to run
		var run []byte
		for _, v := range e[i : i+4] {
			run = endian.LittleEndian.AppendUint32(run, math.Float32bits(v))
		}
		c.bytes("template of "+filepath.Base(file), run)
	}
}

const (
	reference       = "kanarienvogel.7301@kunde.example"
	wrongPassphrase = "korrekt Pferd Batterie Bueroklammer"
)

func TestNothingIsInTheClear(t *testing.T) {
	var c cage
	c.personal(t, passport)
	c.biometric(t, obama2)
	c.add("subject_ref", reference)
	c.add("passphrase", passphrase, wrongPassphrase)
	s := serve(t, "--log-level", "debug", "--log-format", "json")
	c.add("setup code", s.SetupCode, strings.ReplaceAll(s.SetupCode, "-", ""))
	s.enrol(t, "branch", "operator", "auditor")
	s.enrol(t, "office", "compliance")
	for _, profile := range []string{"admin", "branch", "office"} {
		key := s.key(t, profile)
		c.add("key of "+profile, key, strings.TrimPrefix(key, "gh_"))
	}
	var said strings.Builder // what callers who did something wrong were told
	wrong := func(profile string, args ...string) {
		o := s.as(t, profile, append(args, "--json")...)
		if o.code == 0 {
			t.Errorf("gatehouse %q: it went well", args)
		}
		said.WriteString(o.stdout + o.stderr)
	}

	made := s.verify(t, "branch", "--subject-ref-file", s.secretFile(t, "reference", reference))
	kept := s.verify(t, "branch", "--subject-ref-file", s.secretFile(t, "reference", "2."+reference))
	for _, args := range [][]string{
		{"session", "result", made.ID, "--purpose", "review"},
		{"session", "evidence", made.ID, "selfie", "--purpose", "review", "--out", filepath.Join(s.dir, "picture")},
		{"subject", "get", made.Subject, "--purpose", "compliance"},
	} {
		if o := s.as(t, "office", args...); o.code != 0 {
			t.Errorf("gatehouse %q: %+v", args, o)
		}
	}
	if o := s.as(t, "office", "subject", "get", made.Subject, "--purpose", "compliance"); !strings.Contains(o.stdout, reference) {
		t.Errorf("the subject's reference is not what was given: %+v", o)
	}
	s.misbehave(t, &said, kept)
	wrong("branch", "session", "evidence", kept.ID, "selfie", "--purpose", "review", "--out", filepath.Join(s.dir, "not"))
	wrong("branch", "session", "put", kept.ID, "selfie", biden)
	wrong("branch", append([]string{"session", "create", "--subject-ref-file", s.secretFile(t, "long", strings.Repeat(reference, 9))}, consent...)...)
	if o := s.as(t, "office", "subject", "erase", made.Subject, "--reason", "subject_request", "--yes"); o.code != 0 {
		t.Errorf("subject erase: %+v", o)
	}
	wrong("office", "session", "result", made.ID, "--purpose", "review")

	does[addedSlot](t, s, "admin", "seal", "add", "passphrase", "--passphrase-file", s.secretFile(t, "right", passphrase))
	shares := does[addedSlot](t, s, "admin", "seal", "add", "shamir", "--threshold", "2", "--shares", "3").Shares
	c.add("share", shares...)
	does[shownSeal](t, s, "admin", "seal")
	wrong("admin", "unseal", "--passphrase-file", s.secretFile(t, "wrong", wrongPassphrase))
	does[shownSeal](t, s, "admin", "unseal", "--share-file", s.secretFile(t, "share", shares[0]))
	wrong("admin", "unseal", "--share-file", s.secretFile(t, "share", shares[0]))
	wrong("admin", "unseal", "--share-file", s.secretFile(t, "share", shares[1][:len(shares[1])-1]+"-"))
	does[shownSeal](t, s, "admin", "unseal", "--passphrase-file", s.secretFile(t, "right", passphrase))

	code, metrics := s.get(t, "/metrics", s.key(t, "admin"))
	if code != http.StatusOK || !strings.Contains(metrics, "gatehouse_") {
		t.Fatalf("metrics: %d %.200s", code, metrics)
	}
	tenant := s.as(t, "branch", "audit", "tail", "--from", "0", "--json")
	system := s.as(t, "admin", "audit", "tail", "--from", "0", "--log", "system", "--json")
	if !strings.Contains(tenant.stdout, "decision.make") || !strings.Contains(system.stdout, "seal.unseal.failed") {
		t.Fatalf("audit tail: %+v %+v", tenant, system)
	}
	s.stop(t)
	if !strings.Contains(s.log.String(), `"level":"DEBUG"`) {
		t.Error("the log is not at level debug")
	}

	found := c.findIn(t, s.Data)
	for where, text := range map[string]string{"the log": s.log.String(), "the metrics": metrics, "a problem": said.String(),
		"the tenant's log": tenant.stdout, "the system log": system.stdout} {
		found = append(found, c.find(where, []byte(text))...)
	}
	for _, f := range found {
		t.Error(f)
	}
	c.getOut(t, s.Data)
}

// misbehave sends what a node must refuse, with personal values in it.
func (s *served) misbehave(t *testing.T, said *strings.Builder, kept shownSession) {
	t.Helper()
	branch := s.key(t, "branch")
	for _, path := range []string{"/v1/sessions/" + reference, "/v1/sessions/" + kept.ID + "/evidence/" + reference, "/v1/sessions?cursor=" + reference, "/" + reference} {
		code, body := s.get(t, path, branch)
		if code < 400 {
			t.Errorf("%s: %d", path, code)
		}
		said.WriteString(body)
	}
	if code, body := s.get(t, "/v1/sessions", branch[:len(branch)-1]); code != http.StatusUnauthorized {
		t.Errorf("a key that is cut off: %d", code)
	} else {
		said.WriteString(body)
	}
	noPicture := s.secretFile(t, "note.jpg", "\xff\xd8\xff"+reference) // begins as a JPEG does
	o := s.as(t, "branch", append([]string{"session", "verify", "--document", passport, "--selfie", noPicture, "--json", "--wait", "20s"}, consent...)...)
	said.WriteString(o.stdout + o.stderr)
}

// getOut shows that find finds: a canary in each form, and one in a copy of the
// node's own database.
func (c cage) getOut(t *testing.T, data string) {
	t.Helper()
	noise := readFile(t, filepath.Join(data, "keyring"))
	for _, one := range c {
		for form, v := range one.forms() {
			if found := c.find("noise", slices.Concat(noise, v, noise)); len(found) == 0 {
				t.Errorf("the %s as %s is not found", one.name, form)
			}
		}
		text := base64.StdEncoding.EncodeToString(slices.Concat(noise[:4], one.value, noise[:5]))
		if len(c.find("base64", []byte(text))) == 0 {
			t.Errorf("the %s within base64 is not found", one.name)
		}
		if b, err := json.Marshal(map[string][]byte{"x": one.value}); err != nil || len(c.find("JSON", b)) == 0 {
			t.Errorf("the %s within JSON is not found: %v", one.name, err)
		}
	}
	dir := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(dir, os.DirFS(data)); err != nil {
		t.Fatal(err)
	}
	state := readFile(t, filepath.Join(dir, "state.db"))
	copy(state[len(state)-5000:], reference)
	if err := os.WriteFile(filepath.Join(dir, "state.db"), state, 0o600); err != nil {
		t.Fatal(err)
	}
	if found := c.findIn(t, dir); len(found) != 1 || !strings.Contains(found[0], "state.db holds the subject_ref (raw)") {
		t.Errorf("one canary in a copy: found %q", found)
	}
}
