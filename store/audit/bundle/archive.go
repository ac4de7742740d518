package bundle

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// Of a tar (POSIX ustar).
const (
	block     = 512
	nameField = 100 // bytes, at the start of a header
	sizeField = 124 // its offset
	// trailer ends a tar: two blocks of zeros.
	trailer = 2 * block
)

// header of a member: what POSIX ustar writes for a file of mode 0644, without
// owner and time.
func header(name string, size int64) ([]byte, error) {
	var b bytes.Buffer
	err := tar.NewWriter(&b).WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, Format: tar.FormatUSTAR,
	})
	return b.Bytes(), err
}

// padding follows the bytes of a member up to the next block.
func padding(size int64) int64 { return (block - size%block) % block }

// archive reads a tar that has one spelling: each header must be the one that
// header makes. So no two readers can see different members in it.
type archive struct {
	r io.Reader
}

// next opens the member name. size -1 takes what its header says, up to max.
func (a *archive) next(name string, size, max int64) (*member, error) {
	got := make([]byte, block)
	if err := a.fill(got); err != nil {
		return nil, fmt.Errorf("before %s: %w", name, err)
	}
	if size < 0 {
		size = octal(got[sizeField : sizeField+11])
	}
	if size > max {
		return nil, fmt.Errorf("%w: %s has %d bytes, at most %d", errForm, name, size, max)
	}
	if want, err := header(name, size); err != nil || !bytes.Equal(got, want) {
		found, _, _ := bytes.Cut(got[:nameField], []byte{0})
		return nil, fmt.Errorf("%w: %s should stand here, an ordinary file of %d bytes, there is %.60q", errForm, name, size, found)
	}
	return &member{a: a, name: name, left: size, pad: padding(size)}, nil
}

// end checks that nothing follows.
func (a *archive) end() error {
	if err := a.zeros(trailer); err != nil {
		return fmt.Errorf("at the end: %w", err)
	}
	switch n, err := io.ReadFull(a.r, make([]byte, 1)); {
	case n > 0:
		return fmt.Errorf("%w: there are bytes after the end", errForm)
	case !errors.Is(err, io.EOF):
		return err
	}
	return nil
}

func (a *archive) zeros(n int64) error {
	b := make([]byte, n)
	if err := a.fill(b); err != nil {
		return err
	}
	if bytes.Count(b, []byte{0}) != len(b) {
		return fmt.Errorf("%w: there is something where zeros should be", errForm)
	}
	return nil
}

func (a *archive) fill(b []byte) error {
	_, err := io.ReadFull(a.r, b)
	return cut(err)
}

// cut turns an early end into a fault of the bundle.
func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: the bundle ends too early", errForm)
	}
	return err
}

// member is an io.Reader of its bytes.
type member struct {
	a    *archive
	name string
	left int64
	pad  int64
}

func (m *member) Read(b []byte) (int, error) {
	if m.left == 0 {
		return 0, io.EOF
	}
	n, err := m.a.r.Read(b[:min(int64(len(b)), m.left)])
	if m.left -= int64(n); n > 0 {
		return n, nil // an error comes again
	}
	return 0, cut(err)
}

// close skips the padding after all bytes were read.
func (m *member) close() error { return m.a.zeros(m.pad) }

// octal reads the digits of a size; -1 where they are none.
func octal(b []byte) int64 {
	n, err := strconv.ParseUint(string(b), 8, 33)
	if err != nil {
		return -1
	}
	return int64(n)
}
