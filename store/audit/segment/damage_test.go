package segment

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/mod/sumdb/tlog"
)

const log1 = "clu_a/ten_a/e1"

// same is a source of equal leaves: its segment is a small file.
func same(int64) ([]byte, error) { return []byte(`{"v":1}`), nil }

func numbered(seq int64) ([]byte, error) { return fmt.Appendf(nil, `{"seq":%d}`, seq), nil }

// rootOf is the root of segment n.
func rootOf(t testing.TB, n int64, leaves Source) tlog.Hash {
	t.Helper()
	level := make([]tlog.Hash, Leaves)
	for i := range level {
		leaf, err := leaves(n<<Height + int64(i))
		if err != nil {
			t.Fatal(err)
		}
		level[i] = tlog.RecordHash(leaf)
	}
	for ; len(level) > 1; level = level[:len(level)/2] {
		for i := range len(level) / 2 {
			level[i] = tlog.NodeHash(level[2*i], level[2*i+1])
		}
	}
	return level[0]
}

// small is the bytes of a segment of equal leaves.
var small = sync.OnceValues(func() ([]byte, identity) {
	var t testing.T
	id := identity{log1, 3, rootOf(&t, 3, same)}
	var b bytes.Buffer
	if err := fill(&b, id, same); err != nil {
		panic(err)
	}
	return b.Bytes(), id
})

func decoder(t testing.TB) *zstd.Decoder {
	t.Helper()
	d, err := newDecoder()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

func verify(b []byte, id identity, dec *zstd.Decoder) error {
	f, err := load(bytes.NewReader(b), int64(len(b)), "the file", id, dec)
	if err != nil {
		return err
	}
	return f.verify()
}

// Whichever bit of a file flips, Verify finds it, and what is read is right or
// an error.
func TestFlips(t *testing.T) {
	t.Parallel()
	whole, id := small()
	dec := decoder(t)
	if err := verify(whole, id, dec); err != nil {
		t.Fatal(err)
	}
	var places table
	if err := places.parse(whole[len(whole)-tableSize:], int64(len(whole))); err != nil {
		t.Fatal(err)
	}
	var at []int
	frame := func(i int) {
		for p := places.at[i]; p < places.at[i+1]; p++ {
			at = append(at, int(p))
		}
	}
	frame(0)
	for _, m := range []int{firstEntries, firstEntries + 100, firstTile, firstTile + 255, topTile} {
		frame(1 + m)
	}
	frame(sumFrame)
	for p := places.at[frames]; p < int64(len(whole)); p += 7 { // each byte of a field in turn
		at = append(at, int(p))
	}
	at = append(at, len(whole)-5, len(whole)-4, len(whole)-1) // the descriptor, the magic
	want := tlog.RecordHash([]byte(`{"v":1}`))
	r := rand.New(rand.NewPCG(1, 2))
	for _, p := range at {
		bit := byte(1) << r.IntN(8)
		whole := bytes.Clone(whole)
		whole[p] ^= bit
		f, err := load(bytes.NewReader(whole), int64(len(whole)), "the file", id, dec)
		if err == nil {
			err = f.verify()
			var s space
			var u bundle
			var tile tree
			if f.entries(0, &u, &tile, &s) == nil && string(u.leaf(0)) != `{"v":1}` || f.hashes(0, &tile, &s) == nil && tile.at(0, 0) != want {
				t.Fatalf("bit %#x of byte %d: wrong bytes were given", bit, p)
			}
		}
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "the file") {
			t.Errorf("bit %#x of byte %d of %d: %v", bit, p, len(whole), err)
		}
	}
}

