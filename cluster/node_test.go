package cluster_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/cluster"
	"gatehouse/store/command"
	"gatehouse/store/state"
)

// member is a node over files in a folder.
type member struct {
	dir   string
	state *state.State
	node  *cluster.Node
	stop  context.CancelFunc
	ran   chan error
}

func start(ctx context.Context, dir string, found bool) (*member, error) {
	s, err := state.Open(filepath.Join(dir, "state.db"), found)
	if err != nil {
		return nil, err
	}
	how := cluster.Again
	if found {
		how = cluster.Found
	}
	config := cluster.Config{Cluster: "clu_a", Dir: filepath.Join(dir, "raft"), ID: "nod_a", State: s, Log: slog.New(slog.DiscardHandler)}
	config.Quick()
	node, err := cluster.Open(ctx, config, how)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	m := &member{dir, s, node, stop, make(chan error, 1)}
	go func() { m.ran <- node.Run(ctx) }()
	return m, nil
}

func (m *member) close(t testing.TB) {
	t.Helper()
	m.stop()
	must(t, <-m.ran)
	must(t, m.node.Close())
	must(t, m.state.Close())
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, dir string, found bool) *member {
	t.Helper()
	m, err := start(t.Context(), dir, found)
	must(t, err)
	return m
}

// founded has the tenant ten_a.
func founded(t testing.TB) *member {
	t.Helper()
	m := open(t, t.TempDir(), true)
	must(t, populate(t.Context(), m))
	return m
}

func populate(ctx context.Context, m *member) error {
	code := sha256.Sum256([]byte("code"))
	for _, c := range []*command.Command{
		commandOf(command.Type_FOUND, &command.Found{Cluster: "clu_a", Node: "nod_a", SetupCode: code[:]}, "cluster.found"),
		commandOf(command.Type_SETUP, &command.Setup{SetupCode: code[:], Tenant: &command.Tenant{Id: "ten_a"}, Admin: &command.Client{Id: "cli_a", Tenant: "ten_a", Roles: []string{state.PlatformAdmin}}}, "setup.complete"),
	} {
		if a, err := m.node.Propose(ctx, c); err != nil || a.Refusal != "" {
			return fmt.Errorf("%v: %v, %w", c.Type, a, err)
		}
	}
	return nil
}

func create(id string) *command.Command {
	c := commandOf(command.Type_CREATE_SESSION, &command.CreateSession{Session: &command.Session{Id: id, Tenant: "ten_a", ExpiresNs: time.Now().Add(time.Hour).UnixNano(), TtlNs: 1},
		Subject: &command.Subject{Id: "sub_" + id, Tenant: "ten_a", Key: []byte("wrapped")}}, "session.create")
	c.Tenant = "ten_a"
	c.Events[0].ObjectType, c.Events[0].ObjectId = "session", id
	return c
}

func has(t testing.TB, s *state.State, ids ...string) {
	t.Helper()
	must(t, s.View(func(v *state.View) error {
		for _, id := range ids {
			if _, err := v.Session("ten_a", id); err != nil {
				t.Errorf("session %s: %v", id, err)
			}
		}
		return nil
	}))
}

func TestProposeAndOpenAgain(t *testing.T) {
	t.Parallel()
	m := founded(t)
	a, err := m.node.Propose(t.Context(), create("ses_1"))
	if err != nil || a.Id != "ses_1" || a.Log != "ten_a" || a.Index == 0 {
		t.Fatalf("%v, %v", a, err)
	}
	has(t, m.state, "ses_1") // at once
	if a, err := m.node.Propose(t.Context(), create("ses_1")); err != nil || a.Refusal != string(state.Exists) {
		t.Errorf("%v, %v", a, err)
	}
	var all sync.WaitGroup
	ids := make([]string, 64)
	for i := range ids {
		ids[i] = fmt.Sprintf("ses_at_once_%d", i)
		all.Go(func() {
			if a, err := m.node.Propose(t.Context(), create(ids[i])); err != nil || a.Id != ids[i] {
				t.Errorf("%v, %v", a, err)
			}
			has(t, m.state, ids[i])
		})
	}
	all.Wait()
	must(t, m.node.Read(t.Context()))
	s := m.node.Status()
	index, hash := m.state.Applied()
	if s.Role != "leader" || s.Term == 0 || s.Index != index || s.Applied != index || s.Waiting != 0 || s.SnapshotIndex != 0 {
		t.Errorf("%+v at %d", s, index)
	}
	m.close(t)

	for range 2 {
		m = open(t, m.dir, false)
		has(t, m.state, append(ids, "ses_1")...)
		if i, h := m.state.Applied(); i != index || h != hash {
			t.Errorf("at %d, was %d", i, index)
		}
		m.close(t)
	}
	m = open(t, m.dir, true) // founding does nothing where there is one
	has(t, m.state, "ses_1")
	if found, err := m.state.Check(t.Context(), nil, nil); err != nil || len(found) > 0 {
		t.Errorf("%v, %v", found, err)
	}
	m.close(t)
}

