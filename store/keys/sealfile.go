package keys

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	sealName   = "seal.json"
	sealFormat = 1
	slotIDSize = 8

	// maxSlots: a few ways for a few people. A path is bounded by PATH_MAX
	// (limits.h); all of them fit into the file, also with every byte escaped
	// as six.
	maxSlots    = 16
	maxPath     = 4096
	maxSealFile = 512 << 10
)

// Kind of a slot.
type Kind string

const (
	File       Kind = "file"
	Passphrase Kind = "passphrase"
	Shamir     Kind = "shamir"
)

// Slot is one way to open the seal.
type Slot struct {
	ID                string
	Kind              Kind
	Created           time.Time
	Path              string // of the key file
	Threshold, Shares int    // of a split secret
	Given             int    // shares given so far
}

// sealFile is seal.json. Nothing in it is secret by itself: each slot holds the
// root key wrapped under what the slot's owner has.
type sealFile struct {
	Format  int    `json:"format"`
	Cluster string `json:"cluster"`
	// RootVersion rises when the root key is replaced.
	RootVersion uint32 `json:"root_version"`
	// Check tells that a root key is this cluster's: see rootCheck.
	Check []byte `json:"check"`
	Slots []slot `json:"slots"`
}

type slot struct {
	ID        string    `json:"id"`
	Kind      Kind      `json:"kind"`
	Created   time.Time `json:"created"`
	Path      string    `json:"path,omitempty"`
	Argon2id  *argon2id `json:"argon2id,omitempty"`
	Threshold int       `json:"threshold,omitempty"`
	Shares    int       `json:"shares,omitempty"`
	Wrapped   []byte    `json:"wrapped"`
}

func parseSeal(data []byte) (*sealFile, error) {
	if len(data) > maxSealFile {
		return nil, fmt.Errorf("%d bytes: %w of %d", len(data), ErrLimit, maxSealFile)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	f := new(sealFile)
	if err := d.Decode(f); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrFormat, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("%w: text after its end", ErrFormat)
	}
	if err := f.check(); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *sealFile) check() error {
	switch {
	case f.Format != sealFormat:
		return fmt.Errorf("format %d %w: it reads %d", f.Format, ErrFormat, sealFormat)
	case len(f.Check) != sha256.Size, f.RootVersion == 0:
		return fmt.Errorf("%w: check or root_version is missing", ErrFormat)
	case len(f.Slots) == 0 || len(f.Slots) > maxSlots:
		return fmt.Errorf("%d slots: %w: 1 to %d are needed", len(f.Slots), ErrFormat, maxSlots)
	}
	if err := checkName("cluster", f.Cluster); err != nil {
		return err
	}
	for i := range f.Slots {
		s := &f.Slots[i]
		if err := s.check(); err != nil {
			return fmt.Errorf("slot %d: %w", i+1, err)
		}
		if f.find(s.ID) != s {
			return fmt.Errorf("slot %d: %w: its id comes twice", i+1, ErrFormat)
		}
	}
	return nil
}

func (s *slot) check() error {
	if id, err := slotBytes(s.ID); err != nil || slotName(id) != s.ID {
		return fmt.Errorf("%w: id", ErrFormat)
	}
	if len(s.Wrapped) != wrappedSize {
		return fmt.Errorf("%w: wrapped has %d bytes, not %d", ErrFormat, len(s.Wrapped), wrappedSize)
	}
	var ok bool
	switch s.Kind {
	case File:
		ok = filepath.IsAbs(s.Path) && len(s.Path) <= maxPath && s.Argon2id == nil && s.Threshold == 0 && s.Shares == 0
	case Passphrase:
		ok = s.Path == "" && s.Argon2id.sound() && s.Threshold == 0 && s.Shares == 0
	case Shamir:
		ok = s.Path == "" && s.Argon2id == nil && soundShares(s.Threshold, s.Shares)
	}
	if !ok {
		return fmt.Errorf("%w: its fields do not fit the kind %.20q", ErrFormat, s.Kind)
	}
	return nil
}

func (f *sealFile) find(id string) *slot {
	if i := slices.IndexFunc(f.Slots, func(s slot) bool { return s.ID == id }); i >= 0 {
		return &f.Slots[i]
	}
	return nil
}

func (f *sealFile) of(kind Kind) []slot {
	var all []slot
	for _, s := range f.Slots {
		if s.Kind == kind {
			all = append(all, s)
		}
	}
	return all
}

func (f *sealFile) write(dir string) error {
	data, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, sealName), append(data, '\n'))
}

// unwrap opens a slot with its secret and makes sure that the key in it is the
// root key. ErrOtherKey: the secret is wrong; ErrAltered: the slot is.
func (f *sealFile) unwrap(s *slot, secret, root *key) error {
	if err := secret.openKey(root, slotRecipe, s.Wrapped, f.Cluster, s.ID, string(s.Kind)); err != nil {
		return fmt.Errorf("slot %s: %w", s.ID, err)
	}
	check, err := root.rootCheck(f.Cluster)
	if err != nil {
		return err
	}
	if !hmac.Equal(check, f.Check) {
		return fmt.Errorf("slot %s holds another root key: it %w", s.ID, ErrAltered)
	}
	return nil
}

// rootCheck is HMAC-SHA256 of the cluster under a key derived from the root.
func (k *key) rootCheck(cluster string) ([]byte, error) {
	derived, err := hkdf.Key(sha256.New, k[:], nil, "gatehouse/root/check/1", keySize)
	if err != nil {
		return nil, err
	}
	defer clear(derived)
	mac := hmac.New(sha256.New, derived)
	mac.Write([]byte(cluster))
	return mac.Sum(nil), nil
}

const slotPrefix = "slt_"

func slotName(id [slotIDSize]byte) string {
	return slotPrefix + strings.ToLower(letters.EncodeToString(id[:]))
}

func slotBytes(name string) (id [slotIDSize]byte, err error) {
	rest, ok := strings.CutPrefix(name, slotPrefix)
	if !ok || len(rest) != letters.EncodedLen(slotIDSize) {
		return id, ErrFormat
	}
	b, err := letters.DecodeString(strings.ToUpper(rest))
	if err != nil || len(b) != slotIDSize {
		return id, ErrFormat
	}
	return [slotIDSize]byte(b), nil
}
