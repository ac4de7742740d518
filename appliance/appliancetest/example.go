package appliancetest

import (
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"gatehouse/appliance/access"
	"gatehouse/store/audit/trust"
	"gatehouse/store/id"
)

// Example is a request that its route takes; ids come from have.
func Example(t testing.TB, r access.Route, have map[string]string) (path string, body *Body, headers []string) {
	t.Helper()
	path = r.Path
	if r.Operation == "removeSlot" {
		path = strings.Replace(path, "{slot}", have["seal"], 1)
	}
	for name, value := range have {
		path = strings.Replace(path, "{"+name+"}", value, 1)
	}
	p := Evidence(t)
	face := Part{Name: "face", Kind: "image/jpeg", Bytes: p.Stranger}
	switch r.Operation {
	case "setup":
		body = JSON(`{"code":"0000","organisation":"x","name":"x"}`)
	case "unseal":
		body = JSON(`{"file":true}`)
	case "addSlot":
		body = JSON(`{"kind":"shamir","threshold":2,"shares":3}`)
	case "createTenant":
		body = JSON(`{"organisation":"x","name":"x"}`)
	case "createClient":
		body = JSON(`{"name":"x","roles":["operator"]}`)
	case "createSession":
		body = JSON(Request(""))
	case "putEvidence":
		body = &Body{Kind: "image/jpeg", Bytes: p.Document}
	case "verify":
		body, path = VerificationForm(t, p.Document, p.Selfie), path+"?wait=30s"
	case "compareFaces":
		body = Form(t, Part{Name: "a", Kind: "image/jpeg", Bytes: p.Selfie}, Part{Name: "b", Kind: "image/jpeg", Bytes: p.Stranger})
	case "searchFaces":
		body = Form(t, Part{Name: "face", Kind: "image/jpeg", Bytes: p.Selfie})
		headers = []string{"Purpose: review"}
	case "addBlocked":
		body = Form(t, face, Part{Name: "reason", Bytes: []byte("x")})
	case "changeMember":
		body = JSON(`{"draining":false}`)
	case "rebuildGallery", "searchAudit", "exportAudit", "inviteNode", "transferLeadership":
		body = JSON(`{}`)
	case "readDocument":
		body = Form(t, Part{Name: "document_front", Kind: "image/jpeg", Bytes: p.Document})
		headers = []string{"Purpose: support"}
	case "submitSession":
		path += "?wait=30s"
	case "getEvidence", "getResult", "getSubject", "getBlocked":
		headers = []string{"Purpose: review"}
	case "eraseSubject", "removeBlocked":
		path += "?reason=subject_request"
	case "auditConsistency":
		path += "?from=1"
	case "cosignAudit":
		body = JSON(map[string]string{"witness": have["witness"], "checkpoint": have["checkpoint"]})
	case "retireAuditKey":
		path += "?early=true"
	}
	return path, body, headers
}

// Nothing are ids of nothing.
func Nothing() map[string]string {
	now := time.Now()
	return map[string]string{"session": id.New(id.Session, now, rand.Reader), "client": id.New(id.Client, now, rand.Reader),
		"subject": id.New(id.Subject, now, rand.Reader), "entry": id.New(id.Block, now, rand.Reader), "slot": "document_front", "seq": "0", "seal": "nothing",
		"member": id.New(id.Node, now, rand.Reader), "witness": "nobody", "checkpoint": "none"}
}

// Witness of logs, whose key a policy may pin.
func Witness(t testing.TB) *trust.Witness {
	t.Helper()
	skey, _, err := trust.NewWitness("witness.test/one", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w, err := trust.ParseWitness(skey)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// Cosigned is the head of the log "tenant" or "system", which the witness has
// cosigned.
func (c *Client) Cosigned(t testing.TB, w *trust.Witness, log string) string {
	t.Helper()
	b, err := w.Cosign(c.Do(t, "GET", "/v1/audit/checkpoint?log="+log, nil).Want(t, 200).Body, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
