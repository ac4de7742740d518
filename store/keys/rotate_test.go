package keys_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"gatehouse/store/keys"
)

const origin = "clu_test/ten_a/e1"

var newYear = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)

// sign has every key sign one text.
func (h *home) sign(t testing.TB, origin string) []byte {
	t.Helper()
	signers, err := h.Signers(origin)
	must(t, err)
	b, err := note.Sign(&note.Note{Text: origin + "\n7\n"}, signers...)
	must(t, err)
	return b
}

// holds says whether a verifier who has pinned one key alone accepts the note.
func holds(t testing.TB, b []byte, vkey string) bool {
	t.Helper()
	v, err := note.NewVerifier(vkey)
	must(t, err)
	n, err := note.Open(b, note.VerifierList(v))
	return err == nil && len(n.Sigs) == 1
}

// bothSign asserts that old and new verifier each accept what is signed.
func (h *home) bothSign(t testing.TB, origin string) {
	t.Helper()
	vkeys, err := h.Verifiers(origin)
	must(t, err)
	b := h.sign(t, origin)
	if len(vkeys) != 2 || vkeys[0] == vkeys[1] || !holds(t, b, vkeys[0]) || !holds(t, b, vkeys[1]) {
		t.Errorf("%v\n%s", vkeys, b)
	}
}

func (h *home) rotate(t testing.TB) (old, fresh keys.SigningKey) {
	t.Helper()
	old, fresh, err := h.RotateSigning(newYear)
	must(t, err)
	return old, fresh
}

func (h *home) verifier(t testing.TB) string {
	t.Helper()
	vkey, err := h.Verifier(origin)
	must(t, err)
	return vkey
}

func TestSigner(t *testing.T) {
	h := create(t)
	vkey := h.verifier(t)
	b := h.sign(t, origin)
	if !holds(t, b, vkey) || holds(t, bytes.Replace(b, []byte("7"), []byte("8"), 1), vkey) {
		t.Errorf("%s", b)
	}
	h.restart(t)
	must(t, h.UnsealFile())
	if again := h.verifier(t); again != vkey || !holds(t, h.sign(t, origin), vkey) {
		t.Errorf("after a restart: %s; want %s", again, vkey)
	}
	for _, name := range []string{"", "with space", "with+plus"} {
		_, err := h.Signers(name)
		want(t, name, err, keys.ErrName)
		_, err = h.Verifiers(name)
		want(t, name, err, keys.ErrName)
	}
}

func TestRotationOverlaps(t *testing.T) {
	h := create(t)
	first := h.verifier(t)
	before, err := h.Signers(origin)
	must(t, err)
	old, fresh := h.rotate(t)
	second := h.verifier(t)
	if old.ID != 1 || old.State != "overlapping" || fresh.ID != 2 || fresh.State != "active" || !fresh.Created.Equal(newYear) ||
		fresh.Public == old.Public || second == first {
		t.Fatalf("%+v, %+v", old, fresh)
	}
	check := func(when string) {
		t.Helper()
		h.bothSign(t, origin)
		if vkeys, err := h.Verifiers(origin); err != nil || vkeys[0] != second || vkeys[1] != first {
			t.Errorf("%s: %v, %v", when, vkeys, err)
		}
		if all := h.SigningKeys(); len(all) != 2 || all[0] != old || all[1] != fresh {
			t.Errorf("%s: %+v", when, all)
		}
		_, _, err := h.RotateSigning(newYear)
		want(t, when+": a third key", err, keys.ErrOverlap)
		want(t, when+": the active key", h.RetireSigning(2), keys.ErrActive)
		want(t, when+": no key", h.RetireSigning(3), keys.ErrNoSigning)
	}
	check("rotated")
	// A signer given out before still signs, with its own key.
	b, err := note.Sign(&note.Note{Text: "x\n"}, before...)
	if err != nil || !holds(t, b, first) {
		t.Errorf("%s, %v", b, err)
	}
	h.restart(t)
	if all := h.SigningKeys(); all != nil {
		t.Errorf("sealed: %+v", all)
	}
	_, _, err = h.RotateSigning(newYear)
	want(t, "sealed", err, keys.ErrSealed)
	want(t, "sealed", h.RetireSigning(1), keys.ErrSealed)
	must(t, h.UnsealFile())
	check("restarted")
	h.tenant(t, "ten_a") // another change of the ring keeps both
	h.restart(t)
	must(t, h.UnsealFile())
	check("changed")
}

