package history_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/cmd/chaos/history"
)

func TestLogIsReadBack(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "history.jsonl")
	l, err := history.NewLog(path)
	ok(t, err)
	if _, err := history.NewLog(path); !errors.Is(err, os.ErrExist) {
		t.Errorf("over an old one: %v", err)
	}
	began := time.Now()
	var all sync.WaitGroup
	for client := range 4 {
		all.Go(func() {
			for i := range 50 {
				c := l.Begin(history.Op{Client: client, Session: fmt.Sprint(client, "-", i), Kind: history.Evidence, Pictures: map[string]string{"front": "a"}})
				switch i % 3 {
				case 0:
					c.OK(history.Answer{ID: "ses", Revision: uint64(i + 1), Evidence: map[string]string{}})
				case 1:
					c.Unknown(errors.New("timeout"))
				case 2:
					c.Failed(errors.New("refused"))
				}
				c.OK(history.Answer{}) // its first end counts
			}
		})
	}
	all.Wait()
	running := l.Begin(history.Op{Session: "open", Kind: history.Create})
	if b, err := os.ReadFile(path); err != nil || bytes.Count(b, []byte("\n")) != 200 {
		t.Errorf("while it runs, %d lines are written, %v", bytes.Count(b, []byte("\n")), err)
	}
	ok(t, l.Close())
	ok(t, l.Close())
	running.OK(history.Answer{}) // too late

	f, err := os.Open(path)
	ok(t, err)
	defer f.Close()
	ops, err := history.Parse(f)
	ok(t, err)
	if !reflect.DeepEqual(ops, l.Ops()) || len(ops) != 201 {
		t.Errorf("%d operations were read and are not the %d recorded", len(ops), len(l.Ops()))
	}
	count := map[history.Outcome]int{}
	for _, o := range ops {
		count[o.Outcome]++
		if o.Return < o.Call || o.Call < began.UnixNano() || o.Return > time.Now().UnixNano() {
			t.Errorf("%+v", o)
		}
		if (o.Error == "") != (o.Outcome == history.OK) || (o.Answer.Evidence == nil) != (o.Outcome != history.OK) {
			t.Errorf("%+v", o)
		}
	}
	if count[history.OK] != 68 || count[history.Unknown] != 69 || count[history.Failed] != 64 {
		t.Error(count)
	}
	if i := slices.IndexFunc(ops, func(o history.Op) bool { return o.Session == "open" }); i != 200 || ops[i].Outcome != history.Unknown {
		t.Errorf("what ran at the end is not unknown: %+v", ops[200])
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	const good = `{"session":"k","kind":"create","outcome":"ok","call":1,"return":2}` + "\n"
	for name, line := range map[string]string{
		"torn":                   good[:len(good)/2],
		"no session":             strings.Replace(good, `"k"`, `""`, 1),
		"other kind":             strings.Replace(good, "create", "crate", 1),
		"other outcome":          strings.Replace(good, `"ok"`, `"fine"`, 1),
		"no outcome":             strings.Replace(good, `"outcome":"ok",`, "", 1),
		"ends before it begins":  strings.Replace(good, `"call":1`, `"call":3`, 1),
		"evidence of no picture": strings.Replace(good, "create", "evidence", 1),
		"too long":               strings.Replace(good, "k", strings.Repeat("k", 1<<20), 1),
	} {
		ops, err := history.Parse(strings.NewReader(good + line))
		if !errors.Is(err, history.ErrHistory) || ops != nil || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%s: %v, %v", name, ops, err)
		}
	}
	if ops, err := history.Parse(strings.NewReader(good + good)); err != nil || len(ops) != 2 {
		t.Errorf("%v, %v", ops, err)
	}
}

// What is no history is refused, and what is one can be checked.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"session":"k","kind":"create","outcome":"ok","answer":{"id":"s"},"call":1,"return":2}
{"session":"k","kind":"verify","pictures":{"front":"a"},"outcome":"unknown","call":1,"return":2}
{"session":"k","kind":"read","outcome":"ok","answer":{"id":"s","state":"collecting","revision":3,"evidence":{"front":"e"}},"call":3,"return":9}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		ops, err := history.Parse(bytes.NewReader(b))
		if err != nil {
			is(t, err, history.ErrHistory)
			return
		}
		history.Twice(ops)
		history.Unavailable(ops, 0)
		if len(ops) > 20 {
			return
		}
		r, err := history.Check(t.Context(), ops, 100*time.Millisecond, t.TempDir())
		ok(t, err)
		if r.Operations != len(ops) || len(r.Illegal)+len(r.Undecided) > r.Sessions {
			t.Errorf("%+v", r)
		}
	})
}
