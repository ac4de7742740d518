package raftlog_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"sync"

	"gatehouse/cluster/raftlog"
)

// memory is a disk that knows what a power cut may leave of it: what was synced,
// and any part of what was not. It has one folder.
type memory struct {
	mu     sync.Mutex
	names  map[string]*inode // as the kernel shows them
	kept   map[string]*inode // as the folder was synced
	later  []naming          // between the two
	before func(step) error  // called before each change; what it returns, the call gives
}

// inode has slices that never change: every change makes a new one.
type inode struct {
	now   []byte
	kept  []byte
	later []change
}

type change struct {
	at   int64
	data []byte // nil: the file is cut, or grows, to at
}

type naming struct {
	from, to string // from "": a new file; to "": it is removed
	file     *inode // that gets a name
}

// step is a change that is about to happen.
type step struct {
	kind   string
	file   *inode
	change change
	naming naming
}

// short is an error by which a part of a write has happened.
type short struct {
	error
	n int
}

func (s short) Unwrap() error { return s.error }

func newMemory() *memory { return &memory{names: map[string]*inode{}, kept: map[string]*inode{}} }

func (c change) on(b []byte) []byte {
	end := c.at + int64(len(c.data))
	grown := make([]byte, max(end, int64(len(b))))
	copy(grown, b)
	if c.data == nil {
		return grown[:end]
	}
	copy(grown[c.at:], c.data)
	return grown
}

func (n naming) on(names map[string]*inode) {
	if n.from != "" {
		if names[n.from] == nil { // it never got that name
			return
		}
		delete(names, n.from)
	}
	if n.to != "" {
		names[n.to] = n.file
	}
}

func (d *memory) step(s step) error {
	if d.before != nil {
		if err := d.before(s); err != nil {
			return &fs.PathError{Op: s.kind, Path: "memory", Err: err}
		}
	}
	return nil
}

func (d *memory) change(f *inode, c change) {
	f.now, f.later = c.on(f.now), append(slices.Clip(f.later), c)
}

func (d *memory) rename(n naming) {
	n.on(d.names)
	d.later = append(slices.Clip(d.later), n)
}

// copy of the disk, with what is not synced.
func (d *memory) copy() *memory {
	to, _ := d.copies()
	return to
}

func (d *memory) copies() (*memory, map[*inode]*inode) {
	same := map[*inode]*inode{nil: nil}
	dup := func(f *inode) *inode {
		if same[f] == nil && f != nil {
			c := *f
			same[f] = &c
		}
		return same[f]
	}
	to := &memory{names: map[string]*inode{}, kept: map[string]*inode{}}
	for name, f := range d.names {
		to.names[name] = dup(f)
	}
	for name, f := range d.kept {
		to.kept[name] = dup(f)
	}
	for _, n := range d.later {
		to.later = append(to.later, naming{n.from, n.to, dup(n.file)})
	}
	return to, same
}

// with is a copy where the step has happened: of a write the first n bytes.
func (d *memory) with(s step, n int) *memory {
	to, same := d.copies()
	switch {
	case s.file != nil:
		c := s.change
		if c.data != nil {
			c.data = c.data[:n:n]
		}
		to.change(same[s.file], c)
	case s.kind == "create":
		to.rename(naming{to: s.naming.to, file: &inode{}})
	case s.kind == "rename" || s.kind == "remove":
		to.rename(naming{s.naming.from, s.naming.to, same[s.naming.file]})
	}
	return to
}

// cut is the disk after a power cut. Of what was not synced, keep says for each
// sector of a write, each cut of a file and each name whether it is there.
func (d *memory) cut(sector int64, keep func() bool) *memory {
	to := d.copy()
	to.names = to.kept
	for _, n := range to.later {
		if keep() {
			n.on(to.names)
		}
	}
	to.kept, to.later = maps.Clone(to.names), nil
	for _, f := range to.names {
		f.now = f.kept
		for _, c := range f.later {
			for _, part := range c.sectors(sector) {
				if keep() {
					f.now = part.on(f.now)
				}
			}
		}
		f.kept, f.later = f.now, nil
	}
	return to
}

