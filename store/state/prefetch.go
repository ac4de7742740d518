package state

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"sync"
)

// prefetchers read at a time. A disk answers so many random reads in about the
// time of one; bbolt, which maps the file, asks for one page at a time, and whoever
// walks a large table for the first time would wait for each.
const prefetchers = 16

// PrefetchEnrolments has the system read the table of enrolments into memory,
// for who is about to walk all of it. It does not hold up the state. Of what is
// damaged the walk tells better.
func (s *State) PrefetchEnrolments(ctx context.Context) (err error) {
	defer tolerant(&err)()
	s.mu.Lock()
	if s.failed != nil {
		s.mu.Unlock()
		return s.failed
	}
	f, err := os.Open(s.path)
	if err != nil {
		s.mu.Unlock()
		return err
	}
	defer f.Close()
	tx, err := s.db.Begin(false)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tx.Rollback()) }()
	p := &pages{file: f, size: int64(tx.DB().Info().PageSize)}
	p.seen = make([]bool, tx.Size()/p.size)
	b := tx.Bucket([]byte(enrolments.name()))
	if b == nil || b.RootPage() == 0 {
		return nil
	}
	leaves, _, err := p.leaves(ctx, uint64(b.RootPage()))
	if err != nil {
		return err
	}
	slices.Sort(leaves)
	var group sync.WaitGroup
	for part := range slices.Chunk(leaves, max(1, (len(leaves)+prefetchers-1)/prefetchers)) {
		group.Go(func() {
			page := make([]byte, p.size)
			for _, id := range part {
				if ctx.Err() != nil {
					return
				}
				_, _ = f.ReadAt(page, int64(id)*p.size) // the walk reads it again
			}
		})
	}
	group.Wait()
	return nil
}

// leaves under a page, and whether it is one itself. All are as deep, so that of
// the lowest branches only the first is looked at.
func (p *pages) leaves(ctx context.Context, id uint64) (all []uint64, leaf bool, err error) {
	if id < 2 || id >= uint64(len(p.seen)) || p.seen[id] {
		return nil, false, errNoPage
	}
	p.seen[id] = true
	b, err := p.read(id, 1)
	if err != nil || binary.NativeEndian.Uint16(b[8:]) != branchPage {
		return nil, true, err
	}
	var children []uint64
	for b := b[pageHeader:]; len(b) >= elementSize && len(children) < int(binary.NativeEndian.Uint16(p.last[10:])); b = b[elementSize:] {
		children = append(children, binary.NativeEndian.Uint64(b[8:]))
	}
	for _, child := range children {
		under, leaf, err := p.leaves(ctx, child)
		if err = errors.Join(err, ctx.Err()); err != nil {
			return nil, false, err
		}
		if leaf {
			return children, false, nil
		}
		all = append(all, under...)
	}
	return all, false, nil
}

var errNoPage = errors.New("a page does not exist")