func TestTruncated(t *testing.T) {
	t.Parallel()
	whole, id := small()
	dec := decoder(t)
	for n := 0; n < len(whole); n += 1 + n/50 {
		if err := verify(whole[:n], id, dec); !errors.Is(err, ErrDamaged) {
			t.Errorf("%d of %d bytes: %v", n, len(whole), err)
		}
	}
	for _, more := range []string{"\x00", string(whole)} {
		if err := verify(append(bytes.Clone(whole), more...), id, dec); !errors.Is(err, ErrDamaged) {
			t.Errorf("%d bytes more: %v", len(more), err)
		}
	}
	// A file that shrinks while it is open.
	f, err := load(bytes.NewReader(whole), int64(len(whole)), "the file", id, dec)
	if err != nil {
		t.Fatal(err)
	}
	f.r = bytes.NewReader(whole[:len(whole)/2])
	if err := f.verify(); !errors.Is(err, ErrDamaged) {
		t.Errorf("%v", err)
	}
}

// replaced puts packed in the place of a frame and makes the rest fit it.
func replaced(t *testing.T, whole []byte, frame int, packed []byte, plain int) []byte {
	t.Helper()
	var old, made table
	if err := old.parse(whole[len(whole)-tableSize:], int64(len(whole))); err != nil {
		t.Fatal(err)
	}
	var b []byte
	for i := range frames {
		part, size := whole[old.at[i]:old.at[i+1]], old.plain[i]
		switch i {
		case frame:
			part, size = packed, plain
		case sumFrame:
			digest := sha256.Sum256(b)
			part = sum(digest[:])
		}
		b = append(b, part...)
		made.at[i+1], made.plain[i] = int64(len(b)), size
	}
	return append(b, made.encode()...)
}

// A forger who makes all but the root fit is found out, and makes the reader
// allocate no more than the largest bundle takes. It runs beside no other test,
// for it counts what is allocated.
func TestForged(t *testing.T) {
	whole, id := small()
	dec := decoder(t)
	pack := func(b []byte) []byte {
		e, err := zstd.NewWriter(nil)
		if err != nil {
			t.Fatal(err)
		}
		return e.EncodeAll(b, nil)
	}
	entries := func(leaf string, count int, after string) []byte {
		var content []byte
		for range count {
			content = append(binary.BigEndian.AppendUint16(content, uint16(len(leaf))), leaf...)
		}
		head := tarHeader(memberName(id.n, 5), len(content))
		b := append(head[:], content...)
		b = append(b, after...)
		return append(b, make([]byte, (block-len(b)%block)%block)...)
	}
	var bomb bytes.Buffer
	e, err := zstd.NewWriter(&bomb)
	if err != nil {
		t.Fatal(err)
	}
	for range 512 { // 512 MiB, and no size in the frame
		if _, err := e.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	good := entries(`{"v":1}`, width, "")
	if err := verify(replaced(t, whole, 1+5, pack(good), len(good)), id, dec); err != nil {
		t.Fatalf("what is put in its own place: %v", err)
	}
	tile := func(member int) []byte {
		head := tarHeader(memberName(id.n, member), tileSize)
		return append(head[:], make([]byte, plainSize(member, tileSize)-block)...)
	}
	for what, f := range map[string]struct {
		member int // 5 where it is not said
		plain  []byte
		packed []byte
		size   int
	}{
		"another leaf":         {plain: entries(`{"v":2}`, width, "")},
		"a leaf less":          {plain: entries(`{"v":1}`, width-1, "")},
		"bytes in the padding": {plain: entries(`{"v":1}`, width, "hidden")},
		"a block more":         {plain: append(bytes.Clone(good), make([]byte, block)...)},
		"no tar header":        {plain: append(make([]byte, block), good[block:]...)},
		"a frame too short":    {packed: pack(good[:len(good)-1]), size: len(good)},
		"a bomb":               {packed: bomb.Bytes()[:min(bomb.Len(), 4000)], size: len(good)},
		"a large bomb":         {packed: bomb.Bytes(), size: maxPlain},
		"a size too large":     {packed: pack(good), size: maxPlain + block},
		"other hashes":         {member: firstTile + 5, plain: tile(firstTile + 5)},
		"other top hashes":     {member: topTile, plain: tile(topTile)},
		"an odd size":          {packed: pack(good), size: len(good) + 1},
	} {
		if f.packed == nil {
			f.packed, f.size = pack(f.plain), len(f.plain)
		}
		if f.member == 0 {
			f.member = 5
		}
		forged := replaced(t, whole, 1+f.member, f.packed, f.size)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := verify(forged, id, dec)
		runtime.ReadMemStats(&after)
		if f.member == topTile && (err == nil || !strings.Contains(err.Error(), "the root of the segment")) {
			t.Errorf("%s: %v", what, err)
		}
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", what, err)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 6*maxPlain { // buffers, a decoder's
			t.Errorf("%s: %d bytes were allocated", what, used)
		}
	}
}

