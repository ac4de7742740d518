package keys_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"gatehouse/store/keys"
)

// Handles are used, tenants made, the store sealed and unsealed meanwhile.
func TestAdoptWhileInUse(t *testing.T) {
	a, b := pair(t)
	wrapped := newTenant(t, "ten_a", a, b)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := work(b, wrapped, fmt.Sprint("sub_", i)); err != nil && !errors.Is(err, keys.ErrSealed) {
					t.Error(err)
					return
				}
				if err := signOnce(b); err != nil && !errors.Is(err, keys.ErrRetired) && !errors.Is(err, keys.ErrSealed) {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 6 {
		old, _, c, err := a.PrepareRotation(newYear)
		must(t, err)
		must(t, a.Adopt(c.File, c.Sum))
		must(t, b.Stage(c.File, c.Sum))
		if i%2 == 1 {
			wg.Go(b.Seal)
		}
		must(t, b.Adopt(c.File, c.Sum))
		if c, err = a.PrepareRetirement(old.ID); err != nil {
			t.Fatal(err)
		}
		must(t, a.Adopt(c.File, c.Sum))
		must(t, b.Adopt(c.File, c.Sum))
		if i%2 == 1 {
			b.Seal()
			must(t, b.UnsealFile())
		}
	}
	close(stop)
	wg.Wait()
	if b.Sealed() {
		must(t, b.UnsealFile())
	}
	if b.RingSum() != a.RingSum() || b.serial(t) != a.serial(t) {
		t.Errorf("serial %d, not %d", b.serial(t), a.serial(t))
	}
	must(t, work(b, wrapped, "sub_last"))
}

// Whichever comes first, what is in use is what is on disk.
func TestAdoptWhileUnsealing(t *testing.T) {
	a, b := pair(t)
	for i := range 12 {
		_, c, err := a.PrepareTenant(fmt.Sprint("ten_", i))
		must(t, err)
		must(t, a.Adopt(c.File, c.Sum))
		b.Seal()
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := b.Adopt(c.File, c.Sum); err != nil {
				t.Error(err)
			}
		})
		must(t, b.UnsealFile())
		wg.Wait()
		b.onDisk(t, "both done", c.Sum)
		if b.serial(t) != c.Serial {
			t.Fatalf("serial %d is in use, not %d", b.serial(t), c.Serial)
		}
	}
}

// Tenants that are made at the same time on a node alone do not outdate each other.
func TestTenantsAtTheSameTime(t *testing.T) {
	h := create(t)
	before := h.serial(t)
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			if _, err := h.NewTenant(fmt.Sprint("ten_", i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if h.serial(t) != before+6 {
		t.Errorf("serial %d after %d", h.serial(t), before)
	}
}
