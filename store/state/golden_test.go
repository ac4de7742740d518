package state_test

import (
	"compress/gzip"
	"encoding/hex"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

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

// everyMember is the same for what came with version 2, after every.
func everyMember(w *world) {
	w.ok(w.finalise(2))
	w.joined(true, member("nod_a"))
	w.ok(w.authority("certificate", "sealed key"))
	w.ok(w.ring(1, "one", ""))
	w.ok(w.ring(2, "two", "one"))
	w.joined(false, member("nod_b"))
	w.ok(w.change(&command.ChangeMember{Node: "nod_b", Address: proto.String("[::1]:8443"), Name: proto.String("b"), Key: hash("key"),
		Release: proto.String("2.0"), Commands: proto.Uint32(3), Draining: proto.Bool(true)}))
	w.ok(w.invite("inv_1", time.Minute, "nod_b"))
	w.ok(w.invite("inv_2", time.Hour, "nod_b"))
	w.now += int64(time.Minute)
	w.ok(w.invite("inv_3", time.Hour, "")) // the first is forgotten
	w.ok(w.join("inv_2", member("nod_c")))
	w.ok(w.removeMember("nod_b"))
	w.do(w.removeMember("nod_b")) // refused
	w.collected("ses_r")
	w.ok(w.submit("ses_r"))
	w.ok(w.reassign("ses_r", 1, "nod_c"))
}

// everyEpoch is the same for a new epoch of the logs, after everyMember.
func everyEpoch(w *world) {
	w.ok(w.startEpoch(2, &command.Signed{Log: "ten_b", Size: 99, Root: strings.Repeat("A", 43) + "="}))
	w.ok(w.complete("ses_r", 2, state.Approved))
	w.ok(w.tick(w.now + 1))
	w.ok(w.cosign("ten_a", 2, "witness"))
	w.ok(w.startEpoch(3))
	w.ok(w.erase("sub_ses_r"))
}

// The state hash covers every row ever written: a release that gives another
// one would fork from its older neighbours.
func TestStateHashOfFormat1(t *testing.T) {
	w := empty(t)
	every(w)
	w.clean()
	golden(t, w, "format1.hash")
	everyMember(w)
	w.clean()
	golden(t, w, "format1.members.hash")
	everyEpoch(w)
	w.clean()
	golden(t, w, "format1.epochs.hash")
}

// The file that a program wrote which knew version 1 only: it has no tables of
// members, gets them where it is opened, and all goes on as if it had had them.
func TestAFileOfThePreviousProgram(t *testing.T) {
	w := empty(t)
	every(w)             // for the world's clock and log
	must(t, w.s.Close()) // its own file is not used
	must(t, os.WriteFile(w.path, previous(t), 0o600))
	if had := tables(t, w.path); slices.Contains(had, "members") || slices.Contains(had, "invitations") || len(had) != 23 {
		t.Fatalf("the file has the tables %v", had)
	}
	var err error
	w.s, err = state.Open(w.path, false)
	must(t, err)
	w.clean()
	golden(t, w, "format1.hash")
	if index, _ := w.s.Applied(); index != uint64(len(w.log)) {
		t.Errorf("applied %d of %d", index, len(w.log))
	}
	if got := w.known(); got != "" {
		t.Errorf("it knows of\n%s", got)
	}
	everyMember(w)
	w.reopen()
	w.clean()
	golden(t, w, "format1.members.hash")
}

// previous is the file of the state after every, as the previous program left it.
func previous(t *testing.T) []byte {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "format1.db.gz"))
	must(t, err)
	defer f.Close()
	r, err := gzip.NewReader(f)
	must(t, err)
	b, err := io.ReadAll(r)
	must(t, err)
	return b
}

// golden compares the state hash.
func golden(t *testing.T, w *world, name string) {
	t.Helper()
	_, sum := w.s.Applied()
	got := hex.EncodeToString(sum[:])
	path := filepath.Join("testdata", name)
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
