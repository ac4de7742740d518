package main

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// flatbuffer reads a FlatBuffers file. Every offset comes from a foreign file:
// each read is checked against the file's end, the first fault is kept, and
// everything read after it is zero.
type flatbuffer struct {
	b   []byte
	err error
}

var errFlatbuffer = errors.New("not a sound FlatBuffers file")

func (f *flatbuffer) fail(format string, args ...any) {
	if f.err == nil {
		f.err = fmt.Errorf("%w: "+format, append([]any{errFlatbuffer}, args...)...)
	}
}

// at gives n bytes from an offset.
func (f *flatbuffer) at(off, n int) []byte {
	if f.err != nil || off < 0 || n < 0 || off > len(f.b) || n > len(f.b)-off {
		f.fail("%d bytes at %d of %d", n, off, len(f.b))
		return nil
	}
	return f.b[off : off+n]
}

func (f *flatbuffer) u16(off int) int {
	if b := f.at(off, 2); b != nil {
		return int(binary.LittleEndian.Uint16(b))
	}
	return 0
}

func (f *flatbuffer) i32(off int) int {
	if b := f.at(off, 4); b != nil {
		return int(int32(binary.LittleEndian.Uint32(b)))
	}
	return 0
}

// follow gives the place that an offset field points to. Offsets only point
// forward; a negative one is a file above 2 GiB or a fault.
func (f *flatbuffer) follow(off int) int {
	d := f.i32(off)
	if d <= 0 {
		f.fail("offset %d at %d", d, off)
		return 0
	}
	return off + d
}

// table is a FlatBuffers table; its fields are found by their number in the
// schema. The zero table has no fields.
type table struct {
	f      *flatbuffer
	at     int
	vtable int
	fields int // bytes of the vtable
	size   int // bytes of the table
}

func (f *flatbuffer) table(at int) table {
	t := table{f: f, at: at, vtable: at - f.i32(at)}
	t.fields, t.size = f.u16(t.vtable), f.u16(t.vtable+2)
	if f.err != nil {
		return table{f: f}
	}
	return t
}

// field gives the place of a field, false where the table leaves it out.
func (t table) field(i int) (int, bool) {
	slot := 4 + 2*i
	if slot+2 > t.fields {
		return 0, false
	}
	off := t.f.u16(t.vtable + slot)
	if off == 0 {
		return 0, false
	}
	if off >= t.size {
		t.f.fail("field %d of the table at %d lies outside it", i, t.at)
		return 0, false
	}
	return t.at + off, true
}

func (t table) u8(i, absent int) int {
	if at, ok := t.field(i); ok {
		if b := t.f.at(at, 1); b != nil {
			return int(b[0])
		}
	}
	return absent
}

func (t table) i32(i, absent int) int {
	if at, ok := t.field(i); ok {
		return t.f.i32(at)
	}
	return absent
}

// sub gives the table that a field points to.
func (t table) sub(i int) table {
	if at, ok := t.field(i); ok {
		if to := t.f.follow(at); to != 0 {
			return t.f.table(to)
		}
	}
	return table{f: t.f}
}

// vector gives the place and the length of a vector of elements of a size.
func (t table) vector(i, size, limit int) (at, n int) {
	off, ok := t.field(i)
	if !ok {
		return 0, 0
	}
	if at = t.f.follow(off); at == 0 {
		return 0, 0
	}
	n = t.f.i32(at)
	if n < 0 || n > limit || t.f.at(at+4, n*size) == nil {
		t.f.fail("vector of %d elements at %d; at most %d are read", n, at, limit)
		return 0, 0
	}
	return at + 4, n
}

func (t table) bytes(i, limit int) []byte {
	at, n := t.vector(i, 1, limit)
	if n == 0 {
		return nil
	}
	return t.f.at(at, n)
}

func (t table) ints(i, limit int) []int {
	at, n := t.vector(i, 4, limit)
	v := make([]int, n)
	for k := range v {
		v[k] = t.f.i32(at + 4*k)
	}
	return v
}

func (t table) tables(i, limit int) []table {
	at, n := t.vector(i, 4, limit)
	v := make([]table, n)
	for k := range v {
		v[k] = table{f: t.f}
		if to := t.f.follow(at + 4*k); to != 0 {
			v[k] = t.f.table(to)
		}
	}
	return v
}
