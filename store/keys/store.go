package keys

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// Store holds the keys of one data directory. It is safe for concurrent use.
// One process at a time opens a data directory: its lock file sees to that.
type Store struct {
	dir, cluster string
	random       func([]byte) error

	attempt sync.Mutex // one try to unseal at a time
	gate    gate

	change sync.Mutex // one writer of the two files at a time; before mu
	seal   atomic.Pointer[sealFile]
	ring   atomic.Pointer[ring] // nil while sealed

	mu      sync.RWMutex // read: keys are in use; write: they come or go
	page    *page        // nil while sealed
	tenants sync.Map     // id → *Tenant of this page
}

// Create makes the keys of a new cluster and gives them unsealed. first adds
// the first slot or slots: without one nothing could ever be opened again, so
// where it fails or adds none, Create fails and neither file is left.
func Create(dir, cluster string, random io.Reader, first func(*Store) error) (*Store, error) {
	if err := checkName("cluster", cluster); err != nil {
		return nil, err
	}
	if !utf8.ValidString(cluster) { // seal.json holds it
		return nil, fmt.Errorf("cluster %q %w: it is not UTF-8", cluster, ErrName)
	}
	for _, name := range []string{sealName, keyringName} {
		if err := absent(filepath.Join(dir, name)); err != nil {
			return nil, fmt.Errorf("creating keys: %w: open it instead (a first start that was cut short leaves %s without %s: remove it)", err, keyringName, sealName)
		}
	}
	s := &Store{dir: dir, cluster: cluster, random: locked(random)}
	if err := s.fill(); err != nil {
		return nil, err
	}
	err := first(s)
	if err == nil && len(s.seal.Load().Slots) == 0 {
		err = fmt.Errorf("creating keys: %w", ErrNoSlot)
	}
	if err != nil {
		s.Seal()
		os.Remove(filepath.Join(dir, sealName)) // first: it makes the other one usable
		os.Remove(filepath.Join(dir, keyringName))
		return nil, err
	}
	return s, nil
}

// fill makes a new root key, ring and signing key, in memory alone.
func (s *Store) fill() (err error) {
	p, err := newPage()
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			p.wipe()
		}
	}()
	if err := s.random(p.mem()[:(ringAt+1)*keySize]); err != nil { // root, veil, seed, ring key 1
		return err
	}
	now := time.Now().Unix()
	r := &ring{
		keys:    []ringKey{{version: 1, state: active, created: now}},
		tenants: map[string]*erasures{},
	}
	signing, err := r.newSigning(p, signingAt, s.cluster, now)
	if err != nil {
		return err
	}
	r.signing = []signingKey{signing}
	f := &sealFile{Format: sealFormat, Cluster: s.cluster, RootVersion: 1}
	if f.Check, err = p.key(rootAt).rootCheck(s.cluster); err != nil {
		return err
	}
	s.page = p
	s.ring.Store(r)
	s.seal.Store(f)
	return nil
}

// Open gives the keys of a data directory, sealed.
func Open(dir, cluster string) (*Store, error) {
	path := filepath.Join(dir, sealName)
	data, err := readFile(path, maxSealFile)
	if err != nil {
		return nil, err
	}
	f, err := parseSeal(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if f.Cluster != cluster {
		return nil, fmt.Errorf("%s of %q %w", path, f.Cluster, ErrCluster)
	}
	s := &Store{dir: dir, cluster: cluster, random: locked(rand.Reader)}
	if _, err := s.readKeyring(); err != nil {
		return nil, err
	}
	s.seal.Store(f)
	return s, nil
}

func (s *Store) readKeyring() (record []byte, err error) {
	path := filepath.Join(s.dir, keyringName)
	data, err := readFile(path, maxKeyring)
	if err != nil {
		return nil, err
	}
	record, err = parseKeyring(data, s.cluster)
	if err != nil {
		return nil, fmt.Errorf("in %s: %w", s.dir, err)
	}
	return record, nil
}

// writeRing makes r durable, then current. The page is in use meanwhile.
func (s *Store) writeRing(r *ring) error {
	data, err := r.sealed(s.page, s.seal.Load().RootVersion, s.cluster)
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(s.dir, keyringName), data); err != nil {
		return err
	}
	s.ring.Store(r)
	return nil
}

// Format keeps what is inside out of every print and log.
func (s *Store) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "keys.Store") }

// locked lets goroutines share a source of randomness.
func locked(random io.Reader) func([]byte) error {
	var mu sync.Mutex
	return func(b []byte) error {
		mu.Lock()
		defer mu.Unlock()
		if _, err := io.ReadFull(random, b); err != nil {
			return errors.Join(errors.New("the source of randomness failed"), err)
		}
		return nil
	}
}
