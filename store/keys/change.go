package keys

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"

	"gatehouse/store/disk/killpoint"
)

// Change is a key-ring's file that is made and not in use: nothing has changed
// until a node adopts it. The file is sealed by the root key. It goes to the
// cluster's nodes and nowhere else: what it holds must be erasable.
type Change struct {
	Serial uint64            // of the key-ring in it: above that of the one in use
	Sum    [sha256.Size]byte // SHA-256 of File
	File   []byte            // at most 64 MiB
}

// prepare seals a key-ring that was made from the one in use. The page is in
// use meanwhile.
func (s *Store) prepare(r *ring) (*Change, error) {
	file, err := r.sealed(s.page, s.seal.Load().RootVersion, s.cluster)
	if err != nil {
		return nil, err
	}
	return &Change{r.serial, sha256.Sum256(file), file}, nil
}

// Adopt puts a key-ring's file in the place of the one before, durably. The keys
// in it are in use when Adopt returns, what it lacks is refused, also through
// handles given out before; all other handles go on working. The file that is
// there already changes nothing, so that Adopt can be asked again.
//
// ErrSum: it is not the file of that sum. ErrOlder: its serial is not above the
// one in use. While sealed only what is in the clear can be checked, so the
// caller has it adopt in the order that was agreed on.
//
// Staged files go that are not newer. Where they cannot be removed, the file is
// adopted and Adopt fails: ask again.
func (s *Store) Adopt(file []byte, sum [sha256.Size]byte) error {
	s.change.Lock()
	defer s.change.Unlock()
	if err := s.adopt(file, sum); err != nil {
		return fmt.Errorf("adopting a key-ring: %w", err)
	}
	return nil
}

func (s *Store) adopt(file []byte, sum [sha256.Size]byte) error {
	record, err := s.checkFile(file, sum)
	if err != nil {
		return err
	}
	if sum == s.RingSum() {
		return s.pruned()
	}
	p, r, err := s.next(record)
	if err != nil {
		return err
	}
	if p != nil {
		defer p.wipe()
	}
	if err := s.keep(file, sum); err != nil {
		return err
	}
	killpoint.At(killpoint.RingKept)
	s.use(p, r)
	return s.pruned()
}

// use puts a key-ring into use. Nothing is to be done for a sealed store, or one
// that was sealed meanwhile: unsealing reads the file.
func (s *Store) use(p *page, r *ring) {
	s.mu.Lock() // nobody is using a key
	defer s.mu.Unlock()
	if p != nil && s.page != nil {
		s.page.take(p)
		s.ring.Store(r)
	}
}

// next opens a newer key-ring in a page of its own: what fails has changed
// nothing. No page and no error while sealed.
func (s *Store) next(record []byte) (p *page, r *ring, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.page == nil {
		return nil, nil, nil
	}
	if p, err = newPage(); err != nil {
		return nil, nil, err
	}
	*p.key(rootAt) = *s.page.key(rootAt)
	r, err = s.load(p, record)
	if now := s.ring.Load().serial; err == nil && r.serial <= now {
		err = fmt.Errorf("%s of serial %d %w, of serial %d", keyringName, r.serial, ErrOlder, now)
	}
	if err != nil {
		p.wipe()
		return nil, nil, err
	}
	return p, r, nil
}

// checkFile is what can be said of a key-ring's file without the root key.
func (s *Store) checkFile(file []byte, sum [sha256.Size]byte) (record []byte, err error) {
	if len(file) > maxKeyring {
		return nil, fmt.Errorf("%s of %d bytes %w of %d", keyringName, len(file), ErrLimit, maxKeyring)
	}
	if sha256.Sum256(file) != sum {
		return nil, fmt.Errorf("%s %w", keyringName, ErrSum)
	}
	return checkRing(file, s.cluster, s.seal.Load().RootVersion)
}

// checkRing checks the head of a key-ring's file and that of the record in it.
func checkRing(file []byte, cluster string, rootVersion uint32) (record []byte, err error) {
	record, err = parseKeyring(file, cluster)
	if err != nil {
		return nil, err
	}
	h, err := parseHeader(record)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", keyringName, err)
	}
	if h.recipe != keyringRecipe {
		return nil, fmt.Errorf("%s with a record of kind %d %w", keyringName, h.recipe, ErrFormat)
	}
	if h.version != rootVersion {
		return nil, fmt.Errorf("%s of version %d of the root key, not %d: it %w", keyringName, h.version, rootVersion, ErrOtherKey)
	}
	return record, nil
}

// keep makes a key-ring's file durable. The caller holds change.
func (s *Store) keep(file []byte, sum [sha256.Size]byte) error {
	if err := writeFile(filepath.Join(s.dir, keyringName), file); err != nil {
		return err
	}
	s.sum.Store(&sum)
	s.unwritten = nil
	return nil
}

// RingSum is the SHA-256 of the key-ring's file, as it was read or written last;
// zero until Create has written one.
func (s *Store) RingSum() [sha256.Size]byte {
	if sum := s.sum.Load(); sum != nil {
		return *sum
	}
	return [sha256.Size]byte{}
}

// RingSerial is the serial of the key-ring in use: it rises with every change.
func (s *Store) RingSerial() (uint64, error) {
	if r := s.ring.Load(); r != nil {
		return r.serial, nil
	}
	return 0, ErrSealed
}

// RingFile is the key-ring's file as it is on disk, at most 64 MiB, also while
// sealed. Like a Change's it goes to the cluster's nodes and nowhere else.
func (s *Store) RingFile() ([]byte, error) {
	return readFile(filepath.Join(s.dir, keyringName), maxKeyring)
}
