package state_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"gatehouse/store/state"
)

// until has applied a story up to an entry.
func (st *story) until(t *testing.T, n int) *world {
	t.Helper()
	w := empty(t)
	got, err := w.s.Apply(st.entries[:n])
	must(t, err)
	st.compare(t, 0, got)
	return w
}

// examined is a copy's file that says what the copy was of.
func examined(t *testing.T, path string, c *state.Copy) string {
	t.Helper()
	index, hash, err := empty(t).s.Examine(path)
	if err != nil || index != c.Index || hash != c.Hash {
		t.Fatalf("%x at %d, %v; the copy was of %x at %d", hash, index, err, c.Hash, c.Index)
	}
	return path
}

// A node that is behind, or that went another way, goes on from another node's
// file as that one does.
func TestACopyReplacesAnotherState(t *testing.T) {
	const half = 700
	st, _ := tell(t, 9, 2*half)
	from := st.until(t, half)
	c := taken(t, from.s)
	if index, hash := from.s.Applied(); c.Index != index || c.Hash != hash || c.Index != half || c.Term != st.entries[half-1].Term {
		t.Fatalf("a copy of %d in term %d", c.Index, c.Term)
	}
	want := markOf(t, from.s)
	// The state goes on before a byte was written.
	_, err := from.s.Apply(st.entries[half:])
	must(t, err)
	must(t, from.s.Commit())
	whole := filepath.Join(t.TempDir(), "sent.db")
	write(t, whole, c)
	must(t, c.Close())
	examined(t, whole, c)
	sent, err := os.ReadFile(whole)
	must(t, err)

	for name, make := range map[string]func(t *testing.T) *world{
		"that is new":    func(t *testing.T) *world { return empty(t) },
		"that is behind": func(t *testing.T) *world { return st.until(t, half/3) },
		"with rows that were not committed": func(t *testing.T) *world {
			w := st.until(t, half/3)
			must(t, w.s.Commit())
			_, err := w.s.Apply(st.entries[half/3 : half/2])
			must(t, err)
			return w
		},
		"that went another way": func(t *testing.T) *world {
			w := clustered(t)
			w.collected("ses_other")
			must(t, w.s.Commit())
			w.ok(w.create("ses_another", "sub_x", ""))
			return w
		},
		"that is being read": func(t *testing.T) *world {
			w := st.until(t, 20)
			w.view(func(v *state.View) {}) // leaves its transaction open
			return w
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := make(t)
			path := filepath.Join(filepath.Dir(w.path), "received.db")
			must(t, os.WriteFile(path, sent, 0o600))
			must(t, w.s.Replace(examined(t, path, c)))
			if got := markOf(t, w.s); got != want || w.s.Pending() != 0 {
				t.Fatalf("state %x at %d, want %x at %d", got.hash, got.index, want.hash, want.index)
			}
			if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the file is still under its own name: %v", err)
			}
			w.view(func(v *state.View) {
				if s, err := v.Session("ten_a", "ses_other"); !errors.Is(err, state.ErrNotFound) {
					t.Errorf("a row of before: %v, %v", s, err)
				}
			})
			w.reopen()
			w.clean()
			got, err := w.s.Apply(st.entries) // from the log's begin: what the file holds is skipped
			must(t, err)
			for i := range got[:half] {
				if got[i] != nil {
					t.Fatalf("entry %d was applied again", i+1)
				}
			}
			st.compare(t, 0, got)
			st.end(t, w.s)
			must(t, w.s.Commit())
			st.end(t, w.s)
		})
	}
}

// Each copy is of one entry, whatever is applied and committed while it is
// taken and written.
func TestCopiesWhileCommandsAreApplied(t *testing.T) {
	st, _ := tell(t, 10, 900)
	step := empty(t)
	at := map[uint64][32]byte{}
	for _, e := range st.entries {
		_, err := step.s.Apply([]state.Entry{e})
		must(t, err)
		index, hash := step.s.Applied()
		at[index] = hash
	}
	w := st.until(t, 50)
	done := make(chan error, 1)
	go func() {
		var failed error
		for i := 50; i < len(st.entries); i += 5 {
			_, err := w.s.Apply(st.entries[i : i+5])
			if failed = errors.Join(failed, err); i%50 == 0 {
				failed = errors.Join(failed, w.s.Commit())
			}
		}
		done <- failed
	}()
	dir, ended := t.TempDir(), false
	for n := 0; !ended; n++ {
		c := taken(t, w.s)
		path := filepath.Join(dir, "copy.db")
		write(t, path, c)
		must(t, c.Close())
		examined(t, path, c)
		if c.Hash != at[c.Index] {
			t.Fatalf("copy %d of entry %d has another hash", n, c.Index)
		}
		must(t, os.Remove(path))
		select {
		case err := <-done:
			must(t, err)
			ended = true
		default:
		}
	}
	st.end(t, w.s)
}

