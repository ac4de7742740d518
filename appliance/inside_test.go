package appliance_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/appliance"
	"gatehouse/appliance/access"
	"gatehouse/appliance/act"
	"gatehouse/appliance/appliancetest"
	"gatehouse/appliance/jobs"
	"gatehouse/appliance/problem"
	"gatehouse/appliance/session"
	"gatehouse/cluster"
	"gatehouse/store/audit"
	"gatehouse/store/command"
)

// inside starts a node and gives what is inside it, too.
func inside(t *testing.T) (*appliancetest.Node, *appliance.Node) {
	t.Helper()
	var in *appliance.Node
	return appliancetest.Start(t, appliancetest.Opened(func(n *appliance.Node) { in = n })), in
}

// proposing agrees on commands as its function says.
type proposing func(context.Context, *command.Command) (*command.Answer, error)

func (f proposing) Propose(ctx context.Context, c *command.Command) (*command.Answer, error) {
	return f(ctx, c)
}

// beside gives the node's service with something that happens before each
// command is agreed on.
func beside(in *appliance.Node, before func(*command.Command)) *session.Service {
	c := in.Sessions().Config
	p, agree := *c.Proposer, c.Proposer.Cluster
	p.Cluster = proposing(func(ctx context.Context, cmd *command.Command) (*command.Answer, error) {
		before(cmd)
		return agree.Propose(ctx, cmd)
	})
	c.Proposer = &p
	return session.New(c)
}

func callerOf(home *appliancetest.Tenant, c *appliancetest.Client) access.Caller {
	return access.Caller{Tenant: home.ID, Client: c.ID, Authn: access.ByKey, Request: "req-1", Purpose: "review"}
}

// What was submitted is decided, whoever has left meanwhile.
func TestSubmittedIsDecided(t *testing.T) {
	n, in := inside(t)
	op := n.Home.Key(t, access.Operator)
	c := callerOf(n.Home, op)
	decided := func(id string) {
		t.Helper()
		if s := op.Do(t, "GET", "/v1/sessions/"+id+"?wait=10s", nil).Want(t, 200); s.Text(t, "state") != "approved" || s.Text(t, "attempt") != "1" {
			t.Errorf("%s", s.Body)
		}
	}
	t.Run("the caller leaves", func(t *testing.T) {
		id := op.FilledOf(t, "customer 1")
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		if err := beside(in, func(*command.Command) { leave() }).Submit(ctx, c, id, nil); err != nil {
			t.Error(err)
		}
		decided(id)
	})
	t.Run("somebody else has submitted it", func(t *testing.T) {
		id := op.FilledOf(t, "customer 1")
		e := act.Event(c, audit.SessionSubmit, "session", id)
		s := in.Sessions()
		if _, err := s.Propose(t.Context(), c, command.Type_SUBMIT, &command.Submit{Session: id, Node: s.Node}, nil, e); err != nil {
			t.Fatal(err)
		}
		for range 2 { // again is no harm
			if err := s.Reconcile(); err != nil {
				t.Fatal(err)
			}
		}
		decided(id)
	})
	t.Run("the log does not answer", func(t *testing.T) {
		id := op.FilledOf(t, "customer 1")
		s := in.Sessions()
		config := s.Config
		deaf := *config.Proposer
		deaf.Cluster = proposing(func(context.Context, *command.Command) (*command.Answer, error) {
			return nil, fmt.Errorf("%w: it stalls", cluster.ErrUnavailable)
		})
		config.Proposer = &deaf
		e := act.Event(c, audit.SessionSubmit, "session", id)
		s.Jobs.Pause() // it is done by hand
		if _, err := s.Propose(t.Context(), c, command.Type_SUBMIT, &command.Submit{Session: id, Node: s.Node}, nil, e); err != nil {
			t.Fatal(err)
		}
		if err := session.New(config).Work(t.Context(), jobs.Job{Tenant: n.Home.ID, Session: id, Attempt: 1}); err != nil {
			t.Errorf("the job is blamed: %v", err)
		}
		if a := op.Do(t, "GET", "/v1/sessions/"+id, nil).Want(t, 200); a.Text(t, "state") != "submitted" {
			t.Errorf("%s", a.Body)
		}
		s.Jobs.Resume()
		decided(id)
	})
	if got := appliancetest.Counts(n.Home.Leaves(t))["decision.make"]; got != 3 {
		t.Errorf("%d decisions of 3 sessions", got)
	}
}

