package bundle_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"gatehouse/store/audit/bundle"
)

// published is a bundle that is the same in every process.
func published(t testing.TB) (*world, []byte, bundle.Options) {
	t.Helper()
	b, err := os.ReadFile("testdata/second.ekab")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	o := w.options()
	o.FirstUse, o.Secret = true, w.secret
	good(t, b, o)
	return w, b, o
}

// Whatever the bytes are, a verdict comes, and it is good of nothing but what the
// log's key has signed.
func FuzzVerify(f *testing.F) {
	_, b, o := published(f)
	f.Add(b)
	f.Add(b[:5000])
	f.Add(pack(f, members(f, b)[:4]))
	f.Fuzz(func(t *testing.T, forged []byte) {
		if v := verify(t, forged, o); v.Good != bytes.Equal(forged, b) {
			t.Fatalf("%+v", v)
		}
	})
}

// Any member may say anything, with the manifest signed for it: what is good of
// another bundle must be outside the trust.
func FuzzMember(f *testing.F) {
	w, b, o := published(f)
	all := members(f, b)
	for i, p := range all {
		f.Add(uint8(i), p.body)
	}
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		changed := all[int(which)%len(all)].name
		if changed == "bundle.json" {
			forged := append([]part{{changed, body}, {"bundle.sig", seal(t, body, w.log)}}, all[2:]...)
			if v := verify(t, pack(t, forged), o); v.Good && !bytes.Equal(body, all[0].body) {
				t.Fatalf("%+v", v)
			}
			return
		}
		if changed == "bundle.sig" {
			forged := append([]part{all[0], {changed, body}}, all[2:]...)
			verify(t, pack(t, forged), o) // the key may have signed at another time
			return
		}
		v := verify(t, edit(t, b, only(changed, func([]byte) []byte { return body }), w.log), o)
		if was := member(t, b, changed); v.Good && !bytes.Equal(body, was) && !free(changed, body, was) {
			t.Fatalf("%s: %q is taken: %+v", changed, body, v)
		}
	})
}

// free tells whether a good bundle may have now what was otherwise before.
func free(member string, now, was []byte) bool {
	switch member {
	case "keys.jsonl", "report.html": // outside the trust
		return true
	case "disclosures.jsonl": // less may be disclosed
		return bytes.HasPrefix(was, now)
	}
	// Signatures of keys that nobody knows may follow in a checkpoint.
	text, _, _ := bytes.Cut(was, []byte("\n\n"))
	return strings.Contains(member, "checkpoint") && bytes.HasPrefix(now, append(text, "\n\n"...))
}

// A key for disclosures has one spelling.
func FuzzParseKeys(f *testing.F) {
	w := newWorld(f)
	secret, err := w.secret.Text()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(secret)
	f.Add(w.secret.Recipient().String())
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := bundle.ParseSecret(text); err == nil {
			if again, err := s.Text(); err != nil || again != string(bytes.TrimSpace([]byte(text))) {
				t.Fatalf("%q, %v", again, err)
			}
		}
		if r, err := bundle.ParseRecipient(text); err == nil && r.String() != string(bytes.TrimSpace([]byte(text))) {
			t.Fatalf("%q", r)
		}
	})
}
