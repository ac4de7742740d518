package history_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gatehouse/cmd/chaos/history"
)

// server is a small one of sessions, all in one memory, with lost answers. It is
// right unless it is told in which way to be wrong.
type server struct {
	wrong string

	mu       sync.Mutex
	random   *rand.Rand
	index    uint64
	sessions map[string]*session
	broken   bool // wrong in fact
}

type session struct {
	now, before history.Answer
	bytes       map[string]string
	submitted   map[string]bool
	returned    bool // the selfie is to be put again
	shown       bool // and somebody was told
}

func (s *server) roll(n int) bool { return s.random.IntN(n) == 0 }

// change a session; a server that loses writes forgets some of them at once.
func (s *server) change(x *session, do func()) {
	before := *x
	x.before = copied(x.now)
	before.bytes, before.submitted = maps.Clone(x.bytes), maps.Clone(x.submitted)
	before.now = copied(x.now)
	s.index += 1 + uint64(s.random.IntN(5))
	do()
	x.now.Revision = s.index
	if s.wrong == "lost write" && s.roll(10) {
		*x, s.broken = before, true
	}
}

func copied(a history.Answer) history.Answer { a.Evidence = maps.Clone(a.Evidence); return a }

// do answers, or refuses. heard tells that the answer will not be lost.
func (s *server) do(o history.Op, heard bool) (history.Answer, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.sessions[o.Session]
	switch {
	case x == nil && o.Kind != history.Create && o.Kind != history.Verify:
		return history.Answer{Missing: true}, true
	case x == nil, o.Kind == history.Create && s.wrong == "key twice" && s.roll(4):
		s.broken = s.broken || x != nil
		s.index++
		x = &session{now: history.Answer{ID: fmt.Sprint("ses_", s.index), State: "created", Revision: s.index, Evidence: map[string]string{}}, bytes: map[string]string{}, submitted: map[string]bool{}}
		s.sessions[o.Session] = x
	}
	open := x.now.State == "created" || x.now.State == "collecting"
	switch o.Kind {
	case history.Create:
		return history.Answer{ID: x.now.ID, State: "created"}, true
	case history.Evidence, history.Verify:
		for slot, bytes := range o.Pictures {
			if x.bytes[slot] == bytes && !(x.returned && slot == "selfie") {
				continue
			}
			if !open || x.returned && !x.shown {
				return history.Answer{}, false
			}
			s.change(x, func() {
				x.now.State, x.bytes[slot], x.now.Evidence[slot] = "collecting", bytes, fmt.Sprint("evi_", s.index)
				x.returned = x.returned && slot != "selfie"
			})
		}
		if o.Kind == history.Evidence {
			return history.Answer{ID: x.now.ID, Evidence: maps.Clone(x.now.Evidence)}, true
		}
		o.Key = o.Session
		fallthrough
	case history.Submit:
		if !x.submitted[o.Key] {
			if x.now.State != "collecting" || len(x.bytes) < 2 || x.returned {
				return history.Answer{}, false
			}
			s.change(x, func() {
				x.now.State, x.now.Failure = "submitted", ""
				x.submitted[o.Key] = true
			})
		}
	case history.Erase:
		if x.now.State != "erased" {
			s.change(x, func() {
				x.now.State, x.now.Decision, x.now.Evidence = "erased", "", map[string]string{}
				x.bytes, x.returned = map[string]string{}, false
			})
		}
	}
	a := copied(x.now)
	x.shown = x.shown || heard && x.returned
	if a.State == "submitted" && s.roll(2) {
		a.State = "processing"
	}
	if s.wrong == "stale read" && o.Kind == history.Read && x.before.State != "" && s.roll(4) {
		a, s.broken = copied(x.before), true
	}
	return a, true
}

