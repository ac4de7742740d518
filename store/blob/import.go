package blob

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// maxStored is what the largest object takes on the disk.
const maxStored = int64(maxHeader) + maxObject/payloadSize*packageSize

// Raw gives the stored, encrypted bytes and how many they are, for another node.
// They are not checked here: whoever takes them in does that.
func (s *Store) Raw(name string) (*os.File, int64, error) { return s.open(name) }

// Import takes in the stored bytes of a blob, size of them, from another node;
// it is durable when Import returns. Bytes of another name are ErrForeign, more
// of them than size ErrTooLarge. With an error nothing is left behind. A format
// that this program does not read is taken in too: a newer node may.
//
// A blob that is here already is not read from r again, nor checked; where it
// has another size, that is ErrRotten. To replace a damaged one, Quarantine it
// first.
func (s *Store) Import(ctx context.Context, name string, r io.Reader, size int64) error {
	switch {
	case size <= 0:
		return ErrEmpty
	case size > maxStored:
		return fmt.Errorf("%w: %d bytes", ErrTooLarge, size)
	}
	stored, there, err := s.Exists(name)
	switch {
	case err != nil:
		return err
	case there && stored != size:
		return fmt.Errorf("%w: %s has %d bytes here, not %d", ErrRotten, name, stored, size)
	case there:
		return s.settle(name)
	}
	if err := s.roomFor(size); err != nil {
		return err
	}
	out, err := s.begin()
	if err != nil {
		return err
	}
	defer out.drop()
	in := &source{ctx: ctx, r: r, left: size}
	if _, err := io.CopyBuffer(out, in, make([]byte, min(size, payloadSize))); err != nil {
		return err
	}
	if in.n != size {
		return fmt.Errorf("%w: %s ends after %d of %d bytes", ErrForeign, name, in.n, size)
	}
	if hex.EncodeToString(out.hash.Sum(nil)) != name {
		return fmt.Errorf("%w: %s", ErrForeign, name)
	}
	return s.keep(ctx, out, name)
}

// settle makes the name of a blob durable: whoever put it there may be about to
// do so, or may have crashed before.
func (s *Store) settle(name string) error {
	if err := s.folder(name); err != nil {
		return err
	}
	path, err := s.path(name)
	if err != nil {
		return err
	}
	if err := s.syncDir(filepath.Dir(path)); err != nil {
		return syncError("naming a blob", err)
	}
	return nil
}
