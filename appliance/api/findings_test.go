package api_test

import (
	"bufio"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/appliance/access"
	"gatehouse/appliance/appliancetest"
)

// What a handler denies is in the log, too, within the same bounds.
func TestDenialsOfHandlersAreBounded(t *testing.T) {
	n, home := tenant(t)
	auditor := home.NewKey(t, access.Auditor)
	n.Clock.Stop(t)
	for range 50 {
		auditor.Do(t, "GET", "/v1/audit/events?log=system", nil).Want(t, 403).Refused(t, "forbidden")
	}
	denied := 0
	for _, l := range home.Leaves(t) {
		if l.Action == "authz.deny" && l.Actor["id"] == auditor.ID {
			if denied++; l.Result != "denied" || l.Reason != "role" || l.Req.Route != "GET /v1/audit/events" {
				t.Errorf("%+v", l)
			}
		}
	}
	if denied != 5 {
		t.Errorf("%d of 50 denials at one moment are in the log, want 5", denied)
	}
}

// Who is revoked while it waits learns nothing more.
func TestRevokedWhileItWaits(t *testing.T) {
	_, home := tenant(t)
	op := home.Key(t, access.Operator)
	id := op.Create(t)
	path := "/v1/sessions/" + id
	gone := home.NewKey(t, access.Operator)
	res, err := shared.Node(t).Dial(t, nil).Do(gone.Request(t, "GET", path+"/events", nil))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	told := 0
	next := func() bool {
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "data: ") {
				told++
				return true
			}
		}
		return false
	}
	if !next() {
		t.Fatal("the stream tells nothing")
	}
	waited := make(chan *appliancetest.Answer, 1)
	r := gone.Request(t, "GET", path+"?wait=1s", nil)
	go func() {
		a, err := gone.Send(r)
		if err != nil {
			t.Error(err)
			a = &appliancetest.Answer{}
		}
		waited <- a
	}()
	time.Sleep(200 * time.Millisecond) // it waits
	home.Admin.Do(t, "DELETE", "/v1/clients/"+gone.ID, nil).Want(t, 200)
	start := time.Now()
	op.Put(t, id, "selfie", appliancetest.Evidence(t).Selfie).Want(t, 200)
	if next() {
		t.Errorf("the stream goes on: %s", lines.Text())
	}
	if took := time.Since(start); took > 5*time.Second { // before the next heartbeat
		t.Errorf("the stream ended after %v", took)
	}
	if a := <-waited; a.Status != 401 || a.Problem(t) != "unauthorized" {
		t.Errorf("who waits is answered %d %s", a.Status, a.Body)
	}
}

// Only who has the role takes it away, and never from the last who has it.
func TestPlatformAdminIsRevoked(t *testing.T) {
	n := appliancetest.Start(t)
	other := n.Home.NewKey(t, access.PlatformAdmin)
	admin := n.Home.NewKey(t, access.TenantAdmin)
	for _, who := range []string{other.ID, n.Home.Admin.ID} {
		admin.Do(t, "DELETE", "/v1/clients/"+who, nil).Want(t, 403).Refused(t, "forbidden")
	}
	other.Do(t, "GET", "/v1/tenants", nil).Want(t, 200)
	below := n.Home.NewKey(t, access.Operator)
	admin.Do(t, "DELETE", "/v1/clients/"+below.ID, nil).Want(t, 200)
	n.Home.Admin.Do(t, "DELETE", "/v1/clients/"+other.ID, nil).Want(t, 200)
	other.Do(t, "GET", "/v1/tenants", nil).Refused(t, "unauthorized")
	n.Home.Admin.Do(t, "DELETE", "/v1/clients/"+n.Home.Admin.ID, nil).Want(t, 409).Refused(t, "last-one")
	n.Home.Admin.Do(t, "GET", "/v1/tenants", nil).Want(t, 200)
}

