package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/appliance/api"
	"gatehouse/appliance/appliancetest/crash"
	"gatehouse/appliance/client"
)

const (
	// patience with a cluster whose nodes are started and stopped on two busy cores.
	patience = time.Minute
	longest  = 30 * time.Second // wait that a node allows
)

// three nodes of the real binary, or of another release, and what they have
// acknowledged.
type three struct {
	*testing.T
	nodes            []*served                  // server-1, -2, -3; without a Node where none runs
	branch, admin    map[*served]*client.Client // at this node alone
	any              *client.Client             // of the branch, at whichever answers
	document, selfie []byte

	mu    sync.Mutex
	acked map[string]acked // by session
}

// acked is a session as it was answered.
type acked struct {
	state    api.SessionState
	evidence int
}

// address that nobody listens at: below those that the system gives to connections
// (32768 on Linux), so that it stays free while the node is away.
func address(t *testing.T) string {
	t.Helper()
	for range 100 {
		a := fmt.Sprintf("127.0.0.1:%d", 10000+rand.IntN(20000))
		if l, err := net.Listen("tcp", a); err == nil {
			l.Close()
			return a
		}
	}
	t.Fatal("no port is free")
	return ""
}

// formThree starts three nodes of a program that vote; profiles admin and branch.
func formThree(t *testing.T, program string) *three {
	t.Helper()
	c := &three{T: t, document: specimenJPEG(t), selfie: readFile(t, obama2), acked: map[string]acked{}}
	dir := t.TempDir()
	t.Cleanup(func() {
		for _, s := range c.nodes {
			if s.Node != nil {
				s.Kill()
			}
			if t.Failed() {
				said := s.log.String()
				t.Logf("%s said at the end:\n%s", filepath.Base(s.Data), said[max(0, len(said)-8000):])
			}
		}
	})
	for i := range 3 {
		s := &served{dir: dir}
		s.Program = crash.Program{Binary: program, Data: filepath.Join(dir, fmt.Sprintf("server-%d", i+1)), Log: &s.log, Flags: []string{"--listen", address(t)}}
		c.nodes = append(c.nodes, s)
		peer, name := address(t), filepath.Base(s.Data)
		if i == 0 {
			s.Flags = append(s.Flags, "--peer", peer, "--node-name", name)
			s.start(t)
			succeed(t, "setup", "--server", s.Address, "--ca", s.CA, "--code", s.SetupCode, "--organisation", "Bank", "--profile", s.profile("admin"))
			s.enrol(t, "branch", "operator", "auditor", "reviewer")
			continue
		}
		if o := run(t, exec.Command(program, "cluster", "join", c.nodes[0].invite(t), "--data", s.Data, "--peer", peer, "--name", name)); o.code != 0 {
			t.Fatalf("%+v", o)
		}
		s.start(t)
	}
	c.calls()
	for _, s := range c.nodes {
		c.nodes[0].until(t, filepath.Base(s.Data), "a voter", func(m *shownMember) bool { return m != nil && m.Up && m.Role != "joining" })
	}
	return c
}

// calls makes what calls the nodes, by the keys of the profiles, which trust all
// nodes from then on.
func (c *three) calls() {
	c.Helper()
	var ca []byte
	var servers []string
	for _, s := range c.nodes {
		ca, servers = append(ca, readFile(c.T, s.CA)...), append(servers, s.Address)
	}
	call := func(profile, servers string) *client.Client {
		n, err := client.New(client.Config{Server: servers, CA: ca, Key: c.nodes[0].key(c.T, profile)})
		if err != nil {
			c.Fatal(err)
		}
		return n
	}
	c.any, c.branch, c.admin = call("branch", strings.Join(servers, ",")), map[*served]*client.Client{}, map[*served]*client.Client{}
	for _, s := range c.nodes {
		c.branch[s], c.admin[s] = call("branch", s.Address), call("admin", s.Address)
	}
	for _, name := range []string{"admin", "branch"} {
		b, err := json.Marshal(map[string]string{"server": servers[0], "ca": string(ca), "key": c.nodes[0].key(c.T, name)})
		if err == nil {
			err = os.WriteFile(c.nodes[0].profile(name), b, 0o600)
		}
		if err != nil {
			c.Fatal(err)
		}
	}
}

func (c *three) running() (all []*served) {
	for _, s := range c.nodes {
		if s.Node != nil {
			all = append(all, s)
		}
	}
	return all
}

