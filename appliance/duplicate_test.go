package appliance_test

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/appliance"
	"gatehouse/appliance/access"
	"gatehouse/appliance/act"
	"gatehouse/appliance/appliancetest"
	"gatehouse/appliance/identify"
	"gatehouse/appliance/jobs"
	"gatehouse/appliance/session"
	"gatehouse/engine/specimen"
	"gatehouse/store/audit"
	"gatehouse/store/command"
	"gatehouse/store/id"
	"gatehouse/store/keys"
	"gatehouse/store/state"
)

// waiting is a submitted session of a new person that no worker has.
func waiting(t *testing.T, in *appliance.Node, home *appliancetest.Tenant) jobs.Job {
	t.Helper()
	op := home.Key(t, access.Operator)
	id := op.Filled(t)
	s := in.Sessions()
	c := callerOf(home, op)
	if _, err := s.Propose(t.Context(), c, command.Type_SUBMIT, &command.Submit{Session: id, Node: s.Node}, nil, act.Event(c, audit.SessionSubmit, "session", id)); err != nil {
		t.Fatal(err)
	}
	return jobs.Job{Tenant: home.ID, Session: id, Attempt: 1}
}

// outcome of a decided session, and the rules that led to it.
func outcome(t *testing.T, op *appliancetest.Client, id string) (string, []string) {
	t.Helper()
	var s struct {
		State    string
		Decision struct{ Reasons []struct{ Rule string } }
	}
	op.Do(t, "GET", "/v1/sessions/"+id+"?wait=30s", nil).Want(t, 200).JSON(t, &s)
	var rules []string
	for _, r := range s.Decision.Reasons {
		rules = append(rules, r.Rule)
	}
	return s.State, rules
}

func duplicate(state string, rules []string) bool {
	return state == "review" && slices.Equal(rules, []string{"face.unique.failed"})
}

