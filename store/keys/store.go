package keys

import (
	"crypto/rand"
	"crypto/sha256"
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

	change    sync.Mutex // one writer of the files at a time; before mu
	unwritten []byte     // the key-ring's file, until the first slot writes it
	sum       atomic.Pointer[[sha256.Size]byte]
	seal      atomic.Pointer[sealFile]
	ring      atomic.Pointer[ring] // nil while sealed

	mu      sync.RWMutex // read: keys are in use; write: they come or go
	page    *page        // nil while sealed
	tenants sync.Map     // id → *Tenant of this page
}

// firstRoot is the version of the root key that Create makes.
const firstRoot = 1

// Create makes the keys of a new cluster and gives them unsealed. first adds
// the first slot or slots: without one nothing could ever be opened again, so
// where it fails or adds none, Create fails and neither file is left.
func Create(dir, cluster string, random io.Reader, first func(*Store) error) (*Store, error) {
	if err := vacant(dir, cluster); err != nil {
		return nil, fmt.Errorf("creating keys: %w", err)
	}
	s := &Store{dir: dir, cluster: cluster, random: locked(random)}
	if err := s.fill(); err != nil {
		return nil, err
	}
	if err := s.begin(first); err != nil {
		return nil, fmt.Errorf("creating keys: %w", err)
	}
	return s, nil
}

// vacant checks where new keys go, and for whom they are.
func vacant(dir, cluster string) error {
	if err := checkName("cluster", cluster); err != nil {
		return err
	}
	if !utf8.ValidString(cluster) { // seal.json holds it
		return fmt.Errorf("cluster %q %w: it is not UTF-8", cluster, ErrName)
	}
	for _, name := range []string{sealName, keyringName} {
		if err := absent(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("%w: open it instead (a first start that was cut short leaves %s without %s: remove it)", err, keyringName, sealName)
		}
	}
	return nil
}

// begin has the first slots made. Where that fails, nothing is left.
func (s *Store) begin(first func(*Store) error) error {
	err := first(s)
	if err == nil && len(s.seal.Load().Slots) == 0 {
		err = ErrNoSlot
	}
	if err != nil {
		s.Seal()
		os.Remove(filepath.Join(s.dir, sealName)) // first: it makes the other one usable
		os.Remove(filepath.Join(s.dir, keyringName))
	}
	return err
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
	signing, err := r.newSigning(p, p.key(signingAt), s.cluster, now)
	if err != nil {
		return err
	}
	signing.at = signingAt
	r.signing = []signingKey{signing}
	file, err := r.sealed(p, firstRoot, s.cluster)
	if err != nil {
		return err
	}
	return s.hold(p, r, firstRoot, file)
}

// hold puts the keys of a new node into memory. The first slot writes the file.
func (s *Store) hold(p *page, r *ring, rootVersion uint32, file []byte) error {
	check, err := p.key(rootAt).rootCheck(s.cluster)
	if err != nil {
		return err
	}
	s.page = p
	s.ring.Store(r)
	s.seal.Store(&sealFile{Format: sealFormat, Cluster: s.cluster, RootVersion: rootVersion, Check: check})
	s.unwritten = file
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

// readKeyring also remembers which file it was.
func (s *Store) readKeyring() (record []byte, err error) {
	data, err := s.RingFile()
	if err != nil {
		return nil, err
	}
	record, err = parseKeyring(data, s.cluster)
	if err != nil {
		return nil, fmt.Errorf("in %s: %w", s.dir, err)
	}
	sum := sha256.Sum256(data)
	s.sum.Store(&sum)
	return record, nil
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
