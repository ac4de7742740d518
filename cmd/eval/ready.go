package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"gatehouse/appliance/identify"
	"gatehouse/engine/pack"
	"gatehouse/engine/specimen"
	"gatehouse/store/command"
	"gatehouse/store/id"
	"gatehouse/store/keys"
	"gatehouse/store/state"
)

// readyGoal and rebuildGoal are those of the gallery's design, for a million.
const (
	readyRows   = 1_000_000
	readyGoal   = 5
	rebuildGoal = 60
)

func readyFigures(rows int) []figure {
	all := []figure{info("gallery_ready_s", "s", 2), info("gallery_rebuild_s", "s", 2)}
	if rows == readyRows {
		all = []figure{goal("gallery_ready_s", "s", 2, "<", readyGoal), goal("gallery_rebuild_s", "s", 2, "<", rebuildGoal)}
	}
	return append(all, info("gallery_snapshot_s", "s", 2), info("gallery_state_gb", "GB", 2))
}

// ready measures how long a node waits for its galleries: made from the sealed
// templates of the state, and read from the encrypted snapshot, with the check
// that it is what the state says.
func (s *galleryRun) ready(ctx context.Context, rows int) error {
	s.declare(readyFigures(rows)...)
	dir, err := os.MkdirTemp(s.dir, "ready")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b, err := newBank(dir)
	if err != nil {
		return err
	}
	defer b.close()
	if err := b.fill(ctx, s.progress, rows); err != nil {
		return err
	}
	info, err := os.Stat(filepath.Join(dir, "state.db"))
	if err != nil {
		return err
	}
	rebuild, err := b.load(ctx, rows)
	if err != nil {
		return fmt.Errorf("from the templates: %w", err)
	}
	start := time.Now()
	b.keeper.Close(ctx)
	save := time.Since(start)
	var reads []float64
	for range 3 {
		read, err := b.load(ctx, rows)
		if err != nil {
			return fmt.Errorf("from the snapshot: %w", err)
		}
		reads = append(reads, read.Seconds())
		b.keeper.Drop()
	}
	t := table{title: fmt.Sprintf("A node's galleries, %d templates", rows), head: []string{"from", "s"},
		note: "The files are in the page cache. The state is read beside the snapshot to prove that both hold the same."}
	t.add("sealed templates", fmt.Sprintf("%.2f", rebuild.Seconds()))
	t.add("snapshot, median of 3", fmt.Sprintf("%.2f", median(reads)))
	t.add("writing the snapshot", fmt.Sprintf("%.2f", save.Seconds()))
	s.table(t)
	s.measure("gallery_ready_s", median(reads))
	s.measure("gallery_rebuild_s", rebuild.Seconds())
	s.measure("gallery_snapshot_s", save.Seconds())
	s.measure("gallery_state_gb", float64(info.Size())/1e9)
	return nil
}

// bank is a state with keys and one tenant.
type bank struct {
	dir    string
	keys   *keys.Store
	state  *state.State
	tenant string
	key    *keys.Tenant
	index  uint64
	keeper *identify.Keeper
}

