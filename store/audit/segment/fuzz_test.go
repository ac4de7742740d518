package segment

import (
	"bytes"
	"errors"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// Whatever bytes a file has, what is read of it is right or an error.
func FuzzRead(f *testing.F) {
	whole, id := small()
	dec := decoder(f)
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add(whole[len(whole)-tableSize:])
	leaf, _ := same(0)
	hash := tlog.RecordHash(leaf)
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := load(bytes.NewReader(b), int64(len(b)), "x", id, dec)
		if err != nil {
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrOther) {
				t.Fatal(err)
			}
			return
		}
		var s space
		var u bundle
		var tile tree
		for _, i := range []int{0, 100, 255} {
			if err := r.entries(i, &u, &tile, &s); err == nil {
				for j := range width {
					if !bytes.Equal(u.leaf(j), leaf) {
						t.Fatalf("%q", u.leaf(j))
					}
				}
			} else if !errors.Is(err, ErrDamaged) {
				t.Fatal(err)
			}
			if err := r.hashes(i, &tile, &s); err == nil && tile.at(0, 7) != hash || err != nil && !errors.Is(err, ErrDamaged) {
				t.Fatal(err)
			}
		}
		if err := r.verify(); err == nil && !bytes.Equal(b, whole) {
			// Another way to compress the same tar: all of it must be the same.
			for i := range width {
				if r.entries(i, &u, &tile, &s) != nil {
					t.Fatal(i)
				}
			}
		}
	})
}

// A frame unpacks to what it should or to an error, in bounded memory.
func FuzzFrame(f *testing.F) {
	whole, id := small()
	var t table
	if err := t.parse(whole[len(whole)-tableSize:], int64(len(whole))); err != nil {
		f.Fatal(err)
	}
	dec := decoder(f)
	f.Add(whole[t.at[1]:t.at[2]])
	f.Add(whole[t.at[1+firstTile]:t.at[2+firstTile]])
	leaf, _ := same(0)
	good, err := load(bytes.NewReader(whole), int64(len(whole)), "x", id, dec)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, packed []byte) {
		r := *good
		r.r = bytes.NewReader(packed)
		r.table.at[1], r.table.at[2] = 0, int64(len(packed))
		var s space
		var u bundle
		var tile tree
		if err := r.entries(0, &u, &tile, &s); err == nil && !bytes.Equal(u.leaf(9), leaf) || err != nil && !errors.Is(err, ErrDamaged) {
			t.Fatal(err)
		}
	})
}

func FuzzHeader(f *testing.F) {
	_, id := small()
	f.Add(id.header())
	f.Fuzz(func(t *testing.T, b []byte) {
		if is, ok := parseHeader(b); ok && !bytes.Equal(is.header(), b) {
			t.Fatalf("%+v", is)
		}
	})
}
