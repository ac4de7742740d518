package audit

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// MaxSize of a tree: a leaf's seq is a JSON integer. It also keeps package tlog
// within its arithmetic, which does not end for sizes near 2⁶³.
const MaxSize = maxInteger

// Hashes gives the stored hashes of a tree by tlog.StoredHashIndex.
type Hashes interface {
	Hash(index int64) (tlog.Hash, error)
}

// reader lets package tlog read Hashes.
type reader struct{ h Hashes }

func (r reader) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		var err error
		if hashes[i], err = r.h.Hash(index); err != nil {
			return nil, fmt.Errorf("hash %d of the tree: %w", index, err)
		}
	}
	return hashes, nil
}

// Append gives the hashes to store for the leaf that follows size others: the
// first under index first, the rest in order after it.
func Append(size int64, leaf []byte, h Hashes) (hashes []tlog.Hash, first int64, err error) {
	if size < 0 || size >= MaxSize {
		return nil, 0, fmt.Errorf("%w: nothing can follow %d leaves", ErrSize, size)
	}
	hashes, err = tlog.StoredHashes(size, leaf, reader{h})
	return hashes, tlog.StoredHashIndex(0, size), err
}

// Root is the hash of the tree of the first size leaves (RFC 6962, section 2.1).
func Root(size int64, h Hashes) (tlog.Hash, error) {
	if size < 0 || size > MaxSize {
		return tlog.Hash{}, fmt.Errorf("%w: %d leaves", ErrSize, size)
	}
	return tlog.TreeHash(size, reader{h})
}

// InclusionProof shows that leaf seq is in the tree of size leaves (RFC 6962,
// section 2.1.1).
func InclusionProof(size, seq int64, h Hashes) ([]tlog.Hash, error) {
	if size > MaxSize || seq < 0 || seq >= size {
		return nil, fmt.Errorf("%w: leaf %d of %d", ErrSize, seq, size)
	}
	return tlog.ProveRecord(size, seq, reader{h})
}

// ConsistencyProof shows that the tree of size leaves begins with the tree of
// old leaves (RFC 6962, section 2.1.2). It is empty where old is 0 or size.
func ConsistencyProof(old, size int64, h Hashes) ([]tlog.Hash, error) {
	if size > MaxSize || old < 0 || old > size {
		return nil, fmt.Errorf("%w: from %d to %d leaves", ErrSize, old, size)
	}
	if old == 0 {
		return nil, nil
	}
	return tlog.ProveTree(size, old, reader{h})
}

// VerifyInclusion checks that the tree of size leaves under root has leaf, byte
// for byte, in place seq.
func VerifyInclusion(leaf []byte, seq, size int64, proof []tlog.Hash, root tlog.Hash) error {
	if size > MaxSize || seq < 0 || seq >= size {
		return fmt.Errorf("%w: leaf %d of %d", ErrSize, seq, size)
	}
	if err := tlog.CheckRecord(proof, size, root, seq, tlog.RecordHash(leaf)); err != nil {
		return fmt.Errorf("%w: leaf %d is not in the tree of %d leaves: the leaf, the proof or the checkpoint was altered", ErrProof, seq, size)
	}
	return nil
}

// VerifyConsistency checks that the tree of size leaves under root begins with
// the tree of old leaves under oldRoot.
func VerifyConsistency(old, size int64, proof []tlog.Hash, oldRoot, root tlog.Hash) error {
	if size > MaxSize || old < 0 || old > size {
		return fmt.Errorf("%w: from %d to %d leaves", ErrSize, old, size)
	}
	holds := false
	if old == 0 {
		empty, err := tlog.TreeHash(0, nil)
		holds = err == nil && len(proof) == 0 && oldRoot == empty && (size > 0 || root == empty)
	} else {
		holds = tlog.CheckTree(proof, size, root, old, oldRoot) == nil
	}
	if !holds {
		return fmt.Errorf("%w: the tree of %d leaves does not begin with the tree of %d", ErrProof, size, old)
	}
	return nil
}
