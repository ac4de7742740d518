package api_test

import (
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/appliance/access"
	"gatehouse/appliance/appliancetest"
	"gatehouse/store/audit/bundle"
	"gatehouse/store/audit/trust"
)

func cosign(t *testing.T, c *appliancetest.Client, w *trust.Witness, checkpoint string) *appliancetest.Answer {
	t.Helper()
	return c.Do(t, "POST", "/v1/audit/cosignatures", appliancetest.JSON(map[string]string{"witness": w.Vkey(), "checkpoint": checkpoint}))
}

// under has a checkpoint cosigned by a witness.
func under(t *testing.T, w *trust.Witness, checkpoint string) string {
	t.Helper()
	b, err := w.Cosign([]byte(checkpoint), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// demanding is an auditor whose policy demands a witness.
func demanding(t *testing.T, c *appliancetest.Client, w *trust.Witness) *auditor {
	t.Helper()
	text := strings.Replace(string(c.Do(t, "GET", "/v1/audit/trust", nil).Want(t, 200).Body), "quorum none", "witness one "+w.Vkey()+"\nquorum one", 1)
	p, err := trust.ParsePolicy([]byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return &auditor{policy: p, memory: new(trust.Memory)}
}

// What a witness cosigned of a bundle is in the same bundle from then on, and
// makes the quorum of a policy.
func TestCosignedBundle(t *testing.T) {
	n, home, _ := worked(t)
	c, w := home.Key(t, access.Auditor), appliancetest.Witness(t)
	b := part{}.export(t, c)
	v := newAuditor(t, c).accepts(t, b, bundle.Options{})
	same := part{"to": v.To}
	demanding(t, c, w).refuses(t, b, bundle.CodeQuorum, bundle.Options{})
	ends := members(t, b)
	end, system := under(t, w, ends["checkpoint-end"]), under(t, w, ends["system/checkpoint-end"])
	a := cosign(t, c, w, end).Want(t, 201)
	if a.Text(t, "origin") != v.Origin || !strings.Contains(string(a.Body), fmt.Sprintf(`"size":%d`, v.To)) || a.Text(t, "witness") != w.Vkey() || a.Text(t, "signed_at") == "" {
		t.Errorf("%s", a.Body)
	}
	cosign(t, c, w, end).Want(t, 409).Refused(t, "exists")
	cosign(t, c, w, under(t, w, ends["checkpoint-end"])).Want(t, 409) // at another time
	demanding(t, c, w).refuses(t, same.export(t, c), bundle.CodeQuorum, bundle.Options{})
	cosign(t, c, w, system).Want(t, 403).Refused(t, "forbidden")
	cosign(t, n.Home.Admin, w, system).Want(t, 201)
	second := appliancetest.Witness(t) // a bundle bears all who cosigned
	cosign(t, c, second, under(t, second, ends["checkpoint-end"])).Want(t, 201)
	n.Restart(t, nil)
	again := same.export(t, c)
	strict := demanding(t, c, w)
	u := strict.accepts(t, again, bundle.Options{})
	if len(u.End.Cosigned) != 1 || u.End.Cosigned[0].Name != "one" || len(u.SystemEnd.Cosigned) != 1 {
		t.Errorf("%+v, %+v", u.End, u.SystemEnd)
	}
	line := lineOf(t, w, end)
	if m := members(t, again); !strings.Contains(m["checkpoint-end"], line) || strings.Count(m["checkpoint-end"], "\n— ") != 3 || !strings.HasPrefix(m["checkpoint-end"], ends["checkpoint-end"]) {
		t.Errorf("%s", m["checkpoint-end"])
	}
	// The next one begins there, under the same signatures.
	if m := members(t, part{"from": v.To}.export(t, c)); !strings.Contains(m["checkpoint-start"], line) || strings.Contains(m["checkpoint-end"], line) {
		t.Errorf("%s", m["checkpoint-start"])
	}
	kept := 0
	for _, l := range home.Leaves(t) {
		if l.Action == "audit.cosign" {
			if kept++; l.Object["id"] != home.ID || l.Data["size"] != fmt.Sprint(v.To) || l.Data["origin"] != v.Origin || l.Data["root"] != v.Root.String() {
				t.Errorf("%+v", l)
			}
			if l.Data["witness"] == w.Vkey() && l.Data["cosignature"] != line {
				t.Errorf("%+v", l)
			}
		}
	}
	if kept != 2 {
		t.Errorf("%d cosignatures are in the log", kept)
	}
}

func lineOf(t *testing.T, w *trust.Witness, checkpoint string) string {
	t.Helper()
	line, err := trust.LineOf(w.Vkey(), []byte(checkpoint))
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// forged is a checkpoint that a stranger signed.
func forged(t *testing.T, origin string, size int64, root tlog.Hash) string {
	t.Helper()
	skey, _, err := note.GenerateKey(rand.Reader, origin)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	b, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", origin, size, root)}, signer)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestCosignRefuses(t *testing.T) {
	n, home := tenant(t)
	op, c, w := home.Key(t, access.Operator), home.Key(t, access.Auditor), appliancetest.Witness(t)
	op.Create(t)
	cp, _ := head(t, c, "tenant")
	good := c.Cosigned(t, w, "tenant")
	other := appliancetest.Witness(t)
	theirs := n.Tenant(t)
	theirs.Key(t, access.Operator).Create(t)
	foreign := theirs.Key(t, access.Auditor).Cosigned(t, w, "tenant")
	another := cp.Root
	another[0] ^= 1
	key := strings.TrimSpace(string(c.Do(t, "GET", "/v1/audit/key", nil).Want(t, 200).Body))
	for name, q := range map[string]map[string]string{
		"another's key":        {"witness": other.Vkey(), "checkpoint": good},
		"the log's own key":    {"witness": key, "checkpoint": good},
		"no key":               {"witness": "x", "checkpoint": good},
		"no cosignature":       {"witness": w.Vkey(), "checkpoint": string(c.Do(t, "GET", "/v1/audit/checkpoint", nil).Want(t, 200).Body)},
		"a broken cosignature": {"witness": w.Vkey(), "checkpoint": strings.Replace(good, lineOf(t, w, good), lineOf(t, w, under(t, w, forged(t, cp.Origin, cp.Size, another))), 1)},
		"not a checkpoint":     {"witness": w.Vkey(), "checkpoint": "x"},
		"another tenant's":     {"witness": w.Vkey(), "checkpoint": foreign},
		"another root":         {"witness": w.Vkey(), "checkpoint": under(t, w, forged(t, cp.Origin, cp.Size, another))},
		"larger than the log":  {"witness": w.Vkey(), "checkpoint": under(t, w, forged(t, cp.Origin, cp.Size+1000, cp.Root))},
		"another epoch":        {"witness": w.Vkey(), "checkpoint": under(t, w, forged(t, strings.TrimSuffix(cp.Origin, "1")+"2", cp.Size, cp.Root))},
		"another cluster":      {"witness": w.Vkey(), "checkpoint": under(t, w, forged(t, "clu_x/"+home.ID+"/e1", cp.Size, cp.Root))},
		"an empty log":         {"witness": w.Vkey(), "checkpoint": forged(t, cp.Origin, 0, tlog.Hash{})},
		"empty":                {"witness": "", "checkpoint": ""},
	} {
		if a := c.Do(t, "POST", "/v1/audit/cosignatures", appliancetest.JSON(q)); a.Status != 400 || a.Problem(t) != "bad-value" {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	if counts := appliancetest.Counts(home.Leaves(t)); counts["audit.cosign"] != 0 {
		t.Errorf("%v", counts)
	}
	// A checkpoint of what the log was is good; the log's signature is not needed,
	// as the node has the log.
	op.Create(t)
	cosign(t, c, w, under(t, w, forged(t, cp.Origin, cp.Size, cp.Root))).Want(t, 201)
	cosign(t, theirs.Key(t, access.Auditor), w, foreign).Want(t, 201)
}

// While two keys overlap, whoever pins either can verify; afterwards the new one
// alone counts.
func TestRotation(t *testing.T) {
	n := appliancetest.Start(t)
	admin, home := n.Home.Admin, n.Home
	c := home.Key(t, access.Auditor)
	home.Key(t, access.Operator).Create(t)
	keys := func(a *appliancetest.Answer) (states string, created []time.Time) {
		t.Helper()
		var got struct {
			Keys []struct {
				Key, State string
				Created    time.Time `json:"created_at"`
			}
		}
		a.Want(t, 200).JSON(t, &got)
		for _, k := range got.Keys {
			states, created = states+k.State+" ", append(created, k.Created)
			if _, err := note.NewVerifier(k.Key); err != nil {
				t.Errorf("%s: %v", k.Key, err)
			}
		}
		return states, created
	}
	signatures := func() int {
		return strings.Count(string(c.Do(t, "GET", "/v1/audit/checkpoint", nil).Want(t, 200).Body), "\n— ")
	}
	policy := func() string { return string(c.Do(t, "GET", "/v1/audit/trust", nil).Want(t, 200).Body) }
	pinned := func() int { return strings.Count(policy(), "log ") }
	ended := func() int { return strings.Count(policy(), "valid ") }
	rotate := func() *appliancetest.Answer { return admin.Do(t, "POST", "/v1/audit/keys/rotate", nil) }
	retire := func(how string) *appliancetest.Answer {
		return admin.Do(t, "POST", "/v1/audit/keys/retire"+how, nil)
	}
	retire("").Want(t, 404).Refused(t, "not-found")
	retire("?early=true").Want(t, 404)
	oldest := newAuditor(t, c)
	v := oldest.accepts(t, part{}.export(t, c), bundle.Options{})
	if signatures() != 1 || pinned() != 2 || ended() != 0 {
		t.Errorf("one key: %d signatures, %s", signatures(), policy())
	}

	before, _ := head(t, c, "tenant")
	if states, created := keys(rotate()); states != "active overlap " || created[0].Before(created[1]) {
		t.Errorf("%s %v", states, created)
	}
	rotate().Want(t, 409).Refused(t, "busy")
	check := func() {
		t.Helper()
		if signatures() != 2 || pinned() != 4 || ended() != 0 {
			t.Errorf("two keys: %d signatures, %s", signatures(), policy())
		}
		extends(t, c, "tenant", before)
	}
	check()
	n.Restart(t, nil)
	check()
	both := newAuditor(t, c)
	b := part{"from": v.To}.export(t, c)
	v = oldest.accepts(t, b, bundle.Options{}) // who pinned the earlier key goes on
	both.accepts(t, b, bundle.Options{FirstUse: true})

	retire("").Want(t, 409).Refused(t, "busy")
	retire("?early=false").Want(t, 409)
	n.Clock.Advance(30*24*time.Hour - time.Minute)
	retire("").Want(t, 409)
	n.Clock.Advance(2 * time.Minute)
	if states, _ := keys(retire("")); states != "active " {
		t.Errorf("%s", states)
	}
	retire("").Want(t, 404)
	n.Restart(t, nil)
	if signatures() != 1 || pinned() != 4 || ended() != 2 {
		t.Errorf("one key again, the other until it ended: %d signatures, %s", signatures(), policy())
	}
	b = part{"from": v.To}.export(t, c)
	later := bundle.Options{Now: time.Now().Add(31 * 24 * time.Hour)}
	oldest.refuses(t, b, bundle.CodeUnknownKey, later)
	both.accepts(t, b, later)
	newAuditor(t, c).accepts(t, part{}.export(t, c), later) // signed anew from the beginning
	keys(rotate())
	if states, _ := keys(retire("?early=true")); states != "active " {
		t.Errorf("%s", states)
	}
	both.refuses(t, part{"to": 1}.export(t, c), bundle.CodeUnknownKey, bundle.Options{FirstUse: true})

	story := ""
	for _, l := range admin.Leaves(t, "system") {
		switch l.Action {
		case "log.key.rotate":
			story += fmt.Sprint(l.Data["phase"], " ")
			if l.Actor["id"] != admin.ID || l.Req.Route != "POST /v1/audit/keys/rotate" || l.Data["key"] == "" || l.Data["phase"] == "done" && (l.Data["earlier_key"] == l.Data["key"] || l.Data["earlier_key"] == "") {
				t.Errorf("%+v", l)
			}
		case "key.destroy":
			story += fmt.Sprint("destroyed early=", l.Data["early"], " ")
		}
	}
	if story != "begin done destroyed early=false begin done destroyed early=true " {
		t.Errorf("the log says: %s", story)
	}
}
