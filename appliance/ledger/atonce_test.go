package ledger_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"gatehouse/appliance/ledger"
	"gatehouse/store/audit"
	"gatehouse/store/audit/bundle"
	"gatehouse/store/audit/segment"
	"gatehouse/store/audit/trust"
)

// Searches, exports, checkpoints and proofs hold while the log grows and its
// first segment is put away under them.
func TestAllAtOnce(t *testing.T) {
	w := shared.world(t)
	s := w.tell(t)
	l := w.ledger(t)
	size := int64(len(s.all))
	v := w.verifier(t)
	text, err := l.Trust(t.Context(), bank)
	must(t, err)
	policy, err := trust.ParsePolicy([]byte(text))
	must(t, err)

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wait sync.WaitGroup
	// again and again until all is sealed, and once more.
	always := func(what string, do func(i int) error) {
		wait.Go(func() {
			for i := 0; ; i++ {
				last := ctx.Err() != nil
				if err := do(i); err != nil {
					t.Errorf("%s: %v", what, err)
					return
				}
				if last {
					return
				}
			}
		})
	}
	for range 2 {
		always("search", func(i int) error {
			n := i % len(s.queries)
			found, err := l.Search(t.Context(), reader(), bank, s.queries[n])
			if err != nil {
				return err
			}
			for j, leaf := range found.Leaves {
				if !bytes.Equal(leaf, s.raw[s.answers[n][j]]) {
					return errors.New("another event is found")
				}
			}
			if want := min(len(s.answers[n]), s.queries[n].Limit); len(found.Leaves) != want {
				t.Errorf("%+v: %d found, want %d", s.queries[n], len(found.Leaves), want)
			}
			return nil
		})
	}
	always("search of what is new", func(int) error {
		_, err := l.Search(t.Context(), reader(), bank, ledger.Query{Actor: "cli_3", Limit: 20})
		return err
	})
	always("export", func(i int) error {
		from, to := int64(segment.Leaves-30+i%20), int64(segment.Leaves+40)
		p, err := l.Export(t.Context(), reader(), bank, ledger.Range{From: &from, To: &to})
		if err != nil {
			return err
		}
		var b bytes.Buffer
		if err := p.Write(t.Context(), &b); err != nil {
			return err
		}
		v, err := bundle.Verify(t.Context(), &b, bundle.Options{Policy: policy, FirstUse: true, Now: time.Now()})
		if err == nil && !v.Good {
			t.Errorf("%+v", v.Finding)
		}
		return err
	})
	checkpoint := int64(0)
	always("checkpoint", func(i int) error {
		b, err := l.Checkpoint(t.Context(), bank)
		if err != nil {
			return err
		}
		cp, err := audit.VerifyCheckpoint(b, v.Name(), note.VerifierList(v))
		if err == nil && cp.Size < checkpoint {
			t.Errorf("the log shrank from %d to %d", checkpoint, cp.Size)
		}
		checkpoint = cp.Size
		seq := int64(i*4999) % size
		leaf, proof, err := l.Proof(t.Context(), reader(), bank, seq)
		if err != nil {
			return err
		}
		parsed, err := audit.ParseProof(proof)
		if err == nil {
			_, err = parsed.Verify(leaf, v.Name(), note.VerifierList(v))
		}
		return err
	})
	always("append", func(i int) error { return w.some(bank, 40+i) })
	if err := l.Seal(t.Context()); err != nil {
		t.Error(err)
	}
	stop()
	wait.Wait()
	if got := w.size(t, bank); w.sealed(t) != segment.Leaves || got < size+40 {
		t.Errorf("%d sealed of %d", w.sealed(t), got)
	}
	s.told(t, w, w.ledger(t))
	findings, err := w.s.Check(t.Context(), nil, nil)
	if err != nil || len(findings) > 0 {
		t.Errorf("check: %v, %v", findings, err)
	}
}
