package keys_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"

	"gatehouse/store/keys"
)

func TestCreateNeedsASlot(t *testing.T) {
	dir := t.TempDir()
	_, err := keys.Create(dir, cluster, fixed(), func(*keys.Store) error { return nil })
	want(t, "without a slot", err, keys.ErrNoSlot)
	boom := errors.New("boom")
	_, err = keys.Create(dir, cluster, fixed(), func(s *keys.Store) error {
		if _, _, err := s.AddShamir(2, 3); err != nil {
			return err
		}
		return boom
	})
	want(t, "that fails after a slot", err, boom)
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	for _, name := range []string{"", "\xff", strings.Repeat("c", 129)} {
		_, err = keys.Create(dir, name, fixed(), func(*keys.Store) error { return nil })
		want(t, "with a bad name", err, keys.ErrName)
	}
	_, err = keys.Create(dir, cluster, strings.NewReader("too short"), func(*keys.Store) error { return nil })
	want(t, "without randomness", err, io.ErrUnexpectedEOF)
}

func TestCreateOverwritesNothing(t *testing.T) {
	for _, kept := range []string{"seal.json", "keyring"} {
		h := create(t)
		for _, name := range []string{"seal.json", "keyring"} {
			if name != kept {
				must(t, os.Remove(h.file(name)))
			}
		}
		before, err := os.ReadFile(h.file(kept))
		must(t, err)
		_, err = keys.Create(h.dir, cluster, fixed(), func(s *keys.Store) error { t.Error("asked for a slot"); return nil })
		want(t, kept, err, keys.ErrExists)
		if after, err := os.ReadFile(h.file(kept)); err != nil || !bytes.Equal(before, after) {
			t.Errorf("%s changed (%v)", kept, err)
		}
		if _, err := keys.Open(h.dir, cluster); !os.IsNotExist(err) {
			t.Errorf("half of the files: %v", err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		file  string
		spoil func([]byte) []byte
		err   error
	}{
		"seal.json cut":         {"seal.json", func(b []byte) []byte { return b[:len(b)/2] }, keys.ErrFormat},
		"seal.json empty":       {"seal.json", func([]byte) []byte { return nil }, keys.ErrFormat},
		"seal.json with a tail": {"seal.json", func(b []byte) []byte { return append(b, '1') }, keys.ErrFormat},
		"seal.json large":       {"seal.json", func(b []byte) []byte { return append(b, make([]byte, 1<<20)...) }, keys.ErrLimit},
		"seal.json of a newer format": {"seal.json", func(b []byte) []byte {
			return bytes.Replace(b, []byte(`"format": 1`), []byte(`"format": 2`), 1)
		}, keys.ErrFormat},
		"seal.json of another cluster": {"seal.json", func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(cluster), []byte("clu_else")) }, keys.ErrCluster},
		"seal.json with a new field":   {"seal.json", func(b []byte) []byte { return bytes.Replace(b, []byte("{"), []byte(`{"more":1,`), 1) }, keys.ErrFormat},
		"seal.json of no kind":         {"seal.json", func(b []byte) []byte { return bytes.Replace(b, []byte(`"file"`), []byte(`"tpm2"`), 1) }, keys.ErrFormat},
		"keyring empty":                {"keyring", func([]byte) []byte { return nil }, keys.ErrFormat},
		"keyring of a newer format":    {"keyring", func(b []byte) []byte { b[8] = 2; return b }, keys.ErrFormat},
		"keyring of another cluster":   {"keyring", func(b []byte) []byte { b[10] = 'd'; return b }, keys.ErrCluster},
	} {
		h := create(t)
		rewrite(t, h.file(c.file), c.spoil)
		if _, err := keys.Open(h.dir, cluster); !errors.Is(err, c.err) {
			t.Errorf("%s: %v; want: %v", name, err, c.err)
		}
	}
	h := create(t)
	_, err := keys.Open(h.dir, "clu_else")
	want(t, "for another cluster", err, keys.ErrCluster)
	for _, name := range []string{"seal.json", "keyring"} {
		must(t, os.Chmod(h.file(name), 0o604))
		_, err := keys.Open(h.dir, cluster)
		want(t, name, err, keys.ErrPermissions)
		if err == nil || !strings.Contains(err.Error(), h.file(name)) {
			t.Errorf("%v does not name the file", err)
		}
		must(t, os.Chmod(h.file(name), 0o600))
	}
}

