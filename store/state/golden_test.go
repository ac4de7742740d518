package state_test

import (
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/store/command"
	"gatehouse/store/state"
)

var update = flag.Bool("update", false, "write golden files that are missing; those of a published format stay as they are")

// every is one command of each type, and the ways of a session. To change it
// is to lose what the golden file proves: add to its end, under another name.
func every(w *world) {
	w.ok(w.command(command.Type_FOUND, "", &command.Found{Cluster: "clu_a", Node: "nod_a", SetupCode: hash("old code")}))
	w.ok(w.command(command.Type_RENEW_CODE, "", &command.RenewCode{SetupCode: hash("code")}))
	w.ok(w.command(command.Type_SETUP, "", &command.Setup{SetupCode: hash("code"), Tenant: tenant("ten_a"), Admin: admin("ten_a", "cli_admin")}))
	w.ok(w.command(command.Type_CREATE_TENANT, "", &command.CreateTenant{Tenant: tenant("ten_b"), Admin: client("ten_b", "cli_b")}))
	w.ok(w.command(command.Type_CREATE_CLIENT, "ten_a", &command.CreateClient{Client: client("ten_a", "cli_1", "operator")}))
	w.ok(w.command(command.Type_REVOKE_CLIENT, "ten_a", &command.RevokeClient{Client: "cli_1"}))
	w.ok(keyed(w.create("ses_1", "sub_ses_1", "customer 7"), "k", "r"))
	w.do(keyed(w.create("ses_1", "sub_ses_1", "customer 7"), "k", "r"))
	w.ok(w.evidence("ses_1", "document_front", 1))
	w.ok(w.evidence("ses_1", "selfie", 1))
	w.ok(w.submit("ses_1"))
	w.ok(w.retry("ses_1", 1))
	w.ok(w.back("ses_1", 2, "selfie"))
	w.ok(w.evidence("ses_1", "selfie", 2))
	w.ok(w.submit("ses_1"))
	w.ok(w.complete("ses_1", 3, state.Approved))
	w.collected("ses_2")
	w.ok(w.submit("ses_2"))
	w.ok(w.fail("ses_2", 1))
	w.do(w.complete("ses_2", 1, state.Approved)) // refused
	w.collected("ses_3")
	w.ok(w.tick(w.now + int64(time.Hour)))
	w.ok(w.tick(w.now + int64(25*time.Hour)))
	w.ok(w.erase("sub_ses_1"))
	c := w.command(command.Type_RECORD, "ten_b", nil)
	c.Events[0].Commitments = map[string][]byte{"name": hash("n"), "birth": hash("b")}
	c.Events[0].Facts = map[string]string{"z": "1", "a": "2"}
	w.ok(c)
	w.ok(w.command(command.Type_FINALISE, "", &command.Finalise{Version: 1}))
	w.ok(w.block("blk_1", "ses_2"))
	w.ok(w.block("blk_2", ""))
	w.ok(w.unblock("blk_1"))
	w.ok(w.tick(w.now + 1))
}

// The state hash covers every row ever written: a release that gives another
// one would fork from its older neighbours.
func TestStateHashOfFormat1(t *testing.T) {
	w := empty(t)
	every(w)
	w.clean()
	_, sum := w.s.Applied()
	got := hex.EncodeToString(sum[:])
	path := filepath.Join("testdata", "format1.hash")
	want, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) && *update {
		want = []byte(got + "\n")
		must(t, os.MkdirAll("testdata", 0o755))
		err = os.WriteFile(path, want, 0o644)
	}
	must(t, err)
	if strings.TrimSpace(string(want)) != got {
		t.Errorf("state hash %s after the same %d commands as ever, want %s", got, len(w.log), want)
	}
}
