package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// maxFile bounds every file named in the lock, fetched or taken out.
const maxFile = 1 << 30

var (
	errLock    = errors.New("not a sound lock file")
	errChanged = errors.New("does not match assets.lock")
)

// lock is assets.lock: every foreign file, where it comes from and what it
// becomes.
type lock struct {
	Format    int        `json:"format"`
	Artefacts []artefact `json:"artefacts"`
	// Own are files of this repository that go into the outputs as they are.
	Own []ownFile `json:"own"`
	// GoLicences is the text that gets the licences of Go and of every module
	// that go.mod requires; empty for none.
	GoLicences string `json:"go_licences"`
}

// artefact is one package file as its client fetches it.
type artefact struct {
	Kind     string       `json:"kind"` // pip, npm or deb
	Package  string       `json:"package"`
	Version  string       `json:"version"`
	File     string       `json:"file"`
	Bytes    int64        `json:"bytes"`
	SHA256   string       `json:"sha256"`
	Licence  string       `json:"licence"`
	Upstream string       `json:"upstream"`
	Files    []lockedFile `json:"files"`
}

// lockedFile is a file taken out of an artefact. Becomes names outputs;
// "default.pack/x" is the entry x of the model pack. Several files that become
// one .txt are joined, each under a heading.
type lockedFile struct {
	Path      string     `json:"path"`
	Bytes     int64      `json:"bytes"`
	SHA256    string     `json:"sha256"`
	Licence   string     `json:"licence"`
	Becomes   []string   `json:"becomes"`
	Converted *converted `json:"converted,omitempty"`
}

// converted is what a conversion must yield, so that a change of the converter
// is noticed.
type converted struct {
	By     string `json:"by"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

type ownFile struct {
	Path    string   `json:"path"`
	Title   string   `json:"title"`
	Becomes []string `json:"becomes"`
}

// name says which package an error or a heading is about.
func (a *artefact) name() string { return a.Package + " " + a.Version }

func readLock(path string) (*lock, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var l lock
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", path, errLock, err)
	}
	if err := l.check(); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", path, errLock, err)
	}
	return &l, nil
}

func (l *lock) check() error {
	if l.Format != 1 {
		return fmt.Errorf("format %d; this program reads format 1", l.Format)
	}
	for i := range l.Artefacts {
		if err := l.Artefacts[i].check(); err != nil {
			return err
		}
	}
	for _, o := range l.Own {
		if !filepath.IsLocal(o.Path) || len(o.Becomes) == 0 {
			return fmt.Errorf("own file %q: a path under the lock file's folder and becomes are needed", o.Path)
		}
		if err := checkTargets(o.Becomes); err != nil {
			return fmt.Errorf("own file %q: %w", o.Path, err)
		}
	}
	if l.GoLicences != "" {
		return checkTargets([]string{l.GoLicences})
	}
	return nil
}

func (a *artefact) check() error {
	if a.Package == "" || a.Version == "" || a.Licence == "" || a.Upstream == "" || a.File != filepath.Base(a.File) {
		return fmt.Errorf("artefact %q: package, version, file, licence and upstream are needed", a.File)
	}
	if clients[a.Kind] == nil {
		return fmt.Errorf("%s: unknown kind %q", a.name(), a.Kind)
	}
	// A package name or version that starts with a dash would be an option.
	if strings.HasPrefix(a.Package, "-") || strings.HasPrefix(a.Version, "-") {
		return fmt.Errorf("%s: the package or version starts with a dash", a.name())
	}
	if err := checkHash(a.Bytes, a.SHA256); err != nil {
		return fmt.Errorf("%s: %w", a.File, err)
	}
	for i := range a.Files {
		if err := a.Files[i].check(); err != nil {
			return fmt.Errorf("%s: %s: %w", a.name(), a.Files[i].Path, err)
		}
	}
	return nil
}

func (f *lockedFile) check() error {
	if f.Licence == "" || len(f.Becomes) == 0 {
		return errors.New("licence and becomes are needed")
	}
	if err := checkHash(f.Bytes, f.SHA256); err != nil {
		return err
	}
	if c := f.Converted; c != nil {
		if converters[c.By] == nil {
			return fmt.Errorf("unknown conversion %q", c.By)
		}
		if err := checkHash(c.Bytes, c.SHA256); err != nil {
			return fmt.Errorf("converted: %w", err)
		}
	}
	return checkTargets(f.Becomes)
}

func checkTargets(names []string) error {
	for _, n := range names {
		if !filepath.IsLocal(n) || n == packFile || n == sumsFile {
			return fmt.Errorf("becomes %q, which is no output", n)
		}
	}
	return nil
}

func checkHash(bytes int64, sum string) error {
	if b, err := hex.DecodeString(sum); err != nil || len(b) != sha256.Size || bytes < 1 || bytes > maxFile {
		return fmt.Errorf("bytes %d (1 to %d) and a SHA-256 are needed", bytes, maxFile)
	}
	return nil
}

func sha(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// same checks contents against a record; what names them in the error.
func same(what string, b []byte, bytes int64, sum string) error {
	if got := sha(b); int64(len(b)) != bytes || got != sum {
		return fmt.Errorf("%s %w: %d bytes with SHA-256 %s, recorded are %d bytes with %s", what, errChanged, len(b), got, bytes, sum)
	}
	return nil
}
