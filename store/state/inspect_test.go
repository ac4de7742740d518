package state_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	bolt "go.etcd.io/bbolt"

	"gatehouse/store/command"
	"gatehouse/store/state"
)

// always lets an inspection read, and counts.
func always(bytes *int) func(int) error {
	return func(n int) error { *bytes += n; return nil }
}

// A large file is read while it serves, once, and is whole.
func TestInspectedWhileItServes(t *testing.T) {
	const half = 600
	st, _ := tell(t, 11, 2*half)
	w := st.until(t, half)
	want := markOf(t, w.s)
	must(t, w.s.Close())
	used := inUse(t, w.path)
	s, err := state.OpenSoonOver(w.path, 0)
	must(t, err)
	defer s.Close()
	if got := markOf(t, s); got != want {
		t.Fatalf("opened at %d, want %d", got.index, want.index)
	}
	// The state goes on before a page was read, and between two.
	must(t, s.PrefetchEnrolments(t.Context()))
	begun, read := false, 0
	err = s.Inspect(func(n int) error {
		read += n
		if !begun {
			begun = true
			_, err := s.Apply(st.entries[half:])
			return errors.Join(err, s.Commit())
		}
		return nil
	})
	must(t, err)
	if read < used {
		t.Errorf("%d bytes were read, %d are in use", read, used)
	}
	st.end(t, s)
	must(t, s.Inspect(func(int) error { t.Error("it is read again"); return nil }))
}

// inUse are the bytes of a file's pages of rows.
func inUse(t *testing.T, path string) (bytes int) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, PreLoadFreelist: true})
	must(t, err)
	must(t, db.View(func(tx *bolt.Tx) error { bytes = int(tx.Size()); return nil }))
	page := db.Info().PageSize
	bytes -= page * (db.Stats().FreePageN + 2 + 1) // two of meta, and the list of those that are free
	must(t, db.Close())
	return bytes
}

// Where the process was killed the file lists its free pages as well, so that its
// start reads no more of it.
func TestKilledAndOpenedSoon(t *testing.T) {
	_, w := tell(t, 12, 500)
	must(t, w.s.Commit())
	b, err := os.ReadFile(w.path)
	must(t, err)
	path := filepath.Join(t.TempDir(), "state.db")
	must(t, os.WriteFile(path, b, 0o600))
	s, err := state.OpenSoonOver(path, 0)
	must(t, err)
	read := 0
	must(t, s.Inspect(always(&read)))
	if read == 0 {
		t.Error("the whole file was read at the start")
	}
	if found, err := s.Check(t.Context(), nil, nil); err != nil || len(found) > 0 {
		t.Errorf("%v, %v", found, err)
	}
	must(t, s.Close())
}

// A page that is damaged ends the state: when the inspection comes to it, or, where
// something asks for it before, then. It never ends the process.
func TestDamageIsFoundWhileItServes(t *testing.T) {
	good := small(t)
	page := os.Getpagesize()
	r := rand.New(rand.NewPCG(9, 11))
	dir := t.TempDir()
	const n = 200
	before, asked := 0, 0
	for i := range n {
		b := append([]byte(nil), good...)
		at := 2 + r.IntN(len(b)/page-2)
		switch i % 3 {
		case 0:
			clear(b[at*page:][:page])
		case 1: // what it refers to lies outside the file
			copy(b[at*page+8:][:page-8], bytes.Repeat([]byte{0x01}, page))
		case 2:
			copy(b[at*page:][:page], good[(2+r.IntN(len(b)/page-2))*page:])
		}
		path := filepath.Join(dir, fmt.Sprint(i))
		must(t, os.WriteFile(path, b, 0o600))
		s, err := state.OpenSoonOver(path, 0)
		if err != nil { // a page that every start needs
			if !errors.Is(err, state.ErrUnusable) {
				t.Fatal(err)
			}
			continue
		}
		if i%2 == 0 { // something asks first
			_ = s.PrefetchEnrolments(t.Context()) // an error or not
			if err := everything(s); errors.Is(err, state.ErrDamaged) {
				asked++
				if err := s.Commit(); !errors.Is(err, state.ErrDamaged) {
					t.Errorf("it goes on: %v", err)
				}
			}
		}
		read := 0
		if err := s.Inspect(always(&read)); err != nil {
			if !errors.Is(err, state.ErrDamaged) || !errors.Is(err, state.ErrUnusable) {
				t.Errorf("%v", err)
			}
			if err := s.View(func(*state.View) error { return nil }); !errors.Is(err, state.ErrDamaged) {
				t.Errorf("it is read after damage was found: %v", err)
			}
			before++
		}
		_ = s.Close()
		must(t, os.Remove(path))
	}
	t.Logf("of %d damaged files the inspection refused %d, and %d ended when they were asked", n, before, asked)
	if before < n/4 || asked == 0 {
		t.Errorf("the inspection found %d, asking found %d", before, asked)
	}
}

