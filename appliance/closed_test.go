package appliance_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gatehouse/appliance"
	"gatehouse/appliance/access"
	"gatehouse/appliance/act"
	"gatehouse/appliance/appliancetest"
	"gatehouse/cluster"
	"gatehouse/store/audit"
	"gatehouse/store/command"
)

// These tests are of one rule: what has no leaf in the audit log does not happen
// and is not shown.

// agreement that can be had, cannot be had, or is had without an answer.
type agreement struct {
	act.Cluster
	mode atomic.Int32
	leaf atomic.Value // audit.Action
}

const (
	had  = int32(iota)
	cut  // no quorum
	late // none from the command on that has the leaf
	lost // it was agreed on, and the answer did not arrive
)

func (a *agreement) Propose(ctx context.Context, c *command.Command) (*command.Answer, error) {
	mode := a.mode.Load()
	if mode == cut || mode == late && slices.ContainsFunc(c.Events, func(e *command.Event) bool { return e.Action == string(a.leaf.Load().(audit.Action)) }) {
		return nil, fmt.Errorf("%w: no leader", cluster.ErrUnavailable)
	}
	answer, err := a.Cluster.Propose(ctx, c)
	if mode == lost {
		return nil, fmt.Errorf("%w: leadership was lost", cluster.ErrUnavailable)
	}
	return answer, err
}

// held is a node on which every act has something to act on.
type held struct {
	*appliancetest.Node
	all     *appliancetest.Client // may do anything
	have    map[string]string
	private []string // what nobody may be shown
}

func hold(t *testing.T, options ...appliancetest.Option) *held {
	t.Helper()
	n := appliancetest.Start(t, append(options, appliancetest.Port())...)
	h := &held{Node: n, all: n.Home.NewKey(t, access.Roles()...), have: appliancetest.Nothing()}
	p := appliancetest.Evidence(t)
	s := h.all.Do(t, "POST", "/v1/verifications?wait=30s", appliancetest.VerificationFormOf(t, "customer 4711", p.Document, p.Selfie)).Want(t, 200)
	h.have["session"], h.have["subject"] = s.Text(t, "id"), s.Text(t, "subject")
	result := h.all.Do(t, "GET", "/v1/sessions/"+h.have["session"]+"/result", nil, "Purpose: review").Want(t, 200)
	h.private = []string{"customer 4711", result.Text(t, "document.mrz.fields.surname"), result.Text(t, "document.mrz.fields.number"), string(p.Selfie[:64]), `"events"`, `"leaf"`, `"candidates"`, `"similarity"`}
	if slices.Contains(h.private, "") {
		t.Fatalf("%s", result.Body)
	}
	h.have["filled"], h.have["begun"] = h.all.FilledOf(t, "customer 1"), h.all.Create(t)
	h.have["client"] = n.Home.NewKey(t, access.Monitor).ID
	h.have["entry"] = h.all.Do(t, "POST", "/v1/blocklist", appliancetest.Form(t, appliancetest.Part{Name: "face", Kind: "image/jpeg", Bytes: p.Stranger}, appliancetest.Part{Name: "reason", Bytes: []byte("x")})).Want(t, 201).Text(t, "id")
	h.have["seal"] = h.all.Do(t, "POST", "/v1/seal/slots", appliancetest.JSON(`{"kind":"shamir","threshold":2,"shares":3}`)).Want(t, 201).Text(t, "slot.id")
	h.have["member"] = n.Home.Admin.Do(t, "GET", "/v1/cluster", nil).Want(t, 200).Text(t, "leader")
	w := appliancetest.Witness(t)
	h.have["witness"], h.have["checkpoint"] = w.Vkey(), h.all.Cosigned(t, w, "tenant")
	return h
}

// audited routes; those that take something away come last. To take a member
// away, or to let it lead, there must be two: the tests of the program do that.
func audited() (all []access.Route) {
	last := []string{"retireAuditKey", "removeSlot", "removeBlocked", "revokeClient", "eraseSubject", "seal", "unseal"}
	for _, r := range access.Routes() {
		switch r.Operation {
		case "setup", "transferLeadership", "removeMember": // setup is for a node without a tenant
			continue
		}
		if r.Audit != "" {
			all = append(all, r)
		}
	}
	slices.SortStableFunc(all, func(a, b access.Route) int {
		return slices.Index(last, a.Operation) - slices.Index(last, b.Operation)
	})
	return all
}

