package appliance_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"gatehouse/appliance/access"
	"gatehouse/appliance/appliancetest"
)

func TestSetup(t *testing.T) {
	n := appliancetest.Open(t)
	try := func(code string) *appliancetest.Answer {
		t.Helper()
		return n.Nobody().Do(t, "POST", "/v1/setup", appliancetest.JSON(map[string]string{"code": code, "organisation": "First Bank", "name": "head office"}))
	}
	first := n.SetupCode()
	if first == "" {
		t.Fatal("a new node has no code")
	}
	try("0000").Want(t, 401).Refused(t, "wrong-setup-code")
	a := try(first).Want(t, 429)
	retryAfter(t, a)
	n.Restart(t, nil) // another code is printed, the first is worth nothing
	if n.SetupCode() == first || n.SetupCode() == "" {
		t.Fatalf("code %q after %q", n.SetupCode(), first)
	}
	try(first).Refused(t, "wrong-setup-code")
	n.Clock.Advance(2 * time.Minute)
	code := n.SetupCode()
	made := try(code).Want(t, 201)
	try(code).Want(t, 409).Refused(t, "set-up-already")
	admin := n.As(made.Text(t, "key"))
	counts := appliancetest.Counts(admin.Leaves(t, "system"))
	if counts["setup.complete"] != 1 || counts["cluster.found"] != 1 || counts["setup.deny"]+counts["command.refused"] < 2 {
		t.Errorf("%v", counts)
	}
	n.Restart(t, nil)
	if n.SetupCode() != "" {
		t.Error("a node that was set up has a code")
	}
	admin.Do(t, "GET", "/v1/tenants", nil).Want(t, 200)
}

// Shares open the seal one by one; a wrong one is told, and logged.
func TestShares(t *testing.T) {
	n := appliancetest.Start(t)
	admin := n.Home.Admin
	var slot struct {
		Slot   struct{ ID string }
		Shares []string
	}
	admin.Do(t, "POST", "/v1/seal/slots", appliancetest.JSON(`{"kind":"shamir","threshold":2,"shares":3}`)).Want(t, 201).JSON(t, &slot)
	if len(slot.Shares) != 3 {
		t.Fatalf("%+v", slot)
	}
	id := n.Home.Key(t, access.Operator).Filled(t)
	admin.Do(t, "POST", "/v1/seal/close", nil).Want(t, 200)
	open := func(share string) *appliancetest.Answer {
		t.Helper()
		return admin.Do(t, "POST", "/v1/seal/open", appliancetest.JSON(map[string]string{"share": share}))
	}
	open("nonsense").Want(t, 422).Refused(t, "wrong-secret")
	deadline := time.Now().Add(20 * time.Second)
	for { // wrong ones delay the next
		a := open(slot.Shares[2])
		if a.Status == 200 {
			if a.Text(t, "sealed") != "true" || a.Text(t, "shares_given") != "1" || a.Text(t, "shares_needed") != "2" {
				t.Errorf("%s", a.Body)
			}
			break
		}
		retryAfter(t, a.Want(t, 429))
		if time.Now().After(deadline) {
			t.Fatal("the delay does not end")
		}
		time.Sleep(200 * time.Millisecond)
	}
	open(slot.Shares[2]).Refused(t, "wrong-secret") // the same again
	for time.Now().Before(deadline) {
		if a := open(slot.Shares[0]); a.Status == 200 {
			if a.Text(t, "sealed") != "false" {
				t.Errorf("%s", a.Body)
			}
			break
		}
		time.Sleep(200 * time.Millisecond)
	}
	if s := n.Home.Key(t, access.Operator).Do(t, "POST", "/v1/sessions/"+id+"/submit?wait=30s", nil).Want(t, 200); s.Text(t, "state") != "approved" {
		t.Errorf("after the seal was opened: %s", s.Body)
	}
	counts := appliancetest.Counts(admin.Leaves(t, "system"))
	if counts["seal.seal"] != 1 || counts["seal.unseal"] != 2 || counts["seal.unseal.failed"] != 2 || counts["seal.slot.add"] != 2 {
		t.Errorf("%v", counts)
	}
	admin.Do(t, "DELETE", "/v1/seal/slots/"+slot.Slot.ID, nil).Want(t, 200)
	var seal struct{ Slots []struct{ ID string } }
	admin.Do(t, "GET", "/v1/seal", nil).Want(t, 200).JSON(t, &seal)
	if len(seal.Slots) != 1 {
		t.Fatalf("%+v", seal)
	}
	admin.Do(t, "DELETE", "/v1/seal/slots/"+seal.Slots[0].ID, nil).Want(t, 409).Refused(t, "last-one")
}

