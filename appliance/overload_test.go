package appliance_test

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/appliance"
	"gatehouse/appliance/access"
	"gatehouse/appliance/appliancetest"
	"gatehouse/engine/enginetest"
)

func retryAfter(t *testing.T, a *appliancetest.Answer) {
	t.Helper()
	if s, err := strconv.Atoi(a.Header.Get("Retry-After")); err != nil || s < 1 || s > 60 {
		t.Errorf("Retry-After: %q", a.Header.Get("Retry-After"))
	}
}

// More work than there is room for is refused; what was accepted is done.
func TestFullQueue(t *testing.T) {
	n := appliancetest.Start(t, appliancetest.Config(func(c *appliance.Config) { c.Queue = 2 }))
	op := n.Home.Key(t, access.Operator)
	many := 16
	if enginetest.RaceDetector {
		many = 10
	}
	var sessions []string
	for range many {
		sessions = append(sessions, op.FilledOf(t, "customer 1"))
	}
	p := appliancetest.Evidence(t)
	form := appliancetest.VerificationFormOf(t, "customer 1", p.Document, p.Selfie)
	var wait sync.WaitGroup
	answers := make([]*appliancetest.Answer, many)
	for i, id := range sessions {
		r := op.Request(t, "POST", "/v1/sessions/"+id+"/submit", nil)
		wait.Go(func() {
			var err error
			if answers[i], err = op.Send(r); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	// While they are worked on, the call that does all is refused before it
	// has made a session.
	refusedForms := 0
	for range 3 {
		if a := op.Do(t, "POST", "/v1/verifications", form); a.Status == 429 {
			a.Refused(t, "overloaded")
			retryAfter(t, a)
			refusedForms++
		}
	}
	accepted, refused := 0, 0
	for i, a := range answers {
		if a == nil {
			t.Fatal("a request has no answer")
		}
		switch a.Status {
		case http.StatusAccepted, http.StatusOK:
			accepted++
			if s := op.Do(t, "GET", "/v1/sessions/"+sessions[i]+"?wait=30s", nil).Want(t, 200); s.Text(t, "state") != "approved" {
				t.Errorf("an accepted session is %s", s.Body)
			}
		case http.StatusTooManyRequests:
			refused++
			a.Refused(t, "overloaded")
			retryAfter(t, a)
			if s := op.Do(t, "GET", "/v1/sessions/"+sessions[i], nil).Want(t, 200); s.Text(t, "state") != "collecting" {
				t.Errorf("a refused session is %s", s.Body)
			}
		default:
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
	if accepted < 2 || refused == 0 {
		t.Errorf("%d accepted, %d refused; forms refused %d", accepted, refused, refusedForms)
	}
	// A refused one is taken once there is room.
	for i, a := range answers {
		if a.Status == http.StatusTooManyRequests {
			op.Do(t, "POST", "/v1/sessions/"+sessions[i]+"/submit?wait=30s", nil).Want(t, 200)
			break
		}
	}
	if got := appliancetest.Counts(n.Home.Leaves(t))["session.submit"]; got < accepted+1 {
		t.Errorf("%d submissions in the log, %d were accepted", got, accepted+1)
	}
}

func TestRate(t *testing.T) {
	n := shared.Node(t)
	op := n.Tenant(t).Key(t, access.Operator)
	other := n.Tenant(t).Key(t, access.Operator)
	n.Clock.Stop(t)
	let := 0
	for ; ; let++ {
		a := op.Do(t, "GET", "/v1/sessions", nil)
		if a.Status == 429 {
			a.Refused(t, "too-many-requests")
			retryAfter(t, a)
			break
		}
		if a.Want(t, 200); let > 1000 {
			t.Fatal("a thousand requests at one moment")
		}
	}
	if let != 400 { // two seconds of 200
		t.Errorf("%d requests were let in at one moment", let)
	}
	other.Do(t, "GET", "/v1/sessions", nil).Want(t, 200)
	n.Clock.Advance(time.Second)
	op.Do(t, "GET", "/v1/sessions", nil).Want(t, 200)
}

func TestConcurrency(t *testing.T) {
	if testing.Short() {
		t.Skip("waits four seconds; api tests the meter alone")
	}
	n := shared.Node(t)
	op := n.Tenant(t).Key(t, access.Operator)
	id := op.Create(t)
	const many = 300
	n.Clock.Advance(time.Minute) // the rate is not what is tested
	refused := make(chan *appliancetest.Answer, many)
	var wait sync.WaitGroup
	for range many {
		r := op.Request(t, "GET", "/v1/sessions/"+id+"?wait=4s", nil)
		wait.Go(func() {
			a, err := op.Send(r)
			switch {
			case err != nil:
				t.Error(err)
			case a.Status == 429:
				refused <- a
			case a.Status != 200:
				t.Errorf("%d %s", a.Status, a.Body)
			}
		})
	}
	wait.Wait()
	close(refused)
	if len(refused) == 0 || len(refused) > many-256 {
		t.Errorf("%d of %d requests at one time were refused", len(refused), many)
	}
	for a := range refused {
		a.Refused(t, "too-many-requests")
		retryAfter(t, a)
	}
	op.Do(t, "GET", "/v1/sessions/"+id, nil).Want(t, 200)
}

// Single capabilities are bounded too.
func TestSingleCapabilities(t *testing.T) {
	n := shared.Node(t)
	op := n.Tenant(t).Key(t, access.Operator)
	p := appliancetest.Evidence(t)
	form := appliancetest.Form(t, appliancetest.Part{Name: "a", Kind: "image/jpeg", Bytes: p.Selfie}, appliancetest.Part{Name: "b", Kind: "image/jpeg", Bytes: p.Stranger})
	var wait sync.WaitGroup
	var mu sync.Mutex
	status := map[int]int{}
	for range 40 {
		r := op.Request(t, "POST", "/v1/faces/compare", form)
		wait.Go(func() {
			a, err := op.Send(r)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			status[a.Status]++
			if a.Status == 429 {
				retryAfter(t, a)
			} else if !strings.Contains(string(a.Body), `"match":false`) {
				t.Errorf("%s", a.Body)
			}
		})
	}
	wait.Wait()
	if status[200] == 0 || status[429] == 0 || status[200]+status[429] != 40 {
		t.Errorf("%v", status)
	}
}