// ask sends the example of a route under a name of its own.
func (h *held) ask(t *testing.T, r access.Route, name string) *appliancetest.Answer {
	t.Helper()
	path, body, headers := h.example(t, r, name)
	return h.all.Do(t, r.Method, path, body, headers...)
}

func (h *held) example(t *testing.T, r access.Route, name string) (path string, body *appliancetest.Body, headers []string) {
	t.Helper()
	have := h.have
	switch r.Operation {
	case "putEvidence":
		have = map[string]string{"session": h.have["begun"], "slot": "document_front"}
	case "submitSession":
		have = map[string]string{"session": h.have["filled"]}
	}
	path, body, headers = appliancetest.Example(t, r, have)
	return path, body, append(headers, "X-Request-Id: "+name+"-"+r.Operation)
}

// refuses asks for everything, which must be answered with one of the problems
// and show nothing.
func (h *held) refuses(t *testing.T, name string, routes []access.Route, problems ...string) {
	t.Helper()
	for _, r := range routes {
		h.refused(t, name, r, h.ask(t, r, name), problems...)
	}
}

func (h *held) refused(t *testing.T, name string, r access.Route, a *appliancetest.Answer, problems ...string) {
	t.Helper()
	if !slices.Contains(problems, a.Problem(t)) || a.Status < 500 {
		t.Errorf("%s: %s: %d %.300s", name, r.Operation, a.Status, a.Body)
	}
	for _, p := range h.private {
		if strings.Contains(string(a.Body), p) {
			t.Errorf("%s: %s shows %.20q", name, r.Operation, p)
		}
	}
}

// ends asks for everything of a node that ends at the first of it: who is answered
// at all is refused.
func (h *held) ends(t *testing.T, name string, routes []access.Route) {
	t.Helper()
	cut := 0
	for _, r := range routes {
		path, body, headers := h.example(t, r, name)
		a, err := h.all.Send(h.all.Request(t, r.Method, path, body, headers...))
		if err != nil {
			cut++
			continue
		}
		h.refused(t, name, r, a, "unavailable")
	}
	if cut == 0 {
		t.Errorf("%s: the node goes on answering", name)
	}
}

// untouched fails where a log has an event of what was refused.
func (h *held) untouched(t *testing.T, names ...string) {
	t.Helper()
	auditor := h.Home.Key(t, access.Auditor)
	for _, l := range slices.Concat(auditor.Leaves(t, "tenant"), h.Home.Admin.Leaves(t, "system")) {
		for _, name := range names {
			if strings.HasPrefix(l.Req.RequestID, name+"-") {
				t.Errorf("%s: the log has %s of %s", name, l.Action, l.Req.RequestID)
			}
		}
	}
}

// goesOn asks for everything once more: all of it is done, and is in the log.
func (h *held) goesOn(t *testing.T) {
	t.Helper()
	want := map[string]string{}
	for _, r := range audited() {
		if a := h.ask(t, r, "good"); a.Status >= 300 {
			t.Errorf("afterwards: %s: %d %.300s", r.Operation, a.Status, a.Body)
		}
		want["good-"+r.Operation] = string(r.Audit)
	}
	auditor := h.Home.Key(t, access.Auditor)
	for _, l := range slices.Concat(auditor.Leaves(t, "tenant"), h.Home.Admin.Leaves(t, "system")) {
		if want[l.Req.RequestID] == l.Action {
			delete(want, l.Req.RequestID)
		}
	}
	if len(want) > 0 {
		t.Errorf("afterwards: the log does not have %v", want)
	}
}

// mark is what the node holds: the state's hash, the slots of the seal, the keys.
func (h *held) mark(t *testing.T) string {
	t.Helper()
	mark := h.Home.Admin.Do(t, "GET", "/v1/status", nil).Want(t, 200).Text(t, "state_hash")
	for _, name := range []string{"seal.json", "keyring"} {
		b, err := os.ReadFile(filepath.Join(h.Data, name))
		if err != nil {
			t.Fatal(err)
		}
		mark += fmt.Sprintf(" %s %x", name, sha256.Sum256(b))
	}
	return mark
}

