package segment

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
)

// file is an open segment: where its frames are, and the hashes of levels 8 to
// 16, which hash to the root. It may be used by many at once.
type file struct {
	identity
	path  string
	r     io.ReaderAt
	zstd  *zstd.Decoder
	table table
	top   tree
}

// newDecoder makes one that allocates no more than the frame it is given room for.
func newDecoder() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderMaxMemory(maxPlain))
}

// load reads what is needed to find the rest, of a file of size bytes.
func load(r io.ReaderAt, size int64, path string, id identity, dec *zstd.Decoder) (*file, error) {
	f := &file{identity: id, path: path, r: r, zstd: dec}
	if size < tableSize {
		return nil, f.damaged("it has %d bytes", size)
	}
	var b [tableSize]byte
	if err := f.read(b[:], size-tableSize); err != nil {
		return nil, err
	}
	if err := f.table.parse(b[:], size); err != nil {
		return nil, f.damaged("%w", err)
	}
	header := make([]byte, f.table.at[1]) // at most maxHeader
	if err := f.read(header, 0); err != nil {
		return nil, err
	}
	if !bytes.Equal(header, id.header()) {
		if is, ok := parseHeader(header); ok {
			return nil, fmt.Errorf("%w: %s holds segment %d of %s under the root %s, not segment %d of %s under %s", ErrOther, path, is.n, is.origin, is.root, id.n, id.origin, id.root)
		}
		return nil, f.damaged("the header")
	}
	var s space
	if err := f.tile(topTile, &f.top, &s); err != nil {
		return nil, err
	}
	if f.top[treeRoot] != id.root {
		return nil, f.wrong(topTile, "it does not hash to the root of the segment")
	}
	return f, nil
}

// open reads the start and end of the file at path. The caller closes it.
func open(path string, id identity, dec *zstd.Decoder) (*file, io.Closer, error) {
	r, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	info, err := r.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a file", path)
	}
	var f *file
	if err == nil {
		f, err = load(r, info.Size(), path, id, dec)
	}
	if err != nil {
		r.Close()
		return nil, nil, err
	}
	return f, r, nil
}

func (f *file) damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s: %w", ErrDamaged, f.path, fmt.Errorf(format, args...))
}

// wrong is damage to one member.
func (f *file) wrong(member int, format string, args ...any) error {
	return f.damaged("%s, in the frame at byte %d: %w", memberName(f.n, member), f.table.at[1+member], fmt.Errorf(format, args...))
}

func (f *file) read(b []byte, at int64) error {
	_, err := f.r.ReadAt(b, at)
	if errors.Is(err, io.EOF) {
		return f.damaged("it ends before byte %d", at+int64(len(b)))
	}
	return err
}

// space is memory to read frames into, used again and again.
type space struct{ packed, plain []byte }

// slack lets the decoder write whole words past the end, which is faster.
const slack = 64

// unpack gives a member with its tar header, in s. Nothing of it is checked but
// its size.
func (f *file) unpack(member int, s *space) ([]byte, error) {
	i := 1 + member
	packed, plain := int(f.table.at[i+1]-f.table.at[i]), f.table.plain[i]
	s.packed, s.plain = room(s.packed, packed), room(s.plain, plain+slack)
	if err := f.read(s.packed, f.table.at[i]); err != nil {
		return nil, err
	}
	b, err := f.zstd.DecodeAll(s.packed, s.plain[:0])
	if err != nil {
		return nil, f.wrong(member, "%w", err)
	}
	if len(b) != plain {
		return nil, f.wrong(member, "it unpacks to %d bytes, not to %d", len(b), plain)
	}
	return b, nil
}

func room(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}

// framed says whether all of b but the size bytes of content are what they must be.
func (f *file) framed(member int, b []byte, size int) error {
	head := tarHeader(memberName(f.n, member), size)
	if len(b) != plainSize(member, size) || !bytes.Equal(b[:block], head[:]) {
		return f.wrong(member, "the tar header is not that of %d bytes", size)
	}
	for _, c := range b[block+size:] {
		if c != 0 {
			return f.wrong(member, "there are bytes after its end")
		}
	}
	return nil
}

// tile reads a tile of hashes. The caller compares t's root.
func (f *file) tile(member int, t *tree, s *space) error {
	b, err := f.unpack(member, s)
	if err != nil {
		return err
	}
	if err := f.framed(member, b, tileSize); err != nil {
		return err
	}
	t.load(b[block:])
	return nil
}

// hashes reads tile i of level 0.
func (f *file) hashes(i int, t *tree, s *space) error {
	if err := f.tile(firstTile+i, t, s); err != nil {
		return err
	}
	if t[treeRoot] != f.top[i] {
		return f.wrong(firstTile+i, "it does not hash to what the tile above it says")
	}
	return nil
}

// entries reads bundle i, in the memory of s, and fills t with its hashes.
func (f *file) entries(i int, u *bundle, t *tree, s *space) error {
	b, err := f.unpack(firstEntries+i, s)
	if err != nil {
		return err
	}
	if err := u.split(b[block:]); err != nil {
		return f.wrong(firstEntries+i, "%w", err)
	}
	if err := f.framed(firstEntries+i, b, u.at[width]); err != nil {
		return err
	}
	u.hash(t)
	if t[treeRoot] != f.top[i] {
		return f.wrong(firstEntries+i, "its leaves do not hash to what the tile above them says")
	}
	return nil
}
