package keys

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// argon2id holds the cost of a passphrase slot. It is kept with the slot, so
// that a later version can ask for more and still open this one.
type argon2id struct {
	Time      uint32 `json:"time"`
	MemoryKiB uint32 `json:"memory_kib"`
	Threads   uint8  `json:"threads"`
	Salt      []byte `json:"salt"`
}

// The second recommended option of RFC 9106, section 4, for where 2 GiB cannot
// be spared: 3 passes, 64 MiB, 4 lanes, a 128-bit salt, a 256-bit tag.
const (
	argonTime      = 3
	argonMemoryKiB = 64 << 10
	argonThreads   = 4
	argonSalt      = 16
)

// What a reader of seal.json lets itself be made to spend: the memory of the
// first recommended option (2 GiB) and passes far beyond it.
const (
	maxArgonTime      = 64
	maxArgonMemoryKiB = 2 << 20
	maxArgonThreads   = 64
)

const (
	// minPassphrase is SP 800-63B-4, 3.1.1.2: a password that is the only
	// factor has at least 15 characters.
	minPassphrase = 15
	maxPassphrase = 1024
)

func (a *argon2id) sound() bool {
	return a != nil && len(a.Salt) == argonSalt &&
		1 <= a.Time && a.Time <= maxArgonTime &&
		1 <= a.Threads && a.Threads <= maxArgonThreads &&
		8*uint32(a.Threads) <= a.MemoryKiB && a.MemoryKiB <= maxArgonMemoryKiB // RFC 9106, 3.1: at least 8 KiB a lane
}

func (a *argon2id) key(passphrase []byte) *key {
	tag := argon2.IDKey(passphrase, a.Salt, a.Time, a.MemoryKiB, a.Threads, keySize)
	k := key(tag)
	clear(tag)
	return &k
}

// AddPassphrase adds a slot that a passphrase opens. The caller wipes p.
func (s *Store) AddPassphrase(p []byte) (Slot, error) {
	if n := utf8.RuneCount(p); n < minPassphrase || len(p) > maxPassphrase {
		return Slot{}, ErrWeakPassphrase
	}
	n, err := s.newSlot(Passphrase)
	if err != nil {
		return Slot{}, err
	}
	n.Argon2id = &argon2id{Time: argonTime, MemoryKiB: argonMemoryKiB, Threads: argonThreads, Salt: make([]byte, argonSalt)}
	if err := s.random(n.Argon2id.Salt); err != nil {
		return Slot{}, err
	}
	secret := n.Argon2id.key(p)
	defer clear(secret[:])
	return s.addSlot(n, secret)
}

// UnsealPassphrase tries p on every passphrase slot. The caller wipes p.
func (s *Store) UnsealPassphrase(ctx context.Context, p []byte) error {
	return s.try(ctx, func(f *sealFile, root *key) (bool, error) {
		slots := f.of(Passphrase)
		if len(slots) == 0 {
			return false, ErrNoSlot
		}
		failure := ErrWrongPassphrase
		if len(p) > maxPassphrase {
			return false, guess{failure}
		}
		for i := range slots {
			if err := ctx.Err(); err != nil {
				return false, err
			}
			secret := slots[i].Argon2id.key(p)
			err := f.unwrap(&slots[i], secret, root)
			clear(secret[:])
			if err == nil {
				return true, nil
			}
			if !errors.Is(err, ErrOtherKey) {
				failure = fmt.Errorf("%s: %w", sealName, err)
			}
		}
		return false, guess{failure}
	})
}