// A node that starts without its key file is sealed, and says so.
func TestStartsSealed(t *testing.T) {
	n := appliancetest.Start(t)
	admin := n.Home.Admin
	var slot struct{ Shares []string }
	admin.Do(t, "POST", "/v1/seal/slots", appliancetest.JSON(`{"kind":"shamir","threshold":2,"shares":2}`)).Want(t, 201).JSON(t, &slot)
	op := n.Home.Key(t, access.Operator)
	id := op.Filled(t)
	op.Do(t, "POST", "/v1/sessions/"+id+"/submit", nil).Want(t, 202)
	n.Restart(t, func() { n.LoseKeyFile(t) })
	op.Do(t, "GET", "/v1/sessions/"+id, nil).Want(t, 503).Refused(t, "sealed")
	for _, share := range slot.Shares {
		admin.Do(t, "POST", "/v1/seal/open", appliancetest.JSON(map[string]string{"share": share})).Want(t, 200)
	}
	if s := op.Do(t, "GET", "/v1/sessions/"+id+"?wait=30s", nil).Want(t, 200); s.Text(t, "state") != "approved" {
		t.Errorf("%s", s.Body)
	}
}

// A key file that is not where it was is a secret that is wrong, no failure of
// the node.
func TestUnsealWithoutKeyFile(t *testing.T) {
	n := appliancetest.Start(t)
	admin := n.Home.Admin
	admin.Do(t, "POST", "/v1/seal/close", nil).Want(t, 200)
	keyFile := n.Data + ".seal"
	if err := os.Rename(keyFile, keyFile+".away"); err != nil {
		t.Fatal(err)
	}
	open := func() *appliancetest.Answer {
		t.Helper()
		return admin.Do(t, "POST", "/v1/seal/open", appliancetest.JSON(`{"file":true}`))
	}
	for range 2 { // nobody guesses: it may be tried again at once
		open().Want(t, 422).Refused(t, "wrong-secret")
	}
	if err := os.Rename(keyFile+".away", keyFile); err != nil {
		t.Fatal(err)
	}
	open().Want(t, 200)
	counts := appliancetest.Counts(admin.Leaves(t, "system"))
	if counts["seal.unseal.failed"] != 2 || counts["seal.unseal"] != 1 {
		t.Errorf("%v", counts)
	}
}

// What is done to the seal's slots is in the log before, and what it came to
// after.
func TestSlotsAreInTheLog(t *testing.T) {
	n := appliancetest.Start(t)
	admin := n.Home.Admin
	add := func(path string) *appliancetest.Answer {
		t.Helper()
		return admin.Do(t, "POST", "/v1/seal/slots", appliancetest.JSON(map[string]string{"kind": "file", "path": path}))
	}
	dir := t.TempDir()
	add(filepath.Join(dir, "none", "key")).Want(t, 400).Refused(t, "bad-value")
	blocked := filepath.Join(dir, "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	add(filepath.Join(blocked, "key")).Want(t, 400).Refused(t, "bad-value") // under a file
	add(blocked).Want(t, 409).Refused(t, "exists")
	slot := add(filepath.Join(dir, "key")).Want(t, 201).Text(t, "slot.id")
	admin.Do(t, "DELETE", "/v1/seal/slots/"+slot, nil).Want(t, 200)
	type step struct{ action, step, result, slot string }
	want := []step{
		{"seal.slot.add", "begun", "ok", ""}, {"seal.slot.add", "done", "failed", ""},
		{"seal.slot.add", "begun", "ok", ""}, {"seal.slot.add", "done", "failed", ""},
		{"seal.slot.add", "begun", "ok", ""}, {"seal.slot.add", "done", "failed", ""},
		{"seal.slot.add", "begun", "ok", ""}, {"seal.slot.add", "done", "ok", slot},
		{"seal.slot.remove", "begun", "ok", slot}, {"seal.slot.remove", "done", "ok", slot},
	}
	var got []step
	for _, l := range admin.Leaves(t, "system") {
		if l.Action == "seal.slot.add" || l.Action == "seal.slot.remove" {
			text, _ := l.Data["step"].(string)
			got = append(got, step{l.Action, text, l.Result, l.Object["id"]})
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the log has\n%v, want\n%v", got, want)
	}
}
