package vectors

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// MaxDimension of a row: what a gallery takes, and the most neighbours that it
// gives.
const MaxDimension = 1024

// Number is a value of a row: float32 in .fvecs, int32 in .ivecs.
type Number interface{ float32 | int32 }

// word is the size of a value, and of the dimension before a row.
const word = 4

// buffer holds whole rows of every dimension, and makes few reads of large files.
const buffer = 1 << 20

// Reader gives the rows of a file in order.
type Reader[T Number] struct {
	in        *bufio.Reader
	dimension int
	rows, at  int
	row       []byte
}

// NewReader begins to read a file of so many bytes. Errors: ErrEmpty,
// ErrDimension, ErrCut, and r's.
func NewReader[T Number](r io.Reader, size int64) (*Reader[T], error) {
	if size <= 0 {
		return nil, ErrEmpty
	}
	in := bufio.NewReaderSize(r, buffer)
	head, err := in.Peek(word)
	if err != nil {
		return nil, cut(err, 0)
	}
	dimension := int32(binary.LittleEndian.Uint32(head))
	if dimension < 1 || dimension > MaxDimension {
		return nil, fmt.Errorf("%w: %d, 1 to %d are; is it an .fvecs or .ivecs file?", ErrDimension, dimension, MaxDimension)
	}
	step := int64(word + word*dimension)
	if size%step != 0 {
		return nil, fmt.Errorf("%w: %d bytes are no multiple of the %d of a row with %d values; copy the file again", ErrCut, size, step, dimension)
	}
	return &Reader[T]{in: in, dimension: int(dimension), rows: int(size / step), row: make([]byte, step)}, nil
}

// Dimension is the number of values of every row.
func (r *Reader[T]) Dimension() int { return r.dimension }

// Len is the number of rows of the whole file.
func (r *Reader[T]) Len() int { return r.rows }

// Next reads the next row into one of Dimension values; io.EOF after the last.
func (r *Reader[T]) Next(row []T) error {
	if r.at == r.rows {
		return io.EOF
	}
	if len(row) != r.dimension {
		return fmt.Errorf("%w: %d are asked for, the file's rows have %d", ErrDimension, len(row), r.dimension)
	}
	if _, err := io.ReadFull(r.in, r.row); err != nil {
		return cut(err, r.at)
	}
	if n := int32(binary.LittleEndian.Uint32(r.row)); int(n) != r.dimension {
		return fmt.Errorf("%w: row %d has %d, the first has %d", ErrUneven, r.at, n, r.dimension)
	}
	values := r.row[word:]
	switch row := any(row).(type) {
	case []float32:
		for i := range row {
			row[i] = math.Float32frombits(binary.LittleEndian.Uint32(values[word*i:]))
		}
	case []int32:
		for i := range row {
			row[i] = int32(binary.LittleEndian.Uint32(values[word*i:]))
		}
	}
	r.at++
	return nil
}

// cut tells the end of a file that is shorter than it was said to be from a
// failure to read it.
func cut(err error, row int) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it ends in row %d", ErrCut, row)
	}
	return err
}
