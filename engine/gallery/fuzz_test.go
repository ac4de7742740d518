package gallery_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"testing"

	"gatehouse/engine/gallery"
)

// FuzzReadSnapshot: any bytes are refused or make a gallery of unit vectors that
// can be searched. With repair the sums are made right, so that what lies behind
// them is reached.
func FuzzReadSnapshot(f *testing.F) {
	s := small()
	f.Add(s.bytes(), false)
	f.Add(s.bytes(), true)
	f.Add(s.bytes()[:60], true)
	s.vectors[2] = make([]float32, 5) // removed while it was written
	f.Add(s.bytes(), true)
	f.Add((&snapshot{name: "n", model: "m", dimension: gallery.MaxDimension, rows: gallery.MaxRows}).bytes(), true)
	f.Add([]byte("ghgallr1"), false)
	f.Fuzz(func(t *testing.T, b []byte, repair bool) {
		if repair {
			b = repaired(b)
		}
		h, err := gallery.ReadSnapshotHead(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			if !errors.Is(err, gallery.ErrSnapshot) {
				t.Fatalf("head: %v", err)
			}
			return
		}
		c := gallery.Config{Name: h.Name, Model: h.Model, Dimension: h.Dimension, Workers: 2}
		g, _, err := gallery.ReadSnapshot(t.Context(), c, bytes.NewReader(b), int64(len(b)), nil)
		if err != nil {
			if g != nil || !errors.Is(err, gallery.ErrSnapshot) && !(c.Model == "" && errors.Is(err, gallery.ErrConfig)) {
				t.Fatalf("%v, %v", g, err)
			}
			return
		}
		defer g.Close()
		again := snapshotOf(t, g, math.MaxUint64)
		length := int64(len(again) - 4*((g.Len()+1023)/1024) - g.Len()*(8+4*h.Dimension))
		rows := again[length:]
		for i := range g.Len() {
			chunk, at := i/1024, i%1024
			n := min(1024, g.Len()-chunk*1024)
			vectors := rows[chunk*(1024*(8+4*h.Dimension)+4)+8*n:]
			v := make([]float32, h.Dimension)
			for j := range v {
				v[j] = math.Float32frombits(binary.LittleEndian.Uint32(vectors[4*(at*h.Dimension+j):]))
			}
			if l := math.Sqrt(dot(v, v)); !(math.Abs(l-1) <= 0.001) {
				t.Fatalf("template %d has length %g", i, l)
			}
			if i > 20 {
				continue
			}
			found, err := g.Search(t.Context(), gallery.Template{Model: h.Model, Vector: v}, gallery.Query{K: 3, Min: -1})
			if err != nil || len(found) != min(3, g.Len()) || found[0].Similarity < 0.997 {
				t.Fatalf("search for template %d: %v, %v", i, found, err)
			}
		}
	})
}

// repaired makes the sums of a snapshot right, as far as its head can be followed.
func repaired(b []byte) []byte {
	b = bytes.Clone(b)
	if len(b) < 44 {
		return b
	}
	head := 40 + int(binary.LittleEndian.Uint16(b[36:])) + int(binary.LittleEndian.Uint16(b[38:]))
	dimension, rows := int(binary.LittleEndian.Uint32(b[8:])), binary.LittleEndian.Uint64(b[12:])
	if head+4 > len(b) || rows > uint64(len(b)) || dimension > gallery.MaxDimension {
		return b
	}
	sum := crc(b[:head])
	binary.LittleEndian.PutUint32(b[head:], sum)
	rest := b[head+4:]
	for chunk := uint64(0); rows > 0; chunk++ {
		n := min(1024, rows)
		size := int(n) * (8 + 4*dimension)
		if len(rest) < size+4 {
			return b
		}
		place := binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint64(nil, chunk), sum)
		binary.LittleEndian.PutUint32(rest[size:], crc(append(place, rest[:size]...)))
		rest, rows = rest[size+4:], rows-n
	}
	return b
}