func TestWhatCannotBeProposed(t *testing.T) {
	t.Parallel()
	m := founded(t)
	before, _ := m.state.Applied()
	large := create("ses_1")
	large.Idempotency = &command.Idempotency{Answer: make([]byte, command.MaxSize)}
	if _, err := m.node.Propose(t.Context(), large); !errors.Is(err, command.ErrTooLarge) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.node.Propose(ctx, create("ses_1")); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if err := m.node.Read(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if after, _ := m.state.Applied(); after != before {
		t.Errorf("%d entries were applied", after-before)
	}
	m.close(t)
	if _, err := m.node.Propose(t.Context(), create("ses_1")); !errors.Is(err, cluster.ErrUnavailable) {
		t.Errorf("closed: %v", err)
	}
	if err := m.node.Read(t.Context()); !errors.Is(err, cluster.ErrUnavailable) {
		t.Errorf("closed: %v", err)
	}
}

// Nobody who waits for an answer waits for ever.
func TestCloseWhileProposing(t *testing.T) {
	t.Parallel()
	m := founded(t)
	var all sync.WaitGroup
	var acked sync.Map
	for i := range 32 {
		all.Go(func() {
			for n := 0; ; n++ {
				id := fmt.Sprintf("ses_%d_%d", i, n)
				a, err := m.node.Propose(context.Background(), create(id))
				if err != nil {
					if !errors.Is(err, cluster.ErrUnavailable) {
						t.Error(err)
					}
					return
				}
				if a.Refusal == "" {
					acked.Store(id, true)
				}
			}
		})
	}
	time.Sleep(100 * time.Millisecond)
	m.close(t)
	all.Wait()
	m = open(t, m.dir, false)
	acked.Range(func(id, _ any) bool { has(t, m.state, id.(string)); return true })
	m.close(t)
}

func TestNothingRunsAfterClose(t *testing.T) {
	before := runtime.NumGoroutine()
	m := founded(t)
	m.close(t)
	var stacks string
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	b := make([]byte, 1<<20)
	stacks = string(b[:runtime.Stack(b, true)])
	t.Errorf("%d goroutines, then %d:\n%s", before, runtime.NumGoroutine(), stacks)
}

func TestOpenGivesUp(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	dir := t.TempDir()
	if _, err := start(ctx, dir, true); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("%v", err)
	}
	m := open(t, dir, true)
	must(t, populate(t.Context(), m))
	m.close(t)
}

// copied puts a copy of what is under a folder elsewhere.
func copied(t testing.TB, from string) string {
	t.Helper()
	to := t.TempDir()
	must(t, os.CopyFS(to, os.DirFS(from)))
	return to
}

func TestLogAndStateOfDifferentTimes(t *testing.T) {
	t.Parallel()
	m := founded(t)
	for i := range 10 {
		_, err := m.node.Propose(t.Context(), create(fmt.Sprintf("ses_%d", i)))
		must(t, err)
	}
	m.close(t)
	early := copied(t, m.dir)
	m = open(t, m.dir, false)
	for i := range 10 {
		_, err := m.node.Propose(t.Context(), create(fmt.Sprintf("ses_late_%d", i)))
		must(t, err)
	}
	index, hash := m.state.Applied()
	m.close(t)

	for name, c := range map[string]struct {
		damage func(dir string)
		found  bool
		says   string // empty: the state is made again from the log
	}{
		"log lost":                {func(dir string) { must(t, os.RemoveAll(filepath.Join(dir, "raft"))) }, false, "is missing"},
		"log lost, founded again": {func(dir string) { must(t, os.RemoveAll(filepath.Join(dir, "raft"))) }, true, "the state holds entry"},
		"log empty": {func(dir string) {
			must(t, os.RemoveAll(filepath.Join(dir, "raft", "log")))
			must(t, os.Mkdir(filepath.Join(dir, "raft", "log"), 0o700))
		}, true, "the state holds entry"},
		"log garbage": {func(dir string) {
			all, err := filepath.Glob(filepath.Join(dir, "raft", "log", "*.log"))
			must(t, err)
			must(t, os.WriteFile(all[0], make([]byte, 1<<16), 0o600))
		}, false, "raft log"},
		"vote lost": {func(dir string) { must(t, os.Remove(filepath.Join(dir, "raft", "vote.db"))) }, true, "voted in a term"},
		"vote garbage": {func(dir string) {
			must(t, os.WriteFile(filepath.Join(dir, "raft", "vote.db"), make([]byte, 1<<16), 0o600))
		}, false, "damaged"},
		"log of an earlier time":   {func(dir string) { replace(t, dir, early, "raft") }, false, "the state holds entry"},
		"state of an earlier time": {func(dir string) { replace(t, dir, early, "state.db") }, false, ""},
		"state lost": {func(dir string) {
			must(t, os.Remove(filepath.Join(dir, "state.db")))
			s, err := state.Open(filepath.Join(dir, "state.db"), true)
			must(t, err)
			must(t, s.Close())
		}, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := copied(t, m.dir)
			c.damage(dir)
			m, err := start(t.Context(), dir, c.found)
			if c.says != "" {
				if !errors.Is(err, cluster.ErrHistory) || !strings.Contains(err.Error(), c.says) {
					t.Errorf("%v", err)
				}
				return
			}
			must(t, err)
			if i, h := m.state.Applied(); i != index || h != hash {
				t.Errorf("at %d, want %d", i, index)
			}
			m.close(t)
		})
	}
}

// replace one name of a folder by an earlier copy's.
func replace(t testing.TB, dir, from, name string) {
	t.Helper()
	must(t, os.RemoveAll(filepath.Join(dir, name)))
	info, err := os.Stat(filepath.Join(from, name))
	must(t, err)
	if info.IsDir() {
		must(t, os.CopyFS(filepath.Join(dir, name), os.DirFS(filepath.Join(from, name))))
		return
	}
	b, err := os.ReadFile(filepath.Join(from, name))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, name), b, 0o600))
}