// everything that pages are read for.
func everything(s *state.State) error {
	_, named := s.BlobNames("", 1000)
	return errors.Join(named, s.View(func(v *state.View) error {
		all, err := v.Sessions("ten_a", "", 1000)
		for _, one := range all {
			_, e := v.Result("ten_a", one.Id)
			err = errors.Join(err, e)
		}
		for seq := range int64(300) {
			_, _ = v.Openings("ten_a", "sub_1", "ten_a", seq)
		}
		_, _ = v.Enrolments("ten_a", 0, 1000)
		_, _ = v.Jobs()
		_, _ = v.Head("ten_a")
		return nil
	}))
}

// All names of blobs are listed, some at a time, as of the last commit.
func TestBlobNames(t *testing.T) {
	w := clustered(t)
	w.collected("ses_1")
	w.collected("ses_2")
	must(t, w.s.Commit())
	want, err := w.s.BlobNames("", 1000)
	must(t, err)
	w.view(func(v *state.View) {
		for _, name := range want {
			if !v.Named(name) {
				t.Errorf("%s is no blob's name", name)
			}
		}
	})
	var got []string
	for after := ""; ; after = got[len(got)-1] {
		some, err := w.s.BlobNames(after, 1)
		must(t, err)
		if len(some) == 0 {
			break
		}
		got = append(got, some...)
	}
	if len(want) < 4 || !slices.IsSorted(want) || !slices.Equal(got, want) {
		t.Errorf("%q one by one, %q at once", got, want)
	}
}

// bbolt believes its list of free pages: one that is damaged is refused at the
// start, and one that has a page that is in use by whoever reads all.
func TestListOfFreePages(t *testing.T) {
	good := small(t)
	page := os.Getpagesize()
	at := 0
	for i := 2; i < len(good)/page; i++ {
		// Flag 16 is a list's; the newest has the largest place, as the file has
		// just been written once.
		if b := good[i*page:]; binary.NativeEndian.Uint16(b[8:]) == 16 && binary.NativeEndian.Uint64(b) == uint64(i) && refused(t, good, i*page) {
			at = i * page
		}
	}
	if at == 0 {
		t.Fatal("the file has no list of free pages")
	}
	used := append([]byte(nil), good...)
	free := map[uint64]bool{}
	count := int(binary.NativeEndian.Uint16(used[at+10:]))
	for i := range count {
		free[binary.NativeEndian.Uint64(used[at+16+8*i:])] = true
	}
	// The last of them becomes one that is in use, and larger.
	for id := uint64(len(good)/page) - 1; id > 2; id-- {
		if !free[id] && int(id)*page != at && binary.NativeEndian.Uint64(used[int(id)*page:]) == id {
			binary.NativeEndian.PutUint64(used[at+16+8*(count-1):], id)
			break
		}
	}
	path := filepath.Join(t.TempDir(), "state.db")
	must(t, os.WriteFile(path, used, 0o600))
	if _, err := state.Open(path, false); !errors.Is(err, state.ErrUnusable) {
		t.Errorf("a page that is in use is free: %v", err)
	}
	s, err := state.OpenSoonOver(path, 0)
	if err != nil {
		return // out of order
	}
	defer s.Close()
	read := 0
	if err := s.Inspect(always(&read)); !errors.Is(err, state.ErrDamaged) {
		t.Errorf("a page that is in use is free, by the inspection: %v", err)
	}
}

