package keys_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"

	"gatehouse/store/keys"
)

var (
	place = keys.Place{Table: "subjects", Field: "name", Row: "row1", Version: 1}
	value = []byte("Ada Lovelace, 10 December 1815")
)

func TestValuesComeBack(t *testing.T) {
	h := create(t)
	tenant, wrappedTenant := h.tenant(t, "ten_a")
	subject, wrapped, err := tenant.NewSubject("sub_1")
	must(t, err)
	field, err := subject.Seal(place, value)
	must(t, err)
	secret, err := tenant.Seal(place, value)
	must(t, err)
	empty, err := subject.Seal(place, nil)
	must(t, err)
	index, err := tenant.Index("name", value)
	must(t, err)
	object, err := subject.Object([32]byte{1}, []byte("header"))
	must(t, err)
	if bytes.Contains(field, value[:8]) || bytes.Contains(secret, value[:8]) {
		t.Fatal("sealed in the clear")
	}

	h.restart(t)
	must(t, h.UnsealFile())
	tenant, err = h.Tenant("ten_a", wrappedTenant)
	must(t, err)
	subject, err = tenant.Subject("sub_1", wrapped)
	must(t, err)
	for _, c := range []struct {
		name string
		open func(keys.Place, []byte) ([]byte, error)
		from []byte
		want []byte
	}{{"a field", subject.Open, field, value}, {"a tenant's secret", tenant.Open, secret, value}, {"nothing", subject.Open, empty, nil}} {
		if got, err := c.open(place, c.from); err != nil || !bytes.Equal(got, c.want) {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
	}
	if again, err := tenant.Index("name", value); err != nil || !bytes.Equal(index, again) || len(index) != 32 {
		t.Errorf("index %x then %x, %v", index, again, err)
	}
	if again, err := subject.Object([32]byte{1}, []byte("header")); err != nil || object != again {
		t.Errorf("object key %x then %x, %v", object, again, err)
	}
}

func TestDerivedKeysDiffer(t *testing.T) {
	h := create(t)
	a, _ := h.tenant(t, "ten_a")
	b, _ := h.tenant(t, "ten_b")
	u, _, err := a.NewSubject("sub_1")
	must(t, err)
	v, _, err := b.NewSubject("sub_1")
	must(t, err)
	seen := map[string]string{}
	add := func(name string, key []byte, err error) {
		must(t, err)
		if before := seen[string(key)]; before != "" {
			t.Errorf("%s equals %s", name, before)
		}
		seen[string(key)] = name
	}
	index := func(name string, t *keys.Tenant, label, value string) {
		k, err := t.Index(label, []byte(value))
		add(name, k, err)
	}
	index("an index", a, "name", "x")
	index("of another tenant", b, "name", "x")
	index("of another label", a, "names", "x")
	index("of another value", a, "name", "y")
	object := func(name string, u *keys.Subject, salt byte, header string) {
		k, err := u.Object([32]byte{salt}, []byte(header))
		add(name, k[:], err)
	}
	object("an object", u, 1, "h")
	object("of another subject", v, 1, "h")
	object("of another salt", u, 2, "h")
	object("of another header", u, 1, "")
}

func TestWhatWasMovedDoesNotOpen(t *testing.T) {
	h := create(t)
	a, wrappedA := h.tenant(t, "ten_a")
	b, wrappedB := h.tenant(t, "ten_b")
	u, wrapped, err := a.NewSubject("sub_1")
	must(t, err)
	v, _, err := a.NewSubject("sub_2")
	must(t, err)
	other, _, err := b.NewSubject("sub_1")
	must(t, err)
	field, err := u.Seal(place, value)
	must(t, err)
	secret, err := a.Seal(place, value)
	must(t, err)

	refused := func(name string, target error, got []byte, err error) {
		t.Helper()
		if got != nil || !errors.Is(err, target) {
			t.Errorf("%s: %q, %v; want: %v", name, got, err, target)
		}
	}
	at := func(change func(*keys.Place)) keys.Place { p := place; change(&p); return p }
	for name, p := range map[string]keys.Place{
		"table":   at(func(p *keys.Place) { p.Table = "cases" }),
		"field":   at(func(p *keys.Place) { p.Field = "names" }),
		"row":     at(func(p *keys.Place) { p.Row = "row2" }),
		"version": at(func(p *keys.Place) { p.Version = 2 }),
		// The same letters, cut elsewhere.
		"shifted": {Table: "subjectsn", Field: "ame", Row: "row1", Version: 1},
	} {
		got, err := u.Open(p, field)
		refused("a field in another "+name, keys.ErrAltered, got, err)
		got, err = a.Open(p, secret)
		refused("a secret in another "+name, keys.ErrAltered, got, err)
	}
	got, err := v.Open(place, field)
	refused("another subject", keys.ErrOtherKey, got, err)
	got, err = other.Open(place, field)
	refused("another tenant's subject", keys.ErrOtherKey, got, err)
	got, err = b.Open(place, secret)
	refused("another tenant", keys.ErrOtherKey, got, err)
	got, err = a.Open(place, field)
	refused("a field as a secret", keys.ErrAltered, got, err)
	got, err = u.Open(place, secret)
	refused("a secret as a field", keys.ErrAltered, got, err)

	for i := range field {
		if got, err := u.Open(place, flip(i)(field)); err == nil || got != nil {
			t.Errorf("byte %d altered: %q, %v", i, got, err)
		}
		if got, err := u.Open(place, field[:i]); err == nil || got != nil {
			t.Errorf("cut at %d: %q, %v", i, got, err)
		}
	}
	got, err = u.Open(place, append(bytes.Clone(field), 0))
	refused("appended", keys.ErrAltered, got, err)

	_, err = a.Subject("sub_2", wrapped)
	if !errors.Is(err, keys.ErrOtherKey) && !errors.Is(err, keys.ErrAltered) {
		t.Errorf("a subject's key under another id: %v", err)
	}
	_, err = b.Subject("sub_1", wrapped)
	want(t, "a subject's key under another tenant", err, keys.ErrOtherKey)
	_, err = h.Tenant("ten_b", wrappedA)
	want(t, "a tenant's key under another id", err, keys.ErrAltered)
	_, err = h.Tenant("ten_c", wrappedA)
	want(t, "a tenant that the ring does not know", err, keys.ErrUnknownKey)
	_, err = a.Subject("sub_1", wrappedB)
	want(t, "a tenant's key as a subject's", err, keys.ErrAltered)
}

// Two subjects of one shard share the erasure key: the id still tells them apart.
func TestSubjectsOfOneShard(t *testing.T) {
	h := create(t)
	a, _ := h.tenant(t, "ten_a")
	first, second := sameShard()
	_, wrapped, err := a.NewSubject(first)
	must(t, err)
	_, err = a.Subject(first, wrapped)
	must(t, err)
	_, err = a.Subject(second, wrapped)
	want(t, second, err, keys.ErrAltered)
}

func TestNamesAndSizesAreChecked(t *testing.T) {
	h := create(t)
	a, _ := h.tenant(t, "ten_a")
	u, _, err := a.NewSubject("sub_1")
	must(t, err)
	long := strings.Repeat("n", 129)
	for _, name := range []string{"", long} {
		_, err := h.NewTenant(name)
		want(t, "tenant", err, keys.ErrName)
		_, _, err = a.NewSubject(name)
		want(t, "subject", err, keys.ErrName)
		_, err = a.Index(name, value)
		want(t, "label", err, keys.ErrName)
		for _, p := range []keys.Place{{Table: name, Field: "f", Row: "r"}, {Table: "t", Field: name, Row: "r"}, {Table: "t", Field: "f", Row: name}} {
			_, err = u.Seal(p, value)
			want(t, "place", err, keys.ErrName)
		}
	}
	_, err = h.NewTenant("ten_a")
	want(t, "a tenant that is there", err, keys.ErrExists)
	most := make([]byte, 256<<10)
	sealed, err := u.Seal(place, most)
	must(t, err)
	if got, err := u.Open(place, sealed); err != nil || len(got) != len(most) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	_, err = u.Seal(place, append(most, 0))
	want(t, "one byte more", err, keys.ErrLimit)
	_, err = u.Open(place, append(sealed, 0))
	want(t, "one byte more", err, keys.ErrLimit)
}

func TestErasedSubject(t *testing.T) {
	h := create(t)
	a, wrappedTenant := h.tenant(t, "ten_a")
	gone, wrapped, err := a.NewSubject("sub_1")
	must(t, err)
	field, err := gone.Seal(place, value)
	must(t, err)
	otherWrapped := map[string][]byte{}
	for _, id := range []string{"sub_2", "sub_3", "sub_4"} {
		_, w, err := a.NewSubject(id)
		must(t, err)
		otherWrapped[id] = w
	}
	must(t, h.NextEpoch("ten_a", wrappedTenant, "sub_1", false))
	got, err := gone.Open(place, field)
	if err != nil || !bytes.Equal(got, value) {
		t.Errorf("while its epoch can still decrypt: %q, %v", got, err)
	}
	_, newer, err := a.NewSubject("sub_1")
	must(t, err)
	must(t, h.NextEpoch("ten_a", wrappedTenant, "sub_1", true))
	check := func(when string) {
		t.Helper()
		_, err := a.Subject("sub_1", wrapped)
		want(t, when, err, keys.ErrErased)
		for id, w := range otherWrapped {
			if _, err := a.Subject(id, w); err != nil {
				t.Errorf("%s: %s of another shard: %v", when, id, err)
			}
		}
	}
	check("at once")
	got, err = gone.Open(place, field)
	if got != nil || !errors.Is(err, keys.ErrErased) {
		t.Errorf("a handle given out before: %q, %v", got, err)
	}
	_, err = gone.Object([32]byte{}, nil)
	want(t, "an object key", err, keys.ErrErased)
	_, err = a.Subject("sub_1", newer)
	must(t, err)

	h.restart(t)
	must(t, h.UnsealFile())
	a, err = h.Tenant("ten_a", wrappedTenant)
	must(t, err)
	check("after a restart")
	_, err = a.Subject("sub_1", flipEpoch(newer))
	want(t, "an epoch that the ring does not have yet", err, keys.ErrUnknownKey)
}

// Another ring key wraps what is new; what the old one wrapped still opens.
func TestRingOfTwoVersions(t *testing.T) {
	h := create(t)
	_, first := h.tenant(t, "ten_a")
	must(t, h.NextRingKey())
	_, second := h.tenant(t, "ten_b")
	vkey, err := h.Verifier("log")
	must(t, err)
	h.restart(t)
	must(t, h.UnsealFile())
	_, err = h.Tenant("ten_a", first)
	must(t, err)
	_, err = h.Tenant("ten_b", second)
	must(t, err)
	if bytes.Equal(first[3:15], second[3:15]) {
		t.Error("both name one ring key")
	}
	if again, err := h.Verifier("log"); err != nil || again != vkey {
		t.Errorf("%s, %v; want %s", again, err, vkey)
	}
	unknown := bytes.Clone(second)
	unknown[14] = 9
	_, err = h.Tenant("ten_b", unknown)
	want(t, "version 9", err, keys.ErrUnknownKey)
}

// sameShard finds two subjects whose ids hash to the same first byte.
func sameShard() (a, b string) {
	seen := map[byte]string{}
	for i := 0; ; i++ {
		id := fmt.Sprint("sub_", i)
		shard := sha256.Sum256([]byte(id))[0]
		if seen[shard] != "" {
			return seen[shard], id
		}
		seen[shard] = id
	}
}

// flipEpoch makes a wrapped key name an epoch far ahead.
func flipEpoch(wrapped []byte) []byte {
	b := bytes.Clone(wrapped)
	b[11] = 0xff
	return b
}
