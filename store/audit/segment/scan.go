package segment

import (
	"bytes"
	"crypto/sha256"
	"io"
)

// scan gives the leaves [from, to), counted in the segment.
func (f *file) scan(from, to int, do func(i int, leaf []byte) error) error {
	var s space
	var u bundle
	var t tree
	for i := from / width; i*width < to; i++ {
		if err := f.entries(i, &u, &t, &s); err != nil {
			return err
		}
		for j := max(from-i*width, 0); j < min(to-i*width, width); j++ {
			if err := do(i*width+j, u.leaf(j)); err != nil {
				return err
			}
		}
	}
	return nil
}

// verify reads every byte.
func (f *file) verify() error {
	digest := sha256.New()
	end := f.table.at[sumFrame]
	if n, err := io.Copy(digest, io.NewSectionReader(f.r, 0, end)); err != nil {
		return err
	} else if n != end {
		return f.damaged("it ends before byte %d", end)
	}
	var stored [sumSize]byte
	if err := f.read(stored[:], end); err != nil {
		return err
	}
	if !bytes.Equal(stored[:], sum(digest.Sum(nil))) {
		return f.damaged("the first %d bytes are not those that their SHA-256 was made of", end)
	}
	var s space
	var u bundle
	var leaves, tile tree
	for i := range width {
		if err := f.entries(i, &u, &leaves, &s); err != nil {
			return err
		}
		// Equal roots are equal tiles.
		if err := f.hashes(i, &tile, &s); err != nil {
			return err
		}
	}
	return nil
}
