package identify

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"

	"gatehouse/engine/gallery"
	"gatehouse/store/keys"
	"gatehouse/store/state"
)

// batch of rows that one view reads: a view holds up whoever changes the state.
const batch = 512

// sync brings a tenant's galleries up to what the state holds now: what was
// removed goes first.
func (k *Keeper) sync(t *tenant) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, err := k.advance(t)
	return err
}

// advance is sync for whoever holds the tenant; it gives the newest enrolment of
// the state that the galleries have.
func (k *Keeper) advance(t *tenant) (searched uint64, err error) {
	for {
		var enrolled []state.Enrolled
		var removed []state.Removed
		var newest uint64
		if err := k.State.View(func(v *state.View) (err error) {
			newest = v.NewestEnrolment(t.id)
			if v.NewestRemoval(t.id) > t.removed {
				removed, err = v.Removals(t.id, t.removed, batch)
			}
			if err == nil && newest > t.enrolled {
				enrolled, err = v.Enrolments(t.id, t.enrolled, batch)
			}
			return err
		}); err != nil {
			return 0, err
		}
		if len(removed)+len(enrolled) == 0 {
			return newest, nil
		}
		if err := k.remove(t, removed); err != nil {
			return 0, err
		}
		if err := k.enrol(t, enrolled, nil); err != nil {
			return 0, err
		}
	}
}

func (k *Keeper) remove(t *tenant, removed []state.Removed) error {
	for _, r := range removed {
		list := listOf(r.List)
		if at, ok := t.foreign[r.Enrolled]; ok {
			delete(t.foreign, r.Enrolled)
			t.others[at]--
		} else if err := t.lists[list].Remove(r.Enrolled); err != nil && !errors.Is(err, gallery.ErrUnknown) {
			return err // unknown: it was removed before it was ever enrolled here
		}
		t.removed = r.Index
		t.changes++
		t.stale = true
	}
	if len(removed) > 0 {
		return k.forget(t)
	}
	return nil
}

// enrol adds what the state has enrolled, in order. Templates are opened side by
// side. progress, where it is not nil, is told of each.
func (k *Keeper) enrol(t *tenant, enrolled []state.Enrolled, progress func()) error {
	vectors, errs := make([][]float32, len(enrolled)), make([]error, len(enrolled))
	open := func(i int) { vectors[i], errs[i] = k.template(t.id, enrolled[i]) }
	if len(enrolled) < 8 {
		for i := range enrolled {
			open(i)
		}
	} else {
		var group sync.WaitGroup
		for w := range k.Workers {
			group.Go(func() {
				for i := w; i < len(enrolled); i += k.Workers {
					open(i)
				}
			})
		}
		group.Wait()
	}
	for i, e := range enrolled {
		switch v := vectors[i]; {
		case errors.Is(errs[i], errRemoved): // its removal comes next
		case errors.Is(errs[i], keys.ErrSealed):
			return errs[i]
		case errs[i] == nil && v == nil:
			t.leaveOut(e)
		default:
			err := errs[i]
			if err == nil {
				err = t.lists[listOf(e.List)].Enrol(e.Index, gallery.Template{Model: e.Model, Vector: v})
				clear(v)
			}
			switch {
			case errors.Is(err, gallery.ErrClosed), errors.Is(err, gallery.ErrOrder):
				return fmt.Errorf("template of %s: %w", e.Id, err)
			case err != nil: // damaged, or one too many: with it left out nobody is known to be new, but all others are still compared
				k.Log.Error("a template cannot be used", "tenant", t.id, "of", e.Id, "error", err)
				t.leaveOut(e)
			}
		}
		t.enrolled = e.Index
		t.changes++
		if progress != nil {
			progress()
		}
	}
	return nil
}

// leaveOut counts a template that cannot be compared.
func (t *tenant) leaveOut(e state.Enrolled) {
	t.foreign[e.Index] = listOf(e.List)
	t.others[listOf(e.List)]++
}

// template opens one of the state; nil where it is of another model. Error:
// errRemoved where it is no longer enrolled.
func (k *Keeper) template(tenant string, e state.Enrolled) ([]float32, error) {
	if e.Model != k.Calibration.EmbeddingID {
		return nil, nil
	}
	var sealed []byte
	var u *keys.Subject
	err := k.State.View(func(v *state.View) error {
		if _, err := v.Enrolment(tenant, e.Index); errors.Is(err, state.ErrNotFound) {
			return errRemoved
		}
		row, err := v.Template(tenant, e.Id)
		if err != nil {
			return err
		}
		sealed = row.Sealed
		person, err := v.Subject(tenant, e.Subject)
		if err != nil {
			return err
		}
		if person.ErasedNs != 0 {
			return keys.ErrErased
		}
		of, err := v.Tenant(tenant)
		if err != nil {
			return err
		}
		key, err := k.Keys.Tenant(tenant, of.Key)
		if err != nil {
			return err
		}
		u, err = key.Subject(e.Subject, person.Key)
		return err
	})
	if err != nil {
		return nil, err
	}
	b, err := u.Open(Place(e.Model, e.Id), sealed)
	if err != nil {
		return nil, err
	}
	defer clear(b)
	return k.Vector(b)
}

// Vector is what Bytes was made of. Error: gallery.ErrDimension.
func (k *Keeper) Vector(b []byte) ([]float32, error) {
	if len(b) != 4*k.Dimension {
		return nil, fmt.Errorf("%w: %d bytes", gallery.ErrDimension, len(b))
	}
	v := make([]float32, k.Dimension)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return v, nil
}

// Place of a sealed template in the state.
func Place(model, id string) keys.Place {
	return keys.Place{Table: "templates", Field: model, Row: id, Version: 1}
}

// Bytes of a template as they are sealed: float32, little-endian.
func Bytes(v []float32) []byte {
	b := make([]byte, 0, 4*len(v))
	for _, f := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(f))
	}
	return b
}
