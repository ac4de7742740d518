package state_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	bolt "go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"

	"gatehouse/store/command"
	"gatehouse/store/state"
)

// encoded gives the bytes of a command that Encode may not have let pass.
func encoded(t *testing.T, c *command.Command) []byte {
	b, err := proto.Marshal(c)
	must(t, err)
	return b
}

func TestABrokenPromiseStopsTheState(t *testing.T) {
	for name, c := range map[string]struct {
		data func(w *world) []byte
		want error
	}{
		"unknown type": {func(w *world) []byte {
			c := w.command(command.Type_RECORD, "ten_a", nil)
			c.Type = 999
			return encoded(t, c)
		}, command.ErrUnknown},
		"unknown version": {func(w *world) []byte {
			c := w.command(command.Type_RECORD, "ten_a", nil)
			c.Version = command.Version + 1
			return encoded(t, c)
		}, command.ErrUnknown},
		"unknown action": {func(w *world) []byte {
			c := w.command(command.Type_RECORD, "ten_a", nil)
			c.Events[0].Action = "session.teleport"
			return encoded(t, c)
		}, command.ErrUnknown},
		"garbage":   {func(*world) []byte { return []byte("\xff\xff\xff") }, command.ErrCorrupt},
		"too large": {func(*world) []byte { return make([]byte, command.MaxSize+1) }, command.ErrCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			w := founded(t)
			must(t, w.s.Commit())
			durable := markOf(t, w.s)
			w.ok(w.command(command.Type_RECORD, "ten_a", nil)) // not yet committed
			good := w.entry(w.command(command.Type_RECORD, "ten_a", nil))
			bad := state.Entry{Index: good.Index + 1, Term: 9, Data: c.data(w)}
			next := state.Entry{Index: good.Index + 2, Term: 9, Data: good.Data}
			if a, err := w.s.Apply([]state.Entry{good, bad, next}); !errors.Is(err, c.want) || a != nil {
				t.Fatalf("%v, %v", a, err)
			}
			// From here on nothing works, and says why.
			_, applyErr := w.s.Apply([]state.Entry{next})
			_, checkErr := w.s.Check(context.Background(), nil, nil)
			for call, err := range map[string]error{"apply": applyErr, "commit": w.s.Commit(), "check": checkErr, "view": w.s.View(func(*state.View) error { t.Error("it was read"); return nil })} {
				if !errors.Is(err, c.want) {
					t.Errorf("%s: %v", call, err)
				}
			}
			_ = w.s.Close() // says what broke, and lets the file go
			s, err := state.Open(w.path, false)
			must(t, err)
			defer s.Close()
			if got := markOf(t, s); got != durable {
				t.Errorf("reopened at %d, want %d", got.index, durable.index)
			}
			if _, err := s.Apply(w.log); err != nil { // the log without the bad entry
				t.Error(err)
			}
			if index, _ := s.Applied(); index != good.Index {
				t.Errorf("applied %d, want %d", index, good.Index)
			}
		})
	}
}

func TestBeforeItIsFounded(t *testing.T) {
	w := empty(t)
	if _, err := w.s.Apply([]state.Entry{w.entry(w.command(command.Type_RECORD, "", nil))}); !errors.Is(err, state.ErrUnusable) {
		t.Errorf("%v", err)
	}
}

func TestClosed(t *testing.T) {
	w := founded(t)
	must(t, w.s.Close())
	must(t, w.s.Close())
	_, err := w.s.Apply([]state.Entry{w.entry(w.command(command.Type_RECORD, "ten_a", nil))})
	for call, err := range map[string]error{"apply": err, "commit": w.s.Commit(), "view": w.s.View(func(*state.View) error { return nil })} {
		if !errors.Is(err, state.ErrClosed) {
			t.Errorf("%s: %v", call, err)
		}
	}
	if size, free := w.s.Size(); size != 0 || free != 0 {
		t.Errorf("size %d, %d", size, free)
	}
}

func TestViewSeesWhatIsNotCommitted(t *testing.T) {
	w := founded(t)
	must(t, w.s.Commit())
	before, err := os.ReadFile(w.path)
	must(t, err)
	w.ok(w.create("ses_1", "sub_1", ""))
	w.view(func(v *state.View) {
		if s, err := v.Session("ten_a", "ses_1"); err != nil || s.Subject != "sub_1" || v.Index() != uint64(len(w.log)) {
			t.Errorf("%v, %v at %d", s, err, v.Index())
		}
	})
	if after, err := os.ReadFile(w.path); err != nil || string(after) != string(before) {
		t.Error("the file was written before the commit")
	}
	if size, free := w.s.Size(); size <= 0 || free < 0 || free > size {
		t.Errorf("size %d, %d", size, free)
	}
	boom := errors.New("boom")
	if err := w.s.View(func(*state.View) error { return boom }); !errors.Is(err, boom) {
		t.Errorf("%v", err)
	}
	w.ok(w.evidence("ses_1", "selfie", 1)) // an error of a reader stops nothing
}

