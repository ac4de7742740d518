package api_test

import (
	"archive/tar"
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/appliance/access"
	"gatehouse/appliance/appliancetest"
	"gatehouse/store/audit"
	"gatehouse/store/audit/bundle"
	"gatehouse/store/audit/trust"
)

// part of a log as it is asked for.
type part map[string]any

func (p part) send(t *testing.T, c *appliancetest.Client, headers ...string) *appliancetest.Answer {
	t.Helper()
	return c.Do(t, "POST", "/v1/audit/exports", appliancetest.JSON(p), headers...)
}

func (p part) export(t *testing.T, c *appliancetest.Client, headers ...string) []byte {
	t.Helper()
	a := p.send(t, c, headers...).Want(t, 200)
	if a.Header.Get("Content-Length") != fmt.Sprint(len(a.Body)) {
		t.Errorf("%d bytes, Content-Length %s", len(a.Body), a.Header.Get("Content-Length"))
	}
	return a.Body
}

// auditor of a log: whom he trusts, and what he remembers.
type auditor struct {
	policy *trust.Policy
	memory *trust.Memory
	secret *bundle.Secret
	opened map[string][]string // values by field
}

// newAuditor trusts the keys that the node says it has.
func newAuditor(t *testing.T, c *appliancetest.Client) *auditor {
	t.Helper()
	p, err := trust.ParsePolicy(c.Do(t, "GET", "/v1/audit/trust", nil).Want(t, 200).Body)
	if err != nil {
		t.Fatal(err)
	}
	return &auditor{policy: p, memory: new(trust.Memory)}
}