func except(routes []access.Route, operations ...string) []access.Route {
	return slices.DeleteFunc(slices.Clone(routes), func(r access.Route) bool { return slices.Contains(operations, r.Operation) })
}

func only(operation string) []access.Route {
	return slices.DeleteFunc(audited(), func(r access.Route) bool { return r.Operation != operation })
}

func TestNothingWithoutAgreement(t *testing.T) {
	quorum := &agreement{}
	h := hold(t, appliancetest.Opened(func(n *appliance.Node) {
		n.Agree(func(c act.Cluster) act.Cluster {
			quorum.Cluster = c
			return quorum
		})
	}))
	routes := except(audited(), "unseal") // of a sealed node, below
	if len(routes) < 28 {
		t.Fatalf("only %d routes", len(routes))
	}
	h.all.Do(t, "POST", "/v1/audit/keys/rotate", nil).Want(t, 200) // to have one to retire
	before := h.mark(t)
	quorum.mode.Store(cut)
	h.refuses(t, "cut", except(routes, "rotateAuditKey", "createTenant"), "unavailable")
	if h.mark(t) != before {
		t.Error("the state, or a key, changed although nothing was agreed on")
	}
	for _, r := range [][3]string{{"GET", "/v1/audit/events?log=system"}, {"GET", "/v1/audit/proof/0?log=system"}, {"POST", "/v1/audit/search", `{"log":"system"}`}, {"POST", "/v1/audit/exports", `{"log":"system"}`},
		{"POST", "/v1/audit/exports", `{"nonce":"2026-q4-7f3a"}`}, {"POST", "/v1/audit/search", `{"reference":"customer 4711"}`}} {
		var body *appliancetest.Body
		if r[2] != "" {
			body = appliancetest.JSON(r[2])
		}
		h.all.Do(t, r[0], r[1], body, "X-Request-Id: cut-1").Want(t, 503).Refused(t, "unavailable")
	}
	tenants := h.all.Do(t, "GET", "/v1/tenants", nil).Want(t, 200)
	// A key is made first, of a tenant that then is none.
	h.refuses(t, "cut", only("createTenant"), "unavailable")
	if now := h.all.Do(t, "GET", "/v1/tenants", nil).Want(t, 200); string(now.Body) != string(tenants.Body) {
		t.Errorf("%s, before %s", now.Body, tenants.Body)
	}
	quorum.mode.Store(had)
	h.all.Do(t, "POST", "/v1/audit/keys/retire?early=true", nil).Want(t, 200)
	before = h.mark(t)
	quorum.mode.Store(cut)
	h.refuses(t, "cut", only("rotateAuditKey"), "unavailable")
	if h.mark(t) != before {
		t.Error("the keys were rotated although nothing was agreed on")
	}
	quorum.mode.Store(had)
	h.all.Do(t, "POST", "/v1/seal/close", nil).Want(t, 200)
	for _, mode := range []int32{cut, lost} {
		quorum.mode.Store(mode)
		h.refuses(t, "unseal", only("unseal"), "unavailable")
		if h.all.Do(t, "GET", "/v1/seal", nil).Want(t, 200).Text(t, "sealed") != "true" {
			t.Error("the seal was opened without a word in the log")
		}
	}
	quorum.mode.Store(had)
	h.all.Do(t, "POST", "/v1/seal/open", appliancetest.JSON(`{"file":true}`)).Want(t, 200)
	h.ready(t)
	h.untouched(t, "cut")

	// What goes before the leaf is agreed on, and the leaf itself is not.
	h.all.Do(t, "POST", "/v1/audit/keys/rotate", nil).Want(t, 200)
	quorum.mode.Store(late)
	for _, r := range except(routes, "rotateAuditKey") {
		quorum.leaf.Store(r.Audit)
		h.refuses(t, "late", []access.Route{r}, "unavailable")
	}
	quorum.mode.Store(had)
	h.all.Do(t, "POST", "/v1/audit/keys/retire?early=true", nil).Want(t, 200) // it was not retired

	// Where it is not known whether the leaf was written, nothing is shown either.
	h.all.Do(t, "POST", "/v1/audit/keys/rotate", nil).Want(t, 200)
	seals := func() string { return h.all.Do(t, "GET", "/v1/seal", nil).Want(t, 200).Text(t, "slots") }
	slots := seals()
	quorum.mode.Store(lost)
	h.refuses(t, "lost", except(routes, "rotateAuditKey"), "unavailable")
	if now := seals(); now != slots {
		t.Errorf("the seal has the slots %s, before %s", now, slots)
	}
	quorum.mode.Store(had)
	h.all.Do(t, "POST", "/v1/audit/keys/retire?early=true", nil).Want(t, 200) // it was not retired
}

