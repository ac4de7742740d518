package replica

import (
	"io"

	"gatehouse/store/blob"
)

// Reader of a blob from its begin to its end. What it finds damaged on the way it has
// healed, once, and goes on where it was.
type Reader struct {
	blob *blob.Reader
	mend func(error) (*blob.Reader, error) // nil: it was tried
	read int64
}

// Size of the object.
func (r *Reader) Size() int64 { return r.blob.Size() }

func (r *Reader) Read(p []byte) (int, error) {
	n, err := r.blob.Read(p)
	if r.mend != nil && curable(err) {
		b, failed := r.mend(err)
		r.mend = nil
		if failed != nil {
			return 0, failed
		}
		_ = r.blob.Close() // it was for reading
		r.blob = b
		if _, err := b.Seek(r.read, io.SeekStart); err != nil {
			return 0, err
		}
		n, err = b.Read(p)
	}
	r.read += int64(n)
	return n, err
}

// Close wipes the object's key and what is left of its plaintext.
func (r *Reader) Close() error { return r.blob.Close() }
