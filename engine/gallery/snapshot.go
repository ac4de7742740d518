package gallery

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"sync"
	"sync/atomic"
	"unsafe"
)

// A snapshot, format 1 (docs/formats.md): a header, then chunks of up to 1,024
// rows, each with its checksum. All numbers are little-endian. It is in the
// clear: who keeps one encrypts it.
const (
	snapshotMagic = "ghgallr1"
	chunkRows     = 1 << 10
	// headSize: magic, dimension, rows, index, last number, the lengths of name
	// and model; then those two and a CRC-32C.
	headSize = 8 + 4 + 8 + 8 + 8 + 2 + 2
	maxName  = 512
	sumSize  = 4
)

func sumOf(parts ...[]byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	var sum uint32
	for _, p := range parts {
		sum = crc32.Update(sum, table, p)
	}
	return sum
}

// rowSize in a snapshot.
func (s shape) rowSize() int { return 8 + 4*s.dimension }

// WriteSnapshot writes the templates with numbers up to an index, and the index.
// Enrolments and removals go on meanwhile; a template that is removed while it
// is written may be in what was written before.
func (g *Gallery) WriteSnapshot(ctx context.Context, w io.Writer, index uint64) error {
	if len(g.Name) > maxName || len(g.Model) > maxName {
		return fmt.Errorf("%w: names of more than %d bytes", ErrConfig, maxName)
	}
	v := g.enter()
	defer g.leave(v)
	if v.closed { // a snapshot of nobody would be believed
		return ErrClosed
	}
	type place struct {
		segment *segment
		row     int
	}
	var rows []place
	for _, s := range v.segments {
		for i := range s.len() {
			if s.alive(i) && s.numbers[i] <= index {
				rows = append(rows, place{s, i})
			}
		}
	}
	head := make([]byte, 0, headSize+len(g.Name)+len(g.Model)+sumSize)
	head = append(head, snapshotMagic...)
	head = binary.LittleEndian.AppendUint32(head, uint32(g.Dimension))
	head = binary.LittleEndian.AppendUint64(head, uint64(len(rows)))
	head = binary.LittleEndian.AppendUint64(head, index)
	head = binary.LittleEndian.AppendUint64(head, min(g.Newest(), index))
	head = binary.LittleEndian.AppendUint16(head, uint16(len(g.Name)))
	head = binary.LittleEndian.AppendUint16(head, uint16(len(g.Model)))
	head = append(append(head, g.Name...), g.Model...)
	sum := sumOf(head)
	if _, err := w.Write(binary.LittleEndian.AppendUint32(head, sum)); err != nil {
		return err
	}
	buffer := make([]byte, 0, chunkRows*g.rowSize()+sumSize)
	defer func() { clear(buffer[:cap(buffer)]) }()
	for at := 0; at < len(rows); at += chunkRows {
		if err := ctx.Err(); err != nil {
			return err
		}
		part := rows[at:min(at+chunkRows, len(rows))]
		buffer = buffer[:0]
		for _, p := range part {
			buffer = binary.LittleEndian.AppendUint64(buffer, p.segment.numbers[p.row])
		}
		for _, p := range part {
			from := len(buffer)
			buffer = append(buffer, littleEndian(p.segment.row(p.row))...)
			if !p.segment.alive(p.row) {
				clear(buffer[from:])
			}
		}
		buffer = binary.LittleEndian.AppendUint32(buffer, sumOf(order(at/chunkRows, sum), buffer))
		if _, err := w.Write(buffer); err != nil {
			return err
		}
	}
	return nil
}

// order of a chunk in its snapshot: none can stand for another.
func order(chunk int, head uint32) []byte {
	return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint64(nil, uint64(chunk)), head)
}

// littleEndian is the bytes of v. (All that this package has kernels for is.)
func littleEndian(v []float32) []byte {
	if hostLittle() {
		return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), 4*len(v))
	}
	b := make([]byte, 0, 4*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}

func hostLittle() bool { return binary.NativeEndian.Uint16([]byte{1, 0}) == 1 }

// SnapshotHead is what a snapshot says of itself.
type SnapshotHead struct {
	Name, Model string
	Dimension   int
	Rows        int
	Index       uint64 // that its writer had applied
	last        uint64
	size        int64 // of the head
	sum         uint32
}

// ReadSnapshotHead reads and checks the beginning of a snapshot of this size in
// bytes. Error: ErrSnapshot.
func ReadSnapshotHead(r io.ReaderAt, size int64) (*SnapshotHead, error) {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrSnapshot, fmt.Sprintf(format, args...))
	}
	b := make([]byte, headSize)
	if _, err := r.ReadAt(b, 0); err != nil {
		return nil, fmt.Errorf("%w: its head: %w", ErrSnapshot, err)
	}
	if string(b[:8]) != snapshotMagic {
		return nil, bad("it is none of format 1")
	}
	h := &SnapshotHead{Dimension: int(binary.LittleEndian.Uint32(b[8:])), Index: binary.LittleEndian.Uint64(b[20:]), last: binary.LittleEndian.Uint64(b[28:])}
	rows := binary.LittleEndian.Uint64(b[12:])
	name, model := int(binary.LittleEndian.Uint16(b[36:])), int(binary.LittleEndian.Uint16(b[38:]))
	if h.Dimension < 1 || h.Dimension > MaxDimension || rows > MaxRows || name > maxName || model > maxName {
		return nil, bad("its head is out of bounds")
	}
	h.Rows = int(rows)
	rest := make([]byte, name+model+sumSize)
	if _, err := r.ReadAt(rest, headSize); err != nil {
		return nil, fmt.Errorf("%w: its head: %w", ErrSnapshot, err)
	}
	h.Name, h.Model = string(rest[:name]), string(rest[name:name+model])
	h.sum = binary.LittleEndian.Uint32(rest[name+model:])
	if sumOf(b, rest[:name+model]) != h.sum {
		return nil, bad("its head is damaged")
	}
	h.size = int64(headSize + len(rest))
	chunks := (h.Rows + chunkRows - 1) / chunkRows
	if want := h.size + int64(h.Rows)*int64(shapeOf(h.Dimension).rowSize()) + int64(chunks)*sumSize; size != want {
		return nil, bad("it has %d bytes, its head says %d", size, want)
	}
	return h, nil
}

