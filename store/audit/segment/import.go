package segment

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/store/disk"
)

// maxFile of a segment: its leaves have at most 16 KiB each (package audit), and
// what is beside them is less than as much again.
const maxFile = 2 * Leaves * (16 << 10)

// Import keeps a segment's file that another node has made, once all of it was
// verified against the root. Errors: ErrDamaged, disk.ErrSync.
func (s *Store) Import(origin string, n int64, root tlog.Hash, r io.Reader) error {
	path, err := s.Path(origin, n)
	if err != nil {
		return err
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	dir := filepath.Dir(path)
	if err := disk.MkdirAll(dir); err != nil {
		return err
	}
	if err := s.clean(dir); err != nil {
		return err
	}
	temp := filepath.Join(dir, "."+filepath.Base(path)+tempSuffix)
	if err := s.receive(temp, r); err != nil {
		return errors.Join(fmt.Errorf("segment %d of %s: %w", n, origin, err), s.files.remove(temp))
	}
	dec, err := s.decoder()
	if err != nil {
		return err
	}
	id := identity{origin, n, root}
	f, c, err := open(temp, id, dec)
	if err == nil {
		err = errors.Join(f.verify(), c.Close())
	}
	if err != nil {
		return errors.Join(err, s.files.remove(temp))
	}
	if err := s.files.rename(temp, path); err != nil {
		return err
	}
	s.drop(id)
	if err := s.files.syncDir(dir); err != nil {
		return fmt.Errorf("%w: %w", disk.ErrSync, err)
	}
	return s.remember(id, path)
}

func (s *Store) receive(temp string, r io.Reader) error {
	f, err := s.files.create(temp)
	if err != nil {
		return err
	}
	n, err := io.Copy(f, io.LimitReader(r, maxFile+1))
	if err == nil && n > maxFile {
		err = fmt.Errorf("%w: more than %d bytes", ErrDamaged, int64(maxFile))
	}
	if err == nil {
		if err = f.Sync(); err != nil {
			err = fmt.Errorf("%w: fsync of %s: %w", disk.ErrSync, temp, err)
		}
	}
	return errors.Join(err, f.Close())
}

// Raw opens a segment's file as it is. Error: fs.ErrNotExist.
func (s *Store) Raw(origin string, n int64) (*os.File, error) {
	path, err := s.Path(origin, n)
	if err != nil {
		return nil, err
	}
	return os.Open(path)
}