// A person who is erased between the reading and its event: nothing leaves.
func TestErasedWhileItIsRead(t *testing.T) {
	n, in := inside(t)
	op := n.Home.Key(t, access.Operator)
	c := callerOf(n.Home, n.Home.Key(t, access.Reviewer))
	p := appliancetest.Evidence(t)
	decided := op.Do(t, "POST", "/v1/verifications?wait=30s", appliancetest.VerificationForm(t, p.Document, p.Selfie)).Want(t, 200)
	filled := op.Do(t, "GET", "/v1/sessions/"+op.Filled(t), nil).Want(t, 200)
	named := op.Do(t, "POST", "/v1/sessions", appliancetest.JSON(appliancetest.Request("customer 1"))).Want(t, 201)
	for _, r := range []struct {
		name string
		of   *appliancetest.Answer
		read func(s *session.Service, of *appliancetest.Answer) (something bool, err error)
	}{
		{"result", decided, func(s *session.Service, of *appliancetest.Answer) (bool, error) {
			b, err := s.Result(t.Context(), c, of.Text(t, "id"))
			return err == nil && len(b) > 0, err
		}},
		{"evidence", filled, func(s *session.Service, of *appliancetest.Answer) (bool, error) {
			_, r, err := s.Evidence(t.Context(), c, of.Text(t, "id"), "selfie")
			if r != nil {
				r.Close()
			}
			return r != nil, err
		}},
		{"subject", named, func(s *session.Service, of *appliancetest.Answer) (bool, error) {
			u, err := s.Subject(t.Context(), c, of.Text(t, "subject"))
			return err == nil && u.Reference != "", err
		}},
	} {
		t.Run(r.name, func(t *testing.T) {
			if something, err := r.read(in.Sessions(), r.of); err != nil || !something {
				t.Fatalf("before: %v", err)
			}
			erased := false
			s := beside(in, func(cmd *command.Command) {
				if cmd.Type != command.Type_RECORD || erased {
					return
				}
				erased = true
				if _, _, err := in.Sessions().Erase(t.Context(), c, r.of.Text(t, "subject"), "legal"); err != nil {
					t.Error(err)
				}
			})
			something, err := r.read(s, r.of)
			var told *problem.Problem
			if something || !errors.As(err, &told) || told.Kind.Status() != 410 {
				t.Errorf("something left: %v; %v", something, err)
			}
			if !erased {
				t.Error("no access event was proposed")
			}
		})
	}
}

