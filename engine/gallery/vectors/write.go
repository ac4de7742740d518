package vectors

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

// Writer writes rows. Flush after the last.
type Writer[T Number] struct {
	out *bufio.Writer
	row []byte
}

// NewWriter of rows with so many values. Error: ErrDimension.
func NewWriter[T Number](w io.Writer, dimension int) (*Writer[T], error) {
	if dimension < 1 || dimension > MaxDimension {
		return nil, fmt.Errorf("%w: %d, 1 to %d are", ErrDimension, dimension, MaxDimension)
	}
	row := make([]byte, word+word*dimension)
	binary.LittleEndian.PutUint32(row, uint32(dimension))
	return &Writer[T]{bufio.NewWriterSize(w, buffer), row}, nil
}

// Write one row. Errors: ErrDimension, and the writer's.
func (w *Writer[T]) Write(row []T) error {
	if want := len(w.row)/word - 1; len(row) != want {
		return fmt.Errorf("%w: %d, the rows before have %d", ErrDimension, len(row), want)
	}
	values := w.row[word:]
	switch row := any(row).(type) {
	case []float32:
		for i, v := range row {
			binary.LittleEndian.PutUint32(values[word*i:], math.Float32bits(v))
		}
	case []int32:
		for i, v := range row {
			binary.LittleEndian.PutUint32(values[word*i:], uint32(v))
		}
	}
	_, err := w.out.Write(w.row)
	return err
}

// Flush writes what is still held.
func (w *Writer[T]) Flush() error { return w.out.Flush() }