// What is cut or damaged is refused, or the damage is in a page that is free.
func TestExamineRefusesDamage(t *testing.T) {
	w := clustered(t)
	w.collected("ses_1")
	path, c := copied(t, w.s)
	good, err := os.ReadFile(path)
	must(t, err)
	page := os.Getpagesize()
	bad := filepath.Join(t.TempDir(), "bad.db")
	examine := func(b []byte) error {
		t.Helper()
		must(t, os.WriteFile(bad, b, 0o600))
		defer os.Remove(bad)
		index, hash, err := w.s.Examine(bad)
		if err != nil && !errors.Is(err, state.ErrUnusable) || err == nil && (index != c.Index || hash != c.Hash) {
			t.Errorf("%x at %d, %v", hash, index, err)
		}
		return err
	}
	for size := 0; size < len(good); size += page / 2 {
		if err := examine(good[:size]); err == nil {
			t.Errorf("%d of %d bytes were found good", size, len(good))
		}
	}
	if err := examine(good[:len(good)-1]); err == nil {
		t.Error("a byte less was found good")
	}
	refused := 0
	for at := 0; at < len(good); at += page {
		for _, damage := range []func(b []byte){
			func(b []byte) { clear(b[:page]) },
			func(b []byte) { clear(b[:16]) }, // its header
			func(b []byte) { b[10] ^= 0xff }, // its count of elements
		} {
			b := append([]byte(nil), good...)
			damage(b[at:])
			if examine(b) != nil {
				refused++
			}
		}
	}
	// One page of meta is enough, and some pages are free.
	if pages := len(good) / page; refused < pages {
		t.Errorf("%d of 3 damages to each of %d pages were refused", refused, pages)
	}
	for name, do := range map[string]func(tx *bolt.Tx) error{
		"another format":   func(tx *bolt.Tx) error { return tx.Bucket([]byte("meta")).Put([]byte("format"), []byte{2}) },
		"no applied index": func(tx *bolt.Tx) error { return tx.Bucket([]byte("meta")).Delete([]byte("applied")) },
		"no table":         func(tx *bolt.Tx) error { return tx.DeleteBucket([]byte("sessions")) },
		"nothing of ours":  func(tx *bolt.Tx) error { return tx.DeleteBucket([]byte("meta")) },
	} {
		path, _ := copied(t, w.s)
		alter(t, path, func(tx *bolt.Tx) { must(t, do(tx)) })
		if _, _, err := w.s.Examine(path); !errors.Is(err, state.ErrUnusable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := w.s.Examine(filepath.Join(t.TempDir(), "none.db")); !errors.Is(err, state.ErrUnusable) {
		t.Errorf("no file: %v", err)
	}
	if err := examine(good); err != nil {
		t.Error(err)
	}
}

// A node of the previous program may be the one that sends.
func TestAFileOfThePreviousProgramIsSent(t *testing.T) {
	w := clustered(t)
	path := filepath.Join(filepath.Dir(w.path), "received.db")
	must(t, os.WriteFile(path, previous(t), 0o600))
	index, hash, err := w.s.Examine(path)
	must(t, err)
	must(t, w.s.Replace(path))
	if gotIndex, gotHash := w.s.Applied(); gotIndex != index || gotHash != hash {
		t.Errorf("%x at %d, want %x at %d", gotHash, gotIndex, hash, index)
	}
	golden(t, w, "format1.hash")
	if got := w.known(); got != "" {
		t.Errorf("it knows of\n%s", got)
	}
	w.clean()
}

// A large file that is sent is read once it is in its place: all of it, and what is
// damaged ends the state.
func TestALargeCopyIsInspectedOnceItIsThere(t *testing.T) {
	w := clustered(t)
	w.collected("ses_1")
	path, c := copied(t, w.s)
	good, err := os.ReadFile(path)
	must(t, err)
	page := os.Getpagesize()
	found, until := 0, len(good)/page
	for at := range until + 1 {
		old := empty(t)
		must(t, old.s.Close())
		s, err := state.OpenSoonOver(old.path, 0)
		must(t, err)
		sent, b := old.path+".sent", bytes.Clone(good)
		if at < until {
			clear(b[at*page:][:page])
		}
		must(t, os.WriteFile(sent, b, 0o600))
		index, hash, err := s.Examine(sent)
		switch {
		case err != nil: // a page that every start needs
			if at == until || !errors.Is(err, state.ErrUnusable) {
				t.Error(err)
			}
			found++
		case index != c.Index || hash != c.Hash:
			t.Errorf("%x at %d", hash, index)
		default:
			must(t, s.Replace(sent))
			read := 0
			switch err := s.Inspect(always(&read)); {
			case at == until && (err != nil || read < inUse(t, path)):
				t.Errorf("%v after %d bytes", err, read)
			case errors.Is(err, state.ErrDamaged):
				found++
			case err != nil:
				t.Error(err)
			}
		}
		_ = s.Close() // it has failed, where there was damage
	}
	// One page of meta is enough, and some pages are free.
	if found < until/2 {
		t.Errorf("damage to %d of %d pages was found", found, until)
	}
}

// Who has got the beginning gets the rest, where what was begun is done in another
// way.
func TestTheRestOfACopy(t *testing.T) {
	const all = "the pages of a file"
	for begun := range len(all) {
		var b bytes.Buffer
		b.WriteString(all[:begun])
		w := state.Passing(&b, int64(begun))
		for i := 0; i < len(all); i += 5 {
			part := all[i:min(i+5, len(all))]
			if n, err := io.WriteString(w, part); n != len(part) || err != nil {
				t.Fatal(n, err)
			}
		}
		if b.String() != all {
			t.Errorf("after %d bytes: %q", begun, b.String())
		}
	}
}

// A large file of a program that had fewer tables is read whole as well: to make them
// must not lose the list of its free pages.
func TestALargeCopyThatLacksTables(t *testing.T) {
	w := founded(t)
	path, _ := copied(t, w.s)
	alter(t, path, func(tx *bolt.Tx) {
		must(t, tx.DeleteBucket([]byte("members")))
		must(t, tx.DeleteBucket([]byte("invitations")))
	})
	old := empty(t)
	must(t, old.s.Close())
	s, err := state.OpenSoonOver(old.path, 0)
	must(t, err)
	defer s.Close()
	used := inUse(t, path)
	_, _, err = s.Examine(path)
	must(t, err)
	must(t, s.Replace(path))
	read := 0
	must(t, s.Inspect(always(&read)))
	if read < used {
		t.Errorf("%d bytes were read", read)
	}
}

// Once the file may be gone, nothing works, and says so.
func TestAReplaceThatFails(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"no file":                  func(string) error { return nil },
		"what cannot be put there": func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		w := clustered(t)
		must(t, w.s.Commit())
		want := markOf(t, w.s)
		w.ok(w.create("ses_1", "sub_1", "")) // not committed
		path := filepath.Join(filepath.Dir(w.path), "received.db")
		must(t, make(path))
		if err := w.s.Replace(path); !errors.Is(err, state.ErrUnusable) {
			t.Errorf("%s: %v", name, err)
		}
		_, applied := w.s.Apply([]state.Entry{w.entry(w.create("ses_2", "sub_2", ""))})
		_, copied := w.s.Copy()
		for call, err := range map[string]error{"apply": applied, "copy": copied, "commit": w.s.Commit(), "replace": w.s.Replace(path), "view": w.s.View(func(*state.View) error { return nil })} {
			if !errors.Is(err, state.ErrUnusable) {
				t.Errorf("%s: %s: %v", name, call, err)
			}
		}
		if size, free := w.s.Size(); size != 0 || free != 0 {
			t.Errorf("%s: size %d, %d", name, size, free)
		}
		_ = w.s.Close()
		s, err := state.Open(w.path, false)
		must(t, err)
		if got := markOf(t, s); got != want {
			t.Errorf("%s: reopened at %d, want %d", name, got.index, want.index)
		}
		must(t, s.Close())
	}
}

// A copy outlives what is done to the state: that waits.
func TestCloseWaitsForACopy(t *testing.T) {
	w := clustered(t)
	c := taken(t, w.s)
	closed := make(chan error, 1)
	go func() { closed <- w.s.Close() }()
	select {
	case err := <-closed:
		t.Fatalf("closed under the copy: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	path := filepath.Join(t.TempDir(), "copy.db")
	write(t, path, c)
	must(t, c.Close())
	must(t, <-closed)
	examined(t, path, c)
	if _, err := w.s.Copy(); !errors.Is(err, state.ErrClosed) {
		t.Errorf("a copy of a closed state: %v", err)
	}
}
