package keys

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"unicode/utf8"
)

// maxKeyFile: one line of text.
const maxKeyFile = maxText

// AddFile makes a key file at path, which must not exist, and a slot that it
// opens. Who can read the file and the data directory can read everything.
func (s *Store) AddFile(path string) (Slot, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return Slot{}, err
	}
	if len(path) > maxPath || !utf8.ValidString(path) { // seal.json holds it
		return Slot{}, fmt.Errorf("path of %d bytes %w: at most %d of UTF-8 are needed", len(path), ErrName, maxPath)
	}
	if err := absent(path); err != nil {
		return Slot{}, err
	}
	n, err := s.newSlot(File)
	if err != nil {
		return Slot{}, err
	}
	n.Path = path
	var content share
	defer clear(content.secret[:])
	if content.slot, err = slotBytes(n.ID); err != nil {
		return Slot{}, err
	}
	if err := s.random(content.secret[:]); err != nil {
		return Slot{}, err
	}
	line := []byte(content.text(filePrefix) + "\n")
	defer clear(line)
	if err := writeFile(path, line); err != nil {
		return Slot{}, err
	}
	added, err := s.addSlot(n, &content.secret)
	if err != nil {
		return Slot{}, errors.Join(err, os.Remove(path))
	}
	return added, nil
}

// UnsealFile tries every key file. One that is not there, as on a stick that is
// not plugged in, or that others can read is not a failed try.
func (s *Store) UnsealFile() error {
	return s.try(context.Background(), func(f *sealFile, root *key) (bool, error) {
		slots := f.of(File)
		if len(slots) == 0 {
			return false, ErrNoSlot
		}
		var all []error
		tried := false
		for i := range slots {
			err := f.openFile(&slots[i], root)
			if err == nil {
				return true, nil
			}
			tried = tried || !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrPermissions)
			all = append(all, err)
		}
		if tried {
			return false, guess{errors.Join(all...)}
		}
		return false, errors.Join(all...)
	})
}

func (f *sealFile) openFile(s *slot, root *key) error {
	data, err := readFile(s.Path, maxKeyFile)
	if errors.Is(err, ErrLimit) || errors.Is(err, ErrFormat) {
		return fmt.Errorf("%s: %w: %w", s.Path, ErrDamagedFile, err)
	}
	if err != nil {
		return err
	}
	defer clear(data)
	content, err := parseText(filePrefix, string(data))
	if err != nil {
		return fmt.Errorf("%s: %w: %w", s.Path, ErrDamagedFile, err)
	}
	defer clear(content.secret[:])
	if name := slotName(content.slot); name != s.ID {
		return fmt.Errorf("%s is for slot %s and %w", s.Path, name, ErrOtherSlot)
	}
	if err := f.unwrap(s, &content.secret, root); err != nil {
		return fmt.Errorf("%s: %w", s.Path, err)
	}
	return nil
}