func newBank(dir string) (b *bank, err error) {
	now := time.Now()
	cluster := id.New(id.Cluster, now, rand.Reader)
	b = &bank{dir: dir, tenant: id.New(id.Tenant, now, rand.Reader)}
	if b.keys, err = keys.Create(dir, cluster, rand.Reader, func(s *keys.Store) error {
		_, err := s.AddFile(filepath.Join(dir, "seal.key"))
		return err
	}); err != nil {
		return nil, err
	}
	if b.state, err = state.Open(filepath.Join(dir, "state.db"), true); err != nil {
		return nil, err
	}
	wrapped, err := b.keys.NewTenant(b.tenant)
	if err != nil {
		return nil, err
	}
	if b.key, err = b.keys.Tenant(b.tenant, wrapped); err != nil {
		return nil, err
	}
	code := sha256.Sum256([]byte("code"))
	for _, c := range []struct {
		t       command.Type
		payload proto.Message
		action  string
	}{
		{command.Type_FOUND, &command.Found{Cluster: cluster, Node: "nod_bench", SetupCode: code[:]}, "cluster.found"},
		{command.Type_SETUP, &command.Setup{SetupCode: code[:], Tenant: &command.Tenant{Id: b.tenant, Name: "Bench", Key: wrapped, CreatedNs: now.UnixNano()},
			Admin: &command.Client{Id: id.New(id.Client, now, rand.Reader), Tenant: b.tenant, Name: "bench", Roles: []string{state.PlatformAdmin}, Key: code[:], CreatedNs: now.UnixNano()}}, "setup.complete"},
	} {
		e, err := b.entry(c.t, "", c.payload, c.action)
		if err != nil {
			return nil, err
		}
		if err := b.apply(e); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (b *bank) close() {
	if b.keeper != nil {
		b.keeper.Drop()
	}
	b.state.Close()
	b.keys.Seal()
}

// entry of a command; its index is given when it is applied.
func (b *bank) entry(t command.Type, tenant string, payload proto.Message, action string) (state.Entry, error) {
	c, err := command.New(t, payload)
	if err != nil {
		return state.Entry{}, err
	}
	now := time.Now()
	c.Id, c.Tenant, c.ProposedAtNs, c.Proposer = id.New(id.Command, now, rand.Reader), tenant, now.UnixNano(), "nod_bench"
	c.Actor = &command.Actor{Type: "node", Id: "nod_bench"}
	c.Events = []*command.Event{{Id: id.New(id.Event, now, rand.Reader), Action: action, Result: "ok"}}
	data, err := command.Encode(c)
	return state.Entry{Term: 1, Data: data}, err
}

func (b *bank) apply(entries ...state.Entry) error {
	for i := range entries {
		b.index++
		entries[i].Index = b.index
	}
	answers, err := b.state.Apply(entries)
	if err != nil {
		return err
	}
	for _, a := range answers {
		if a.Refusal != "" {
			return fmt.Errorf("refused: %s", a.Refusal)
		}
	}
	return nil
}

// fill enrols as many faces, each of a person of its own, with the commands of
// the blocklist: one each, as a decision is one each.
func (b *bank) fill(ctx context.Context, progress io.Writer, rows int) error {
	faces := specimen.NewTemplates(7, faceDimension)
	const step = 2000
	for done := 0; done < rows; done += step {
		if err := ctx.Err(); err != nil {
			return err
		}
		entries := make([]state.Entry, min(step, rows-done))
		errs := make([]error, len(entries))
		var group sync.WaitGroup
		for w := range runtime.NumCPU() {
			group.Go(func() {
				for i := w; i < len(entries); i += runtime.NumCPU() {
					entries[i], errs[i] = b.enrolment(faces.Template(uint64(done+i), 0))
				}
			})
		}
		group.Wait()
		for _, err := range errs {
			if err != nil {
				return err
			}
		}
		if err := b.apply(entries...); err != nil {
			return err
		}
		fmt.Fprintf(progress, "\r%d of %d templates in the state", done+len(entries), rows)
	}
	fmt.Fprintln(progress)
	return b.state.Commit()
}

func (b *bank) enrolment(vector []float32) (state.Entry, error) {
	now := time.Now()
	entry, subject := id.New(id.Block, now, rand.Reader), id.New(id.Subject, now, rand.Reader)
	u, wrapped, err := b.key.NewSubject(subject)
	if err != nil {
		return state.Entry{}, err
	}
	sealed, err := u.Seal(identify.Place(benchModel, entry), identify.Bytes(vector))
	if err != nil {
		return state.Entry{}, err
	}
	return b.entry(command.Type_BLOCK, b.tenant, &command.Block{
		Blocked:  &command.Blocked{Id: entry, Tenant: b.tenant, Subject: subject, CreatedNs: now.UnixNano()},
		Subject:  &command.Subject{Id: subject, Tenant: b.tenant, Key: wrapped, CreatedNs: now.UnixNano()},
		Template: &command.Template{Session: entry, Model: benchModel, Sealed: sealed},
	}, "blocklist.add")
}

const benchModel = "bench/704"

// load makes the galleries in a new keeper, and gives how long it took.
func (b *bank) load(ctx context.Context, rows int) (time.Duration, error) {
	loaded := make(chan struct{}, 1)
	folder := filepath.Join(b.dir, "gallery")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return 0, err
	}
	b.keeper = identify.New(identify.Config{State: b.state, Keys: b.keys, Dir: folder, Room: func(uint64) bool { return true },
		Calibration: &pack.MatchCalibration{EmbeddingID: benchModel, SafetyFactor: 1, FMR: []pack.RatePoint{{Score: 0.1, Rate: 0.1}, {Score: 0.5, Rate: 1e-5}}},
		Dimension:   faceDimension, Log: slog.New(slog.DiscardHandler), Rand: rand.Reader, Fatal: func(error) {}, Loaded: func() { loaded <- struct{}{} }})
	start := time.Now()
	b.keeper.Load()
	for {
		select {
		case <-loaded:
			took := time.Since(start)
			if n, _ := b.keeper.Size(); n != rows {
				return 0, fmt.Errorf("%d templates of %d", n, rows)
			}
			return took, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(time.Second):
			if time.Since(start) > 10*time.Minute {
				_, why := b.keeper.Ready()
				return 0, fmt.Errorf("not loaded in 10 minutes: %s", why)
			}
		}
	}
}
