package main_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gatehouse/appliance/appliancetest/crash"
)

// served is a node of the real binary, with profiles of its callers.
type served struct {
	*crash.Node
	crash.Program
	dir string
	log lockedBuffer
}

// lockedBuffer is what several processes and a test look at.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// serve starts a new node and has it set up: profile admin.
func serve(t *testing.T, flags ...string) *served {
	t.Helper()
	s := &served{dir: t.TempDir()}
	s.Program = crash.Program{Binary: binary, Data: filepath.Join(s.dir, "data"), Log: &s.log, Flags: flags}
	t.Cleanup(func() {
		if s.Node != nil {
			s.Kill()
		}
		if t.Failed() {
			t.Logf("the node said:\n%s", s.log.String())
		}
	})
	s.start(t)
	if s.SetupCode == "" || s.Sealed {
		t.Fatalf("a new node: %+v", s.Node)
	}
	succeed(t, "setup", "--server", s.Address, "--ca", s.CA, "--code", s.SetupCode, "--organisation", "Bank", "--profile", s.profile("admin"))
	return s
}

func (s *served) start(t *testing.T) {
	t.Helper()
	n, err := s.Program.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.Node = n
}

// stop asks the node to end, and checks what it leaves.
func (s *served) stop(t *testing.T) {
	t.Helper()
	n := s.Node
	s.Node = nil
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
	r, err := s.Check(t.Context())
	if err != nil || len(r.Findings) > 0 || len(r.Notes) > 0 {
		t.Fatalf("data check: %+v, %v", r, err)
	}
}

func (s *served) profile(name string) string { return filepath.Join(s.dir, name+".json") }

// enrol makes a client with roles, and its profile.
func (s *served) enrol(t *testing.T, name string, roles ...string) {
	t.Helper()
	args := []string{"client", "create", "--name", name, "--out", s.profile(name)}
	for _, r := range roles {
		args = append(args, "--role", r)
	}
	if o := s.as(t, "admin", args...); o.code != 0 {
		t.Fatalf("client create: %+v", o)
	}
}

// as runs a command with a profile: after a restart the node has another port.
func (s *served) as(t *testing.T, profile string, args ...string) outcome {
	t.Helper()
	return gatehouse(t, append(args, "--profile", s.profile(profile), "--server", s.Address)...)
}

// does runs a command that must succeed, and reads its JSON.
func does[T any](t *testing.T, s *served, profile string, args ...string) T {
	t.Helper()
	o := s.as(t, profile, append(args, "--json")...)
	if o.code != 0 || o.stderr != "" {
		t.Fatalf("gatehouse %q: exit code %d, stderr %q", args, o.code, o.stderr)
	}
	return one[T](t, o.stdout)
}

type shownSession struct {
	ID, Subject, State string
	Decision           *struct{ Outcome string }
	Evidence           []struct{ Slot, ID string }
}

var consent = []string{"--consent-text", "1", "--consent-channel", "branch"}

func (s *served) verify(t *testing.T, profile string, more ...string) shownSession {
	t.Helper()
	return does[shownSession](t, s, profile, slices.Concat([]string{"session", "verify", "--document", passport, "--selfie", obama2, "--wait", "30s"}, consent, more)...)
}

// get asks a route without the command line.
func (s *served) get(t *testing.T, path, key string) (int, string) {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(readFile(t, s.CA))
	h := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}, Timeout: 10 * time.Second}
	defer h.CloseIdleConnections()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.Address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	a, err := h.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(a.Body); err != nil {
		t.Fatal(err)
	}
	return a.StatusCode, b.String()
}

// key of a profile.
func (s *served) key(t *testing.T, profile string) string {
	t.Helper()
	var p struct{ Key string }
	if err := json.Unmarshal(readFile(t, s.profile(profile)), &p); err != nil || p.Key == "" {
		t.Fatalf("profile %s: %v", profile, err)
	}
	return p.Key
}

// What a bank does on its first day, and that the node remembers it.
func TestFirstDay(t *testing.T) {
	s := serve(t)
	code := s.SetupCode
	s.enrol(t, "branch", "operator")
	s.enrol(t, "auditor", "auditor")
	made := s.verify(t, "branch")
	if made.State != "approved" || made.Decision == nil || made.Decision.Outcome != "approved" || len(made.Evidence) != 2 {
		t.Errorf("%+v", made)
	}
	events := does[struct {
		Events []struct {
			Action string
			Seq    int64
			Object struct{ ID string }
		}
	}](t, s, "auditor", "audit", "tail", "--from", "0").Events
	decided := slices.IndexFunc(events, func(e struct {
		Action string
		Seq    int64
		Object struct{ ID string }
	}) bool {
		return e.Action == "decision.make" && e.Object.ID == made.ID
	})
	if decided < 0 {
		t.Fatalf("the decision is not in the log: %+v", events)
	}
	head := filepath.Join(s.dir, "monday.checkpoint")
	if o := s.as(t, "auditor", "audit", "checkpoint", "--out", head); o.code != 0 {
		t.Errorf("audit checkpoint: %+v", o)
	}
	proved := does[struct{ Proved bool }](t, s, "auditor", "audit", "prove", strconv.FormatInt(events[decided].Seq, 10))
	if !proved.Proved {
		t.Error("the decision is not proved")
	}
	s.stop(t)

	s.start(t)
	if s.SetupCode != "" {
		t.Error("a node that was set up prints a setup code")
	}
	if o := gatehouse(t, "setup", "--server", s.Address, "--ca", s.CA, "--code", code, "--profile", s.profile("thief"), "--json"); o.code == 0 {
		t.Error("the setup code works twice")
	}
	if _, err := os.Stat(s.profile("thief")); err == nil {
		t.Error("a setup that was refused left a profile")
	}
	again := does[shownSession](t, s, "branch", "session", "get", made.ID)
	if again.State != made.State || again.Decision == nil || *again.Decision != *made.Decision || !slices.Equal(again.Evidence, made.Evidence) {
		t.Errorf("the node remembers %+v, it was %+v", again, made)
	}
	extended := does[struct{ Consistent bool }](t, s, "auditor", "audit", "consistency", head)
	if !extended.Consistent {
		t.Error("the log does not extend monday's")
	}
	s.stop(t)
}

// The memory of a node, which holds keys and pictures, is in no core file, and
// no other process of the user may look into it.
func TestMemoryIsKeptToItself(t *testing.T) {
	dir, err := publicDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	var log lockedBuffer
	p := crash.Program{Binary: binary, Data: filepath.Join(dir, "data"), Log: &log}
	const nobody = 65534
	if os.Getuid() == 0 { // what root runs is root's in any case
		p.User = &syscall.Credential{Uid: nobody, Gid: nobody}
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	n, err := p.Start(t.Context())
	if err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	defer n.Kill()
	proc := "/proc/" + strconv.Itoa(n.Process.Pid)
	found := false
	for line := range strings.Lines(string(readFile(t, proc+"/limits"))) {
		if rest, ok := strings.CutPrefix(line, "Max core file size"); ok {
			found = true
			if !slices.Equal(strings.Fields(rest)[:2], []string{"0", "0"}) {
				t.Errorf("core files are limited to %q", rest)
			}
		}
	}
	if !found {
		t.Error("no limit of core files is told")
	}
	// The files of a process that is not dumpable belong to root (proc(5)).
	st, err := os.Stat(proc + "/mem")
	if err != nil {
		t.Fatal(err)
	}
	if owner := st.Sys().(*syscall.Stat_t).Uid; owner != 0 {
		t.Errorf("%s/mem belongs to user %d: the process can be looked into", proc, owner)
	}
}