func TestRetiredKeySignsNoMore(t *testing.T) {
	h := create(t)
	first := h.verifier(t)
	seed := make([]byte, 3*32) // the third key of the fixed randomness
	_, err := io.ReadFull(fixed(), seed)
	must(t, err)
	seed = seed[2*32:]
	old, _ := h.rotate(t)
	second := h.verifier(t)
	signers, err := h.Signers(origin)
	must(t, err)
	if !bytes.Contains(h.Page(), seed) {
		t.Fatal("the old seed is not where this test looks for it")
	}
	must(t, h.RetireSigning(old.ID))
	if bytes.Contains(h.Page(), seed) {
		t.Error("the old seed is still in memory")
	}
	_, err = signers[1].Sign([]byte("m"))
	want(t, "a signer of the retired key", err, keys.ErrRetired)
	if _, err := signers[0].Sign([]byte("m")); err != nil {
		t.Errorf("a signer of the active key: %v", err)
	}
	check := func(when string) {
		t.Helper()
		b := h.sign(t, origin)
		if holds(t, b, first) || !holds(t, b, second) {
			t.Errorf("%s:\n%s", when, b)
		}
		all := h.SigningKeys()
		if len(all) != 2 || all[0].State != "retired" || all[0].Public != old.Public || all[1].State != "active" {
			t.Errorf("%s: %+v", when, all)
		}
		if err := h.RetireSigning(old.ID); err != nil {
			t.Errorf("%s: once more: %v", when, err)
		}
		want(t, when+": the active key", h.RetireSigning(2), keys.ErrActive)
	}
	check("retired")
	h.restart(t)
	must(t, h.UnsealFile())
	check("restarted")
}

// Far more rotations than the key-ring remembers, under two ring keys.
func TestRotatedForYears(t *testing.T) {
	h := create(t)
	seen := map[string]bool{h.verifier(t): true}
	for i := range 70 {
		if i == 3 {
			must(t, h.NextRingKey())
		}
		old, fresh := h.rotate(t)
		if old.ID != uint32(i)+1 || fresh.ID != uint32(i)+2 || seen[h.verifier(t)] {
			t.Fatalf("rotation %d: %+v, %+v", i, old, fresh)
		}
		seen[h.verifier(t)] = true
		if i%16 == 4 {
			h.restart(t)
			must(t, h.UnsealFile())
		}
		h.bothSign(t, origin)
		must(t, h.RetireSigning(old.ID))
	}
	all := h.SigningKeys()
	if len(all) != 64 || all[0].ID != 8 || all[63].ID != 71 || all[63].State != "active" {
		t.Errorf("%d keys from %+v", len(all), all[0])
	}
	want(t, "a forgotten key", h.RetireSigning(1), keys.ErrNoSigning)
	vkey := h.verifier(t)
	h.restart(t)
	must(t, h.UnsealFile())
	if !holds(t, h.sign(t, origin), vkey) {
		t.Error("another key after a restart")
	}
}

// What could not be made durable has not happened.
func TestRotationThatCannotBeWritten(t *testing.T) {
	h := create(t)
	first := h.verifier(t)
	page := h.Page()
	block := func() {
		must(t, os.Mkdir(h.file(".keyring.tmp"), 0o700))
		must(t, os.WriteFile(h.file(".keyring.tmp/in"), nil, 0o600))
	}
	block()
	if old, fresh, err := h.RotateSigning(newYear); err == nil || old != fresh {
		t.Errorf("%+v, %+v, %v", old, fresh, err)
	}
	if b := h.sign(t, origin); !holds(t, b, first) || len(h.SigningKeys()) != 1 || !bytes.Equal(h.Page(), page) {
		t.Errorf("a rotation that failed left something: %s", b)
	}
	must(t, os.RemoveAll(h.file(".keyring.tmp")))
	h.rotate(t)
	block()
	if err := h.RetireSigning(1); err == nil {
		t.Error("retired without a trace")
	}
	h.bothSign(t, origin)
	must(t, os.RemoveAll(h.file(".keyring.tmp")))
	must(t, h.RetireSigning(1))
}

func TestRotationWhileSigning(t *testing.T) {
	h := create(t)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := signOnce(h); err != nil && !errors.Is(err, keys.ErrRetired) && !errors.Is(err, keys.ErrSealed) {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range uint32(10) {
		h.rotate(t)
		if i == 5 {
			h.Seal()
			must(t, h.UnsealFile())
		}
		must(t, h.RetireSigning(i+1))
	}
	close(stop)
	wg.Wait()
}

// signOnce fails where a signer signs with another key than it says.
func signOnce(h *home) error {
	signers, err := h.Signers(origin)
	if err != nil {
		return err
	}
	var known []note.Verifier
	for _, k := range h.SigningKeys() {
		vkey, err := note.NewEd25519VerifierKey(origin, k.Public[:])
		if err != nil {
			return err
		}
		v, err := note.NewVerifier(vkey)
		if err != nil {
			return err
		}
		known = append(known, v)
	}
	b, err := note.Sign(&note.Note{Text: "text\n"}, signers...)
	if err != nil || known == nil { // sealed meanwhile
		return err
	}
	n, err := note.Open(b, note.VerifierList(known...))
	if err == nil && len(n.Sigs) != len(signers) {
		err = fmt.Errorf("%d signers made\n%s", len(signers), b)
	}
	return err
}
