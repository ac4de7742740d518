package bundle_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"gatehouse/store/audit"
	"gatehouse/store/audit/bundle"
)

func TestExportRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t).grow(t, 30, 10, 20, 30)
	other := newLedger(t, "clu_a/ten_c/e1")
	other.add(t, encode(t, event(other.origin, 0)))
	for name, c := range map[string]struct {
		change func(e *bundle.Export)
		want   error
	}{
		"another size":       {func(e *bundle.Export) { e.End = w.log.checkpoint(t, 28) }, bundle.ErrExport},
		"another log":        {func(e *bundle.Export) { e.Start = other.checkpoint(t, 1) }, bundle.ErrExport},
		"no system":          {func(e *bundle.Export) { e.System = nil }, bundle.ErrExport},
		"no anchor":          {func(e *bundle.Export) { e.System.Anchors = nil }, bundle.ErrExport},
		"no proof":           {func(e *bundle.Export) { e.System.Beyond = nil }, bundle.ErrExport},
		"wrong proof":        {func(e *bundle.Export) { e.System.Consistency = nil }, bundle.ErrExport},
		"reversed":           {func(e *bundle.Export) { e.From, e.To = e.To, e.From }, bundle.ErrExport},
		"nonce alone":        {func(e *bundle.Export) { e.Nonce = "abc" }, bundle.ErrExport},
		"not the challenge":  {func(e *bundle.Export) { e.Nonce, e.Challenge = "abc", 20 }, bundle.ErrExport},
		"nobody to seal for": {func(e *bundle.Export) { e.Recipient = nil }, bundle.ErrExport},
		"wrong opening": {func(e *bundle.Export) {
			e.Openings = func(*audit.Leaf) ([]audit.Opening, error) { return openings(1), nil }
		}, bundle.ErrExport},
		"altered leaf":  {func(e *bundle.Export) { e.Leaves = altered(e.Leaves, 15, 0) }, bundle.ErrChanged},
		"missing leaf":  {func(e *bundle.Export) { e.Leaves = short(e.Leaves, 0) }, bundle.ErrChanged},
		"a long report": {func(e *bundle.Export) { e.Report = &longPage{} }, bundle.ErrTooLarge},
	} {
		e := everything(t, w, 12, 29)
		c.change(e)
		if p, err := e.Prepare(t.Context()); p != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type longPage struct{ page }

func (longPage) Render(w io.Writer) error {
	_, err := w.Write(make([]byte, 17<<20))
	return err
}

type leavesOf = func(context.Context, int64, int64, func(int64, []byte) error) error

// altered changes one leaf, in the pass of this number.
func altered(leaves leavesOf, which int64, pass int) leavesOf {
	return func(ctx context.Context, from, to int64, do func(int64, []byte) error) error {
		pass--
		return leaves(ctx, from, to, func(seq int64, leaf []byte) error {
			if seq == which && pass == -1 {
				leaf = bytes.Replace(leaf, []byte("nod_1"), []byte("nod_2"), 1)
			}
			return do(seq, leaf)
		})
	}
}

func short(leaves leavesOf, pass int) leavesOf {
	return func(ctx context.Context, from, to int64, do func(int64, []byte) error) error {
		if pass--; pass == -1 {
			to--
		}
		return leaves(ctx, from, to, do)
	}
}

// The second pass must give what the first has hashed.
func TestWriteNoticesChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t).grow(t, 30, 10, 20, 30)
	for name, change := range map[string]func(leavesOf) leavesOf{
		"altered": func(l leavesOf) leavesOf { return altered(l, 15, 1) },
		"short":   func(l leavesOf) leavesOf { return short(l, 1) },
	} {
		e := everything(t, w, 12, 29)
		e.Leaves = change(e.Leaves)
		p, err := e.Prepare(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := p.Write(t.Context(), &b); !errors.Is(err, bundle.ErrChanged) || int64(b.Len()) >= p.Size() {
			t.Errorf("%s: %v", name, err)
		}
	}
}