// Of verifications of one new face that are worked on at the same time, under
// different names, one is the first and all others find it.
func TestTwoAtOnce(t *testing.T) {
	n, in := inside(t)
	in.Jobs().Pause() // the test works
	rounds, together := 6, 3
	if testing.Short() {
		rounds = 2
	}
	for round := range rounds {
		home := n.Tenant(t) // where nobody is enrolled
		op := home.Key(t, access.Operator)
		var all []jobs.Job
		for range together {
			all = append(all, waiting(t, in, home))
		}
		var group sync.WaitGroup
		for _, j := range all {
			group.Go(func() {
				if err := in.Sessions().Work(t.Context(), j); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		approved, duplicates := 0, 0
		for _, j := range all {
			switch state, rules := outcome(t, op, j.Session); {
			case state == "approved":
				approved++
			case duplicate(state, rules):
				duplicates++
			default:
				t.Errorf("round %d: %s %v", round, state, rules)
			}
		}
		if approved != 1 || duplicates != together-1 {
			t.Errorf("round %d: %d approved, %d duplicates", round, approved, duplicates)
		}
	}
}

// Who is enrolled beside the lane, after the last look at the gallery, is found
// too: the state asks for another look.
func TestSearchAgain(t *testing.T) {
	n, in := inside(t)
	in.Jobs().Pause()
	home := n.Tenant(t)
	op := home.Key(t, access.Operator)
	first, second := waiting(t, in, home), waiting(t, in, home)
	c := in.Sessions().Config
	loaded := make(chan struct{}, 1)
	beyond := identify.New(identify.Config{State: c.State, Keys: c.Keys, Dir: t.TempDir(), Room: func(uint64) bool { return true },
		Calibration: &c.Engine.Pack().Calibration.Match, Dimension: c.Engine.Faces.Dimension(), Log: c.Log, Rand: rand.Reader,
		Fatal: func(err error) { t.Error(err) }, Loaded: func() { loaded <- struct{}{} }})
	beyond.Load()
	<-loaded
	defer beyond.Drop()
	c.Faces = beyond // with a lane of its own, as another node has
	proposals := 0
	s := beside(in, func(cmd *command.Command) {
		if cmd.Type != command.Type_COMPLETE {
			return
		}
		if proposals++; proposals == 1 {
			if err := session.New(c).Work(t.Context(), first); err != nil {
				t.Error(err)
			}
		}
	})
	if err := s.Work(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	if state, rules := outcome(t, op, first.Session); state != "approved" {
		t.Errorf("the first: %s %v", state, rules)
	}
	if state, rules := outcome(t, op, second.Session); !duplicate(state, rules) || proposals != 2 {
		t.Errorf("the second, proposed %d times: %s %v", proposals, state, rules)
	}
	if counts := appliancetest.Counts(home.Leaves(t)); counts["decision.make"] != 2 || counts["template.enrol"] != 2 {
		t.Errorf("%v", counts)
	}
}

// decided verifies the face under a name that nobody had.
func decided(t *testing.T, op *appliancetest.Client) (string, []string) {
	t.Helper()
	id := op.Filled(t)
	op.Do(t, "POST", "/v1/sessions/"+id+"/submit", nil).Want(t, 202)
	return outcome(t, op, id)
}

// Sealed, a node has no gallery; opened, it finds who was enrolled before.
func TestDuplicateAfterTheSeal(t *testing.T) {
	n, in := inside(t)
	op := n.Home.Key(t, access.Operator)
	if state, rules := decided(t, op); state != "approved" {
		t.Fatalf("%s %v", state, rules)
	}
	ready := func(want bool) {
		t.Helper()
		if ok, why := in.Sessions().Faces.Ready(); ok != want {
			t.Errorf("ready %v: %s", ok, why)
		}
	}
	ready(true)
	late := op.Filled(t)
	in.Jobs().Pause() // else it is decided before the seal is closed
	op.Do(t, "POST", "/v1/sessions/"+late+"/submit", nil).Want(t, 202)
	n.Home.Admin.Do(t, "POST", "/v1/seal/close", nil).Want(t, 200)
	ready(false)
	if templates, bytes := in.Sessions().Faces.Size(); templates != 0 || bytes != 0 {
		t.Errorf("sealed, with %d templates of %d bytes", templates, bytes)
	}
	n.Home.Admin.Do(t, "POST", "/v1/seal/open", appliancetest.JSON(`{"file":true}`)).Want(t, 200)
	if state, rules := outcome(t, op, late); !duplicate(state, rules) { // the pool goes on by itself
		t.Errorf("%s %v", state, rules)
	}
	ready(true)
	if state, rules := decided(t, op); !duplicate(state, rules) {
		t.Errorf("%s %v", state, rules)
	}
}

// A started node finds who was enrolled before it was stopped: from the
// templates, and from a snapshot.
func TestDuplicateAfterAStart(t *testing.T) {
	var in *appliance.Node // as it runs now
	n := appliancetest.Start(t, appliancetest.Opened(func(n *appliance.Node) { in = n }))
	op := n.Home.Key(t, access.Operator)
	if state, rules := decided(t, op); state != "approved" {
		t.Fatalf("%s %v", state, rules)
	}
	folder := filepath.Join(n.Data, "gallery")
	n.Restart(t, func() {
		if files, err := os.ReadDir(folder); err != nil || len(files) > 0 {
			t.Errorf("a snapshot of one face: %v, %v", files, err)
		}
	})
	if state, rules := decided(t, op); !duplicate(state, rules) {
		t.Errorf("from the templates: %s %v", state, rules)
	}
	blockMany(t, in, n.Home, 300) // so many are worth a snapshot
	n.Restart(t, func() {
		if files, err := os.ReadDir(folder); err != nil || len(files) != 2 {
			t.Errorf("the snapshot is %v, %v", files, err)
		}
	})
	if state, rules := decided(t, op); !duplicate(state, rules) {
		t.Errorf("from the snapshot: %s %v", state, rules)
	}
	if strings.Contains(n.Log(), "cannot be used") {
		t.Error("the snapshot was not used")
	}
	s, err := in.Sessions().Faces.Stats(n.Home.ID)
	if err != nil || s.Snapshot == 0 || s.Blocklist.Templates != 300 || s.Subjects.Templates != 3 {
		t.Errorf("%+v, %v", s, err)
	}
}

// blockMany puts invented faces on the blocklist.
func blockMany(t *testing.T, in *appliance.Node, home *appliancetest.Tenant, many int) {
	t.Helper()
	s := in.Sessions()
	invented := specimen.NewTemplates(1, s.Engine.Faces.Dimension())
	model := s.Engine.Pack().Calibration.Match.EmbeddingID
	var row *command.Tenant
	if err := s.State.View(func(v *state.View) (err error) { row, err = v.Tenant(home.ID); return err }); err != nil {
		t.Fatal(err)
	}
	owner, err := s.Keys.Tenant(home.ID, row.Key)
	if err != nil {
		t.Fatal(err)
	}
	c := callerOf(home, home.Key(t, access.Operator))
	var group sync.WaitGroup
	for part := range 20 { // at once: each waits for the disk
		group.Go(func() {
			for i := part; i < many; i += 20 {
				if err := blockOne(t.Context(), s, c, owner, model, invented.Template(uint64(i), 0)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}

func blockOne(ctx context.Context, s *session.Service, c access.Caller, owner *keys.Tenant, model string, vector []float32) error {
	now := time.Now()
	b := &command.Blocked{Id: id.New(id.Block, now, rand.Reader), Tenant: c.Tenant, Subject: id.New(id.Subject, now, rand.Reader), CreatedBy: c.Client, CreatedNs: now.UnixNano(), Sealed: []byte("why")}
	u, wrapped, err := owner.NewSubject(b.Subject)
	if err != nil {
		return err
	}
	sealed, err := u.Seal(identify.Place(model, b.Id), identify.Bytes(vector))
	if err != nil {
		return err
	}
	_, err = s.Propose(ctx, c, command.Type_BLOCK, &command.Block{Blocked: b, Subject: &command.Subject{Id: b.Subject, Tenant: c.Tenant, Key: wrapped, CreatedNs: b.CreatedNs},
		Template: &command.Template{Session: b.Id, Model: model, Sealed: sealed}}, nil, act.Event(c, audit.BlocklistAdd, "blocklist_entry", b.Id))
	return err
}
