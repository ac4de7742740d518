package keys

import (
	"bytes"
	"crypto/hpke"
	"encoding/binary"
	"fmt"
	"io"
)

// A hand-over takes the keys of a cluster to a node that joins it:
//
//	head | encapsulated key 1,120 | ciphertext
//
// The plaintext is the root key (32), its version (4) and the key-ring's file.
// HPKE (RFC 9180) in base mode; its info has the label, the cluster and the
// caller's info, each of these two with its length before it.
const (
	handOverMagic  = "GHHANDOV"
	handOverFormat = 1
	handOverLabel  = "gatehouse/keys/hand-over/1"

	// Sizes of X-Wing (draft-connolly-cfrg-xwing-kem): ML-KEM-768's and X25519's
	// together; both keys come from one seed.
	encapsulatedSize = 1088 + 32
	receiverSeed     = 32
	maxHandOver      = len(handOverMagic) + 2 + maxName + encapsulatedSize + keySize + 4 + maxKeyring + 16
)

// The suite of the audit log's disclosures, for the same reason: whoever keeps a
// hand-over until a quantum computer comes still has to break X25519 and
// ML-KEM-768 both.
func kem() hpke.KEM   { return hpke.MLKEM768X25519() }
func kdf() hpke.KDF   { return hpke.HKDFSHA256() }
func aead() hpke.AEAD { return hpke.AES256GCM() }

// Receiver is the key for one hand-over. It is in memory alone and is forgotten
// with it.
type Receiver struct {
	private func() hpke.PrivateKey // a func, as page.mem is: fmt never looks into it
}

// NewReceiver makes a key from a random source.
func NewReceiver(random io.Reader) (*Receiver, error) {
	var seed [receiverSeed]byte
	defer clear(seed[:])
	if _, err := io.ReadFull(random, seed[:]); err != nil {
		return nil, fmt.Errorf("a key for a hand-over: %w", err)
	}
	k, err := kem().NewPrivateKey(seed[:])
	if err != nil {
		return nil, fmt.Errorf("a key for a hand-over: %w", err)
	}
	return &Receiver{func() hpke.PrivateKey { return k }}, nil
}

// Public is what HandOver needs: 1,216 bytes, no secret.
func (r *Receiver) Public() []byte { return r.private().PublicKey().Bytes() }

// Format keeps what is inside out of every print and log.
func (r *Receiver) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "keys.Receiver") }

// HandOver seals the root key and the key-ring's file to the Receiver of a
// joining node, which then is a node like this one. The caller knows whose the
// public key is; info names that node (1 to 128 bytes), and Receive needs the
// same. At most 64 MiB and 2 KiB.
func (s *Store) HandOver(public []byte, info string) (bundle []byte, err error) {
	if err := checkName("info", info); err != nil {
		return nil, err
	}
	receiver, err := kem().NewPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("a receiver's key %w: %v", ErrFormat, err)
	}
	s.change.Lock() // the file stays the one in use
	defer s.change.Unlock()
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.page == nil {
		return nil, ErrSealed
	}
	file, err := s.RingFile()
	if err != nil {
		return nil, err
	}
	if _, err := s.checkFile(file, s.RingSum()); err != nil {
		return nil, fmt.Errorf("in %s: %w", s.dir, err)
	}
	plaintext := make([]byte, 0, keySize+4+len(file))
	plaintext = append(plaintext, s.page.key(rootAt)[:]...)
	plaintext = binary.BigEndian.AppendUint32(plaintext, s.seal.Load().RootVersion)
	plaintext = append(plaintext, file...)
	defer clear(plaintext)
	sealed, err := hpke.Seal(receiver, kdf(), aead(), handOverInfo(s.cluster, info), plaintext)
	if err != nil {
		return nil, fmt.Errorf("sealing a hand-over: %w", err)
	}
	return append(head(handOverMagic, handOverFormat, s.cluster), sealed...), nil
}

// Receive is Create for a node that joins a cluster: it opens a hand-over and
// gives the keys in it unsealed, the key-ring's file being the giver's to the
// byte. first makes this node's own slots; where anything fails, neither file is
// left. ErrCluster: the hand-over is another cluster's; ErrAltered: another
// receiver's or node's, or not as it was sealed. It does not say who made it: the
// caller has it from a node that he knows.
func Receive(dir, cluster string, r *Receiver, bundle []byte, info string, random io.Reader, first func(*Store) error) (*Store, error) {
	if err := vacant(dir, cluster); err != nil {
		return nil, fmt.Errorf("receiving keys: %w", err)
	}
	s := &Store{dir: dir, cluster: cluster, random: locked(random)}
	if err := s.receive(r, bundle, info); err != nil {
		return nil, fmt.Errorf("receiving keys: %w", err)
	}
	if err := s.begin(first); err != nil {
		return nil, fmt.Errorf("receiving keys: %w", err)
	}
	return s, nil
}

// receive fills the memory alone.
func (s *Store) receive(r *Receiver, bundle []byte, info string) (err error) {
	plaintext, err := r.open(s.cluster, bundle, info)
	if err != nil {
		return err
	}
	defer clear(plaintext)
	if len(plaintext) < keySize+4 {
		return fmt.Errorf("hand-over %w: it ends early", ErrFormat)
	}
	version, file := binary.BigEndian.Uint32(plaintext[keySize:]), plaintext[keySize+4:]
	switch {
	case version == 0:
		return fmt.Errorf("hand-over %w: version of the root key", ErrFormat)
	case len(file) > maxKeyring:
		return fmt.Errorf("%s of %d bytes %w of %d", keyringName, len(file), ErrLimit, maxKeyring)
	}
	record, err := checkRing(file, s.cluster, version)
	if err != nil {
		return err
	}
	p, err := newPage()
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			p.wipe()
		}
	}()
	copy(p.key(rootAt)[:], plaintext)
	if err := s.random(p.key(veilAt)[:]); err != nil {
		return err
	}
	ring, err := s.load(p, record)
	if err != nil {
		return err
	}
	return s.hold(p, ring, version, bytes.Clone(file)) // plaintext is wiped
}

func (r *Receiver) open(cluster string, bundle []byte, info string) ([]byte, error) {
	if err := checkName("info", info); err != nil {
		return nil, err
	}
	if len(bundle) > maxHandOver {
		return nil, fmt.Errorf("hand-over of %d bytes %w of %d", len(bundle), ErrLimit, maxHandOver)
	}
	sealed, err := cutHead("hand-over", handOverMagic, handOverFormat, bundle, cluster)
	if err != nil {
		return nil, err
	}
	if len(sealed) < encapsulatedSize {
		return nil, fmt.Errorf("hand-over %w: it ends early", ErrFormat)
	}
	plaintext, err := hpke.Open(r.private(), kdf(), aead(), handOverInfo(cluster, info), sealed)
	if err != nil {
		return nil, fmt.Errorf("hand-over %w: %v", ErrAltered, err)
	}
	return plaintext, nil
}

// handOverInfo binds a hand-over to its cluster and to what the caller says.
func handOverInfo(cluster, info string) []byte {
	return additional([]byte(handOverLabel), []string{cluster, info})
}
