package audit_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/transparency-dev/formats/log"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/store/audit"
)

func openSigner(t testing.TB, path string, seeds ...string) *audit.Signer {
	t.Helper()
	s, err := audit.OpenSigner(path, keys(t, seeds...))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func signed(t testing.TB, origin string, size int64) []byte {
	t.Helper()
	s := openSigner(t, filepath.Join(t.TempDir(), "last-signed"), "seed")
	b, err := s.Sign(origin, size, grown(t, size))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func known(t testing.TB, origin, seed string) note.Verifiers {
	_, v := key(t, origin, seed)
	return note.VerifierList(v)
}

func TestOrigin(t *testing.T) {
	long := strings.Repeat("a", 64)
	for _, c := range []struct {
		cluster, tenant string
		epoch           int64
		want            string
	}{
		{"clu_1", "ten_1", 1, "clu_1/ten_1/e1"},
		{"bank.example", audit.System, 12, "bank.example/system/e12"},
		{long, long, 1<<53 - 1, long + "/" + long + "/e9007199254740991"},
		{"", "t", 1, ""}, {"c", "", 1, ""}, {"c", "t", 0, ""}, {"c", "t", -1, ""}, {"c", "t", 1 << 53, ""},
		{"a b", "t", 1, ""}, {"c", "t+", 1, ""}, {"c/d", "t", 1, ""}, {"c", "..", 1, ""}, {"c", "é", 1, ""}, {long + "a", "t", 1, ""},
	} {
		got, err := audit.Origin(c.cluster, c.tenant, c.epoch)
		if got != c.want || (err == nil) != (c.want != "") || err != nil && !errors.Is(err, audit.ErrOrigin) {
			t.Errorf("%+v: %q, %v", c, got, err)
		}
		if err == nil {
			if cluster, tenant, epoch, err := audit.ParseOrigin(got); cluster != c.cluster || tenant != c.tenant || epoch != c.epoch || err != nil {
				t.Errorf("%q gives %q %q %d %v", got, cluster, tenant, epoch, err)
			}
		}
	}
	for _, s := range []string{"", "a", "a/b", "a/b/c", "a/b/1", "a/b/e", "a/b/e0", "a/b/e01", "a/b/e+1", "a/b/e1/", "/a/b/e1", "a/b/e99999999999999999999"} {
		if _, _, _, err := audit.ParseOrigin(s); !errors.Is(err, audit.ErrOrigin) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestCheckpointIsReadByOthers(t *testing.T) {
	m := grown(t, 70)
	for _, size := range []int64{0, 1, 70} {
		b := signed(t, log1, size)
		_, v := key(t, log1, "seed")
		theirs, _, n, err := log.ParseCheckpoint(b, log1, v)
		if err != nil {
			t.Fatal(err)
		}
		r := root(t, size, m)
		if theirs.Origin != log1 || theirs.Size != uint64(size) || string(theirs.Hash) != string(r[:]) || len(n.Sigs) != 1 {
			t.Errorf("%+v", theirs)
		}
		ours, err := audit.VerifyCheckpoint(b, log1, note.VerifierList(v))
		if err != nil || ours.Origin != log1 || ours.Size != size || ours.Root != r || len(ours.Signatures) != 1 || ours.Text() != n.Text {
			t.Errorf("%+v, %v", ours, err)
		}
		bare, err := audit.ParseCheckpoint(b)
		if err != nil || bare.Size != size || bare.Root != r || len(bare.Signatures) != 0 {
			t.Errorf("%+v, %v", bare, err)
		}
	}
}

func TestCosignaturesAndUnknownKeys(t *testing.T) {
	b := signed(t, log1, 5)
	cosigner, cosignerV := key(t, "nod_2", "cosigner")
	stranger, _ := key(t, "nod_9", "stranger")
	_, logV := key(t, log1, "seed")
	n, err := note.Open(b, note.VerifierList(logV))
	if err != nil {
		t.Fatal(err)
	}
	b, err = note.Sign(n, cosigner, stranger)
	if err != nil {
		t.Fatal(err)
	}
	c, err := audit.VerifyCheckpoint(b, log1, note.VerifierList(logV, cosignerV))
	if err != nil || len(c.Signatures) != 2 || c.Signatures[0].Name != log1 || c.Signatures[1].Name != "nod_2" {
		t.Errorf("%+v, %v", c, err)
	}
	// A cosigner alone does not speak for the log.
	if _, err := audit.VerifyCheckpoint(b, log1, note.VerifierList(cosignerV)); !errors.Is(err, audit.ErrSignature) {
		t.Error(err)
	}
}

// While a key is replaced, who has pinned either one verifies, as do others.
func TestCheckpointOfTwoKeys(t *testing.T) {
	s := openSigner(t, filepath.Join(t.TempDir(), "last-signed"), "new", "old")
	b, err := s.Sign(log1, 5, grown(t, 5))
	if err != nil {
		t.Fatal(err)
	}
	for _, seed := range []string{"new", "old"} {
		if c, err := audit.VerifyCheckpoint(b, log1, known(t, log1, seed)); err != nil || len(c.Signatures) != 1 || c.Size != 5 {
			t.Errorf("%s: %+v, %v", seed, c, err)
		}
		_, v := key(t, log1, seed)
		if _, _, _, err := log.ParseCheckpoint(b, log1, v); err != nil {
			t.Errorf("%s: %v", seed, err)
		}
	}
	_, fresh := key(t, log1, "new")
	_, old := key(t, log1, "old")
	c, err := audit.VerifyCheckpoint(b, log1, note.VerifierList(old, fresh))
	if err != nil || len(c.Signatures) != 2 || c.Signatures[0].Hash != fresh.KeyHash() {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := audit.VerifyCheckpoint(b, log1, known(t, log1, "other")); !errors.Is(err, audit.ErrSignature) {
		t.Error(err)
	}
}

func TestCheckpointOfOthersRefused(t *testing.T) {
	b := signed(t, log1, 5)
	for name, c := range map[string]struct {
		b      []byte
		origin string
		known  note.Verifiers
	}{
		"no key":                  {b, log1, nil},
		"another key of the name": {b, log1, known(t, log1, "other")},
		"another epoch":           {b, log2, known(t, log1, "seed")},
		"another epoch and key":   {b, log2, known(t, log2, "seed")},
		"altered size":            {[]byte(strings.Replace(string(b), "\n5\n", "\n6\n", 1)), log1, known(t, log1, "seed")},
		"altered origin":          {[]byte(strings.Replace(string(b), log1, log2, 1)), log2, known(t, log1, "seed")},
		"same key, two names": {[]byte(strings.Replace(string(b), "clu_a", "clu_b", 1)), "clu_b/ten_b/e1",
			known(t, log1, "seed")},
	} {
		if got, err := audit.VerifyCheckpoint(c.b, c.origin, c.known); got != nil || !errors.Is(err, audit.ErrSignature) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestMalformedCheckpoint(t *testing.T) {
	good := string(signed(t, log1, 5))
	r := root(t, 5, grown(t, 5)).String()
	sig := good[strings.Index(good, "\n— "):]
	for name, s := range map[string]string{
		"nothing":          "",
		"cut":              good[:len(good)-1],
		"no signature":     good[:strings.Index(good, "— ")],
		"carriage returns": strings.ReplaceAll(good, "\n", "\r\n"),
		"zero before":      strings.Replace(good, "\n5\n", "\n05\n", 1),
		"plus":             strings.Replace(good, "\n5\n", "\n+5\n", 1),
		"negative":         strings.Replace(good, "\n5\n", "\n-5\n", 1),
		"beyond 2^53":      strings.Replace(good, "\n5\n", "\n9007199254740992\n", 1),
		"beyond 2^64":      strings.Replace(good, "\n5\n", "\n18446744073709551616\n", 1),
		"short root":       strings.Replace(good, r, r[4:], 1),
		"loose root":       strings.Replace(good, r, r[:42]+string(r[42]+1)+"=", 1),
		"no root":          log1 + "\n5\n" + sig,
		"extension":        log1 + "\n5\n" + r + "\nmore\n" + sig,
		"blank extension":  log1 + "\n5\n" + r + "\n\nmore\n" + sig,
		"no log":           strings.Replace(good, log1+"\n", "example.com/log\n", 1),
		"empty, not empty": strings.Replace(good, "\n5\n", "\n0\n", 1),
		"too large":        good + strings.Repeat(good[strings.Index(good, "— "):], audit.MaxCheckpoint/100),
		"many signatures":  good + strings.Repeat(good[strings.Index(good, "— "):], 101),
	} {
		if c, err := audit.ParseCheckpoint([]byte(s)); c != nil || !errors.Is(err, audit.ErrCheckpoint) {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
}

func TestEveryBitOfACheckpointCounts(t *testing.T) {
	b := signed(t, log1, 5)
	c, err := audit.VerifyCheckpoint(b, log1, known(t, log1, "seed"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(c.Text()) {
		for bit := range 8 {
			b[i] ^= 1 << bit
			if got, err := audit.VerifyCheckpoint(b, log1, known(t, log1, "seed")); err == nil {
				t.Fatalf("byte %d, bit %d: %+v", i, bit, got)
			}
			b[i] ^= 1 << bit
		}
	}
}

func ExampleCheckpoint_Text() {
	c := audit.Checkpoint{Origin: "bank/system/e1", Size: 3, Root: tlog.Hash{1, 2, 3}}
	fmt.Print(c.Text())
	// Output:
	// bank/system/e1
	// 3
	// AQIDAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
}