// ready waits for the galleries.
func (h *held) ready(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if h.all.Do(t, "GET", "/readyz", nil).Status == 200 {
			return
		}
	}
	t.Fatal("the node does not become ready")
}

// The setup code is not used up by a setup that is not in the log.
func TestNoSetupWithoutAgreement(t *testing.T) {
	quorum := &agreement{}
	n := appliancetest.Open(t, appliancetest.Opened(func(n *appliance.Node) {
		n.Agree(func(c act.Cluster) act.Cluster {
			quorum.Cluster = c
			return quorum
		})
	}))
	setup := func() *appliancetest.Answer {
		return n.Nobody().Do(t, "POST", "/v1/setup", appliancetest.JSON(map[string]string{"code": n.SetupCode(), "organisation": "First Bank", "name": "head office"}))
	}
	quorum.mode.Store(cut)
	if a := setup().Want(t, 503).Refused(t, "unavailable"); strings.Contains(string(a.Body), "gh_") {
		t.Errorf("%s", a.Body)
	}
	quorum.mode.Store(had)
	setup().Want(t, 201)
}

// A sealed node, and one whose disk has no byte left for the log.
func TestNothingWithoutItsLeaf(t *testing.T) {
	h := hold(t)
	t.Run("sealed", func(t *testing.T) {
		h.all.Do(t, "POST", "/v1/seal/close", nil).Want(t, 200)
		h.refuses(t, "sealed", except(audited(), "unseal"), "sealed")
		h.all.Do(t, "POST", "/v1/seal/open", appliancetest.JSON(`{"file":true}`)).Want(t, 200)
		h.ready(t)
		h.untouched(t, "sealed")
	})
	t.Run("full disk", func(t *testing.T) {
		h.all.Do(t, "POST", "/v1/audit/keys/rotate", nil).Want(t, 200) // to have one to retire
		before := h.all.Do(t, "GET", "/v1/sessions/"+h.have["filled"], nil).Want(t, 200)
		noRoom(t, filepath.Join(h.Data, "raft", "log"))
		// A second rotation is refused before anything is written.
		h.ends(t, "full", except(audited(), "unseal", "rotateAuditKey"))
		why := h.Broken(t, func() {
			// The file with the vote stays locked by this process: what is on the
			// disk is taken up as another process would find it.
			left := filepath.Join(t.TempDir(), "left")
			copied(t, h.Data, left)
			if err := os.RemoveAll(h.Data); err != nil {
				t.Fatal(err)
			}
			copied(t, left, h.Data)
		})
		if appliance.Exit(why) != appliance.ExitFull {
			t.Errorf("the node ended with %v", why)
		}
		h.ready(t)
		h.untouched(t, "full")
		if after := h.all.Do(t, "GET", "/v1/sessions/"+h.have["filled"], nil).Want(t, 200); after.Text(t, "evidence") != before.Text(t, "evidence") || after.Text(t, "state") != before.Text(t, "state") {
			t.Errorf("%s, before %s", after.Body, before.Body)
		}
		h.all.Do(t, "POST", "/v1/audit/keys/retire?early=true", nil).Want(t, 200)
	})
	if !t.Failed() {
		h.goesOn(t)
	}
}

// noRoom has every write to the open files of a folder fail, as on a full disk.
func noRoom(t *testing.T, folder string) {
	t.Helper()
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no /dev/full: %v", err)
	}
	defer full.Close()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("no /proc: %v", err)
	}
	found := false
	for _, e := range open {
		if at, err := os.Readlink(filepath.Join("/proc/self/fd", e.Name())); err != nil || filepath.Dir(at) != folder {
			continue
		}
		var fd int
		if _, err := fmt.Sscan(e.Name(), &fd); err != nil {
			t.Fatal(err)
		}
		if err := unix.Dup3(int(full.Fd()), fd, unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		found = true
	}
	if !found {
		t.Fatalf("nothing of %s is open", folder)
	}
}
