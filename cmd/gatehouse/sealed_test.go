package main_test

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const passphrase = "korrekt Pferd Batterie Heftklammer"

type shownSeal struct {
	Sealed       bool
	SharesGiven  int `json:"shares_given"`
	SharesNeeded int `json:"shares_needed"`
	Slots        []struct{ ID, Kind, Path string }
}

type addedSlot struct {
	Slot   struct{ ID, Kind string }
	Shares []string
}

// secretFile holds one line that nobody else may read.
func (s *served) secretFile(t *testing.T, name, line string) string {
	t.Helper()
	file := filepath.Join(s.dir, name)
	if err := os.WriteFile(file, []byte(line+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// sealedNode has three slots; its key file is moved away and it was started
// again.
func sealedNode(t *testing.T) (s *served, shares []string) {
	t.Helper()
	s = serve(t)
	s.enrol(t, "branch", "operator", "auditor")
	phrase := s.secretFile(t, "passphrase", passphrase)
	if a := does[addedSlot](t, s, "admin", "seal", "add", "passphrase", "--passphrase-file", phrase); a.Slot.Kind != "passphrase" || a.Shares != nil {
		t.Errorf("seal add passphrase: %+v", a)
	}
	a := does[addedSlot](t, s, "admin", "seal", "add", "shamir", "--threshold", "2", "--shares", "3")
	if a.Slot.Kind != "shamir" || len(a.Shares) != 3 {
		t.Fatalf("seal add shamir: %+v", a)
	}
	s.stop(t)
	s.moveKeyFile(t)
	s.start(t)
	if !s.Sealed {
		t.Fatal("without its key file the node is not sealed")
	}
	return s, a.Shares
}

func (s *served) moveKeyFile(t *testing.T) {
	t.Helper()
	if err := os.Rename(s.Data+".seal", filepath.Join(s.dir, "stick")); err != nil {
		t.Fatal(err)
	}
}

func TestASealedNodeAnswersThreeThings(t *testing.T) {
	s, shares := sealedNode(t)
	if code, _ := s.get(t, "/livez", ""); code != http.StatusOK {
		t.Errorf("livez: %d", code)
	}
	if seal := does[shownSeal](t, s, "admin", "seal", "status"); !seal.Sealed || len(seal.Slots) != 3 {
		t.Errorf("seal status: %+v", seal)
	}
	for _, line := range []string{"status", "client list", "seal", "seal add shamir --threshold 2 --shares 2"} {
		s.as(t, "admin", append(words(line), "--json")...).fails(t, 5, "", "sealed", "unseal")
	}
	for _, line := range []string{"session list", "audit tail", "audit checkpoint", "session create --consent-text 1 --consent-channel web"} {
		s.as(t, "branch", append(words(line), "--json")...).fails(t, 5, "", "sealed", "unseal")
	}
	for _, path := range []string{"/readyz", "/metrics"} {
		if code, _ := s.get(t, path, s.key(t, "admin")); code != http.StatusServiceUnavailable {
			t.Errorf("%s: %d", path, code)
		}
	}
	// Nobody unseals without a credential.
	gatehouse(t, "unseal", "--share-file", s.secretFile(t, "share", shares[0]), "--server", s.Address, "--ca", s.CA, "--json").fails(t, 4, "")
	s.as(t, "branch", "unseal", "--share-file", s.secretFile(t, "share", shares[0]), "--json").fails(t, 4, "")
	s.stop(t)
}

func TestUnsealByPassphrase(t *testing.T) {
	s, _ := sealedNode(t)
	wrong := s.secretFile(t, "wrong", "korrekt Pferd Batterie Büroklammer")
	began := time.Now()
	for range 2 { // the second one waits: the node delays what follows a wrong one
		s.as(t, "admin", "unseal", "--passphrase-file", wrong, "--json").fails(t, 3, "", "opens no passphrase slot")
	}
	right := s.secretFile(t, "right", passphrase)
	if seal := does[shownSeal](t, s, "admin", "unseal", "--passphrase-file", right); seal.Sealed {
		t.Errorf("unseal: %+v", seal)
	}
	if took := time.Since(began); took < time.Second {
		t.Errorf("two wrong passphrases and a right one took %v", took)
	}
	if v := s.verify(t, "branch"); v.State != "approved" {
		t.Errorf("after unsealing: %+v", v)
	}
	// Asked for on stdin, as at a console.
	if o := s.as(t, "admin", "seal", "--json"); o.code != 0 {
		t.Fatalf("seal: %+v", o)
	}
	c := command(t, "unseal", "--passphrase-file", "-", "--profile", s.profile("admin"), "--server", s.Address)
	c.Stdin = strings.NewReader(passphrase + "\n")
	if o := run(t, c); o.code != 0 || !strings.HasPrefix(o.stdout, "Open\n") {
		t.Errorf("unseal from stdin: %+v", o)
	}
	s.as(t, "admin", "unseal", "--passphrase-file", right, "--json").fails(t, 3, "", "not sealed")
	s.stop(t)
}

func TestUnsealByShares(t *testing.T) {
	s, shares := sealedNode(t)
	give := func(share string) outcome {
		return s.as(t, "admin", "unseal", "--share-file", s.secretFile(t, "share", share), "--json")
	}
	first := one[shownSeal](t, give(shares[2]).stdout)
	if !first.Sealed || first.SharesGiven != 1 || first.SharesNeeded != 2 {
		t.Errorf("after one share: %+v", first)
	}
	give(shares[2]).fails(t, 3, "", "was given before")
	mistyped := []byte(shares[0])
	mistyped[len(mistyped)/2] ^= 1
	give(string(mistyped)).fails(t, 3, "", "mistyped or damaged")
	if second := one[shownSeal](t, give(shares[0]).stdout); second.Sealed {
		t.Errorf("after two shares: %+v", second)
	}
	if v := s.verify(t, "branch"); v.State != "approved" {
		t.Errorf("after unsealing: %+v", v)
	}
	s.stop(t)
}

// What was submitted before the seal closed waits for it to open.
func TestJobsOutliveTheSeal(t *testing.T) {
	s := serve(t)
	s.enrol(t, "branch", "operator")
	const jobs = 6 // about half a second of one core each
	var ids []string
	person := s.secretFile(t, "reference", "customer 1") // one of them: no duplicates
	for range jobs {
		made := does[shownSession](t, s, "branch", append([]string{"session", "create", "--subject-ref-file", person}, consent...)...)
		ids = append(ids, made.ID)
		for slot, file := range map[string]string{"document_front": passport, "selfie": obama2} {
			if o := s.as(t, "branch", "session", "put", made.ID, slot, file); o.code != 0 {
				t.Fatalf("session put: %+v", o)
			}
		}
	}
	for _, id := range ids {
		does[shownSession](t, s, "branch", "session", "submit", id)
	}
	if seal := does[shownSeal](t, s, "admin", "seal"); !seal.Sealed {
		t.Fatalf("seal: %+v", seal)
	}
	s.as(t, "branch", "session", "get", ids[0], "--json").fails(t, 5, "", "sealed")
	if seal := does[shownSeal](t, s, "admin", "unseal", "--file"); seal.Sealed {
		t.Fatalf("unseal: %+v", seal)
	}
	waited := 0
	for _, id := range ids {
		if does[shownSession](t, s, "branch", "session", "get", id).Decision == nil {
			waited++
		}
	}
	if waited == 0 {
		t.Error("no job was left when the seal closed: this shows nothing")
	}
	for _, id := range ids {
		if v := does[shownSession](t, s, "branch", "session", "get", id, "--wait", "30s"); v.State != "approved" {
			t.Errorf("session %s: %+v", id, v)
		}
	}
	s.stop(t)
}

func TestSlotsComeAndGo(t *testing.T) {
	s := serve(t)
	s.enrol(t, "branch", "operator")
	phrase := s.secretFile(t, "passphrase", passphrase)
	only := does[shownSeal](t, s, "admin", "seal", "status").Slots
	if len(only) != 1 || only[0].Kind != "file" || only[0].Path != s.Data+".seal" {
		t.Fatalf("slots of a new node: %+v", only)
	}
	s.as(t, "admin", "seal", "remove", only[0].ID, "--json").fails(t, 3, "", "only slot")
	s.as(t, "admin", "seal", "add", "passphrase", "--passphrase-file", s.secretFile(t, "short", "too short"), "--json").fails(t, 3, "", "15 to 1024")
	s.as(t, "admin", "seal", "add", "file", "--path", s.Data+".seal", "--json").fails(t, 3, "", "exists already")
	does[addedSlot](t, s, "admin", "seal", "add", "passphrase", "--passphrase-file", phrase)
	left := does[shownSeal](t, s, "admin", "seal", "remove", only[0].ID).Slots
	if len(left) != 1 || left[0].Kind != "passphrase" {
		t.Errorf("slots that are left: %+v", left)
	}
	if _, err := os.Stat(s.Data + ".seal"); err == nil {
		t.Error("the key file of a slot that was removed is still there")
	}
	s.as(t, "admin", "seal", "remove", only[0].ID, "--json").fails(t, 3, "", "no such slot")
	made := s.verify(t, "branch")
	s.stop(t)

	s.start(t)
	if !s.Sealed {
		t.Fatal("with a passphrase alone the node starts open")
	}
	s.as(t, "admin", "unseal", "--file", "--json").fails(t, 3, "", "no slot of this kind")
	does[shownSeal](t, s, "admin", "unseal", "--passphrase-file", phrase)
	again := does[shownSession](t, s, "branch", "session", "get", made.ID)
	if again.State != made.State || !slices.Equal(again.Evidence, made.Evidence) {
		t.Errorf("session: %+v, it was %+v", again, made)
	}
	s.stop(t)
}
