package identify

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"gatehouse/store/keys"
)

// A snapshot's file, format 1 (docs/formats.md): a magic, the length of a JSON
// header, the header, and packages of AES-256-GCM under a key of the file's own,
// which is sealed in the header under the tenant's key. A package is bound to
// the header, to its number, and to whether it is the last.
const (
	fileMagic  = "ghsnap1\n"
	fileFormat = 1
	// packageSize balances what is decrypted twice at the edges of the gallery's
	// chunks (2.9 MB with the default models) with the cost of each package.
	packageSize = 256 << 10
	tagSize     = 16
	maxHeader   = 4 << 10
)

// header of a snapshot's file.
type header struct {
	Format int    `json:"format"`
	Tenant string `json:"tenant"`
	List   string `json:"list"`
	Index  uint64 `json:"index"`  // of the last entry that it has
	Digest []byte `json:"digest"` // of the enrolments at that entry
	Key    []byte `json:"key"`    // sealed
}

func (h *header) place() keys.Place {
	return keys.Place{Table: "gallery", Field: h.List, Row: "snapshot", Version: 1}
}

// encode gives the bytes in front of the packages.
func (h *header) encode() ([]byte, error) {
	b, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	out := append([]byte(fileMagic), 0, 0, 0, 0)
	binary.LittleEndian.PutUint32(out[len(fileMagic):], uint32(len(b)))
	return append(out, b...), nil
}

// readHeader reads and bounds it, and gives its bytes.
func readHeader(r io.ReaderAt) (*header, []byte, error) {
	front := make([]byte, len(fileMagic)+4)
	if _, err := r.ReadAt(front, 0); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errSnapshot, err)
	}
	n := binary.LittleEndian.Uint32(front[len(fileMagic):])
	if string(front[:len(fileMagic)]) != fileMagic || n > maxHeader {
		return nil, nil, fmt.Errorf("%w: it is none of format %d", errSnapshot, fileFormat)
	}
	b := make([]byte, n)
	if _, err := r.ReadAt(b, int64(len(front))); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errSnapshot, err)
	}
	h := &header{}
	if err := json.Unmarshal(b, h); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errSnapshot, err)
	}
	if h.Format != fileFormat {
		return nil, nil, fmt.Errorf("%w: it is of format %d", errSnapshot, h.Format)
	}
	return h, append(front, b...), nil
}

// packages seals and opens them.
type packages struct {
	gcm   cipher.AEAD
	bound [2][]byte // SHA-256 of all that stands before the first, and 1 for the last one
}

func newPackages(key, front []byte) (*packages, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(front)
	return &packages{gcm, [2][]byte{append(sum[:], 0), append(sum[:], 1)}}, nil
}

func nonce(i int64) []byte {
	return binary.BigEndian.AppendUint64(make([]byte, 4, 12), uint64(i))
}

// writer seals what is written to it, package by package. Close writes the last.
type writer struct {
	*packages
	to     io.Writer
	buffer []byte // of one package, and room for its tag
	n      int64  // packages written
}

func (w *writer) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		if len(w.buffer) == packageSize { // more comes: it is not the last
			if err := w.flush(0); err != nil {
				return 0, err
			}
		}
		n := min(len(rest), packageSize-len(w.buffer))
		w.buffer = append(w.buffer, rest[:n]...)
		rest = rest[n:]
	}
	return len(p), nil
}

func (w *writer) Close() error { return w.flush(1) }

func (w *writer) flush(last int) error {
	sealed := w.gcm.Seal(w.buffer[:0], nonce(w.n), w.buffer, w.bound[last])
	w.n++
	w.buffer = w.buffer[:0]
	_, err := w.to.Write(sealed)
	return err
}

// reader opens packages at any place; safe for concurrent use.
type reader struct {
	*packages
	from  io.ReaderAt
	at    int64     // where the first package begins
	count int64     // of packages
	size  int64     // of what is in them
	spare sync.Pool // of *[packageSize + tagSize]byte
}

// openFile checks what a file says of itself and gives what is in it. open
// unseals its key.
func openFile(f *os.File, open func(*header) ([]byte, error)) (*header, *reader, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	h, front, err := readHeader(f)
	if err != nil {
		return nil, nil, err
	}
	rest := info.Size() - int64(len(front))
	count := (rest + packageSize + tagSize - 1) / (packageSize + tagSize)
	if rest-count*tagSize < 1 {
		return nil, nil, fmt.Errorf("%w: nothing is in it", errSnapshot)
	}
	key, err := open(h)
	if err != nil {
		return nil, nil, err
	}
	defer clear(key)
	if len(key) != 32 {
		return nil, nil, fmt.Errorf("%w: its key has %d bytes", errSnapshot, len(key))
	}
	p, err := newPackages(key, front)
	if err != nil {
		return nil, nil, err
	}
	r := &reader{packages: p, from: f, at: int64(len(front)), count: count, size: rest - count*tagSize}
	r.spare.New = func() any { return new([packageSize + tagSize]byte) }
	return h, r, nil
}

func (r *reader) ReadAt(p []byte, off int64) (n int, err error) {
	b := r.spare.Get().(*[packageSize + tagSize]byte)
	defer func() {
		clear(b[:])
		r.spare.Put(b)
	}()
	for n < len(p) {
		at := off + int64(n)
		if at < 0 || at >= r.size {
			return n, io.EOF
		}
		i := at / packageSize
		length := min(packageSize, r.size-i*packageSize)
		sealed := b[:length+tagSize]
		if _, err := r.from.ReadAt(sealed, r.at+i*(packageSize+tagSize)); err != nil && !errors.Is(err, io.EOF) {
			return n, err
		}
		last := 0
		if i == r.count-1 {
			last = 1
		}
		plain, err := r.gcm.Open(sealed[:0], nonce(i), sealed, r.bound[last])
		if err != nil {
			return n, fmt.Errorf("%w: package %d: %w", errSnapshot, i, err)
		}
		n += copy(p[n:], plain[at-i*packageSize:])
	}
	return n, nil
}