// A right secret with a damaged key-ring: said so, still sealed, not a guess.
func TestDamagedKeyring(t *testing.T) {
	for _, at := range []int{-1, 40, 60, 100} {
		h := create(t)
		h.restart(t)
		rewrite(t, h.file("keyring"), flip(at))
		err := h.UnsealFile()
		if !errors.Is(err, keys.ErrAltered) && !errors.Is(err, keys.ErrOtherKey) {
			t.Errorf("byte %d: %v", at, err)
		}
		if st := h.Status(); !st.Sealed || st.Failures != 0 {
			t.Errorf("byte %d: %+v", at, st)
		}
	}
}

// What a crash in the middle of a write leaves is not read, and goes.
func TestCrashInTheMiddleOfAWrite(t *testing.T) {
	h := create(t)
	before, err := os.ReadFile(h.file("keyring"))
	must(t, err)
	_, wrapped := h.tenant(t, "ten_a")
	after, err := os.ReadFile(h.file("keyring"))
	must(t, err)
	if len(after) < len(before)+256*75 {
		t.Fatalf("the ring grew from %d to %d bytes by 256 erasure keys", len(before), len(after))
	}
	must(t, os.WriteFile(h.file(".keyring.tmp"), after[:len(after)/2], 0o600))
	h.restart(t)
	must(t, h.UnsealFile())
	_, err = h.Tenant("ten_a", wrapped)
	must(t, err)
	h.tenant(t, "ten_b")
	entries, err := os.ReadDir(h.dir)
	must(t, err)
	if len(entries) != 2 {
		t.Errorf("files: %v", entries)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", e.Name(), info.Mode(), err)
		}
	}
}

// A tenant that could not be made durable does not exist.
func TestTenantThatCannotBeWritten(t *testing.T) {
	h := create(t)
	must(t, os.Mkdir(h.file(".keyring.tmp"), 0o700))
	must(t, os.WriteFile(h.file(".keyring.tmp/in"), nil, 0o600))
	if w, err := h.NewTenant("ten_a"); err == nil || w != nil {
		t.Errorf("%x, %v", w, err)
	}
	must(t, os.RemoveAll(h.file(".keyring.tmp")))
	h.tenant(t, "ten_a")
}

func TestSealEndsEveryHandle(t *testing.T) {
	h := create(t)
	tenant, wrapped := h.tenant(t, "ten_a")
	subject, wrappedSubject, err := tenant.NewSubject("sub_1")
	must(t, err)
	field, err := subject.Seal(place, value)
	must(t, err)
	signers, err := h.Signers("log")
	must(t, err)
	check := func(when string) {
		t.Helper()
		for name, f := range map[string]func() error{
			"subject.Seal":      func() error { _, err := subject.Seal(place, value); return err },
			"subject.Object":    func() error { _, err := subject.Object([32]byte{}, nil); return err },
			"tenant.Index":      func() error { _, err := tenant.Index("l", nil); return err },
			"tenant.Seal":       func() error { _, err := tenant.Seal(place, value); return err },
			"tenant.Open":       func() error { _, err := tenant.Open(place, field); return err },
			"tenant.Subject":    func() error { _, err := tenant.Subject("sub_1", wrappedSubject); return err },
			"tenant.NewSubject": func() error { _, _, err := tenant.NewSubject("sub_2"); return err },
			"signer.Sign":       func() error { _, err := signers[0].Sign([]byte("m")); return err },
		} {
			want(t, name+" "+when, f(), keys.ErrSealed)
		}
		if got, err := subject.Open(place, field); got != nil || !errors.Is(err, keys.ErrSealed) {
			t.Errorf("subject.Open %s: %q, %v", when, got, err)
		}
	}
	h.Seal()
	h.Seal()
	check("when sealed")
	for name, f := range map[string]func() error{
		"NewTenant": func() error { _, err := h.NewTenant("ten_b"); return err },
		"Tenant":    func() error { _, err := h.Tenant("ten_a", wrapped); return err },
		"Signers":   func() error { _, err := h.Signers("log"); return err },
		"Verifiers": func() error { _, err := h.Verifiers("log"); return err },
		"Verifier":  func() error { _, err := h.Verifier("log"); return err },
		"AddShamir": func() error { _, _, err := h.AddShamir(2, 2); return err },
	} {
		want(t, name, f(), keys.ErrSealed)
	}
	must(t, h.UnsealFile())
	check("of the time before")
	again, err := h.Tenant("ten_a", wrapped)
	must(t, err)
	_, err = again.Subject("sub_1", wrappedSubject)
	must(t, err)
}

