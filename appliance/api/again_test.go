package api_test

import (
	"net/http"
	"sync"
	"testing"

	"gatehouse/appliance/access"
	"gatehouse/appliance/appliancetest"
)

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