// withBack is a verification with the back of the document.
func withBack(t *testing.T, front, back, selfie []byte) *appliancetest.Body {
	t.Helper()
	jpeg := func(name string, b []byte) appliancetest.Part {
		return appliancetest.Part{Name: name, Kind: "image/jpeg", Bytes: b}
	}
	return appliancetest.Form(t, appliancetest.Part{Name: "session", Kind: "application/json", Bytes: []byte(appliancetest.Request(""))},
		jpeg("document_front", front), jpeg("document_back", back), jpeg("selfie", selfie))
}

// A verification is the same only with the same pictures: none other, none
// less, none more.
func TestVerificationAgainWithOtherPictures(t *testing.T) {
	_, op := operator(t)
	p := appliancetest.Evidence(t)
	before := sessions(t, op)
	whole, less := withBack(t, p.Document, p.Document, p.Selfie), appliancetest.VerificationForm(t, p.Document, p.Selfie)
	first := op.Do(t, "POST", "/v1/verifications?wait=30s", whole, "Idempotency-Key: whole").Want(t, 200)
	for what, other := range map[string]*appliancetest.Body{
		"without the back": less, "another selfie": withBack(t, p.Document, p.Document, p.Stranger),
		"another front": withBack(t, p.Selfie, p.Document, p.Selfie), "another back": withBack(t, p.Document, p.Selfie, p.Selfie),
	} {
		if a := op.Do(t, "POST", "/v1/verifications?wait=30s", other, "Idempotency-Key: whole"); a.Status != 422 || a.Problem(t) != "idempotency-key-reused" {
			t.Errorf("%s: %d %s", what, a.Status, a.Body)
		}
	}
	again := op.Do(t, "POST", "/v1/verifications?wait=30s", whole, "Idempotency-Key: whole").Want(t, 200)
	if withoutHead(t, again.Body) != withoutHead(t, first.Body) {
		t.Errorf("%s, first %s", again.Body, first.Body)
	}
	op.Do(t, "POST", "/v1/verifications?wait=30s", less, "Idempotency-Key: less").Want(t, 200)
	op.Do(t, "POST", "/v1/verifications?wait=30s", whole, "Idempotency-Key: less").Want(t, 422).Refused(t, "idempotency-key-reused")
	if got := sessions(t, op) - before; got != 2 {
		t.Errorf("%d sessions, want 2", got)
	}
}

// Two verifications at once with one key and two selfies: one is made, the
// other is refused, and no picture of the one is in the other.
func TestOneKeyTwoSelfiesAtOnce(t *testing.T) {
	home, op := operator(t)
	p := appliancetest.Evidence(t)
	before := sessions(t, op)
	selfies := [][]byte{p.Selfie, p.Stranger}
	var wait sync.WaitGroup
	answers := make([]*appliancetest.Answer, len(selfies))
	for i, selfie := range selfies {
		r := op.Request(t, "POST", "/v1/verifications?wait=30s", appliancetest.VerificationForm(t, p.Document, selfie), "Idempotency-Key: two selfies")
		wait.Go(func() {
			var err error
			if answers[i], err = op.Send(r); err != nil {
				t.Error(err)
				answers[i] = &appliancetest.Answer{}
			}
		})
	}
	wait.Wait()
	made := 0
	for i, a := range answers {
		switch a.Status {
		case http.StatusOK:
			made++
			kept := home.Key(t, access.Reviewer).Do(t, "GET", "/v1/sessions/"+a.Text(t, "id")+"/evidence/selfie", nil, purpose).Want(t, 200)
			if string(kept.Body) != string(selfies[i]) {
				t.Error("the decision is on another selfie than the caller's")
			}
		default:
			a.Want(t, 422).Refused(t, "idempotency-key-reused")
		}
	}
	if got := sessions(t, op) - before; made != 1 || got != 1 {
		t.Errorf("%d answers, %d sessions", made, got)
	}
}