// insist asks again, as a branch system does, while there is no answer: the
// request has an idempotency key. A refusal is an error at once.
func insist[T any](ctx context.Context, ask func() (T, error)) (T, error) {
	for end := time.Now().Add(patience); ; {
		a, err := ask()
		var p *client.Problem
		if err == nil || ctx.Err() != nil || time.Now().After(end) || errors.As(err, &p) && p.Status < 500 && p.Status != http.StatusTooManyRequests {
			return a, err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func request(reference string) api.SessionRequest {
	return api.SessionRequest{Kind: api.SessionRequestKindIdentity, SubjectRef: &reference,
		Consent: api.Consent{Channel: api.ConsentChannelBranch, TextVersion: "1", GivenAt: time.Now().UTC()}}
}

// create a session.
func (c *three) create(ctx context.Context, n *client.Client, reference string) (*api.Session, error) {
	in := request(reference)
	a, err := insist(ctx, func() (*api.Session, error) { return n.CreateSession(ctx, reference, in) })
	if err == nil {
		c.note(a)
	}
	return a, err
}

// verify a person.
func (c *three) verify(ctx context.Context, n *client.Client, reference string) error {
	v := client.Verification{Session: request(reference)}
	for to, b := range map[**client.Picture][]byte{&v.DocumentFront: c.document, &v.Selfie: c.selfie} {
		var err error
		if *to, err = client.NewPicture(bytes.NewReader(b), int64(len(b))); err != nil {
			return err
		}
	}
	a, err := insist(ctx, func() (*api.Session, error) { return n.Verify(ctx, reference, longest, v) })
	for tries := 3; err == nil && a.Decision == nil && tries > 0; tries-- {
		a, err = insist(ctx, func() (*api.Session, error) { return n.Session(ctx, a.Id, longest) })
	}
	if err != nil {
		return err
	}
	if a.Decision == nil || len(a.Evidence) != 2 {
		return fmt.Errorf("session %s is %s, with %d pictures and the decision %v", a.Id, a.State, len(a.Evidence), a.Decision)
	}
	c.note(a)
	return nil
}

func (c *three) note(a *api.Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.acked[a.Id] = acked{a.State, len(a.Evidence)}
}

func (c *three) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.acked)
}

// traffic of a branch that writes until it is told to stop, at whichever node
// answers.
func (c *three) traffic() (stop func()) {
	c.Helper()
	ctx, cancel := context.WithCancel(c.Context())
	var done sync.WaitGroup
	done.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			if _, err := c.create(ctx, c.any, fmt.Sprintf("traffic %d", i)); err != nil && ctx.Err() == nil {
				c.Error(err)
			}
			time.Sleep(200 * time.Millisecond)
		}
	})
	stop = func() { cancel(); done.Wait() }
	c.Cleanup(stop)
	return stop
}

// serves checks that every node that runs takes a write, which every other shows at
// once, and that a person is verified at each of some.
func (c *three) serves(when string, verifying ...*served) {
	c.Helper()
	var all sync.WaitGroup
	for _, s := range verifying {
		all.Go(func() {
			at := when + ", a person at " + filepath.Base(s.Data)
			if err := c.verify(c.Context(), c.branch[s], at); err != nil {
				c.Errorf("%s: %v", at, err)
			}
		})
	}
	for _, s := range c.running() {
		all.Go(func() {
			name := filepath.Base(s.Data)
			made, err := c.create(c.Context(), c.branch[s], when+" at "+name)
			if err != nil {
				c.Errorf("%s: %s: %v", when, name, err)
				return
			}
			for _, other := range c.running() {
				if _, err := insist(c.Context(), func() (*api.Session, error) { return c.branch[other].Session(c.Context(), made.Id, 0) }); err != nil {
					c.Errorf("%s: %s does not show what %s has answered: %v", when, filepath.Base(other.Data), name, err)
				}
			}
		})
	}
	all.Wait()
}

// moves waits until the traffic has gone on.
func (c *three) moves(by int) {
	c.Helper()
	for from, end := c.count(), time.Now().Add(patience); c.count() < from+by; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			c.Fatalf("of %d writes %d were answered in %v", by, c.count()-from, patience)
		}
	}
}

// led waits until the nodes that run agree that this one leads, to which it was
// handed over where another led.
func (c *three) led(by *served) {
	c.Helper()
	name := filepath.Base(by.Data)
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		agreed := true
		for _, s := range c.running() {
			m := s.member(c.T, name)
			agreed = agreed && m != nil && m.Role == "leader"
		}
		if agreed {
			return
		}
		if time.Now().After(end) {
			c.Fatalf("%s does not lead", name)
		}
		by.as(c.T, "admin", "cluster", "transfer", name) // refused while it lags, or leads already
	}
}

// steady waits until the nodes that run have the same state.
func (c *three) steady() {
	c.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		seen := map[string]bool{}
		for _, s := range c.running() {
			of, err := insist(c.Context(), func() (*api.Cluster, error) { return c.admin[s].Cluster(c.Context()) })
			if err != nil {
				c.Fatal(err)
			}
			for _, m := range of.Members {
				if m.Node == s.id(c.T) {
					seen[fmt.Sprint(*m.AppliedIndex, *m.StateHash)] = true
				}
			}
		}
		if len(seen) == 1 {
			return
		}
		if time.Now().After(end) {
			c.Fatalf("the states stay apart: %v", seen)
		}
	}
}

// id of the node.
func (s *served) id(t *testing.T) string {
	t.Helper()
	var f struct{ Node string }
	if err := json.Unmarshal(readFile(t, filepath.Join(s.Data, "node.json")), &f); err != nil {
		t.Fatal(err)
	}
	return f.Node
}

// keeps checks that every node shows all that was acknowledged, with its pictures.
func (c *three) keeps() {
	c.Helper()
	var all sync.WaitGroup
	for _, s := range c.running() {
		all.Go(func() { c.keepsAt(s) })
	}
	all.Wait()
}

func (c *three) keepsAt(s *served) {
	n, name := c.branch[s], filepath.Base(s.Data)
	for id, was := range c.acked {
		a, err := insist(c.Context(), func() (*api.Session, error) { return n.Session(c.Context(), id, 0) })
		if err != nil || a.State != was.state || len(a.Evidence) != was.evidence {
			c.Errorf("%s: session %s is %+v, it was %+v; %v", name, id, a, was, err)
			continue
		}
		for _, e := range a.Evidence {
			var b bytes.Buffer
			_, err := insist(c.Context(), func() (string, error) {
				b.Reset()
				return n.Evidence(c.Context(), id, api.Slot(e.Slot), api.PurposeReview, &b)
			})
			if err != nil || !bytes.Equal(b.Bytes(), c.selfie) && !bytes.Equal(b.Bytes(), c.document) {
				c.Errorf("%s: the %s of session %s: %d bytes, %v", name, e.Slot, id, b.Len(), err)
			}
		}
	}
}
