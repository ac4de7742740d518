package keys_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"testing"

	"gatehouse/store/keys"
)

func TestTenantOfTwoNodes(t *testing.T) {
	a, b := pair(t)
	before := a.RingSum()
	wrapped, c, err := a.PrepareTenant("ten_a")
	must(t, err)
	must(t, b.Stage(c.File, c.Sum))
	if c.Serial != a.serial(t)+1 || c.Sum != sha256.Sum256(c.File) {
		t.Errorf("serial %d after %d, sum %x", c.Serial, a.serial(t), c.Sum)
	}
	for _, h := range []*home{a, b} {
		h.onDisk(t, "before", before)
		_, err = h.Tenant("ten_a", wrapped)
		want(t, "before", err, keys.ErrUnknownKey)
	}
	file, err := b.Staged(c.Sum)
	must(t, err)
	must(t, b.Adopt(file, c.Sum))
	must(t, a.Adopt(c.File, c.Sum))
	for _, h := range []*home{a, b} {
		h.onDisk(t, "adopted", c.Sum)
		if h.serial(t) != c.Serial || h.files(t) != "keyring" {
			t.Errorf("serial %d, not %d; files %s", h.serial(t), c.Serial, h.files(t))
		}
	}
	_, person, field := a.person(t, "ten_a", wrapped)
	b.reads(t, "ten_a", wrapped, person, field)
	b.restart(t)
	must(t, b.UnsealFile())
	b.reads(t, "ten_a", wrapped, person, field)
}