func TestSealWhileInUse(t *testing.T) {
	h := create(t)
	_, wrapped := h.tenant(t, "ten_a")
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := work(h, wrapped, fmt.Sprint("sub_", i)); err != nil && !errors.Is(err, keys.ErrSealed) {
					t.Error(err)
					return
				}
				h.Status()
			}
		})
	}
	wg.Go(func() {
		for i := range 5 {
			if _, err := h.NewTenant(fmt.Sprint("ten_", i)); err != nil && !errors.Is(err, keys.ErrSealed) {
				t.Error(err)
			}
		}
	})
	for range 20 {
		h.Seal()
		if err := h.UnsealFile(); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	wg.Wait()
	if err := work(h, wrapped, "sub_last"); err != nil {
		t.Error(err)
	}
}

func work(h *home, wrapped []byte, id string) error {
	tenant, err := h.Tenant("ten_a", wrapped)
	if err != nil {
		return err
	}
	subject, _, err := tenant.NewSubject(id)
	if err != nil {
		return err
	}
	sealed, err := subject.Seal(place, value)
	if err != nil {
		return err
	}
	got, err := subject.Open(place, sealed)
	if err == nil && !bytes.Equal(got, value) {
		return fmt.Errorf("read %q", got)
	}
	return err
}

// The fixed randomness starts with root key, veil key, signing seed and ring
// key: none of their bytes may come out, in any form.
func TestNothingPrintsAKey(t *testing.T) {
	h := create(t)
	tenant, _ := h.tenant(t, "ten_a")
	subject, _, err := tenant.NewSubject("sub_1")
	must(t, err)
	signers, err := h.Signers("log")
	must(t, err)
	secret := make([]byte, 4*32)
	_, err = io.ReadFull(fixed(), secret)
	must(t, err)
	_, shares, err := h.AddShamir(2, 2)
	must(t, err)
	waiting, err := keys.Open(h.dir, cluster)
	must(t, err)
	share(t, waiting, shares[0])
	forge(t, shares[0], func(body []byte) { secret = append(secret, body[10:]...) })

	var out strings.Builder
	for _, v := range []any{
		h.Store, tenant, subject, *tenant, *subject, signers[0], h.SigningKeys(), h.Status(), struct{ s *keys.Store }{h.Store},
		waiting, waiting.Status(), struct{ s *keys.Store }{waiting},
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		data, err := json.Marshal(v)
		must(t, err)
		out.Write(data)
	}
	for _, name := range []string{"seal.json", "keyring"} {
		data, err := os.ReadFile(h.file(name))
		must(t, err)
		out.Write(data)
	}
	for i := range 5 {
		k := secret[i*32 : i*32+4]
		decimal := strings.Trim(fmt.Sprint(k), "[]")
		for _, form := range []string{string(k), fmt.Sprintf("%x", k), decimal, strings.ReplaceAll(decimal, " ", ", ")} {
			if strings.Contains(out.String(), form) {
				t.Errorf("key %d shows as %q", i, form)
			}
		}
	}
}
