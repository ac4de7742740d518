package keys

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gatehouse/store/disk"
)

// maxStaged files (ours): one change is under way at a time. The others are of
// leaders that fell before theirs was agreed on; the next adoption removes them.
const maxStaged = 4

// Stage keeps a key-ring's file that may be agreed on, durably, beside the one
// in use. It is checked as Adopt does while sealed. The file in use is not kept
// again. Of more than four, the one that was staged first goes: a node for which
// that was agreed on fetches it from another.
func (s *Store) Stage(file []byte, sum [sha256.Size]byte) error {
	s.change.Lock()
	defer s.change.Unlock()
	if _, err := s.checkFile(file, sum); err != nil {
		return fmt.Errorf("staging a key-ring: %w", err)
	}
	if sum == s.RingSum() {
		return nil
	}
	name := stagedName(sum)
	whole, gone, err := s.stagedNames()
	if err != nil {
		return err
	}
	whole = slices.DeleteFunc(whole, func(n string) bool { return n == name })
	if n := len(whole) - maxStaged + 1; n > 0 {
		gone = append(gone, whole[:n]...)
	}
	if err := s.remove(gone); err != nil {
		return err
	}
	return writeFile(filepath.Join(s.dir, name), file)
}

// Staged gives a file that Stage kept. ErrNotStaged: there is none of that sum.
func (s *Store) Staged(sum [sha256.Size]byte) ([]byte, error) {
	name := stagedName(sum)
	file, err := readFile(filepath.Join(s.dir, name), maxKeyring)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s %w", name, ErrNotStaged)
	}
	if err != nil {
		return nil, err
	}
	if _, err := s.checkFile(file, sum); err != nil {
		return nil, fmt.Errorf("in %s: %w", filepath.Join(s.dir, name), err)
	}
	return file, nil
}

// Unstage removes a file that Stage kept and that was not agreed on. One that is
// not there is none to remove.
func (s *Store) Unstage(sum [sha256.Size]byte) error {
	s.change.Lock()
	defer s.change.Unlock()
	return s.remove([]string{stagedName(sum)})
}

// pruned is prune for the key-ring in use.
func (s *Store) pruned() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.page == nil {
		return s.prune(nil, 0)
	}
	return s.prune(s.page, s.ring.Load().serial)
}

// prune removes staged files that are not newer than a serial: what an adopted
// key-ring destroyed may be in them, and must be in no file of the node. Without
// the root key in p nobody can tell their age, so all go, for the same reason;
// what is agreed on next is fetched from another node then. Nor does one stay
// that does not open.
func (s *Store) prune(p *page, serial uint64) error {
	whole, gone, err := s.stagedNames()
	if err != nil {
		return err
	}
	for _, name := range whole {
		if p == nil || !s.newer(p, name, serial) {
			gone = append(gone, name)
		}
	}
	if err := s.remove(gone); err != nil {
		return fmt.Errorf("removing what was staged: %w", err)
	}
	return nil
}

func (s *Store) newer(p *page, name string, serial uint64) bool {
	sum, _ := parseStaged(name)
	file, err := s.Staged(sum)
	if err != nil {
		return false
	}
	record, err := parseKeyring(file, s.cluster)
	if err != nil {
		return false
	}
	plaintext, err := p.key(rootAt).open(keyringRecipe, record, s.cluster)
	if err != nil {
		return false
	}
	defer clear(plaintext)
	return len(plaintext) >= 8 && binary.BigEndian.Uint64(plaintext) > serial
}

// stagedNames finds the staged files, the oldest first, and what a crash left of
// unfinished ones.
func (s *Store) stagedNames() (whole, unfinished []string, err error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, nil, err
	}
	times := map[string]time.Time{}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		name := e.Name()
		temp, ok := strings.CutPrefix(strings.TrimSuffix(name, ".tmp"), ".") // of disk.WriteFile
		if _, staged := parseStaged(temp); ok && staged {
			unfinished = append(unfinished, name)
		}
		if _, staged := parseStaged(name); !staged {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return nil, nil, err
		}
		whole, times[name] = append(whole, name), info.ModTime()
	}
	slices.SortStableFunc(whole, func(a, b string) int { return cmp.Or(times[a].Compare(times[b]), cmp.Compare(a, b)) })
	return whole, unfinished, nil
}

// remove makes files of the folder go, durably.
func (s *Store) remove(names []string) error {
	if len(names) == 0 {
		return nil
	}
	for _, name := range names {
		if err := os.Remove(filepath.Join(s.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return disk.SyncDir(s.dir)
}

func stagedName(sum [sha256.Size]byte) string {
	return keyringName + "." + hex.EncodeToString(sum[:])
}

func parseStaged(name string) (sum [sha256.Size]byte, ok bool) {
	text, ok := strings.CutPrefix(name, keyringName+".")
	if b, err := hex.DecodeString(text); ok && err == nil && len(b) == len(sum) {
		sum = [sha256.Size]byte(b)
		return sum, stagedName(sum) == name
	}
	return sum, false
}
