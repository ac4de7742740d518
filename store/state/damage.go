package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	bolt "go.etcd.io/bbolt"

	"gatehouse/store/command"
)

// bbolt's pages (its package internal/common): a header of id, flags, count of
// elements and count of further pages; then the elements, each of which says
// where its key lies, counted from its own place.
const (
	pageHeader  = 16
	elementSize = 16
	branchPage  = 1
	leafPage    = 2
	bucketLeaf  = 1 // flag of a leaf element whose value is a table
	bucketSize  = 16
	// Four rows of the largest size may share a page.
	maxPage = 8 * command.MaxSize
)

// Inspect reads every page of a bbolt file once. bbolt panics on a damaged page,
// and when it opens a file for writing does so in a goroutine of its own,
// where nothing can keep it from ending the process: so it is read here first.
func Inspect(path string) (err error) {
	defer tolerant(&err)()
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() == 0 { // bbolt would make a new one of it
		return errors.New("it is empty")
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, Timeout: 1e9})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return db.View(func(tx *bolt.Tx) error {
		if tx.Size() > info.Size() {
			return fmt.Errorf("it has %d bytes of %d", info.Size(), tx.Size())
		}
		free, err := freeList(f, int64(db.Info().PageSize))
		if err != nil {
			return err
		}
		return inspect(f, tx, free)
	})
}

// inspect reads the pages of a transaction; free are those that its list says are.
func inspect(f io.ReaderAt, tx *bolt.Tx, free *freePages) error {
	p := &pages{file: f, size: int64(tx.DB().Info().PageSize)}
	p.seen = make([]bool, tx.Size()/p.size)
	if err := p.walk(uint64(tx.Cursor().Bucket().RootPage()), true, nil, nil); err != nil {
		return err
	}
	if free == nil {
		return nil
	}
	for _, id := range free.ids {
		if p.seen[id] {
			return fmt.Errorf("page %d is in use and in the list of those that are free", id)
		}
		p.seen[id] = true
	}
	return nil
}

// pages of a bbolt file.
type pages struct {
	file io.ReaderAt
	size int64
	seen []bool
	last []byte // what was read last
}

// read pages of the file. They are good until the next are read.
func (p *pages) read(id, n uint64) ([]byte, error) {
	if size := int(n) * int(p.size); len(p.last) < size {
		p.last = make([]byte, size)
	}
	b := p.last[:int(n)*int(p.size)]
	_, err := p.file.ReadAt(b, int64(id)*p.size)
	return b, err
}

// walk reads a page and those under it; their keys are from low to below high.
// The tree of tables has tables as its values.
func (p *pages) walk(id uint64, tables bool, low, high []byte) error {
	if id < 2 || id >= uint64(len(p.seen)) {
		return fmt.Errorf("page %d does not exist", id)
	}
	b, err := p.read(id, 1)
	if err != nil {
		return err
	}
	more := uint64(binary.NativeEndian.Uint32(b[12:]))
	if binary.NativeEndian.Uint64(b) != id || more >= maxPage/uint64(p.size) || id+more >= uint64(len(p.seen)) {
		return fmt.Errorf("the header of page %d is damaged", id)
	}
	for i := id; i <= id+more; i++ {
		if p.seen[i] {
			return fmt.Errorf("page %d is referred to twice", i)
		}
		p.seen[i] = true
	}
	if more > 0 {
		if b, err = p.read(id, 1+more); err != nil {
			return err
		}
	}
	if binary.NativeEndian.Uint16(b[8:]) != leafPage || tables { // others are read before this one is done with
		b = bytes.Clone(b)
	}
	if err := p.elements(b, tables, low, high); err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	return nil
}

func (p *pages) elements(b []byte, tables bool, low, high []byte) error {
	if len(b) < pageHeader {
		return errors.New("it has no header")
	}
	flags, count := binary.NativeEndian.Uint16(b[8:]), int(binary.NativeEndian.Uint16(b[10:]))
	if flags != leafPage && (flags != branchPage || count == 0) || pageHeader+count*elementSize > len(b) {
		return errors.New("its header is damaged")
	}
	var last []byte
	for i := range count {
		place := pageHeader + i*elementSize
		e := b[place:]
		field := func(n int) uint64 { return uint64(binary.NativeEndian.Uint32(e[n:])) }
		pos, keySize, valueSize := field(0), field(4), uint64(0)
		if flags == leafPage {
			pos, keySize, valueSize = field(4), field(8), field(12)
		}
		if pos+keySize+valueSize > uint64(len(e)) || keySize == 0 {
			return fmt.Errorf("element %d lies outside", i)
		}
		key, value := e[pos:][:keySize], e[pos+keySize:][:valueSize]
		if i > 0 && bytes.Compare(key, last) <= 0 || bytes.Compare(key, low) < 0 || high != nil && bytes.Compare(key, high) >= 0 {
			return fmt.Errorf("element %d is out of order", i)
		}
		last = key
		var err error
		switch {
		case flags == branchPage:
			next := high
			if i+1 < count {
				if next, err = branchKey(b, i+1); err != nil {
					return err
				}
			}
			err = p.walk(binary.NativeEndian.Uint64(e[8:]), tables, key, next)
		case tables != (field(0) == bucketLeaf), tables && valueSize < bucketSize:
			err = fmt.Errorf("element %d is a table, or none, where it must not", i)
		case tables:
			if root := binary.NativeEndian.Uint64(value); root != 0 {
				err = p.walk(root, false, nil, nil)
			} else { // a small table lies within its own value
				err = p.elements(value[bucketSize:], false, nil, nil)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// branchKey is the key of an element, where the next child's keys begin.
func branchKey(b []byte, i int) ([]byte, error) {
	e := b[pageHeader+i*elementSize:]
	pos, size := uint64(binary.NativeEndian.Uint32(e)), uint64(binary.NativeEndian.Uint32(e[4:]))
	if pos+size > uint64(len(e)) || size == 0 {
		return nil, fmt.Errorf("element %d lies outside", i)
	}
	return e[pos:][:size], nil
}
