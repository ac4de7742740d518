package main_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"

	"gatehouse/appliance/appliancetest/crash"
	commands "gatehouse/store/command"
)

const (
	// The last commit that knew version 1 of the commands alone, and that kept
	// Raft's log in one file.
	version1 = "4de6c69"
	// The last one that knew version 2 and no newer: the release before this one.
	version2 = "5451689"
)

// release builds an earlier one from the repository's history.
func release(t *testing.T, commit string) string {
	t.Helper()
	dir := onDisk(t)
	archive := exec.Command("git", "archive", commit)
	archive.Dir = "../.."
	source, err := archive.Output()
	if err != nil {
		t.Skipf("SKIPPED: commit %s is not in the repository's history (a shallow copy, or no git): %v", commit, err)
	}
	untar := exec.Command("tar", "-x", "-C", dir)
	untar.Stdin = strings.NewReader(string(source))
	if out, err := untar.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	to := filepath.Join(dir, "build", "assets")
	if err := os.MkdirAll(to, 0o755); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(assets + "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if i, err := os.Stat(f); err != nil || !i.Mode().IsRegular() {
			continue
		}
		if err := os.Link(f, filepath.Join(to, filepath.Base(f))); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(dir, "gatehouse")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, "./cmd/gatehouse")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

// raftFiles of a node, without its snapshots.
func raftFiles(t *testing.T, data string) (names []string) {
	t.Helper()
	files, err := os.ReadDir(filepath.Join(data, "raft"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Name() != "snapshots" {
			names = append(names, f.Name())
		}
	}
	return names
}

// A directory of version 1 is taken up as it is, can go back to its own release
// until the version is raised, and has its log moved at the start after that.
func TestUpgradeFromVersion1(t *testing.T) {
	t.Parallel()
	old := release(t, version1)
	s := &served{dir: t.TempDir()}
	s.Program = crash.Program{Binary: old, Data: filepath.Join(s.dir, "data"), Log: &s.log}
	t.Cleanup(func() {
		if s.Node != nil {
			s.Kill()
		}
		if t.Failed() {
			t.Logf("the node said:\n%s", s.log.String())
		}
	})
	s.start(t)
	succeed(t, "setup", "--server", s.Address, "--ca", s.CA, "--code", s.SetupCode, "--organisation", "Bank", "--profile", s.profile("admin"))
	s.enrol(t, "branch", "operator", "auditor")
	made := []shownSession{s.verify(t, "branch")}
	head := filepath.Join(s.dir, "checkpoint")
	if o := s.as(t, "branch", "audit", "checkpoint", "--out", head); o.code != 0 {
		t.Fatalf("%+v", o)
	}
	holds := func() {
		t.Helper()
		for _, m := range made {
			if now := does[shownSession](t, s, "branch", "session", "get", m.ID); now.State != m.State || !slices.Equal(now.Evidence, m.Evidence) {
				t.Errorf("%+v, it was %+v", now, m)
			}
		}
		if !does[struct{ Consistent bool }](t, s, "branch", "audit", "consistency", head).Consistent {
			t.Error("the log does not extend that of the release before")
		}
	}
	start := func(program string, active int, files ...string) {
		t.Helper()
		s.stop(t)
		s.Program.Binary = program
		s.start(t)
		if s.Sealed || s.SetupCode != "" {
			t.Errorf("%+v", s.Node)
		}
		if got := raftFiles(t, s.Data); !slices.Equal(got, files) {
			t.Errorf("raft has %q, want %q", got, files)
		}
		if program == binary {
			var c struct {
				Active int `json:"active_version"`
				Newest int `json:"newest_version"`
			}
			if err := json.Unmarshal([]byte(s.as(t, "admin", "cluster", "status", "--json").stdout), &c); err != nil || c.Active != active || c.Newest != commands.Version {
				t.Errorf("%+v, %v", c, err)
			}
		}
		holds()
		made = append(made, does[shownSession](t, s, "branch", append([]string{"session", "create"}, consent...)...))
	}
	start(binary, 1, "log.db")
	made = append(made, s.verify(t, "branch"))
	s.as(t, "admin", "cluster", "status").advises(t, "cluster finalise")
	start(old, 1, "log.db") // there is a way back
	start(binary, 1, "log.db")
	s.as(t, "admin", "cluster", "finalise").code0(t)
	start(binary, commands.Version, "log", "vote.db")
	if o := s.as(t, "admin", "cluster", "status"); o.code != 0 {
		t.Errorf("%+v", o)
	}
	made = append(made, s.verify(t, "branch"))
	start(binary, commands.Version, "log", "vote.db")
	s.stop(t)
	// No way back: the log is where the release before does not look for it.
	o := run(t, exec.Command(old, "run", "--data", s.Data, "--listen", "127.0.0.1:0", "--json"))
	if o.code != 12 {
		t.Errorf("the release before: %+v", o)
	}
}

// advises checks that a status has something for somebody to do.
func (o outcome) advises(t *testing.T, words string) {
	t.Helper()
	if o.code != 1 || !strings.Contains(o.stdout, words) {
		t.Errorf("%+v lacks %q", o, words)
	}
}

// A node whose state was finalised by a newer release says which one to install.
func TestStateOfANewerRelease(t *testing.T) {
	s := serve(t, "--peer", free(t))
	s.stop(t)
	const newer = commands.Version + 1
	db, err := bolt.Open(filepath.Join(s.Data, "state.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		rows := tx.Bucket([]byte("members"))
		id, row := rows.Cursor().First() // its own
		m := &commands.Member{}
		if err := proto.Unmarshal(row, m); err != nil {
			return err
		}
		m.Release, m.Commands = "7.8.9", newer
		if row, err = proto.Marshal(m); err != nil {
			return err
		}
		return errors.Join(rows.Put(id, row), tx.Bucket([]byte("meta")).Put([]byte("active_version"), []byte{7: newer}))
	})
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	gatehouse(t, "run", "--data", s.Data, "--listen", "127.0.0.1:0", "--log-level", "error", "--json").fails(t, 13, "", fmt.Sprintf("version %d", newer), "install release 7.8.9")
}
