package keys

import (
	"context"
	"errors"
	"fmt"

	"github.com/openbao/openbao/sdk/v2/helper/shamir"
)

// soundShares are the bounds of GF(2^8): 255 points other than 0.
func soundShares(threshold, shares int) bool {
	return 2 <= threshold && threshold <= shares && shares <= 255
}

// AddShamir adds a slot that any threshold of the shares open together. The
// shares are given out this once and kept nowhere.
func (s *Store) AddShamir(threshold, shares int) (Slot, []string, error) {
	if !soundShares(threshold, shares) {
		return Slot{}, nil, fmt.Errorf("%d of %d %w", threshold, shares, ErrShares)
	}
	n, err := s.newSlot(Shamir)
	if err != nil {
		return Slot{}, nil, err
	}
	n.Threshold, n.Shares = threshold, shares
	id, err := slotBytes(n.ID)
	if err != nil {
		return Slot{}, nil, err
	}
	var secret key
	defer clear(secret[:])
	if err := s.random(secret[:]); err != nil {
		return Slot{}, nil, err
	}
	parts, err := shamir.Split(secret[:], shares, threshold)
	if err != nil {
		return Slot{}, nil, fmt.Errorf("splitting a secret: %w", err)
	}
	var texts []string
	for _, part := range parts { // the secret's point, then its x
		one := share{slot: id, threshold: byte(threshold), index: part[keySize], secret: key(part[:keySize])}
		texts = append(texts, one.text(sharePrefix))
		clear(one.secret[:])
		clear(part)
	}
	added, err := s.addSlot(n, &secret)
	if err != nil {
		return Slot{}, nil, err
	}
	return added, texts, nil
}

// UnsealShare collects shares and opens the seal with the last one needed. A
// wrong one shows only then, and all of that slot are given again.
func (s *Store) UnsealShare(ctx context.Context, text string) (given, needed int, err error) {
	one, err := parseText(sharePrefix, text)
	if err != nil {
		// A typing mistake: no secret was tried, so nothing is counted.
		return 0, 0, fmt.Errorf("%w: %w", ErrDamagedShare, err)
	}
	defer clear(one.secret[:])
	name := slotName(one.slot)
	err = s.try(ctx, func(f *sealFile, root *key) (bool, error) {
		sl := f.find(name)
		if sl == nil || sl.Kind != Shamir || sl.Threshold != int(one.threshold) || one.index == 0 {
			return false, fmt.Errorf("the share is for slot %s (%d needed) and %w", name, one.threshold, ErrOtherSlot)
		}
		needed = sl.Threshold
		shares, err := s.gate.collect(name, one)
		given = len(shares)
		if err != nil || given < needed {
			return false, err
		}
		defer s.gate.forget(name)
		err = combine(f, sl, shares, root)
		if err == nil {
			return true, nil
		}
		given = 0
		if errors.Is(err, ErrOtherKey) {
			err = ErrWrongShare
		}
		return false, guess{err}
	})
	return given, needed, err
}

func combine(f *sealFile, s *slot, shares []*share, root *key) error {
	var parts [][]byte
	for _, one := range shares {
		part := append(make([]byte, 0, keySize+1), one.secret[:]...)
		part = append(part, one.index)
		defer clear(part)
		parts = append(parts, part)
	}
	b, err := shamir.Combine(parts)
	if err != nil {
		return fmt.Errorf("combining shares: %w", err)
	}
	defer clear(b)
	secret := key(b)
	defer clear(secret[:])
	return f.unwrap(s, &secret, root)
}