func TestManyReaders(t *testing.T) {
	t.Parallel()
	s := OpenStore(t.TempDir())
	s.maxOpen, s.pages.max = 1, 300<<10
	var roots [3]tlog.Hash
	for n := range int64(3) {
		roots[n] = rootOf(t, n, numbered)
		if err := s.Write(log1, n, roots[n], numbered); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 1))
			for range 150 {
				n := r.Int64N(3)
				seq := n<<Height + r.Int64N(Leaves)
				want, _ := numbered(seq)
				b, err := s.Leaf(log1, roots[n], seq)
				if err != nil || !bytes.Equal(b, want) {
					t.Errorf("leaf %d: %q, %v", seq, b, err)
				}
				if h, err := s.Hash(log1, roots[n], n, 0, seq); err != nil || h != tlog.RecordHash(want) {
					t.Errorf("hash %d: %v", seq, err)
				}
				err = s.Scan(log1, roots[n], n, seq, seq+1, func(_ int64, b []byte) error {
					if !bytes.Equal(b, want) {
						t.Errorf("scan of %d: %q", seq, b)
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for seq := int64(0); seq < Leaves; seq += width { // 4 MiB of tiles
		if _, err := s.Hash(log1, roots[0], 0, 0, seq); err != nil {
			t.Error(err)
		}
	}
	if len(s.open) != 1 || s.used.Len() != 1 || s.pages.bytes > s.pages.max || len(s.pages.pages) != s.pages.used.Len() {
		t.Errorf("%d files are open, %d bytes of pages kept", len(s.open), s.pages.bytes)
	}
	var last *opened
	for _, last = range s.open {
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := last.r.ReadAt(make([]byte, 1), 0); !errors.Is(err, os.ErrClosed) || s.pages.bytes != 0 {
		t.Errorf("after Close: %v, %d bytes of pages kept", err, s.pages.bytes)
	}
}

// A file that is put in the place of a damaged one, by whatever means, is seen.
func TestReplacedWhileOpen(t *testing.T) {
	t.Parallel()
	whole, id := small()
	s := OpenStore(t.TempDir())
	defer s.Close()
	path, err := s.Path(id.origin, id.n)
	if err != nil {
		t.Fatal(err)
	}
	bad := bytes.Clone(whole)
	var places table
	if err := places.parse(bad[len(bad)-tableSize:], int64(len(bad))); err != nil {
		t.Fatal(err)
	}
	clear(bad[places.at[1]:places.at[2]])
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, bad, 0o600)); err != nil {
		t.Fatal(err)
	}
	seq := id.n << Height
	if _, err := s.Leaf(id.origin, id.root, seq+256); err != nil {
		t.Errorf("a leaf beside the damage: %v", err)
	}
	if b, err := s.Leaf(id.origin, id.root, seq); !errors.Is(err, ErrDamaged) || b != nil || !strings.Contains(err.Error(), "tile/entries/768, in the frame at byte") {
		t.Errorf("a damaged leaf: %q, %v", b, err)
	}
	if err := errors.Join(os.WriteFile(path+"2", whole, 0o600), os.Rename(path+"2", path)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Leaf(id.origin, id.root, seq); err != nil {
		t.Errorf("the new file: %v", err)
	}
}
