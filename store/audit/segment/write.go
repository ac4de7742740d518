package segment

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/store/audit"
	"gatehouse/store/disk"
)

// Source gives leaf seq of the log. The bytes may change at the next call.
type Source func(seq int64) ([]byte, error)

// Write makes the file of segment n of a log. Its leaves must hash to root, the
// stored hash (Height, n) of the log. After it the file is whole and durable;
// it replaces what was there. With an error nothing is changed, unless the error is
// disk.ErrSync: then the file may be there and may not outlive a crash. Writers
// of one path take turns by their own means.
func Write(path, origin string, n int64, root tlog.Hash, leaves Source) error {
	return write(system{}, path, identity{origin, n, root}, leaves)
}

// files is what writing needs of the disk. Tests put one in that fails.
type files interface {
	create(path string) (output, error)
	rename(from, to string) error
	remove(path string) error
	syncDir(path string) error
}

type output interface {
	io.WriteCloser
	Sync() error
}

type system struct{}

func (system) create(path string) (output, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}
func (system) rename(from, to string) error { return os.Rename(from, to) }
func (system) remove(path string) error     { return os.Remove(path) }
func (system) syncDir(path string) error    { return disk.SyncDir(path) }

const tempSuffix = ".tmp"

func write(fs files, path string, id identity, leaves Source) (err error) {
	if err := id.check(); err != nil {
		return err
	}
	dir := filepath.Dir(path)
	temp := filepath.Join(dir, "."+filepath.Base(path)+tempSuffix)
	if err := fs.remove(temp); err != nil && !os.IsNotExist(err) {
		return err
	}
	f, err := fs.create(temp)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			fs.remove(temp)
		}
	}()
	if err := fill(f, id, leaves); err != nil {
		return fmt.Errorf("writing segment %d of %s: %w", id.n, id.origin, err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("%w: fsync of %s: %w", disk.ErrSync, temp, err)
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := fs.rename(temp, path); err != nil {
		return err
	}
	return fs.syncDir(dir)
}

// filler writes the frames of one file.
type filler struct {
	to     io.Writer
	digest hash.Hash
	zstd   *zstd.Encoder
	n      int64
	table  table
	next   int // frame
	plain  []byte
	packed []byte
}

func fill(w io.Writer, id identity, leaves Source) error {
	// The window holds the largest bundle. Of bundles of leaves the fastest level
	// makes less than the next two do, and 4% more than the slowest, which takes
	// ten times as long (BenchmarkLevels).
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(4<<20), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return err
	}
	f := &filler{to: w, digest: sha256.New(), zstd: enc, n: id.n}
	if err := f.frame(id.header(), 0); err != nil {
		return err
	}
	var top, tile tree
	tiles := make([]byte, 0, width*tileSize) // 2 MiB
	var entries []byte
	for i := range width {
		if entries, err = gather(entries[:0], (id.n*width+int64(i))*width, leaves); err != nil {
			return err
		}
		var u bundle
		if err := u.split(entries); err != nil {
			return err
		}
		u.hash(&tile)
		tiles = tile.appendTile(tiles)
		top[i] = tile[treeRoot]
		if err := f.member(firstEntries+i, entries); err != nil {
			return err
		}
	}
	top.grow()
	if top[treeRoot] != id.root {
		return fmt.Errorf("%w: %s instead of %s", ErrRoot, top[treeRoot], id.root)
	}
	for i := range width {
		if err := f.member(firstTile+i, tiles[i*tileSize:][:tileSize]); err != nil {
			return err
		}
	}
	if err := f.member(topTile, top.appendTile(nil)); err != nil {
		return err
	}
	if err := f.frame(sum(f.digest.Sum(nil)), 0); err != nil {
		return err
	}
	_, err = w.Write(f.table.encode())
	return err
}

// gather makes the entry bundle that begins at leaf seq.
func gather(b []byte, seq int64, leaves Source) ([]byte, error) {
	for range width {
		leaf, err := leaves(seq)
		if err != nil {
			return nil, fmt.Errorf("leaf %d: %w", seq, err)
		}
		if len(leaf) > audit.MaxLeaf {
			return nil, fmt.Errorf("%w: leaf %d has %d bytes", audit.ErrLeafTooLarge, seq, len(leaf))
		}
		b = binary.BigEndian.AppendUint16(b, uint16(len(leaf)))
		b = append(b, leaf...)
		seq++
	}
	return b, nil
}

func (f *filler) member(member int, content []byte) error {
	head := tarHeader(memberName(f.n, member), len(content))
	f.plain = append(append(f.plain[:0], head[:]...), content...)
	size := plainSize(member, len(content))
	f.plain = append(f.plain, make([]byte, size-len(f.plain))...)
	f.packed = f.zstd.EncodeAll(f.plain, f.packed[:0])
	return f.frame(f.packed, size)
}

func (f *filler) frame(b []byte, plain int) error {
	if _, err := f.to.Write(b); err != nil {
		return err
	}
	f.digest.Write(b)
	f.table.at[f.next+1], f.table.plain[f.next] = f.table.at[f.next]+int64(len(b)), plain
	f.next++
	return nil
}