func TestPreparingChangesNothing(t *testing.T) {
	h := create(t)
	tenant, _ := h.tenant(t, "ten_a")
	check := func(when string, prepare func() error) {
		t.Helper()
		page, sum, serial, shown := h.Page(), h.RingSum(), h.serial(t), fmt.Sprint(h.SigningKeys())
		must(t, prepare())
		h.onDisk(t, when, sum)
		if !bytes.Equal(h.Page(), page) || h.serial(t) != serial || fmt.Sprint(h.SigningKeys()) != shown || h.files(t) != "keyring" {
			t.Errorf("%s: something changed", when)
		}
		if _, _, err := tenant.NewSubject("sub_1"); err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	check("a tenant", func() error { _, _, err := h.PrepareTenant("ten_b"); return err })
	check("a rotation", func() error { _, _, _, err := h.PrepareRotation(newYear); return err })
	old, _ := h.rotate(t)
	check("a retirement", func() error { _, err := h.PrepareRetirement(old.ID); return err })
	must(t, h.RetireSigning(old.ID))
	if c, err := h.PrepareRetirement(old.ID); c != nil || err != nil {
		t.Errorf("retired before: %v, %v", c, err)
	}
	_, c, err := h.PrepareTenant("ten_a")
	want(t, "a tenant that is there", err, keys.ErrExists)
	_, err = h.PrepareRetirement(9)
	want(t, "no key", err, keys.ErrNoSigning)
	h.Seal()
	for name, f := range map[string]func() error{
		"PrepareTenant":     func() error { _, c, err = h.PrepareTenant("ten_b"); return err },
		"PrepareRotation":   func() error { _, _, c, err = h.PrepareRotation(newYear); return err },
		"PrepareRetirement": func() error { c, err = h.PrepareRetirement(1); return err },
		"RingSerial":        func() error { _, err := h.RingSerial(); return err },
	} {
		want(t, name+" while sealed", f(), keys.ErrSealed)
		if c != nil {
			t.Errorf("%s gave %v", name, c)
		}
	}
}

// A rotation and its end on one node are those of the other, and handles given
// out before go on working there.
func TestAdoptedSigningKeys(t *testing.T) {
	a, b := pair(t)
	wrapped := newTenant(t, "ten_a", a, b)
	first := b.verifier(t)
	tenant, err := b.Tenant("ten_a", wrapped)
	must(t, err)
	person, _, field := b.person(t, "ten_a", wrapped)
	signers, err := b.Signers(origin)
	must(t, err)
	working := func(when string) {
		t.Helper()
		if got, err := person.Open(place, field); err != nil || !bytes.Equal(got, value) {
			t.Errorf("%s: %q, %v", when, got, err)
		}
		if _, _, err := tenant.NewSubject("sub_2"); err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	seed := make([]byte, 3*32) // the third key of the fixed randomness
	_, err = io.ReadFull(fixed(), seed)
	must(t, err)
	seed = seed[2*32:]

	old, fresh, c, err := a.PrepareRotation(newYear)
	must(t, err)
	must(t, b.Adopt(c.File, c.Sum))
	must(t, a.Adopt(c.File, c.Sum))
	working("rotated")
	b.bothSign(t, origin)
	if all := b.SigningKeys(); len(all) != 2 || all[0] != old || all[1] != fresh || b.verifier(t) != a.verifier(t) {
		t.Errorf("%+v", all)
	}
	if _, err := signers[0].Sign([]byte("m")); err != nil {
		t.Errorf("a signer from before: %v", err)
	}
	_, _, _, err = b.PrepareRotation(newYear)
	want(t, "a third key", err, keys.ErrOverlap)
	if !bytes.Contains(b.Page(), seed) {
		t.Fatal("the old seed is not where this test looks for it")
	}

	c, err = a.PrepareRetirement(old.ID)
	must(t, err)
	must(t, b.Adopt(c.File, c.Sum))
	if bytes.Contains(b.Page(), seed) {
		t.Error("the old seed is still in memory")
	}
	_, err = signers[0].Sign([]byte("m"))
	want(t, "a signer of the retired key", err, keys.ErrRetired)
	check := func(when string) {
		t.Helper()
		if note := b.sign(t, origin); holds(t, note, first) || !holds(t, note, a.verifier(t)) {
			t.Errorf("%s:\n%s", when, note)
		}
	}
	check("retired")
	working("retired")
	b.restart(t)
	must(t, b.UnsealFile())
	check("restarted")
}

// What an adopted key-ring destroyed is gone at once, and in no file.
func TestAdoptedErasure(t *testing.T) {
	a, b := pair(t)
	wrapped := newTenant(t, "ten_a", a, b)
	person, wrappedPerson, field := b.person(t, "ten_a", wrapped)
	tenant, err := b.Tenant("ten_a", wrapped)
	must(t, err)
	c, err := a.PrepareEpoch("ten_a", wrapped, "sub_1", false)
	must(t, err)
	must(t, a.Adopt(c.File, c.Sum))
	must(t, b.Adopt(c.File, c.Sum))
	b.reads(t, "ten_a", wrapped, wrappedPerson, field)

	_, never, err := a.PrepareTenant("ten_never") // from before the erasure
	must(t, err)
	must(t, b.Stage(never.File, never.Sum))
	must(t, os.WriteFile(b.file(fmt.Sprintf(".keyring.%x.tmp", never.Sum)), never.File[:9999], 0o600))
	c, err = a.PrepareEpoch("ten_a", wrapped, "sub_1", true)
	must(t, err)
	must(t, b.Stage(c.File, c.Sum))
	must(t, b.Adopt(c.File, c.Sum))
	got, err := person.Open(place, field)
	if got != nil || !errors.Is(err, keys.ErrErased) {
		t.Errorf("a handle given out before: %q, %v", got, err)
	}
	_, err = tenant.Subject("sub_1", wrappedPerson)
	want(t, "a person's key", err, keys.ErrErased)
	if files := b.files(t); files != "keyring" {
		t.Errorf("left: %s", files)
	}
}

// A newer ring key wraps on the other node as well, what the old one wrapped
// opens still, and so do handles.
func TestAdoptedRingKey(t *testing.T) {
	a, b := pair(t)
	first := newTenant(t, "ten_a", a, b)
	person, wrapped, field := b.person(t, "ten_a", first)
	must(t, a.NextRingKey())
	second := newTenant(t, "ten_b", a, b)
	if bytes.Equal(first[3:15], second[3:15]) {
		t.Fatal("both name one ring key")
	}
	if got, err := person.Open(place, field); err != nil || !bytes.Equal(got, value) {
		t.Errorf("%q, %v", got, err)
	}
	b.reads(t, "ten_a", first, wrapped, field)
	_, wrapped, field = b.person(t, "ten_b", second)
	a.reads(t, "ten_b", second, wrapped, field)
}

// What is not in a newer key-ring is refused, though it was in the one before.
func TestAdoptedWithoutATenant(t *testing.T) {
	a, b := pair(t)
	lost, wrapped := b.tenant(t, "ten_lost")
	person, _, field := b.person(t, "ten_lost", wrapped)
	newTenant(t, "ten_a", a)
	newTenant(t, "ten_b", a, b)
	_, err := lost.Seal(place, value)
	want(t, "a tenant", err, keys.ErrUnknownKey)
	_, err = person.Open(place, field)
	want(t, "a person", err, keys.ErrUnknownKey)
}

func TestAdoptRefuses(t *testing.T) {
	a, b := pair(t)
	start, err := a.RingFile()
	must(t, err)
	_, c, err := a.PrepareTenant("ten_a")
	must(t, err)
	_, rival, err := a.PrepareTenant("ten_b")
	must(t, err)
	must(t, b.Adopt(c.File, c.Sum))
	_, next, err := b.PrepareTenant("ten_b")
	must(t, err)

	dir := t.TempDir()
	strange, err := keys.Create(dir, cluster, rand.NewChaCha8([32]byte{}), func(s *keys.Store) error {
		_, err := s.AddFile(dir + "/key")
		return err
	})
	must(t, err)
	defer strange.Seal()
	_, strangers, err := strange.PrepareTenant("ten_a")
	must(t, err)
	at := len("GHKEYRNG") + 2 + len(cluster) // the record
	for name, bad := range map[string]struct {
		file   []byte
		err    error
		opened bool // only the root key can tell
	}{
		"empty":                    {nil, keys.ErrFormat, false},
		"cut in its head":          {next.File[:12], keys.ErrFormat, false},
		"cut in its record":        {next.File[:at+20], keys.ErrFormat, false},
		"of another magic":         {flip(0)(next.File), keys.ErrFormat, false},
		"of another format":        {flip(8)(next.File), keys.ErrFormat, false},
		"of another cluster":       {flip(10)(next.File), keys.ErrCluster, false},
		"of another record format": {flip(at)(next.File), keys.ErrFormat, false},
		"of another recipe":        {flip(at + 2)(next.File), keys.ErrFormat, false},
		"of another root version":  {flip(at + 14)(next.File), keys.ErrOtherKey, false},
		"too large":                {make([]byte, 64<<20+1), keys.ErrLimit, false},
		"of another root key":      {strangers.File, keys.ErrOtherKey, true},
		"of another root key's id": {flip(at + 3)(next.File), keys.ErrOtherKey, true},
		"altered":                  {flip(-1)(next.File), keys.ErrAltered, true},
		"cut":                      {next.File[:len(next.File)-1], keys.ErrAltered, true},
		"older":                    {start, keys.ErrOlder, true},
		"as old":                   {rival.File, keys.ErrOlder, true},
	} {
		sum := sha256.Sum256(bad.file)
		want(t, name, b.Adopt(bad.file, sum), bad.err)
		if !bad.opened {
			want(t, name+", to stage", b.Stage(bad.file, sum), bad.err)
		}
		if len(bad.file) <= 64<<20 {
			want(t, name+", by another sum", b.Adopt(bad.file, next.Sum), keys.ErrSum)
			want(t, name+", to stage by another sum", b.Stage(bad.file, next.Sum), keys.ErrSum)
		}
		b.onDisk(t, name, c.Sum)
	}
	if b.serial(t) != c.Serial || b.files(t) != "keyring" {
		t.Errorf("serial %d, files %s", b.serial(t), b.files(t))
	}
	must(t, b.Adopt(c.File, c.Sum)) // once more
	must(t, b.Adopt(next.File, next.Sum))

	b.Seal()
	want(t, "sealed", b.Adopt(flip(10)(c.File), sha256.Sum256(flip(10)(c.File))), keys.ErrCluster)
	want(t, "sealed", b.Adopt(c.File, next.Sum), keys.ErrSum)
	b.onDisk(t, "sealed", next.Sum)
}

func TestAdoptWhileSealed(t *testing.T) {
	a, b := pair(t)
	wrapped, c, err := a.PrepareTenant("ten_a")
	must(t, err)
	must(t, a.Adopt(c.File, c.Sum))
	_, person, field := a.person(t, "ten_a", wrapped)
	old, _, next, err := a.PrepareRotation(newYear)
	must(t, err)
	must(t, a.Adopt(next.File, next.Sum))
	for _, restart := range []bool{false, true} {
		b.Seal()
		must(t, b.Stage(c.File, c.Sum))
		must(t, b.Stage(next.File, next.Sum))
		must(t, b.Adopt(c.File, c.Sum))
		b.onDisk(t, "sealed", c.Sum)
		if files := b.files(t); !b.Sealed() || files != "keyring" {
			t.Errorf("sealed: %v; files %s", b.Sealed(), files)
		}
		must(t, b.Adopt(next.File, next.Sum))
		if restart {
			b.restart(t)
			b.onDisk(t, "restarted", next.Sum)
		}
		must(t, b.UnsealFile())
		b.onDisk(t, "unsealed", next.Sum)
		b.reads(t, "ten_a", wrapped, person, field)
		b.bothSign(t, origin)
		if keys := b.SigningKeys(); b.serial(t) != next.Serial || keys[0] != old {
			t.Errorf("serial %d, %+v", b.serial(t), keys)
		}
	}
}

// A node whose key-ring has rotted takes the one that was agreed on while sealed.
func TestAdoptMendsARottenFile(t *testing.T) {
	h := create(t)
	file, err := h.RingFile()
	must(t, err)
	sum := h.RingSum()
	h.Seal()
	rewrite(t, h.file("keyring"), flip(-1))
	h.restart(t)
	if h.UnsealFile() == nil || h.RingSum() == sum {
		t.Fatal("the rot is not seen")
	}
	must(t, h.Adopt(file, sum))
	must(t, h.UnsealFile())
	h.onDisk(t, "mended", sum)
}

// What could not be made durable has not happened.
func TestAdoptionThatCannotBeWritten(t *testing.T) {
	a, b := pair(t)
	sum, page := b.RingSum(), b.Page()
	wrapped, c, err := a.PrepareTenant("ten_a")
	must(t, err)
	must(t, b.Stage(c.File, c.Sum))
	must(t, os.Mkdir(b.file(".keyring.tmp"), 0o700))
	must(t, os.WriteFile(b.file(".keyring.tmp/in"), nil, 0o600))
	if b.Adopt(c.File, c.Sum) == nil {
		t.Error("adopted without a trace")
	}
	b.onDisk(t, "not written", sum)
	_, err = b.Tenant("ten_a", wrapped)
	want(t, "its tenant", err, keys.ErrUnknownKey)
	if !bytes.Equal(b.Page(), page) {
		t.Error("the keys in memory changed")
	}
	must(t, os.RemoveAll(b.file(".keyring.tmp")))
	file, err := b.Staged(c.Sum)
	must(t, err)
	must(t, b.Adopt(file, c.Sum))
	_, err = b.Tenant("ten_a", wrapped)
	must(t, err)
}
