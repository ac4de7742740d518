package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Walk calls f for every blob, in the order of names, until f gives an error.
// Blobs that come or go meanwhile may be missed; files that are not where a
// blob of their name belongs are passed over.
func (s *Store) Walk(ctx context.Context, f func(name string, stored int64) error) error {
	outer, err := os.ReadDir(s.blobs)
	if err != nil {
		return err
	}
	for _, ab := range outer {
		if !isFolder(ab) {
			continue
		}
		inner, err := os.ReadDir(filepath.Join(s.blobs, ab.Name()))
		if err != nil {
			return err
		}
		for _, cd := range inner {
			if err := ctx.Err(); err != nil {
				return err
			}
			if !isFolder(cd) {
				continue
			}
			if err := s.walk(ctx, ab.Name(), cd.Name(), f); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

func (s *Store) walk(ctx context.Context, ab, cd string, f func(string, int64) error) error {
	entries, err := os.ReadDir(filepath.Join(s.blobs, ab, cd))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		name := e.Name()
		if !e.Type().IsRegular() || !isName(name) || name[:2] != ab || name[2:4] != cd {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := f(name, info.Size()); err != nil {
			return err
		}
	}
	return nil
}

func isFolder(e fs.DirEntry) bool {
	b, err := hex.DecodeString(e.Name())
	return e.IsDir() && err == nil && len(b) == 1
}

// Check hashes the stored bytes again. It needs no key.
func (s *Store) Check(ctx context.Context, name string) error {
	f, _, err := s.open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	sum, buffer := sha256.New(), make([]byte, payloadSize)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := f.Read(buffer)
		sum.Write(buffer[:n])
		if err == io.EOF {
			break
		}
		if err != nil { // a bad sector
			return fmt.Errorf("%w: %s: %w", ErrRotten, name, err)
		}
	}
	if hex.EncodeToString(sum.Sum(nil)) != name {
		return fmt.Errorf("%w: %s", ErrRotten, name)
	}
	return nil
}

// Quarantine moves a blob out of the store, under its name or, where that is
// taken, its name and a number. Nothing deletes it there.
func (s *Store) Quarantine(name string) error {
	path, err := s.path(name)
	if err != nil {
		return err
	}
	s.moving.Lock()
	defer s.moving.Unlock()
	target := filepath.Join(s.quarantine, name)
	for i := 1; ; i++ {
		_, err := os.Lstat(target)
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return err
		}
		target = filepath.Join(s.quarantine, fmt.Sprintf("%s.%d", name, i))
	}
	if err := os.Rename(path, target); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: %s", ErrNotFound, name)
		}
		return writeError("moving a blob to quarantine", err)
	}
	// The new place first: between the two the blob may be in both, never in none.
	for _, d := range []string{s.quarantine, filepath.Dir(path)} {
		if err := s.syncDir(d); err != nil {
			return syncError("moving a blob to quarantine", err)
		}
	}
	return nil
}
