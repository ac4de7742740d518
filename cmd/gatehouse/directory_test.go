package main_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gatehouse/appliance/appliancetest/crash"
)

// refuses starts a node that must not start: nothing of the directory changes.
func refuses(t *testing.T, code int, dir string, flags []string, words ...string) {
	t.Helper()
	before := tree(t, dir)
	o := gatehouse(t, append([]string{"run", "--data", dir, "--listen", "127.0.0.1:0", "--json"}, flags...)...)
	if o.code != code {
		t.Errorf("exit code %d, want %d", o.code, code)
	}
	// The program may say more than one line, and the last is the reason.
	last := o.stderr[strings.LastIndex(strings.TrimSpace(o.stderr), "\n")+1:]
	outcome{o.code, o.stdout, last}.fails(t, code, "", words...)
	if after := tree(t, dir); !slices.Equal(before, after) {
		t.Errorf("the directory was\n%q\nand is\n%q", before, after)
	}
}

// tree lists the files below a directory with their sizes.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		i, err := d.Info()
		if err != nil {
			return err
		}
		size := i.Size()
		if d.IsDir() {
			size = 0
		}
		all = append(all, strings.TrimPrefix(path, dir)+" "+strconv.FormatInt(size, 10))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestDirectoriesThatAreNotWhole(t *testing.T) {
	s := serve(t)
	s.enrol(t, "branch", "operator", "auditor")
	does[shownSession](t, s, "branch", append([]string{"session", "create"}, consent...)...)
	if o := s.as(t, "branch", "audit", "checkpoint"); o.code != 0 {
		t.Fatalf("%+v", o)
	}
	refuses(t, 1, s.Data, nil, "is locked by another process")
	other := filepath.Join(s.dir, "other")
	_, port, err := net.SplitHostPort(strings.TrimPrefix(s.Address, "https://"))
	if err != nil {
		t.Fatal(err)
	}
	taken := gatehouse(t, "run", "--data", other, "--listen", "127.0.0.1:"+port, "--json")
	taken.fails(t, 1, "", "address already in use")
	s.stop(t)

	for _, c := range []struct {
		name  string
		spoil func(dir string) error
		words []string
	}{
		{"node.json is gone", remove("node.json"), []string{"node.json is missing", "restore"}},
		{"node.json is damaged", overwrite("node.json", "{"), []string{"node.json is damaged"}},
		{"node.json is of a later format", overwrite("node.json", `{"format": 9}`), []string{"has format 9"}},
		{"another user's", another, []string{"belongs to the user with id 4711"}},
		{"state.db is gone", remove("state.db"), []string{"state.db is missing", "restore"}},
		{"state.db is damaged", overwrite("state.db", "this is no database"), []string{"the state cannot be used"}},
		{"the log is gone", remove("raft/log"), []string{"raft/log is missing", "restore"}},
		{"state and log are gone", remove("state.db", "raft/log"), []string{"is missing", "restore"}},
		{"the first part of the log is gone", remove(firstSegment), []string{"the log ends at 0"}},
		{"the vote is gone", remove("raft/vote.db"), []string{"vote.db is missing"}},
		{"the vote is damaged", overwrite("raft/vote.db", "this is no database"), []string{"vote.db is damaged"}},
		{"seal.json is gone", remove("seal.json"), []string{"seal.json is missing", "restore"}},
		{"keyring is gone", remove("keyring"), []string{"keyring", "restore"}},
		{"another cluster's seal", func(dir string) error {
			return copyTo(filepath.Join(other, "seal.json"), filepath.Join(dir, "seal.json"))
		}, []string{"belongs to another cluster"}},
		{"another node's log", func(dir string) error {
			return errors.Join(remove("raft/log")(dir), os.CopyFS(filepath.Join(dir, "raft", "log"), os.DirFS(filepath.Join(other, "raft", "log"))))
		}, []string{"belongs to another cluster"}},
		{"the log is damaged", overwrite(firstSegment, "this is no log"), []string{"the log", "damaged"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := os.Stat(filepath.Join(other, "raft", "log")); err != nil {
				second := crash.Program{Binary: binary, Data: other, Log: &s.log}
				n, err := second.Start(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if err := n.Stop(); err != nil {
					t.Fatal(err)
				}
			}
			dir := filepath.Join(t.TempDir(), "data")
			if out, err := exec.Command("cp", "-a", "--sparse=always", s.Data, dir).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if err := c.spoil(dir); err != nil {
				t.Fatal(err)
			}
			refuses(t, 12, dir, nil, c.words...)
		})
	}
}

// firstSegment of Raft's log.
const firstSegment = "raft/log/00000000000000000001.log"

func remove(names ...string) func(string) error {
	return func(dir string) error {
		for _, n := range names {
			path := filepath.Join(dir, n)
			if _, err := os.Lstat(path); err != nil { // it would be no test
				return err
			}
			if err := os.RemoveAll(path); err != nil {
				return err
			}
		}
		return nil
	}
}

func overwrite(name, content string) func(string) error {
	return func(dir string) error { return os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600) }
}

// another user's id in node.json.
func another(dir string) error {
	path := filepath.Join(dir, "node.json")
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var f map[string]any
	if err := json.Unmarshal(b, &f); err != nil {
		return err
	}
	f["uid"] = 4711
	if b, err = json.Marshal(f); err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o600)
}

func copyTo(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o600)
}
