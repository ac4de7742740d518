package bundle

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"gatehouse/store/audit"
)

// Size of the bundle in bytes.
func (p *Prepared) Size() int64 {
	size := int64(trailer)
	for _, m := range p.members {
		size += block + m.Size + padding(m.Size)
	}
	return size
}

// Write reads the leaves again and writes the bundle. ErrChanged: they are not
// those that were prepared; what was written so far is no bundle.
func (p *Prepared) Write(ctx context.Context, w io.Writer) error {
	entries := false
	for _, m := range p.members {
		var err error
		switch {
		case m.body != nil:
			err = writeMember(w, m)
		case !entries: // one pass over the leaves writes them all
			entries = true
			err = p.writeEntries(ctx, w)
		}
		if err != nil {
			return err
		}
	}
	_, err := w.Write(make([]byte, trailer))
	return err
}

func writeMember(w io.Writer, m prepared) error {
	b, err := header(m.Name, m.Size)
	if err != nil {
		return err
	}
	b = append(append(b, m.body...), make([]byte, padding(m.Size))...)
	_, err = w.Write(b)
	return err
}

// writeBuffer bytes are gathered between two writes.
const writeBuffer = 256 << 10

// writeEntries never writes more of a member than its header has declared.
func (p *Prepared) writeEntries(ctx context.Context, w io.Writer) error {
	e := p.export
	var left []prepared
	for _, m := range p.members {
		if m.body == nil {
			left = append(left, m)
		}
	}
	again := chunks{to: e.To}
	buf := bytes.NewBuffer(make([]byte, 0, writeBuffer))
	return e.pass(ctx, e.To-e.From, func(seq int64, leaf []byte) error {
		want := left[0]
		if again.open == nil {
			b, err := header(want.Name, want.Size)
			if err != nil {
				return err
			}
			buf.Write(b)
		}
		done := again.add(seq, leaf)
		if now := again.open; now != nil && now.Size >= want.Size || done != nil && done.file != want.file {
			return fmt.Errorf("%w: leaf %d or one before it is not what it was", ErrChanged, seq)
		}
		buf.Write(leaf)
		buf.WriteByte('\n')
		if done != nil {
			buf.Write(make([]byte, padding(done.Size)))
			left = left[1:]
		}
		if buf.Len() >= writeBuffer-2*audit.MaxLeaf || len(left) == 0 {
			_, err := buf.WriteTo(w)
			return err
		}
		return nil
	})
}
