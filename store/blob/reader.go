package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/minio/sio"
)

// Reader gives back an object, package by package, each authenticated before
// any of its bytes is released. After damage it gives nothing more. It is for
// one goroutine.
type Reader struct {
	ctx      context.Context
	file     *os.File
	cipher   *cipher
	start    int64 // of the first package
	size     int64 // of the object
	position int64

	sealed, plain []byte
	loaded        int64 // package in plain; -1: none
	err           error // ends the reader
}

// Open checks that the blob is the object that h names and reads its last
// package, which vouches for the size. ctx also ends later reads.
func (s *Store) Open(ctx context.Context, key Key, h Header, name string) (*Reader, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := h.check(); err != nil {
		return nil, err
	}
	f, stored, err := s.open(name)
	if err != nil {
		return nil, err
	}
	r, err := newReader(ctx, key, h, f, stored)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("blob %s: %w", name, err)
	}
	return r, nil
}

func newReader(ctx context.Context, key Key, h Header, f *os.File, stored int64) (*Reader, error) {
	head := make([]byte, min(stored, int64(maxHeader)))
	if _, err := f.ReadAt(head, 0); err != nil {
		return nil, readError(err)
	}
	found, salt, n, err := decode(head)
	if err != nil {
		return nil, err
	}
	if err := h.same(&found); err != nil {
		return nil, err
	}
	size, err := sio.DecryptedSize(uint64(stored - int64(n)))
	if err != nil || size == 0 {
		return nil, fmt.Errorf("%w: no object has this many bytes", ErrDamaged)
	}
	c, err := newCipher(key, salt, head[:n])
	if err != nil {
		return nil, err
	}
	r := &Reader{ctx: ctx, file: f, cipher: c, start: int64(n), size: int64(size), loaded: -1}
	r.plain = make([]byte, 0, min(r.size, payloadSize))
	r.sealed = make([]byte, cap(r.plain)+dareHeader+dareTag)
	if err := r.load((r.size - 1) / payloadSize); err != nil {
		clear(c.key[:])
		return nil, err
	}
	return r, nil
}

// Size of the object.
func (r *Reader) Size() int64 { return r.size }

func (r *Reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if r.position >= r.size {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	if i := r.position / payloadSize; i != r.loaded {
		if err := r.load(i); err != nil {
			r.err = fmt.Errorf("blob %s: %w", filepath.Base(r.file.Name()), err)
			return 0, r.err
		}
	}
	n := copy(p, r.plain[r.position%payloadSize:])
	r.position += int64(n)
	return n, nil
}

// Seek costs nothing; the package is read when it is needed.
func (r *Reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += r.position
	case io.SeekEnd:
		offset += r.size
	default:
		return 0, fmt.Errorf("seek from %d: %w", whence, fs.ErrInvalid)
	}
	if offset < 0 {
		return 0, fmt.Errorf("seek before the start: %w", fs.ErrInvalid)
	}
	r.position = offset
	return offset, nil
}

// Close wipes the object's key and what is left of its plaintext.
func (r *Reader) Close() error {
	r.err = fs.ErrClosed
	clear(r.cipher.key[:])
	clear(r.plain[:cap(r.plain)])
	return r.file.Close()
}

// load reads and opens package i.
func (r *Reader) load(i int64) error {
	r.loaded, r.plain = -1, r.plain[:0]
	if err := r.ctx.Err(); err != nil {
		return err
	}
	payload := min(payloadSize, r.size-i*payloadSize)
	sealed := r.sealed[:dareHeader+payload+dareTag]
	if _, err := r.file.ReadAt(sealed, r.start+i*packageSize); err != nil {
		return readError(err)
	}
	if err := r.cipher.open(r.plain[:payload], sealed, i, (i+1)*payloadSize >= r.size); err != nil {
		return err
	}
	r.loaded, r.plain = i, r.plain[:payload]
	return nil
}

func readError(err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: it ends too soon", ErrDamaged)
	}
	return fmt.Errorf("reading a blob: %w", err)
}
