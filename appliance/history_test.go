package appliance_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"gatehouse/appliance"
	"gatehouse/appliance/access"
	"gatehouse/appliance/appliancetest"
	"gatehouse/store/audit"
)

func opened(t *testing.T, n *appliancetest.Node) error {
	t.Helper()
	node, err := appliance.New(n.Configuration())
	if err != nil {
		t.Fatal(err)
	}
	if err = node.Open(t.Context()); err == nil {
		if err := node.Close(); err != nil {
			t.Error(err)
		}
	}
	return err
}

func copied(t *testing.T, from, to string) {
	t.Helper()
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// A node whose state is older than what it has signed must not serve.
func TestOldCopyIsRefused(t *testing.T) {
	n := appliancetest.Start(t)
	op, auditor := n.Home.Key(t, access.Operator), n.Home.Key(t, access.Auditor)
	op.Create(t)
	old := filepath.Join(t.TempDir(), "old")
	n.Restart(t, func() { copied(t, n.Data, old) })
	op.Create(t)
	auditor.Do(t, "GET", "/v1/audit/checkpoint", nil).Want(t, 200)
	good := filepath.Join(t.TempDir(), "good")
	n.Restart(t, func() {
		copied(t, n.Data, good)
		for _, name := range []string{"state.db", "raft"} {
			if err := os.RemoveAll(filepath.Join(n.Data, name)); err != nil {
				t.Fatal(err)
			}
			copied(t, filepath.Join(old, name), filepath.Join(n.Data, name))
		}
		if err := opened(t, n); !errors.Is(err, audit.ErrRollback) || appliance.Exit(err) != appliance.ExitHistory {
			t.Errorf("an old copy: %v, exit %d", err, appliance.Exit(err))
		}
		for _, gone := range []string{"node.json", filepath.Join("raft", "log"), filepath.Join("raft", "vote.db")} {
			if err := os.RemoveAll(n.Data); err != nil {
				t.Fatal(err)
			}
			copied(t, good, n.Data)
			if err := os.RemoveAll(filepath.Join(n.Data, gone)); err != nil {
				t.Fatal(err)
			}
			if err := opened(t, n); err == nil || appliance.Exit(err) != appliance.ExitHistory {
				t.Errorf("without %s: %v", gone, err)
			}
		}
		if err := os.RemoveAll(n.Data); err != nil {
			t.Fatal(err)
		}
		copied(t, good, n.Data)
	})
	op.Create(t)
}

// What a node leaves behind is whole, also after an erasure.
func TestCheck(t *testing.T) {
	n := shared.Node(t)
	home := n.Tenant(t)
	op := home.Key(t, access.Operator)
	p := appliancetest.Evidence(t)
	s := op.Do(t, "POST", "/v1/verifications?wait=30s", appliancetest.VerificationForm(t, p.Document, p.Selfie)).Want(t, 200)
	erased := op.Do(t, "POST", "/v1/verifications?wait=30s", appliancetest.VerificationForm(t, p.Document, p.Selfie)).Want(t, 200)
	home.Key(t, access.Compliance).Do(t, "DELETE", "/v1/subjects/"+erased.Text(t, "subject")+"?reason=legal", nil).Want(t, 200)
	home.Key(t, access.Auditor).Do(t, "GET", "/v1/audit/checkpoint", nil).Want(t, 200)
	if _, err := appliance.Check(t.Context(), n.Data, func(string, int, int) {}); err == nil {
		t.Error("a running node was checked")
	}
	n.Restart(t, func() {
		r, err := appliance.Check(t.Context(), n.Data, func(string, int, int) {})
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Findings) != 0 || len(r.Notes) != 0 || r.Orphans != 0 || r.Blobs < 2 || len(r.Logs) < 3 {
			t.Errorf("%+v", r)
		}
	})
	op.Do(t, "GET", "/v1/sessions/"+s.Text(t, "id"), nil).Want(t, 200)
}

func present(t *testing.T, path string) bool {
	t.Helper()
	_, err := os.Lstat(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

// Without its seal, a directory that anything was kept in is refused, and the
// key file is left as it is; a first start that was cut off is begun anew, and
// what it has left is put aside.
func TestLostSeal(t *testing.T) {
	n := appliancetest.Start(t)
	op := n.Home.Key(t, access.Operator)
	id := op.Filled(t)
	good, keyFile := filepath.Join(t.TempDir(), "good"), n.Data+".seal"
	n.Restart(t, func() {
		copied(t, n.Data, good)
		key, err := os.ReadFile(keyFile)
		if err != nil {
			t.Fatal(err)
		}
		with := func(names ...string) {
			t.Helper()
			if err := os.RemoveAll(n.Data); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(n.Data, 0o700); err != nil {
				t.Fatal(err)
			}
			for _, name := range append([]string{"node.json", "keyring"}, names...) {
				copied(t, filepath.Join(good, name), filepath.Join(n.Data, name))
			}
		}
		untouched := func(what string) {
			t.Helper()
			now, err := os.ReadFile(keyFile)
			if err != nil || string(now) != string(key) || present(t, keyFile+".left") || !present(t, filepath.Join(n.Data, "keyring")) {
				t.Errorf("with %s: the keys were touched: %v", what, err)
			}
		}
		for _, left := range []string{"blobs", "audit", "raft", "state.db", "jobs", "tls"} {
			with(left)
			if err := opened(t, n); !errors.Is(err, appliance.ErrData) || appliance.Exit(err) != appliance.ExitHistory {
				t.Errorf("with %s: %v, exit %d", left, err, appliance.Exit(err))
			}
			untouched(left)
		}
		with()
		if err := opened(t, n); err != nil {
			t.Errorf("a first start that was cut off: %v", err)
		}
		old, err := os.ReadFile(keyFile + ".left")
		if err != nil || string(old) != string(key) || !present(t, filepath.Join(n.Data, "keyring.left")) {
			t.Errorf("the old key file is lost: %v", err)
		}
		if now, err := os.ReadFile(keyFile); err != nil || string(now) == string(key) {
			t.Errorf("the new key file is the old one: %v", err)
		}
		if err := os.Rename(keyFile+".left", keyFile); err != nil {
			t.Error(err)
		}
		if err := os.RemoveAll(n.Data); err != nil {
			t.Fatal(err)
		}
		copied(t, good, n.Data)
	})
	if s := op.Do(t, "POST", "/v1/sessions/"+id+"/submit?wait=30s", nil).Want(t, 200); s.Text(t, "state") != "approved" {
		t.Errorf("%s", s.Body)
	}
}