// refused tells whether a file whose page at is cleared does not open.
func refused(t *testing.T, good []byte, at int) bool {
	b := append([]byte(nil), good...)
	clear(b[at : at+16])
	path := filepath.Join(t.TempDir(), "state.db")
	must(t, os.WriteFile(path, b, 0o600))
	s, err := state.OpenSoonOver(path, 0)
	if err == nil {
		must(t, s.Close())
	}
	return err != nil
}

// What ends or replaces the state has an inspection end, begun or not.
func TestAnInspectionLetsGo(t *testing.T) {
	st, w := tell(t, 13, 400)
	path, c := copied(t, w.s)
	must(t, w.s.Close())
	sent, err := os.ReadFile(path)
	must(t, err)
	for name, do := range map[string]func(s *state.State) error{
		"close": func(s *state.State) error { return s.Close() },
		"replace": func(s *state.State) error {
			received := filepath.Join(filepath.Dir(w.path), "received.db")
			must(t, os.WriteFile(received, sent, 0o600))
			if err := s.Replace(examined(t, received, c)); err != nil {
				return err
			}
			st.end(t, s)
			return s.Close()
		},
	} {
		s, err := state.OpenSoonOver(w.path, 0)
		must(t, err)
		if err := do(s); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		s, err = state.OpenSoonOver(w.path, 0)
		must(t, err)
		ended, done := make(chan error, 1), make(chan error, 1)
		reads, goOn := make(chan bool, 1), make(chan bool)
		go func() {
			ended <- s.Inspect(func(int) error {
				select {
				case reads <- true:
				default:
				}
				<-goOn
				return nil
			})
		}()
		<-reads
		go func() { done <- do(s) }()
		close(goOn)
		if err := <-done; err != nil {
			t.Errorf("%s while it reads: %v", name, err)
		}
		if err := <-ended; err != nil && !errors.Is(err, state.ErrClosed) {
			t.Errorf("%s: the inspection ended with %v", name, err)
		}
	}
}

// Where there are more free pages than are listed at each commit, the list is
// written once nothing is committed any more, and at the end.
func TestManyFreePagesAreListedLater(t *testing.T) {
	w := founded(t)
	w.s.List(-1) // any are many
	for name, c := range map[string]struct {
		do    func()
		later bool
	}{
		"after a commit": {func() {}, false},
		"after a while without one": {func() {
			for range 10 { // of Run, a second
				must(t, w.s.Commit())
			}
		}, true},
	} {
		w.ok(w.command(command.Type_RECORD, "ten_a", nil))
		must(t, w.s.Commit())
		c.do()
		b, err := os.ReadFile(w.path)
		must(t, err)
		path := filepath.Join(t.TempDir(), "state.db")
		must(t, os.WriteFile(path, b, 0o600))
		if got := leftForLater(t, path); got != c.later {
			t.Errorf("%s: the start leaves pages for later: %v", name, got)
		}
	}
	w.ok(w.command(command.Type_RECORD, "ten_a", nil))
	if path, _ := copied(t, w.s); !leftForLater(t, path) {
		t.Error("who is sent the state reads all pages")
	}
	w.ok(w.command(command.Type_RECORD, "ten_a", nil))
	must(t, w.s.Close())
	if !leftForLater(t, w.path) {
		t.Error("after an orderly end the start reads all pages")
	}
}

// leftForLater tells whether a start leaves pages that Inspect has to read.
func leftForLater(t *testing.T, path string) bool {
	t.Helper()
	s, err := state.OpenSoonOver(path, 0)
	must(t, err)
	read := 0
	must(t, errors.Join(s.Inspect(always(&read)), s.Close()))
	return read > 0
}