func TestReadersAndWriters(t *testing.T) {
	w := founded(t)
	const n = 300
	for i := range n { // made first: the world is no place for two
		w.entry(w.create(fmt.Sprintf("ses_%04d", i), fmt.Sprintf("sub_%d", i), ""))
	}
	var all sync.WaitGroup
	all.Go(func() {
		for i := 3; i < len(w.log); i += 7 {
			if _, err := w.s.Apply(w.log[i:min(i+7, len(w.log))]); err != nil {
				t.Error(err)
			}
			if i%5 == 0 {
				if err := w.s.Commit(); err != nil {
					t.Error(err)
				}
			}
		}
	})
	for range 4 {
		all.Go(func() {
			for last := 0; last < n; {
				err := w.s.View(func(v *state.View) error {
					got, err := v.Sessions("ten_a", "", n)
					log, headErr := v.Head("ten_a")
					// One entry each: what a view shows fits together.
					if len(got) < last || int64(len(got)) != log.Size || v.Index() != uint64(3+len(got)) {
						return fmt.Errorf("%d sessions after %d, %d leaves, index %d", len(got), last, log.Size, v.Index())
					}
					last = len(got)
					return errors.Join(err, headErr)
				})
				if err != nil {
					t.Error(err)
					return
				}
				w.s.Applied()
				w.s.Size()
			}
		})
	}
	all.Wait()
}

func TestPages(t *testing.T) {
	w := founded(t)
	for i := range 7 {
		w.ok(w.create(fmt.Sprintf("ses_%d", i), fmt.Sprintf("sub_%d", i), ""))
	}
	w.view(func(v *state.View) {
		var ids string
		for after := ""; ; {
			page, err := v.Sessions("ten_a", after, 3)
			must(t, err)
			if len(page) == 0 {
				break
			}
			ids += fmt.Sprint(len(page), ":")
			for _, s := range page {
				ids += s.Id[4:]
			}
			after = page[len(page)-1].Id
		}
		if ids != "3:0123:3451:6" {
			t.Error(ids)
		}
		if other, err := v.Sessions("ten_b", "", 10); err != nil || len(other) != 0 {
			t.Errorf("another tenant's: %v, %v", other, err)
		}
		if all, err := v.Clients("ten_a", "", 10); err != nil || len(all) != 1 {
			t.Errorf("%v, %v", all, err)
		}
		if all, err := v.Tenants(); err != nil || len(all) != 2 {
			t.Errorf("%v, %v", all, err)
		}
	})
}

func TestOpenRefuses(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "state.db")
	if _, err := state.Open(missing, false); !errors.Is(err, state.ErrUnusable) {
		t.Errorf("missing: %v", err)
	}
	if _, err := os.Stat(missing); !errors.Is(err, os.ErrNotExist) {
		t.Error("it was made")
	}
	for name, do := range map[string]func(path string){
		"no table": func(path string) {
			alter(t, path, func(tx *bolt.Tx) { must(t, tx.DeleteBucket([]byte("openings"))) })
		},
		"another format": func(path string) {
			alter(t, path, func(tx *bolt.Tx) { must(t, tx.Bucket([]byte("meta")).Put([]byte("format"), []byte{2})) })
		},
		"another format, whose tables are others": func(path string) {
			alter(t, path, func(tx *bolt.Tx) {
				must(t, tx.Bucket([]byte("meta")).Put([]byte("format"), []byte{2}))
				must(t, tx.DeleteBucket([]byte("members")))
			})
		},
		"no format": func(path string) {
			alter(t, path, func(tx *bolt.Tx) { must(t, tx.Bucket([]byte("meta")).Delete([]byte("format"))) })
		},
		"no applied index": func(path string) {
			alter(t, path, func(tx *bolt.Tx) { must(t, tx.Bucket([]byte("meta")).Put([]byte("applied"), []byte{1})) })
		},
		"an empty file": func(path string) { must(t, os.WriteFile(path, nil, 0o600)) },
		"another file":  func(path string) { must(t, os.WriteFile(path, make([]byte, 1<<16), 0o600)) },
	} {
		w := founded(t)
		must(t, w.s.Close())
		do(w.path)
		b, err := os.ReadFile(w.path)
		must(t, err)
		if s, err := state.Open(w.path, true); !errors.Is(err, state.ErrUnusable) {
			t.Errorf("%s: %v, %v", name, s, err)
		}
		if after, err := os.ReadFile(w.path); err != nil || string(after) != string(b) {
			t.Errorf("%s: the file was changed", name)
		}
	}
	// A crash while it was made leaves another name only.
	w := founded(t)
	must(t, w.s.Close())
	path := filepath.Join(t.TempDir(), "state.db")
	must(t, os.WriteFile(path+".new", []byte("half"), 0o600))
	s, err := state.Open(path, true)
	must(t, err)
	must(t, s.Close())
	if _, err := os.Stat(path + ".new"); !errors.Is(err, os.ErrNotExist) {
		t.Error("what a crash left is still there")
	}
}
