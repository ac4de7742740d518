package state

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// last sees what the command itself has written and deleted, of this tenant and
// no other. No command writes what it has asked for yet, so this is from within.
func TestLastSeesPendingWrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	if err := makeFile(path); err != nil {
		t.Fatal(err)
	}
	db, err := openFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Update(func(btx *bolt.Tx) error {
		r, err := rowsOf(btx)
		if err != nil {
			return err
		}
		random := rand.New(rand.NewPCG(1, 2))
		for round := range 200 {
			x, there := &tx{rows: r}, map[string]map[uint64]bool{}
			for _, tenant := range []string{"ten_a", "ten_b"} {
				there[tenant] = map[uint64]bool{}
				for n := range uint64(8) {
					if r.get(enrolments, key(tenant, number(n))) != nil {
						there[tenant][n] = true
					}
				}
			}
			for step := range random.IntN(12) {
				tenant, n := []string{"ten_a", "ten_b"}[random.IntN(2)], random.Uint64N(8)
				if random.IntN(2) == 0 {
					x.put(enrolments, key(tenant, number(n)), nil)
					there[tenant][n] = true
				} else {
					x.del(enrolments, key(tenant, number(n)))
					delete(there[tenant], n)
				}
				x.put(removals, key(tenant, number(9)), nil) // another table's
				for tenant, has := range there {
					want := ""
					for n := range has {
						want = max(want, string(key(tenant, number(n))))
					}
					if got := string(x.last(enrolments, tenant)); got != want {
						return fmt.Errorf("round %d, step %d: the last of %s is %q, want %q", round, step, tenant, got, want)
					}
				}
			}
			if random.IntN(2) == 0 { // else it was refused
				if _, err := x.flush([32]byte{}, new([]byte)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