func (c change) sectors(size int64) (all []change) {
	if c.data == nil {
		return []change{c}
	}
	for at, end := c.at, c.at+int64(len(c.data)); at < end; {
		next := min((at/size+1)*size, end)
		all = append(all, change{at, c.data[at-c.at : next-c.at]})
		at = next
	}
	return all
}

func (d *memory) MakeDir(string) error { return nil }

func (d *memory) List(string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(step{kind: "list"}); err != nil {
		return nil, err
	}
	return slices.Collect(maps.Keys(d.names)), nil
}

func (d *memory) Create(path string) (raftlog.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	name := filepath.Base(path)
	if d.names[name] != nil {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrExist)
	}
	n := naming{to: name, file: &inode{}}
	if err := d.step(step{kind: "create", naming: n}); err != nil {
		return nil, err
	}
	d.rename(n)
	return &open{d, n.file}, nil
}

func (d *memory) Open(path string) (raftlog.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.names[filepath.Base(path)]
	if f == nil {
		return nil, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	}
	if err := d.step(step{kind: "open"}); err != nil {
		return nil, err
	}
	return &open{d, f}, nil
}

func (d *memory) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := naming{from: filepath.Base(from), to: filepath.Base(to), file: d.names[filepath.Base(from)]}
	if err := d.step(step{kind: "rename", naming: n}); err != nil {
		return err
	}
	d.rename(n)
	return nil
}

func (d *memory) Remove(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := naming{from: filepath.Base(path)}
	if err := d.step(step{kind: "remove", naming: n}); err != nil {
		return err
	}
	d.rename(n)
	return nil
}

func (d *memory) SyncDir(string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(step{kind: "sync of the folder"}); err != nil {
		return err
	}
	d.kept, d.later = maps.Clone(d.names), nil
	return nil
}

type open struct {
	disk *memory
	file *inode
}

func (o *open) ReadAt(b []byte, at int64) (int, error) {
	o.disk.mu.Lock()
	defer o.disk.mu.Unlock()
	if err := o.disk.step(step{kind: "read"}); err != nil {
		return 0, err
	}
	if at > int64(len(o.file.now)) {
		return 0, io.EOF
	}
	n := copy(b, o.file.now[at:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (o *open) WriteAt(b []byte, at int64) (int, error) {
	o.disk.mu.Lock()
	defer o.disk.mu.Unlock()
	c := change{at: at, data: slices.Clone(b)}
	if err := o.disk.step(step{kind: "write", file: o.file, change: c}); err != nil {
		n := 0
		if s := (short{}); errors.As(err, &s) {
			n = min(s.n, len(b))
			o.disk.change(o.file, change{at: at, data: c.data[:n:n]})
		}
		return n, err
	}
	o.disk.change(o.file, c)
	return len(b), nil
}

func (o *open) Truncate(size int64) error {
	o.disk.mu.Lock()
	defer o.disk.mu.Unlock()
	c := change{at: size}
	if err := o.disk.step(step{kind: "truncate", file: o.file, change: c}); err != nil {
		return err
	}
	o.disk.change(o.file, c)
	return nil
}

// Sync that fails loses what it should have kept, and the kernel forgets that it
// was to be written.
func (o *open) Sync() error {
	o.disk.mu.Lock()
	defer o.disk.mu.Unlock()
	if err := o.disk.step(step{kind: "sync"}); err != nil {
		o.file.later = nil
		return err
	}
	for _, c := range o.file.later {
		o.file.kept = c.on(o.file.kept)
	}
	o.file.later = nil
	return nil
}

func (o *open) Size() (int64, error) {
	o.disk.mu.Lock()
	defer o.disk.mu.Unlock()
	if err := o.disk.step(step{kind: "stat"}); err != nil {
		return 0, err
	}
	return int64(len(o.file.now)), nil
}

func (o *open) Close() error {
	o.disk.mu.Lock()
	defer o.disk.mu.Unlock()
	return o.disk.step(step{kind: "close"})
}
