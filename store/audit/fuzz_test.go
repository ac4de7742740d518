package audit_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"gatehouse/store/audit"
)

func among(err error, sentinels ...error) bool {
	for _, s := range sentinels {
		if errors.Is(err, s) {
			return true
		}
	}
	return false
}

func FuzzDecodeLeaf(f *testing.F) {
	f.Add(encode(f, small()))
	f.Add(encode(f, full()))
	f.Add([]byte(`{"v":1,"v":1}`))
	f.Add(bytes.Repeat([]byte(`{"data":`), 1000))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := audit.DecodeLeaf(b)
		// The fast way accepts nothing that the patient one refuses or reads otherwise.
		if fast, ok := audit.ParseLeaf(b); ok && len(b) <= audit.MaxLeaf {
			if slow, err := audit.Patient(b); err != nil || !reflect.DeepEqual(fast, slow) {
				t.Fatalf("%q: %+v, patiently %+v, %v", b, fast, slow, err)
			}
		}
		if err != nil {
			if l != nil || !among(err, audit.ErrLeaf, audit.ErrLeafTooLarge, audit.ErrNotCanonical, audit.ErrText) {
				t.Fatalf("%+v, %v", l, err)
			}
			return
		}
		if !bytes.Equal(encode(t, l), b) || canonical(t, l) != string(b) {
			t.Fatalf("%q is not canonical", b)
		}
	})
}

func FuzzParseCheckpoint(f *testing.F) {
	f.Add(signed(f, log1, 0))
	f.Add(signed(f, log1, 5))
	f.Add([]byte("a/b/e1\n1\n"))
	verifiers := known(f, log1, "seed")
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := audit.ParseCheckpoint(b)
		if err != nil {
			if c != nil || !errors.Is(err, audit.ErrCheckpoint) {
				t.Fatalf("%+v, %v", c, err)
			}
		} else if !bytes.HasPrefix(b, []byte(c.Text()+"\n")) || len(c.Signatures) != 0 {
			t.Fatalf("%q gives %+v", b, c)
		}
		if c, err := audit.VerifyCheckpoint(b, log1, verifiers); err == nil && len(c.Signatures) == 0 || err != nil && !among(err, audit.ErrCheckpoint, audit.ErrSignature) {
			t.Fatalf("%+v, %v", c, err)
		}
	})
}

func FuzzParseProof(f *testing.F) {
	p := proofOf(f, 4, 7)
	f.Add(p.Encode())
	p.Extra = []byte("extra")
	f.Add(p.Encode())
	f.Add(proofOf(f, 0, 1).Encode())
	verifiers := known(f, log1, "seed")
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := audit.ParseProof(b)
		if err != nil {
			if p != nil || !errors.Is(err, audit.ErrProofFile) {
				t.Fatalf("%+v, %v", p, err)
			}
			return
		}
		if !bytes.Equal(p.Encode(), b) {
			t.Fatalf("%q has another spelling", b)
		}
		if _, err := p.Verify([]byte("no leaf of any tree"), log1, verifiers); !among(err, audit.ErrProof, audit.ErrSignature, audit.ErrSize) {
			t.Fatalf("%v", err)
		}
	})
}

func FuzzLastSigned(f *testing.F) {
	path := filepath.Join(f.TempDir(), "last-signed")
	if _, err := openSigner(f, path, "seed").Sign(log1, 5, grown(f, 5)); err != nil {
		f.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("gatehouse/last-signed/1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "last-signed")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := audit.OpenSigner(path, nil); (s == nil) != (err != nil) || err != nil && !errors.Is(err, audit.ErrLastSigned) {
			t.Fatalf("%v", err)
		}
	})
}
