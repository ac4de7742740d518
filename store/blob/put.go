package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/minio/sio"

	"gatehouse/store/disk/killpoint"
)

// lookEvery bytes the free space is looked at again.
const lookEvery = 16 << 20

// Put encrypts r, at most limit bytes of it, into a new blob, which is durable
// when Put returns. With an error nothing is left behind. The context is asked
// before every read of r: a read that blocks must end by its own means.
func (s *Store) Put(ctx context.Context, key Key, h Header, r io.Reader, limit int64) (Ref, error) {
	if err := h.check(); err != nil {
		return Ref{}, err
	}
	if err := s.room(); err != nil {
		return Ref{}, err
	}
	var salt [saltSize]byte
	if _, err := io.ReadFull(s.config.Rand, salt[:]); err != nil {
		return Ref{}, fmt.Errorf("no randomness for a salt: %w", err)
	}
	header := h.encode(salt)
	c, err := newCipher(key, salt, header)
	if err != nil {
		return Ref{}, err
	}
	defer clear(c.key[:])
	out, err := s.begin()
	if err != nil {
		return Ref{}, err
	}
	defer out.drop()
	in := &source{ctx: ctx, r: r, left: max(0, min(limit, maxObject))}
	if err := seal(out, header, in, c); err != nil {
		return Ref{}, err
	}
	name := hex.EncodeToString(out.hash.Sum(nil))
	if err := s.keep(ctx, out, name); err != nil {
		return Ref{}, err
	}
	return Ref{Name: name, Stored: out.n, Size: in.n}, nil
}

// begin makes the file of a new blob, which keep names or drop removes.
func (s *Store) begin() (*sink, error) {
	f, err := s.create(s.temp)
	if err != nil {
		return nil, writeError("making a blob's file", err)
	}
	return &sink{file: f, hash: sha256.New(), room: s.room}, nil
}

// keep makes what was written durable, under its name.
func (s *Store) keep(ctx context.Context, out *sink, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := out.file.Sync(); err != nil {
		return syncError("fsync of a blob", err)
	}
	if err := out.file.Close(); err != nil {
		return syncError("closing a blob", err)
	}
	if err := s.publish(out.file.Name(), name); err != nil {
		return err
	}
	out.kept = true
	killpoint.At(killpoint.BlobKept)
	return nil
}

// seal writes the header and the packages. Reader and writer keep their own
// errors apart.
func seal(out *sink, header []byte, in *source, c *cipher) error {
	if _, err := out.Write(header); err != nil {
		return err
	}
	packages, err := sio.EncryptReader(in, c.config(0))
	if err != nil {
		return fmt.Errorf("encrypting a blob: %w", err)
	}
	buffer := make([]byte, packageSize)
	for {
		n, err := packages.Read(buffer)
		// The source's own word counts: sio takes ErrUnexpectedEOF, which a
		// broken upload gives, for the end.
		if in.err != nil {
			return in.err
		}
		if n > 0 {
			if _, err := out.Write(buffer[:n]); err != nil {
				return err
			}
		}
		switch {
		case err == nil:
		case !errors.Is(err, io.EOF):
			return fmt.Errorf("encrypting a blob: %w", err)
		case in.n == 0:
			return ErrEmpty
		default:
			return nil
		}
	}
}

// source counts, limits and cancels what is read. Its first error stays.
type source struct {
	ctx     context.Context
	r       io.Reader
	n, left int64
	err     error // never io.EOF
}

func (s *source) Read(p []byte) (int, error) {
	if s.err == nil {
		s.err = s.ctx.Err()
	}
	if s.err != nil {
		return 0, s.err
	}
	if int64(len(p)) > s.left+1 { // one byte more shows that there is more
		p = p[:s.left+1]
	}
	n, err := s.r.Read(p)
	if int64(n) > s.left {
		s.err = fmt.Errorf("%w: more than %d bytes", ErrTooLarge, s.n+s.left)
		return 0, s.err
	}
	s.n, s.left = s.n+int64(n), s.left-int64(n)
	if err != nil && err != io.EOF {
		s.err = fmt.Errorf("reading the object: %w", err)
		err = s.err
	}
	return n, err
}

// sink writes, hashes, and looks at the free space as it goes.
type sink struct {
	file file
	hash hash.Hash
	room func() error
	n    int64
	kept bool
}

// drop leaves nothing behind of what was not kept.
func (s *sink) drop() {
	if !s.kept {
		s.file.Close()
		os.Remove(s.file.Name())
	}
}

func (s *sink) Write(p []byte) (int, error) {
	if before := s.n / lookEvery; (s.n+int64(len(p)))/lookEvery != before {
		if err := s.room(); err != nil {
			return 0, err
		}
	}
	n, err := s.file.Write(p)
	s.n += int64(n)
	if err != nil {
		return n, writeError("writing a blob", err)
	}
	return s.hash.Write(p)
}

func (s *Store) room() error { return s.roomFor(0) }

// roomFor size bytes more, which may be more than any disk has.
func (s *Store) roomFor(size int64) error {
	free, _, err := s.config.Free(s.blobs)
	if err != nil {
		return fmt.Errorf("looking at the free space: %w", err)
	}
	if free < s.config.ReserveBytes+uint64(size) {
		return fmt.Errorf("%w: %d MiB free, %d MiB stay reserved for the logs", ErrFull, free>>20, s.config.ReserveBytes>>20)
	}
	return nil
}

// publish moves a finished file to its name and makes the name durable, or
// withdraws it. Should the name be there, its bytes are the same.
func (s *Store) publish(temp, name string) error {
	path, err := s.path(name)
	if err != nil {
		return err
	}
	if err := s.folder(name); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return writeError("naming a blob", err)
	}
	if err := s.syncDir(filepath.Dir(path)); err != nil {
		os.Remove(path)
		return syncError("naming a blob", err)
	}
	return nil
}

// folder makes the two folders of a name. That one exists does not say that it
// is durable (its maker may be about to fsync, or may have crashed): the first
// use by this process makes sure, and others wait for it.
func (s *Store) folder(name string) error {
	b, err := hex.DecodeString(name[:4])
	if err != nil {
		return err
	}
	f := &s.folders[b[0]]
	f.Lock()
	defer f.Unlock()
	if f.durable[b[1]] {
		return nil
	}
	parent := s.blobs
	for _, part := range []string{name[:2], name[2:4]} {
		dir := filepath.Join(parent, part)
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return writeError("making a blob's folder", err)
		}
		if err := s.syncDir(parent); err != nil {
			return syncError("making a blob's folder", err)
		}
		parent = dir
	}
	f.durable[b[1]] = true
	return nil
}