// ReadSnapshot makes the gallery that a snapshot of this size holds, and gives
// the index of its writer. Whoever calls it says in c whose it must be. progress,
// where it is not nil, is told of templates read; it must be safe for concurrent
// use. Errors: ErrSnapshot for one that is damaged, another's or another model's;
// ErrConfig, ErrMemory, ctx's, r's.
func ReadSnapshot(ctx context.Context, c Config, r io.ReaderAt, size int64, progress func(n int)) (*Gallery, uint64, error) {
	h, err := ReadSnapshotHead(r, size)
	if err != nil {
		return nil, 0, err
	}
	if h.Name != c.Name || h.Model != c.Model || h.Dimension != c.Dimension {
		return nil, 0, fmt.Errorf("%w: it is of %q, model %q, %d dimensions; wanted %q, %q, %d", ErrSnapshot,
			h.Name, h.Model, h.Dimension, c.Name, c.Model, c.Dimension)
	}
	g, err := New(c)
	if err != nil {
		return nil, 0, err
	}
	l := &loading{Gallery: g, head: h, source: r, progress: progress}
	if err := l.run(ctx); err != nil {
		for _, s := range l.segments {
			s.free()
		}
		return nil, 0, err
	}
	g.last = h.last
	g.view.Store(&view{segments: l.segments})
	return g, h.Index, nil
}

// loading is a snapshot being read into segments, chunk by chunk, side by side.
type loading struct {
	*Gallery
	head     *SnapshotHead
	source   io.ReaderAt
	progress func(int)
	segments []*segment
	chunks   [][2]uint64 // the first and the last number of each
}

func (l *loading) run(ctx context.Context) error {
	for rows := 0; rows < l.head.Rows; {
		s, err := newSegment(l.shape, capacityOf(len(l.segments)))
		if err != nil {
			return err
		}
		l.segments = append(l.segments, s)
		s.length.Store(int64(min(s.capacity, l.head.Rows-rows)))
		rows += s.capacity
	}
	l.chunks = make([][2]uint64, (l.head.Rows+chunkRows-1)/chunkRows)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var group sync.WaitGroup
	for range min(l.Workers, len(l.chunks)) {
		group.Go(func() {
			buffer := make([]byte, chunkRows*l.rowSize()+sumSize)
			defer clear(buffer)
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(l.chunks) {
					return
				}
				if err := l.chunk(i, buffer); err != nil {
					cancel(err)
				}
			}
		})
	}
	group.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	before := uint64(0)
	for i, c := range l.chunks {
		if c[0] <= before || c[1] > l.head.last {
			return fmt.Errorf("%w: chunk %d is out of order", ErrSnapshot, i)
		}
		before = c[1]
	}
	return nil
}

// chunk reads one of them into its rows.
func (l *loading) chunk(i int, buffer []byte) error {
	first := i * chunkRows
	n := min(chunkRows, l.head.Rows-first)
	b := buffer[:n*l.rowSize()+sumSize]
	if _, err := l.source.ReadAt(b, l.head.size+int64(i)*int64(chunkRows*l.rowSize()+sumSize)); err != nil {
		return fmt.Errorf("%w: chunk %d: %w", ErrSnapshot, i, err)
	}
	data, sum := b[:len(b)-sumSize], binary.LittleEndian.Uint32(b[len(b)-sumSize:])
	if sumOf(order(i, l.head.sum), data) != sum {
		return fmt.Errorf("%w: chunk %d is damaged", ErrSnapshot, i)
	}
	numbers, vectors := data[:8*n], data[8*n:]
	at, row := l.place(first)
	v := make([]float32, l.dimension)
	defer clear(v)
	for j := range n {
		number := binary.LittleEndian.Uint64(numbers[8*j:])
		if j == 0 {
			l.chunks[i][0] = number
		} else if number <= l.chunks[i][1] {
			return fmt.Errorf("%w: chunk %d is out of order", ErrSnapshot, i)
		}
		l.chunks[i][1] = number
		any := uint32(0)
		for k := range v {
			x := binary.LittleEndian.Uint32(vectors[4*(j*l.dimension+k):])
			v[k] = math.Float32frombits(x)
			any |= x
		}
		s := l.segments[at]
		if any == 0 { // it was removed while it was written
			s.numbers[row] = number
			s.wipe(row)
		} else {
			if _, err := checkUnit(v); err != nil {
				return fmt.Errorf("%w: template %d: %w", ErrSnapshot, number, err)
			}
			s.put(row, number, v)
		}
		if row++; row == s.capacity {
			at, row = at+1, 0
		}
	}
	if l.progress != nil {
		l.progress(n)
	}
	return nil
}

// place of a row: which segment, and where in it.
func (l *loading) place(row int) (segment, at int) {
	for segment = range l.segments {
		if row < l.segments[segment].capacity {
			return segment, row
		}
		row -= l.segments[segment].capacity
	}
	return len(l.segments), 0
}