// blobs are the files of evidence on the disk.
func blobs(t *testing.T, n *appliancetest.Node) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	err := filepath.WalkDir(filepath.Join(n.Data, "blobs"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			all[path] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// What nobody needs any more is gone from the disk at once, however much of it
// there is.
func TestPicturesGoAtOnce(t *testing.T) {
	n, in := inside(t)
	op := n.Home.Key(t, access.Operator)
	p := appliancetest.Evidence(t)
	id := op.Create(t)
	op.Put(t, id, "selfie", p.Selfie).Want(t, 200)
	first := blobs(t, n)
	op.Put(t, id, "selfie", p.Stranger).Want(t, 200)
	second := blobs(t, n)
	if len(first) != 1 || len(second) != 1 {
		t.Fatalf("a picture that was replaced stays: %v, %v", first, second)
	}
	for path := range first {
		if second[path] {
			t.Errorf("%s is still there", path)
		}
	}
	pass := func(d time.Duration) {
		t.Helper()
		n.Clock.Advance(d)
		if err := in.PassTime(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	pass(31 * time.Minute)
	if s := op.Do(t, "GET", "/v1/sessions/"+id, nil).Want(t, 200); s.Text(t, "state") != "expired" || len(blobs(t, n)) != 1 {
		t.Errorf("%s", s.Body)
	}
	pass(24 * time.Hour)
	if left := blobs(t, n); len(left) != 0 {
		t.Errorf("evidence of an expired session is left: %v", left)
	}
}

// More deadlines than one command lets pass are passed at one go.
func TestManyExpireAtOnce(t *testing.T) {
	n, in := inside(t)
	op := n.Home.Key(t, access.Operator)
	const many = 300 // a tick does 256
	for range many {
		op.Create(t)
	}
	n.Clock.Advance(31 * time.Minute)
	if err := in.PassTime(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := appliancetest.Counts(n.Home.Leaves(t))["session.expire"]; got != many {
		t.Errorf("%d of %d sessions expired", got, many)
	}
}

// What was asked for stands nowhere as a hash that can be guessed.
func TestRequestsCannotBeGuessed(t *testing.T) {
	n := appliancetest.Start(t)
	op := n.Home.Key(t, access.Operator)
	p := appliancetest.Evidence(t)
	const name = "branch 7, 2026-01-24, 0001"
	request := appliancetest.Request("customer 4711")
	sum := func(b []byte) []byte { s := sha256.Sum256(b); return s[:] }
	asked := func(path string, body []byte) []byte { return sum([]byte("POST " + path + "\n" + string(sum(body)))) }
	form := appliancetest.VerificationForm(t, p.Document, p.Selfie)
	first := op.Do(t, "POST", "/v1/sessions", appliancetest.JSON(request), "Idempotency-Key: "+name).Want(t, 201)
	id := first.Text(t, "id")
	op.Put(t, id, "selfie", p.Stranger).Want(t, 200)
	whole := op.Do(t, "POST", "/v1/verifications?wait=30s", form, "Idempotency-Key: form "+name).Want(t, 200)
	secret := map[string][]byte{
		"the key": []byte(name), "the reference": []byte("customer 4711"), "its hash": sum([]byte("customer 4711")),
		"the key's hash": sum([]byte(name)), "the other key's hash": sum([]byte("form " + name)),
		"the body's hash": sum([]byte(request)), "the form's hash": sum(form.Bytes), "the request's hash": asked("/v1/sessions", []byte(request)),
		"the verification's hash": asked("/v1/verifications", []byte(appliancetest.Request(""))),
		"the document's hash":     sum(p.Document), "the selfie's hash": sum(p.Selfie), "the other selfie's hash": sum(p.Stranger),
		"the slot's hash": sum(append([]byte(id+"selfie"), sum(p.Stranger)...)),
	}
	n.Restart(t, func() {
		for _, file := range []string{"state.db", filepath.Join("raft", "log", "*.log")} {
			parts, err := filepath.Glob(filepath.Join(n.Data, file))
			if err != nil {
				t.Fatal(err)
			}
			var b []byte
			for _, part := range parts {
				of, err := os.ReadFile(part)
				if err != nil {
					t.Fatal(err)
				}
				b = append(b, of...)
			}
			text := string(b)
			lower := strings.ToLower(text)
			if !strings.Contains(text, id) || !strings.Contains(text, whole.Text(t, "id")) {
				t.Errorf("%s does not hold what was done: the test looks in the wrong place", file)
			}
			for what, s := range secret {
				if strings.Contains(text, string(s)) || strings.Contains(lower, hex.EncodeToString(s)) {
					t.Errorf("%s holds %s", file, what)
				}
			}
		}
	})
	if again := op.Do(t, "POST", "/v1/sessions", appliancetest.JSON(request), "Idempotency-Key: "+name).Want(t, 201); string(again.Body) != string(first.Body) {
		t.Errorf("%s, first %s", again.Body, first.Body)
	}
	op.Do(t, "POST", "/v1/sessions", appliancetest.JSON(appliancetest.Request("")), "Idempotency-Key: "+name).Want(t, 422).Refused(t, "idempotency-key-reused")
	if again := op.Do(t, "POST", "/v1/verifications?wait=30s", form, "Idempotency-Key: form "+name).Want(t, 200); again.Text(t, "id") != whole.Text(t, "id") {
		t.Errorf("%s, first %s", again.Body, whole.Body)
	}
}

// A node that does not answer another in time is no fault of the caller's.
func TestSlowInside(t *testing.T) {
	n := appliancetest.Start(t, appliancetest.Opened(func(n *appliance.Node) {
		n.Agree(func(c act.Cluster) act.Cluster {
			return proposing(func(ctx context.Context, cmd *command.Command) (*command.Answer, error) {
				if cmd.Type == command.Type_CREATE_SESSION {
					return nil, fmt.Errorf("to another node: %w", os.ErrDeadlineExceeded)
				}
				return c.Propose(ctx, cmd)
			})
		})
	}))
	op := n.Home.Key(t, access.Operator)
	a := op.Do(t, "POST", "/v1/sessions", appliancetest.JSON(appliancetest.Request("customer 1"))).Want(t, 503)
	if a.Problem(t) != "unavailable" || a.Header.Get("Retry-After") == "" {
		t.Errorf("%v %s", a.Header, a.Body)
	}
}
