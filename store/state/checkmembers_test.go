package state_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"gatehouse/store/command"
)

var memberDamages = []struct {
	name string
	do   func(t *testing.T, tx *bolt.Tx)
	kind string
	what string // in one of the findings of that kind
}{
	{"a member is damaged", func(t *testing.T, tx *bolt.Tx) {
		must(t, tx.Bucket([]byte("members")).Put(k("nod_b"), []byte("\xff")))
	}, "row", "cannot be read"},
	{"a member in another's row", func(t *testing.T, tx *bolt.Tx) { altered(t, tx, func(m *command.Member) { m.Id = "nod_x" }) }, "member", "of another row"},
	{"a key is cut", func(t *testing.T, tx *bolt.Tx) { altered(t, tx, func(m *command.Member) { m.Key = m.Key[1:] }) }, "member", "its key is no SHA-256"},
	{"an address without a port", func(t *testing.T, tx *bolt.Tx) { altered(t, tx, func(m *command.Member) { m.Address = "host" }) }, "member", "its address is none"},
	{"a member never joined", func(t *testing.T, tx *bolt.Tx) { altered(t, tx, func(m *command.Member) { m.JoinedNs = 0 }) }, "member", "it never joined"},
	{"a member knows too little", func(t *testing.T, tx *bolt.Tx) { altered(t, tx, func(m *command.Member) { m.Commands = 1 }) }, "member", "does not know the commands"},
	{"an address of two", func(t *testing.T, tx *bolt.Tx) { altered(t, tx, func(m *command.Member) { m.Address = "nod_a:8443" }) }, "member", "another has its address or its name"},
	{"all members were removed", func(t *testing.T, tx *bolt.Tx) {
		for _, id := range []string{"nod_a", "nod_b"} {
			change(t, tx, "members", k(id), func(m *command.Member) { m.RemovedNs = 1 })
		}
	}, "member", "all were removed"},
	{"eight members", func(t *testing.T, tx *bolt.Tx) {
		for i := range 6 {
			id := fmt.Sprint("nod_", i)
			must(t, tx.Bucket([]byte("members")).Put(k(id), []byte{}))
			change(t, tx, "members", k(id), func(m *command.Member) { m.Id, m.Address = id, id+":1" })
		}
	}, "member", "there are 8, at most 7 may be"},
	{"an invitation is damaged", func(t *testing.T, tx *bolt.Tx) {
		must(t, tx.Bucket([]byte("invitations")).Put(k("inv"), []byte("\xff")))
	}, "row", "cannot be read"},
	{"an invitation in another's row", func(t *testing.T, tx *bolt.Tx) {
		change(t, tx, "invitations", k("inv"), func(i *command.Invitation) { i.Id = "other" })
	}, "invitation", "of another row"},
	{"a secret is cut", func(t *testing.T, tx *bolt.Tx) {
		change(t, tx, "invitations", k("inv"), func(i *command.Invitation) { i.Secret = nil })
	}, "invitation", "its secret is no SHA-256"},
	{"an invitation never ends", func(t *testing.T, tx *bolt.Tx) {
		change(t, tx, "invitations", k("inv"), func(i *command.Invitation) { i.ExpiresNs = 0 })
	}, "invitation", "it never ends"},
	{"an invitation to replace nobody", func(t *testing.T, tx *bolt.Tx) {
		change(t, tx, "invitations", k("inv"), func(i *command.Invitation) { i.Replaces = "nod_x" })
	}, "invitation", "for the place of nobody"},
	{"eight invitations", func(t *testing.T, tx *bolt.Tx) {
		for i := range 7 {
			must(t, tx.Bucket([]byte("invitations")).Put(k(fmt.Sprint("inv_", i)), nil))
		}
	}, "invitation", "there are 8, at most 7 may be"},
	{"the authority is damaged", func(t *testing.T, tx *bolt.Tx) {
		must(t, tx.Bucket([]byte("meta")).Put(k("authority"), []byte("\xff")))
	}, "row", `meta "authority": it cannot be read`},
	{"the authority lost its key", func(t *testing.T, tx *bolt.Tx) {
		change(t, tx, "meta", k("authority"), func(a *command.Authority) { a.Key = nil })
	}, "row", `meta "authority": it is not whole`},
	{"the next authority has no key", func(t *testing.T, tx *bolt.Tx) {
		change(t, tx, "meta", k("authority"), func(a *command.Authority) { a.NextCertificate = []byte("next") })
	}, "row", `meta "authority": it is not whole`},
	{"the next authority has a key alone", func(t *testing.T, tx *bolt.Tx) {
		change(t, tx, "meta", k("authority"), func(a *command.Authority) { a.NextKey = []byte("next") })
	}, "row", `meta "authority": it is not whole`},
	{"the authority is at two steps of its rotation", func(t *testing.T, tx *bolt.Tx) {
		change(t, tx, "meta", k("authority"), func(a *command.Authority) {
			a.NextCertificate, a.NextKey, a.Earlier = []byte("next"), []byte("its key"), []byte("earlier")
		})
	}, "row", `meta "authority": it is not whole`},
	{"the key-ring's row is damaged", func(t *testing.T, tx *bolt.Tx) {
		must(t, tx.Bucket([]byte("meta")).Put(k("ring"), []byte("\xff")))
	}, "row", `meta "ring": it cannot be read`},
	{"the key-ring's sum is cut", func(t *testing.T, tx *bolt.Tx) {
		change(t, tx, "meta", k("ring"), func(r *command.Ring) { r.Sum = r.Sum[:31] })
	}, "row", `meta "ring": it is not whole`},
}

func altered(t *testing.T, tx *bolt.Tx, do func(*command.Member)) {
	change(t, tx, "members", k("nod_b"), do)
}

func TestCheckFindsDamagedMembers(t *testing.T) {
	for _, d := range memberDamages {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			w := clustered(t)
			w.ok(w.invite("inv", time.Hour, "nod_b"))
			w.ok(w.authority("cert", "key"))
			w.ok(w.ring(1, "a", ""))
			w.clean()
			must(t, w.s.Close())
			alter(t, w.path, func(tx *bolt.Tx) { d.do(t, tx) })
			findings := checked(t, w, nil)
			for _, f := range findings {
				if f.Kind == d.kind && strings.Contains(f.String(), d.what) {
					return
				}
			}
			t.Errorf("want %s … %s, found %v", d.kind, d.what, findings)
		})
	}
}