// work decides what was submitted, and gives some of it back.
func (s *server) work() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.sessions {
		switch {
		case x.now.State == "submitted" && s.roll(6):
			s.change(x, func() { x.now.State, x.now.Failure, x.returned, x.shown = "collecting", "blurred", true, false })
		case x.now.State == "submitted":
			s.change(x, func() { x.now.State, x.now.Decision = "approved", fmt.Sprint("approved ", s.index) })
		case x.now.State == "approved" && s.wrong == "decided twice" && s.roll(3):
			s.change(x, func() { x.now.Decision = fmt.Sprint("approved ", s.index) })
			s.broken = true
		case x.now.State == "collecting" && s.wrong == "revision back" && s.roll(4):
			x.now.Revision--
			s.broken = true
		}
	}
}

// story lets clients work with a server for a while.
func story(t *testing.T, wrong string, seed uint64) (*server, []history.Op) {
	t.Helper()
	s := &server{wrong: wrong, random: rand.New(rand.NewPCG(seed, 1)), sessions: map[string]*session{}}
	l, err := history.NewLog(filepath.Join(t.TempDir(), "history.jsonl"))
	ok(t, err)
	var all sync.WaitGroup
	for client := range 4 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(10+client)))
			for range 60 {
				o := history.Op{Client: client, Session: fmt.Sprint("key-", random.IntN(5))}
				switch n := random.IntN(20); {
				case n < 3:
					o.Kind = history.Create
				case n < 9:
					o.Kind, o.Pictures = history.Evidence, map[string]string{[]string{"front", "selfie"}[random.IntN(2)]: fmt.Sprint(random.IntN(2))}
				case n < 11:
					o.Kind, o.Key = history.Submit, fmt.Sprint("submit-", random.IntN(3))
				case n == 11:
					o.Kind, o.Pictures = history.Verify, map[string]string{"front": "0", "selfie": "0"}
				case n == 12 && random.IntN(4) == 0:
					o.Kind = history.Erase
				default:
					o.Kind = history.Read
				}
				c := l.Begin(o)
				lost := random.IntN(20)
				if lost == 0 {
					c.Unknown(nil)
					continue
				}
				a, done := s.do(o, lost != 1)
				switch {
				case lost == 1:
					c.Unknown(nil)
				case !done:
					c.Failed(nil)
				default:
					c.OK(a)
				}
				if random.IntN(5) == 0 {
					s.work()
				}
				time.Sleep(time.Duration(random.IntN(50)) * time.Microsecond)
			}
		})
	}
	all.Wait()
	s.wrong = ""
	for name := range s.sessions { // what is wrong in fact is seen in the end
		o := history.Op{Session: name, Kind: history.Read}
		c := l.Begin(o)
		a, _ := s.do(o, true)
		c.OK(a)
	}
	ok(t, l.Close())
	return s, l.Ops()
}

func TestARightServer(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		s, ops := story(t, "", seed)
		r, err := history.Check(t.Context(), ops, 10*time.Second, filepath.Join(t.TempDir()))
		ok(t, err)
		if err := r.Err(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		found := history.Twice(ops)
		lost, err := history.Lost(t.Context(), ops, s.final)
		ok(t, err)
		if found = append(found, lost...); len(found) > 0 {
			t.Fatalf("seed %d: %v", seed, found)
		}
	}
}

func TestAWrongServer(t *testing.T) {
	t.Parallel()
	for _, wrong := range []string{"stale read", "lost write", "decided twice", "revision back", "key twice"} {
		t.Run(wrong, func(t *testing.T) {
			// What is wrong and was never asked for is seen by nobody: some
			// histories are good all the same.
			const enough, most = 3, 20
			found := 0
			for seed := uint64(0); seed < most && found < enough; seed++ {
				s, ops := story(t, wrong, seed)
				r, err := history.Check(t.Context(), ops, 10*time.Second, t.TempDir())
				ok(t, err)
				if len(r.Illegal) > 0 {
					found++
					if !s.broken {
						t.Fatalf("seed %d: the server was right: %v", seed, r.Err())
					}
				}
			}
			if found < enough {
				t.Errorf("found in %d of %d histories", found, most)
			}
		})
	}
}

// final is the truth.
func (s *server) final(_ context.Context, session, _ string) (history.Answer, error) {
	a, _ := s.do(history.Op{Session: session, Kind: history.Read}, true)
	return a, nil
}