func (a *auditor) judge(t *testing.T, b []byte, o bundle.Options) *bundle.Verdict {
	t.Helper()
	o.Policy, o.Memory, o.Secret = a.policy, a.memory, a.secret
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	a.opened = map[string][]string{}
	o.Opened = func(_ int64, one audit.Opening) { a.opened[one.Field] = append(a.opened[one.Field], one.Value) }
	v, err := bundle.Verify(t.Context(), bytes.NewReader(b), o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// accepts a bundle and remembers it.
func (a *auditor) accepts(t *testing.T, b []byte, o bundle.Options) *bundle.Verdict {
	t.Helper()
	v := a.judge(t, b, o)
	if !v.Good {
		t.Fatalf("%+v", v.Finding)
	}
	if err := v.Remember(a.memory, time.Now()); err != nil {
		t.Fatal(err)
	}
	return v
}

func (a *auditor) refuses(t *testing.T, b []byte, code int, o bundle.Options) {
	t.Helper()
	if v := a.judge(t, b, o); v.Good || v.Code != code {
		t.Errorf("code %d, want %d: %+v", v.Code, code, v.Finding)
	}
}

// members of a bundle by name.
func members(t *testing.T, b []byte) map[string]string {
	t.Helper()
	all := map[string]string{}
	for r := tar.NewReader(bytes.NewReader(b)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		all[h.Name] = string(content)
	}
}

// entries are the leaves of a bundle, one a line.
func entries(t *testing.T, b []byte) (all string) {
	t.Helper()
	for name, content := range members(t, b) {
		if strings.HasPrefix(name, "entries/") { // the logs of these tests have one segment
			all += content
		}
	}
	return all
}

// An auditor who comes again and again sees every event once, in order, and
// that the log went on from where it was.
func TestExport(t *testing.T) {
	n, home, _ := worked(t)
	c := home.Key(t, access.Auditor)
	a := newAuditor(t, c)
	whole := part{}.export(t, c)
	v := a.accepts(t, whole, bundle.Options{})
	if v.From != 0 || v.To < 100 || v.Leaves != v.To || v.Tenant != home.ID || v.End == nil || v.SystemEnd == nil {
		t.Errorf("%+v", v)
	}
	if cp, _ := head(t, c, "tenant"); v.Origin != cp.Origin || v.To > cp.Size {
		t.Errorf("%+v of %+v", v, cp)
	}
	home.Key(t, access.Operator).Create(t)
	n.Restart(t, nil)
	second := part{"from": v.To}.export(t, c, "X-Request-Id: second")
	a.refuses(t, whole, bundle.CodeStart, bundle.Options{})
	w := a.accepts(t, second, bundle.Options{})
	if w.From != v.To || w.Leaves != w.To-w.From {
		t.Errorf("%+v after %+v", w, v)
	}
	both := entries(t, whole) + entries(t, second)
	lines := strings.Split(strings.TrimSuffix(both, "\n"), "\n")
	for seq, line := range lines {
		if l, err := audit.DecodeLeaf([]byte(line)); err != nil || l.Seq != int64(seq) {
			t.Fatalf("event %d: %v, %v", seq, l, err)
		}
	}
	if int64(len(lines)) != w.To || entries(t, part{"to": w.To}.export(t, c)) != both {
		t.Error("the parts are not the whole")
	}
	newAuditor(t, c).refuses(t, second, bundle.CodeStart, bundle.Options{}) // he never saw the beginning
	newAuditor(t, c).accepts(t, second, bundle.Options{FirstUse: true})
	other := n.Tenant(t)
	newAuditor(t, other.Key(t, access.Auditor)).refuses(t, whole, bundle.CodeUnknownKey, bundle.Options{})
	left := 0
	for _, l := range home.Leaves(t) {
		if l.Req.RequestID == "second" {
			if left++; l.Action != "audit.export" || l.Object["id"] != home.ID || l.Actor["id"] != c.ID || l.Data["from"] != fmt.Sprint(w.From) || l.Data["to"] != fmt.Sprint(w.To) || l.Data["disclosures"] != "false" {
				t.Errorf("%+v", l)
			}
		}
	}
	if left != 1 {
		t.Errorf("the export is %d times in the log", left)
	}
}

func TestExportOfTheSystemLog(t *testing.T) {
	n, home := tenant(t)
	admin := n.Home.Admin
	a := newAuditor(t, admin)
	v := a.accepts(t, part{"log": "system"}.export(t, admin), bundle.Options{})
	if v.Tenant != audit.System || v.Leaves != v.To || v.SystemEnd != nil {
		t.Errorf("%+v", v)
	}
	nonce := rand.Text()
	w := a.accepts(t, part{"log": "system", "from": v.To, "nonce": nonce}.export(t, admin), bundle.Options{Nonce: nonce})
	if w.From != v.To || w.Leaves == 0 {
		t.Errorf("%+v", w)
	}
	part{"log": "system"}.send(t, home.Key(t, access.Auditor, access.Compliance)).Want(t, 403).Refused(t, "forbidden")
}

// A range by time has the events whose time lies in it.
func TestExportByTime(t *testing.T) {
	_, home, _ := worked(t)
	c := home.Key(t, access.Auditor)
	log := everything(t, c, "tenant")
	before := func(at time.Time) (n int64) {
		for n < int64(len(log)) && log[n].At.Before(at) {
			n++
		}
		return n
	}
	for _, r := range []struct{ after, before time.Time }{
		{log[3].At, log[len(log)-5].At}, {log[10].At.Add(1), log[20].At.Add(1)}, {log[0].At.Add(-time.Hour), log[7].At}, {time.Time{}, log[30].At}, {log[30].At, log[30].At.Add(1)},
	} {
		p := part{"before": r.before}
		want := [2]int64{0, before(r.before)}
		if !r.after.IsZero() {
			p["after"], want[0] = r.after, before(r.after)
		}
		v := newAuditor(t, c).accepts(t, p.export(t, c), bundle.Options{FirstUse: true})
		if v.From != want[0] || v.To != want[1] {
			t.Errorf("%v: %d to %d, want %v", p, v.From, v.To, want)
		}
	}
	v := newAuditor(t, c).accepts(t, part{"after": log[30].At}.export(t, c), bundle.Options{FirstUse: true})
	if v.From != before(log[30].At) || v.To < int64(len(log)) {
		t.Errorf("until now: %+v", v)
	}
}

func TestExportRefuses(t *testing.T) {
	_, home := tenant(t)
	c := home.Key(t, access.Auditor)
	home.Key(t, access.Operator).Create(t)
	log := everything(t, c, "tenant")
	size := int64(len(log))
	for _, p := range []part{
		{"from": -1}, {"to": -1}, {"from": audit.MaxSize + 1}, {"from": 3, "to": 2}, {"to": size + 1000}, {"from": size + 1000}, {"from": "1"}, {"from": 1.5},
		{"from": 1, "after": log[0].At}, {"to": 2, "before": log[1].At}, {"after": "x"}, {"before": "2262-01-01T00:00:00Z"}, {"log": "other"}, {"from": nil},
		{"nonce": ""}, {"nonce": "short"}, {"nonce": strings.Repeat("x", 129)}, {"nonce": "with a space"}, {"nonce": "ünicode-8"}, {"nonce": "at@example.org"}, {"nonce": "nonce-1\n2"},
		{"nonce": "not-there", "to": 2}, {"nonce": "not-there", "before": log[1].At},
		{"recipient": ""}, {"recipient": "x"}, {"recipient": "gatehouse-hpke-public-1:AAAA"}, {"recipient": strings.Repeat("x", 5000)},
	} {
		p.send(t, c).Want(t, 400).Refused(t, "bad-value")
	}
	for _, p := range []part{{"to": 0}, {"before": log[0].At}, {"before": "1999-01-01T00:00:00Z"}} {
		p.send(t, c).Want(t, 404).Refused(t, "not-found")
	}
	part{"size": 1}.send(t, c).Refused(t, "unknown-member")
	c.Do(t, "POST", "/v1/audit/exports", nil).Refused(t, "media-type")
	if counts := appliancetest.Counts(home.Leaves(t)); counts["audit.export"] != 0 || counts["audit.challenge"] != 0 {
		t.Errorf("%v is in the log for what was refused", counts)
	}
}

// A nonce is in the log once, and what does not show it is stale.
func TestExportAnswersANonce(t *testing.T) {
	n, home := tenant(t)
	c := home.Key(t, access.Auditor)
	home.Key(t, access.Operator).Create(t)
	nonce := "A9.z_+/=:-" + rand.Text()
	earlier := part{}.export(t, c)
	b := part{"nonce": nonce}.export(t, c)
	v := newAuditor(t, c).accepts(t, b, bundle.Options{Nonce: nonce})
	if v.Nonce != nonce {
		t.Errorf("%+v", v)
	}
	newAuditor(t, c).refuses(t, b, bundle.CodeStale, bundle.Options{Nonce: nonce + "x"})
	newAuditor(t, c).refuses(t, earlier, bundle.CodeStale, bundle.Options{Nonce: nonce})
	again := part{"nonce": nonce}.export(t, c)
	newAuditor(t, c).accepts(t, again, bundle.Options{Nonce: nonce})
	seq := int64(-1)
	for _, l := range home.Leaves(t) {
		if l.Action == "audit.challenge" && l.Data["nonce"] == nonce {
			if seq >= 0 {
				t.Error("the nonce is twice in the log")
			}
			seq = l.Seq
		}
	}
	newAuditor(t, c).accepts(t, part{"nonce": nonce, "from": seq, "to": seq + 1}.export(t, c), bundle.Options{Nonce: nonce, FirstUse: true})
	for _, p := range []part{{"nonce": nonce, "to": seq}, {"nonce": nonce, "from": seq + 1}} {
		p.send(t, c).Want(t, 400).Refused(t, "bad-value")
	}
	// Another tenant's nonce is not this one's.
	other := n.Tenant(t)
	newAuditor(t, other.Key(t, access.Auditor)).accepts(t, part{"nonce": nonce}.export(t, other.Key(t, access.Auditor)), bundle.Options{Nonce: nonce})
}

// The same range is the same bytes, whenever it is made, but for the time in
// its signature.
func TestExportIsDeterministic(t *testing.T) {
	n, home, _ := worked(t)
	c := home.Key(t, access.Auditor)
	first := part{}.export(t, c)
	to := newAuditor(t, c).accepts(t, first, bundle.Options{}).To
	for _, p := range []part{{"to": to}, {"from": 5, "to": to - 5}} {
		first := members(t, p.export(t, c))
		for range 3 {
			home.Key(t, access.Operator).Create(t)
			part{}.export(t, c) // a later anchor
		}
		n.Restart(t, nil)
		again := members(t, p.export(t, c))
		if len(first) != len(again) || len(first) < 6 {
			t.Errorf("%d members, then %d", len(first), len(again))
		}
		for name, content := range first {
			if name != "bundle.sig" && again[name] != content {
				t.Errorf("%v: %s differs", p, name)
			}
		}
	}
}

// However many ask, few exports are made at one time; each that is made is good.
func TestExportsAtOnce(t *testing.T) {
	_, home, _ := worked(t)
	c := home.Key(t, access.Auditor)
	const many = 12
	answers := make([]*appliancetest.Answer, many)
	var wait sync.WaitGroup
	for i := range many {
		r := c.Request(t, "POST", "/v1/audit/exports", appliancetest.JSON(`{}`))
		wait.Go(func() {
			var err error
			if answers[i], err = c.Send(r); err != nil {
				t.Error(err)
				answers[i] = &appliancetest.Answer{}
			}
		})
	}
	wait.Wait()
	made := 0
	for _, a := range answers {
		if a.Status == 200 {
			made++
			newAuditor(t, c).accepts(t, a.Body, bundle.Options{})
			continue
		}
		a.Want(t, 409).Refused(t, "busy")
	}
	if got := appliancetest.Counts(home.Leaves(t))["audit.export"]; made == 0 || got != made {
		t.Errorf("%d bundles were made, %d are in the log", made, got)
	}
	part{}.export(t, c) // the places are free again
}
