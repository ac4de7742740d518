package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path"
	"strings"
)

// Limits on an archive as a whole; the largest real one unpacks to 115 MB.
const (
	maxUnpacked = 1 << 30
	maxEntries  = 100_000
)

// extract gives the files that the lock names, verified. Nothing is unpacked
// to disk, so no path inside an archive is ever followed.
func extract(ctx context.Context, a *artefact, b []byte, file string) ([][]byte, error) {
	found := make([][]byte, len(a.Files))
	// take reads the entry if it is one of the files.
	take := func(name string, size int64, open func() (io.ReadCloser, error)) error {
		for i, f := range a.Files {
			if f.Path != path.Clean(name) {
				continue
			}
			if size != f.Bytes || found[i] != nil {
				return fmt.Errorf("%s: %s %w: an entry of %d bytes, recorded is one of %d", a.File, f.Path, errChanged, size, f.Bytes)
			}
			r, err := open()
			if err != nil {
				return fmt.Errorf("%s: %s: %w", a.File, f.Path, err)
			}
			defer r.Close()
			if found[i], err = io.ReadAll(io.LimitReader(r, f.Bytes+1)); err != nil {
				return fmt.Errorf("%s: %s: %w", a.File, f.Path, err)
			}
			if err := same(a.File+": "+f.Path, found[i], f.Bytes, f.SHA256); err != nil {
				return err
			}
		}
		return nil
	}
	var err error
	switch {
	case a.Kind == "deb":
		err = walkDeb(ctx, file, take)
	case strings.HasSuffix(a.File, ".whl"):
		err = walkZip(b, take)
	default:
		err = walkTarGz(b, take)
	}
	if err != nil {
		return nil, err
	}
	for i, f := range a.Files {
		if found[i] == nil {
			return nil, fmt.Errorf("%s has no file %s; correct the path in assets.lock", a.File, f.Path)
		}
	}
	return found, nil
}

type takeFunc func(name string, size int64, open func() (io.ReadCloser, error)) error

func walkZip(b []byte, take takeFunc) error {
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return err
	}
	for _, f := range z.File {
		if !f.Mode().IsRegular() {
			continue
		}
		if err := take(f.Name, int64(f.UncompressedSize64), f.Open); err != nil {
			return err
		}
	}
	return nil
}

func walkTarGz(b []byte, take takeFunc) error {
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return err
	}
	return walkTar(z, take)
}

// walkDeb lets dpkg-deb unpack the package: its inner tar is in xz, which Go's
// library does not read.
func walkDeb(ctx context.Context, file string, take takeFunc) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	cmd := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", file)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); errors.Is(err, exec.ErrNotFound) {
		return errors.New("dpkg-deb is missing: install the Debian package dpkg")
	} else if err != nil {
		return err
	}
	if err := walkTar(out, take); err != nil {
		stop()
		return errors.Join(err, cmd.Wait())
	}
	// The tar's padding is still to be read; dpkg-deb fails on a closed pipe.
	if _, err := io.Copy(io.Discard, out); err != nil {
		return err
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("dpkg-deb: %w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return nil
}

func walkTar(r io.Reader, take takeFunc) error {
	t := tar.NewReader(io.LimitReader(r, maxUnpacked))
	for range maxEntries {
		h, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if err := take(h.Name, h.Size, func() (io.ReadCloser, error) { return io.NopCloser(t), nil }); err != nil {
			return err
		}
	}
	return fmt.Errorf("more than %d entries", maxEntries)
}
