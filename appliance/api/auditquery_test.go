package api_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"gatehouse/appliance/access"
	"gatehouse/appliance/appliancetest"
)

// event of a log, as far as it can be searched for.
type event struct {
	Seq     int64     `json:"seq"`
	Action  string    `json:"action"`
	Subject string    `json:"subject_ref"`
	At      time.Time `json:"ts_mono"`
	Actor   struct{ ID string }
	Object  struct{ Type, ID string }
	Data    map[string]any
}

func (e *event) session() string {
	if e.Object.Type == "session" {
		return e.Object.ID
	}
	s, _ := e.Data["session"].(string)
	return s
}

// query as it is sent.
type query map[string]any

// fits says, the simple way, whether an event is sought; subjects are the ids of
// those who have a reference.
func (q query) fits(e *event, subjects map[string]string) bool {
	for name, have := range map[string]string{"session": e.session(), "subject": e.Subject, "actor": e.Actor.ID, "action": e.Action, "object": e.Object.ID} {
		if want, ok := q[name]; ok && want != have {
			return false
		}
	}
	if who, ok := q["reference"]; ok && (subjects[who.(string)] == "" || subjects[who.(string)] != e.Subject) {
		return false
	}
	if after, ok := q["after"]; ok && e.At.Before(after.(time.Time)) {
		return false
	}
	before, ok := q["before"]
	return !ok || e.At.Before(before.(time.Time))
}

// sought is a page of what a search found.
type sought struct {
	Origin, Root, Next string
	Size, Total        int64
	Events             []event
}

func (q query) send(t *testing.T, c *appliancetest.Client) *appliancetest.Answer {
	t.Helper()
	return c.Do(t, "POST", "/v1/audit/search", appliancetest.JSON(q))
}

func (q query) find(t *testing.T, c *appliancetest.Client) (s sought) {
	t.Helper()
	q.send(t, c).Want(t, 200).JSON(t, &s)
	return s
}

func (s sought) seqs() []int64 {
	var all []int64
	for _, e := range s.Events {
		all = append(all, e.Seq)
	}
	return all
}

// all follows a search to its last page; between may add to the log.
func (q query) all(t *testing.T, c *appliancetest.Client, between func()) (first sought, seqs []int64) {
	t.Helper()
	q = maps.Clone(q)
	for page := 0; ; page++ {
		s := q.find(t, c)
		if page == 0 {
			first = s
		}
		if seqs = append(seqs, s.seqs()...); s.Next == "" {
			return first, seqs
		}
		if limit, ok := q["limit"].(int); ok && len(s.Events) != limit {
			t.Fatalf("%v: a page of %d events, and another after it", q, len(s.Events))
		}
		q["cursor"] = s.Next
		between()
	}
}

// everything that a log has, by reading it from its beginning.
func everything(t *testing.T, c *appliancetest.Client, log string) (all []event) {
	t.Helper()
	for next := int64(0); ; {
		var page struct {
			Events []event
			Next   *int64
		}
		c.Do(t, "GET", fmt.Sprintf("/v1/audit/events?log=%s&limit=200&from=%d", log, next), nil).Want(t, 200).JSON(t, &page)
		if all = append(all, page.Events...); page.Next == nil {
			return all
		}
		next = *page.Next
	}
}

// worked is a tenant that has done something of each kind, with its people's ids
// by their references.
func worked(t *testing.T) (*appliancetest.Node, *appliancetest.Tenant, map[string]string) {
	t.Helper()
	n, home := tenant(t)
	people := map[string]string{}
	p := appliancetest.Evidence(t)
	op, other, looks := home.Key(t, access.Operator), home.NewKey(t, access.Operator), home.Key(t, access.Compliance)
	for i := range 40 {
		reference := fmt.Sprint("customer ", i%7)
		who := []*appliancetest.Client{op, other}[i%2]
		s := who.Do(t, "POST", "/v1/sessions", appliancetest.JSON(appliancetest.Request(reference))).Want(t, 201)
		if people[reference] = s.Text(t, "subject"); i%10 == 0 {
			who.Put(t, s.Text(t, "id"), "selfie", p.Selfie).Want(t, 200)
			looks.Do(t, "GET", "/v1/sessions/"+s.Text(t, "id")+"/evidence/selfie", nil, purpose).Want(t, 200)
		}
	}
	s := enrolledAs(t, op, "customer 1", p.Selfie)
	looks.Do(t, "GET", "/v1/sessions/"+s.Text(t, "id")+"/result", nil, purpose).Want(t, 200)
	looks.Do(t, "GET", "/v1/subjects/"+s.Text(t, "subject"), nil, purpose).Want(t, 200)
	other.Do(t, "GET", "/v1/clients", nil).Refused(t, "forbidden")
	return n, home, people
}

// random query: most of its terms are those of one event, so that they meet.
func random(r *rand.Rand, events []event, people map[string]string) query {
	q := query{}
	one := &events[r.IntN(len(events))]
	for _, name := range []string{"session", "subject", "actor", "action", "object", "reference"} {
		if r.IntN(3) > 0 {
			continue
		}
		of := one
		if r.IntN(6) == 0 {
			of = &events[r.IntN(len(events))]
		}
		value := map[string]string{"session": of.session(), "subject": of.Subject, "actor": of.Actor.ID, "action": of.Action, "object": of.Object.ID}[name]
		if name == "reference" {
			value = fmt.Sprint("customer ", r.IntN(8)) // the last is nobody's
			for reference, subject := range people {
				if subject == of.Subject {
					value = reference
				}
			}
		}
		if value != "" {
			q[name] = value
		}
	}
	for _, name := range []string{"after", "before"} {
		if r.IntN(4) == 0 { // at an event's very time, or a nanosecond beside it
			q[name] = events[r.IntN(len(events))].At.Add(time.Duration(r.IntN(3) - 1))
		}
	}
	if r.IntN(2) == 0 {
		q["limit"] = 3 + r.IntN(20)
	}
	return q
}
