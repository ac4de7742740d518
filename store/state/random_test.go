package state_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"gatehouse/store/audit"
	"gatehouse/store/command"
	"gatehouse/store/state"
)

// mark is what must be equal wherever the same entries were applied.
type mark struct {
	index uint64
	hash  [32]byte
	roots string
}

func markOf(t testing.TB, s *state.State) mark {
	t.Helper()
	var m mark
	m.index, m.hash = s.Applied()
	names := logs
	if m.index > 0 {
		if err := s.View(func(v *state.View) (err error) { names, err = v.EveryLog(); return err }); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range names {
		log := s.Log(name)
		h, err := log.Head()
		if err != nil {
			if m.index == 0 {
				return m // not founded yet
			}
			t.Fatal(err)
		}
		root, err := audit.Root(h.Size, log)
		if err != nil {
			t.Fatal(err)
		}
		m.roots += fmt.Sprintln(name, h.Size, root)
	}
	return m
}

var logs = []string{audit.System, "ten_a", "ten_b", "ten_c"}

// story is a random log of commands, valid and refused, with the answers and
// the state that came of them one at a time.
type story struct {
	entries  []state.Entry
	answers  []*command.Answer
	want     mark
	types    map[command.Type]int // done; NONE: replays
	refusals map[string]int
	removals int
}

// tell a story of n commands, of a cluster that is founded at version 2 or comes
// to it at an eighth. The world is left open.
func tell(t *testing.T, seed uint64, n int) (*story, *world) {
	r := rand.New(rand.NewPCG(seed, 1))
	w := foundedAt(t, uint32(seed%3))
	st := &story{types: map[command.Type]int{}, refusals: map[string]int{}}
	sessions, clients, faces := 0, 0, 0
	model, members := naive{enrolled: map[uint64]*command.Enrolment{}}, &cast{}
	pick := func() string { return fmt.Sprintf("ses_%d", max(0, sessions-r.IntN(7))) }
	for len(w.log) < n {
		id := pick()
		var s *command.Session
		w.view(func(v *state.View) { s, _ = v.Session("ten_a", id) })
		attempt := s.GetAttempt()
		if r.IntN(8) == 0 {
			attempt++
		}
		slot := []string{"document_front", "document_back", "selfie", "liveness_frame_1", "other"}[r.IntN(5)]
		var c *command.Command
		step := r.IntN(34)
		if r.IntN(2) == 0 { // what a client would do next
			step = next(r, s)
			if step == 20 {
				slot = "selfie"
			}
		}
		switch len(w.log) {
		case n / 8:
			step = 34
		case n - n/8, n - n/16:
			step = 35
		}
		switch step {
		case 0, 1, 2:
			sessions++
			ref := ""
			if r.IntN(2) == 0 {
				ref = fmt.Sprintf("reference %d", r.IntN(40))
			}
			c = w.create(fmt.Sprintf("ses_%d", sessions), fmt.Sprintf("sub_ses_%d", sessions), ref)
		case 3:
			c = w.create(id, "sub_"+id, "") // there already
		case 4, 5, 6, 7, 8:
			c = w.evidence(id, slot, r.IntN(6))
		case 9, 10:
			c = w.evidence(id, "document_front", r.IntN(100))
		case 11, 12:
			c = w.evidence(id, "selfie", r.IntN(100))
		case 13, 14, 15, 16:
			c = w.submit(id)
		case 17:
			c = w.retry(id, attempt)
		case 18, 19:
			c = w.decide(r, id, attempt, model.newest())
		case 20:
			c = w.back(id, attempt, slot)
		case 21:
			c = w.fail(id, attempt)
		case 22:
			subject := "sub_" + id
			if r.IntN(2) == 0 { // somebody who has a face on file
				subject = model.somebody(r, subject)
			}
			c = w.erase(subject)
		case 23:
			c = w.command(command.Type_RECORD, logs[r.IntN(3)], nil)
			if c.Tenant == audit.System {
				c.Tenant = ""
			}
			c.Events[0].Commitments = map[string][]byte{"name": hash("n"), "birth": hash("b"), "number": hash("x")}
			c.Events[0].Facts = map[string]string{"b": "1", "a": "2", "c": "3"}
		case 24:
			passed := time.Duration(r.IntN(150)) * time.Second
			if r.IntN(30) == 0 {
				passed = 25 * time.Hour
			}
			c = w.tick(w.now + int64(passed))
		case 25:
			clients = r.IntN(30)
			cl := client(logs[1+r.IntN(3)], fmt.Sprintf("cli_%d", clients))
			c = w.command(command.Type_CREATE_CLIENT, cl.Tenant, &command.CreateClient{Client: cl})
		case 26:
			c = w.command(command.Type_REVOKE_CLIENT, logs[1+r.IntN(3)], &command.RevokeClient{Client: []string{"cli_admin", fmt.Sprintf("cli_%d", r.IntN(30)), fmt.Sprintf("cli_%d", clients)}[r.IntN(3)]})
		case 27:
			switch r.IntN(6) {
			case 5:
				c = w.cosign("ten_a", 1+uint64(r.IntN(200)), fmt.Sprint("witness", r.IntN(3)))
			case 4:
				c = w.command(command.Type_RENEW_CODE, "", &command.RenewCode{SetupCode: hash("another")})
			case 0:
				c = w.command(command.Type_SETUP, "", &command.Setup{SetupCode: hash("code"), Tenant: tenant("ten_x"), Admin: admin("ten_x", "x")})
			case 1:
				id := []string{"ten_a", "ten_c"}[r.IntN(2)]
				c = w.command(command.Type_CREATE_TENANT, "", &command.CreateTenant{Tenant: tenant(id), Admin: client(id, "cli_c")})
			case 2:
				c = w.command(command.Type_FINALISE, "", &command.Finalise{Version: uint32(r.IntN(3))})
			case 3:
				c = w.command(command.Type_FOUND, "", &command.Found{Cluster: "clu_b"})
			}
		case 28:
			faces += r.IntN(3) / 2 // else one that there is, or was
			c = w.block(fmt.Sprintf("blk_%d", max(0, faces-r.IntN(2))), []string{"", id}[r.IntN(2)])
		case 29:
			c = w.unblock(fmt.Sprintf("blk_%d", max(0, faces-r.IntN(5))))
		case 30, 31, 32:
			c = members.step(w, r)
		case 33:
			c = w.reassign(id, attempt, fmt.Sprint("nod_", r.IntN(5)))
		case 34: // at its time alone
			c = w.finalise(2)
		case 35:
			c = w.startEpoch(2 + uint64(st.types[command.Type_START_EPOCH]))
		}
		if r.IntN(3) == 0 {
			k := r.IntN(1500)
			keyed(c, fmt.Sprint(k), fmt.Sprint(k+r.IntN(4)/3))
		}
		if r.IntN(20) == 0 { // a clock that is behind
			c.ProposedAtNs -= int64(r.IntN(10)) * int64(time.Second)
		}
		a := w.do(c)
		if a.Replay != nil {
			st.types[command.Type_NONE]++
		} else if a.Refusal == "" {
			st.types[c.Type]++
		} else {
			st.refusals[a.Refusal]++
		}
		st.answers = append(st.answers, a)
		model.told(w, c, s, a)
		members.told(c, a)
		if len(w.log)%250 == 0 {
			model.compare(w)
			members.compare(w)
		}
	}
	model.compare(w)
	members.compare(w)
	st.removals = len(model.removed)
	st.entries = w.log
	skipped := len(w.log) - len(st.answers) // those of founded
	st.answers = append(make([]*command.Answer, skipped), st.answers...)
	st.want = markOf(t, w.s)
	return st, w
}

// next step for a session that will be accepted, as tell numbers them.
func next(r *rand.Rand, s *command.Session) int {
	has := map[string]bool{}
	for _, e := range s.GetEvidence() {
		has[e.Slot] = e.Refused == ""
	}
	switch {
	case s.GetState() == state.Submitted:
		return []int{17, 18, 19, 20, 20, 21, 33}[r.IntN(7)]
	case s.GetState() != state.Created && s.GetState() != state.Collect:
		return 0
	case !has["document_front"]:
		return 9
	case !has["selfie"]:
		return 11
	}
	return 13
}

func (st *story) compare(t *testing.T, from int, got []*command.Answer) {
	t.Helper()
	for i, a := range got {
		if want := st.answers[from+i]; a != nil && want != nil && !proto.Equal(a, want) {
			t.Fatalf("entry %d: answer %v, want %v", from+i+1, a, want)
		}
	}
}

func (st *story) end(t *testing.T, s *state.State) {
	t.Helper()
	if got := markOf(t, s); got != st.want {
		t.Errorf("state %x at %d, want %x at %d\n%s%s", got.hash, got.index, st.want.hash, st.want.index, got.roots, st.want.roots)
	}
}

func length() int {
	if testing.Short() {
		return 1500
	}
	return 10_000
}

func TestApplyIsAFunctionOfTheLog(t *testing.T) {
	st, w := tell(t, 7, length())
	for typ := range command.Type_name {
		if typ := command.Type(typ); typ != command.Type_FOUND && typ != command.Type_SETUP && typ != command.Type_RENEW_CODE && typ != command.Type_SEAL_SEGMENT && st.types[typ] == 0 {
			t.Errorf("the story has no %v", typ)
		}
	}
	want := []state.Refusal{state.SearchAgain, state.NoBlocked, state.VersionUnsupported, state.NoMember, state.NoInvitation}
	if !testing.Short() {
		want = append(want, state.RingChanged, state.LastMember, state.TooManyMembers)
	}
	for _, code := range want {
		if st.refusals[string(code)] == 0 {
			t.Errorf("nothing in the story is refused as %s", code)
		}
	}
	if len(st.refusals) < 18 {
		t.Errorf("the story has few refusals: %v", st.refusals)
	}
	if st.removals < st.types[command.Type_UNBLOCK]+3 {
		t.Errorf("the story has few removals: %d, by %d blocklist entries that ended", st.removals, st.types[command.Type_UNBLOCK])
	}
	t.Logf("done %v, refused %v", st.types, st.refusals)
	findings, err := w.s.Check(context.Background(), nil, nil)
	if err != nil || len(findings) > 0 {
		t.Errorf("check of the state: %v, %v", findings, err)
	}

	t.Run("one batch", func(t *testing.T) {
		w := empty(t)
		got, err := w.s.Apply(st.entries)
		if err != nil {
			t.Fatal(err)
		}
		st.compare(t, 0, got)
		st.end(t, w.s)
	})
	for seed := range uint64(2) {
		t.Run(fmt.Sprint("random batches, commits, restarts ", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 2))
			w := empty(t)
			for i := 0; i < len(st.entries); {
				// From before the applied index now and then: what a replay is.
				from := max(0, i-r.IntN(3)*r.IntN(50))
				to := min(len(st.entries), i+1+r.IntN(400))
				got, err := w.s.Apply(st.entries[from:to])
				if err != nil {
					t.Fatal(err)
				}
				for k := range got[:i-from] {
					if got[k] != nil {
						t.Fatal("an entry was applied twice")
					}
				}
				st.compare(t, from, got)
				i = to
				switch r.IntN(4) {
				case 0:
					if err := w.s.Commit(); err != nil {
						t.Fatal(err)
					}
				case 1:
					w.reopen()
				}
			}
			st.end(t, w.s)
			w.reopen()
			st.end(t, w.s)
		})
	}
	t.Run("crashes", func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 3))
		w := empty(t)
		for i := 0; i < len(st.entries); {
			to := min(len(st.entries), i+1+r.IntN(length()/4))
			if _, err := w.s.Apply(st.entries[i:to]); err != nil {
				t.Fatal(err)
			}
			i = to
			// What a SIGKILL leaves: the file as of now, the transaction open.
			b, err := os.ReadFile(w.path)
			if err != nil {
				t.Fatal(err)
			}
			left := filepath.Join(t.TempDir(), "state.db")
			if err := os.WriteFile(left, b, 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := state.Open(left, false)
			if err != nil {
				t.Fatal(err)
			}
			applied, _ := s.Applied()
			if applied > uint64(i) {
				t.Fatalf("applied %d of %d", applied, i)
			}
			got, err := s.Apply(st.entries[:i]) // from the log's begin, as Raft does
			if err != nil {
				t.Fatal(err)
			}
			st.compare(t, 0, got)
			if got, want := markOf(t, s), markOf(t, w.s); got != want {
				t.Fatalf("state %x at %d, want %x at %d", got.hash, got.index, want.hash, want.index)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if r.IntN(2) == 0 {
				if err := w.s.Commit(); err != nil {
					t.Fatal(err)
				}
			}
		}
		st.end(t, w.s)
	})
}
