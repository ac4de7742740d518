package api_test

import (
	"bufio"
	"strings"
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
