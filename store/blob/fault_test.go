package blob

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// faulty fails where it is told to.
type faulty struct {
	*os.File
	write, sync, close error
}

func (f *faulty) Write(p []byte) (int, error) {
	if f.write != nil {
		n, _ := f.File.Write(p[:len(p)/2])
		return n, &os.PathError{Op: "write", Path: f.Name(), Err: f.write}
	}
	return f.File.Write(p)
}

func (f *faulty) Sync() error {
	if f.sync != nil {
		return f.sync
	}
	return f.File.Sync()
}

func (f *faulty) Close() error {
	return errors.Join(f.File.Close(), f.close)
}

type plainKey struct{}

func (plainKey) Object(salt [32]byte, _ []byte) ([32]byte, error) { return salt, nil }

// Whatever step of the disk fails, the caller learns which kind of failure it
// is and no file is left.
func TestFaults(t *testing.T) {
	h := Header{Tenant: "t", Subject: "s", Object: "o", KeyID: "k", Class: "c"}
	for _, c := range []struct {
		name      string
		file      faulty
		create    error
		syncDir   int // the call that fails
		dirError  error
		want, not error
	}{
		{name: "full at create", create: syscall.ENOSPC, want: ErrFull, not: ErrSync},
		{name: "too many files", create: syscall.EMFILE, want: syscall.EMFILE, not: ErrSync},
		{name: "read-only", create: syscall.EROFS, want: ErrSync, not: ErrFull},
		{name: "full at write", file: faulty{write: syscall.ENOSPC}, want: ErrFull, not: ErrSync},
		{name: "quota at write", file: faulty{write: syscall.EDQUOT}, want: ErrFull, not: ErrSync},
		{name: "bad write", file: faulty{write: syscall.EIO}, want: ErrSync, not: ErrFull},
		{name: "bad fsync", file: faulty{sync: syscall.EIO}, want: ErrSync, not: ErrFull},
		{name: "fsync finds the disk full", file: faulty{sync: syscall.ENOSPC}, want: ErrSync, not: ErrFull},
		{name: "bad close", file: faulty{close: syscall.EIO}, want: ErrSync, not: ErrFull},
		{name: "bad fsync of blobs", syncDir: 1, dirError: syscall.EIO, want: ErrSync, not: ErrFull},
		{name: "bad fsync of the outer folder", syncDir: 2, dirError: syscall.EIO, want: ErrSync, not: ErrFull},
		{name: "bad fsync of the inner folder", syncDir: 3, dirError: syscall.EIO, want: ErrSync, not: ErrFull},
	} {
		for way, in := range map[string]func(*Store) error{
			"Put": func(s *Store) error {
				ref, err := s.Put(context.Background(), plainKey{}, h, strings.NewReader("x"), 1)
				if ref != (Ref{}) {
					t.Errorf("%s: %+v", c.name, ref)
				}
				return err
			},
			"Import": func(s *Store) error {
				const x = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881" // sha256sum
				return s.Import(context.Background(), x, strings.NewReader("x"), 1)
			},
		} {
			c := c
			c.name = way + ": " + c.name
			dir := t.TempDir()
			s, err := Open(dir, Config{})
			if err != nil {
				t.Fatal(err)
			}
			create, syncDir, calls := s.create, s.syncDir, 0
			s.create = func(dir string) (file, error) {
				if c.create != nil {
					return nil, &os.PathError{Op: "open", Path: dir, Err: c.create}
				}
				f, err := create(dir)
				if err != nil {
					return nil, err
				}
				c.file.File = f.(*os.File)
				return &c.file, nil
			}
			s.syncDir = func(dir string) error {
				if calls++; calls == c.syncDir {
					return c.dirError
				}
				return syncDir(dir)
			}
			if err := in(s); !errors.Is(err, c.want) || errors.Is(err, c.not) {
				t.Errorf("%s: %v", c.name, err)
			}
			filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
				if err != nil || !d.IsDir() {
					t.Errorf("%s: it left %s, %v", c.name, path, err)
				}
				return nil
			})
			// A folder whose fsync failed is not taken for durable later.
			if c.syncDir == 1 || c.syncDir == 2 {
				for i := range s.folders {
					if s.folders[i].durable != [256]bool{} {
						t.Errorf("%s: a folder counts as durable", c.name)
					}
				}
			}
		}
	}
}

// Removing and quarantining must be durable, or say so.
func TestFaultsOfMoves(t *testing.T) {
	h := Header{Tenant: "t", Subject: "s", Object: "o", KeyID: "k", Class: "c"}
	for name, move := range map[string]func(*Store, string) error{"Remove": (*Store).Remove, "Quarantine": (*Store).Quarantine} {
		s, err := Open(t.TempDir(), Config{})
		if err != nil {
			t.Fatal(err)
		}
		ref, err := s.Put(context.Background(), plainKey{}, h, strings.NewReader("x"), 1)
		if err != nil {
			t.Fatal(err)
		}
		s.syncDir = func(string) error { return syscall.EIO }
		if err := move(s, ref.Name); !errors.Is(err, ErrSync) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A blob that is there may not be durable yet: whoever is told that it is there
// has that made sure.
func TestImportOfWhatIsThereIsDurable(t *testing.T) {
	h := Header{Tenant: "t", Subject: "s", Object: "o", KeyID: "k", Class: "c"}
	s, err := Open(t.TempDir(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	ref, err := s.Put(context.Background(), plainKey{}, h, strings.NewReader("x"), 1)
	if err != nil {
		t.Fatal(err)
	}
	var synced []string
	s.syncDir = func(dir string) error { synced = append(synced, dir); return nil }
	if err := s.Import(context.Background(), ref.Name, nil, ref.Stored); err != nil {
		t.Fatal(err)
	}
	path, _ := s.path(ref.Name)
	if len(synced) != 1 || synced[0] != filepath.Dir(path) {
		t.Errorf("synced: %v", synced)
	}
	s.syncDir = func(string) error { return syscall.EIO }
	if err := s.Import(context.Background(), ref.Name, nil, ref.Stored); !errors.Is(err, ErrSync) {
		t.Errorf("%v", err)
	}
}
