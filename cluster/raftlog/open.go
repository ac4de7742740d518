package raftlog

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// files of a log's folder, open.
type files struct {
	segments []*segment // in their order
	unready  []string   // files that a crash kept from getting their name
	torn     int64      // bytes after the last batch
}

// load opens the files and reads them all. With an error it gives those that are
// open, with what was read of them before it.
func load(c *Config) (files, error) {
	var f files
	names, err := c.FS.List(c.Dir)
	if err != nil {
		return f, err
	}
	slices.Sort(names) // which is the order of the entries
	for _, name := range names {
		path := filepath.Join(c.Dir, name)
		base, ours := parseName(name)
		switch {
		case strings.HasSuffix(name, suffix+temp):
			f.unready = append(f.unready, path)
			continue
		case !strings.HasSuffix(name, suffix):
			continue
		case !ours:
			return f, fmt.Errorf("%w: %s is not the name of a segment", ErrDamaged, path)
		}
		file, err := c.FS.Open(path)
		if err != nil {
			return f, err
		}
		s := &segment{path: path, file: file, base: base}
		f.segments = append(f.segments, s)
		if s.size, err = file.Size(); err != nil {
			return f, err
		}
	}
	for i, s := range f.segments {
		if i > 0 {
			switch before := f.segments[i-1]; {
			case f.torn > 0:
				return f, before.damaged("the batch at byte %d does not verify, and there are later segments", before.end)
			case before.next() != s.base:
				return f, before.damaged("it ends before entry %d, and the next segment begins at %d", before.next(), s.base)
			}
		}
		if f.torn, err = s.load(c.Cluster); err != nil {
			return f, err
		}
	}
	return f, nil
}

// settle makes what was read durable, and removes what is not part of it.
func (f *files) settle(c *Config) error {
	for _, path := range f.unready {
		if err := c.FS.Remove(path); err != nil {
			return err
		}
	}
	if n := len(f.segments); n > 0 {
		if err := f.segments[n-1].settle(); err != nil {
			return err
		}
	}
	return c.FS.SyncDir(c.Dir)
}

func (f *files) close() error {
	var err error
	for _, s := range f.segments {
		err = errors.Join(err, s.file.Close())
	}
	return err
}
