package decide_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"gatehouse/appliance/decide"
	"gatehouse/engine"
)

func compiled(t testing.TB, document string) *decide.Rules {
	t.Helper()
	r, err := decide.Compile([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// document of rules with these conditions, named r1, r2 and so on.
func document(conditions ...string) string {
	var rules []map[string]any
	for i, when := range conditions {
		rules = append(rules, map[string]any{"id": fmt.Sprintf("r%d", i+1), "when": when, "outcome": "review", "reason": "code", "text": "text"})
	}
	b, err := json.Marshal(map[string]any{"format": 1, "name": "mine", "version": "3", "rules": rules, "otherwise": []any{map[string]any{"from": 0, "outcome": "review", "reason": "low", "text": "low"}}})
	if err != nil {
		panic(err)
	}
	return string(b)
}

// The default set's contents under its version: who changes the one changes
// the other, here and in default.json.
func TestDefaultVersion(t *testing.T) {
	const want = "default/2 sha256:58ce4cf5d998cd9342434875b297a77dd2c0374153123b34eb36ad03f6e894b5"
	if got := standard(t).Version(); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// The version is of the contents, not of how they are laid out.
func TestVersion(t *testing.T) {
	one := compiled(t, document(`passed("face.match")`)).Version()
	var anything any
	if err := json.Unmarshal([]byte(document(`passed("face.match")`)), &anything); err != nil {
		t.Fatal(err)
	}
	b, err := json.MarshalIndent(anything, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	if two := compiled(t, string(b)).Version(); one != two || !strings.HasPrefix(one, "mine/3 sha256:") {
		t.Errorf("%s\n%s", one, two)
	}
	if other := compiled(t, document(`failed("face.match")`)).Version(); other == one {
		t.Error("other rules, the same version")
	}
}

func TestConditions(t *testing.T) {
	given := append(signals(map[string]engine.Status{decide.Match: engine.Failed, decide.Portrait: engine.Unavailable, decide.Zone: ""}),
		engine.Signal{Name: "tenant.unknown", Status: engine.Passed})
	for when, holds := range map[string]bool{
		`passed("selfie.liveness")`:                                 true,
		`failed("selfie.liveness")`:                                 false,
		`unavailable("selfie.liveness")`:                            false,
		`passed("face.match")`:                                      false,
		`failed("face.match")`:                                      true,
		`unavailable("face.match")`:                                 false,
		`passed("document.portrait")`:                               false,
		`failed("document.portrait")`:                               false,
		`unavailable("document.portrait")`:                          true,
		`passed("document.zone")`:                                   false,
		`failed("document.zone")`:                                   false,
		`unavailable("document.zone")`:                              true,
		`value("selfie.liveness") > 0.9`:                            true,
		`value("selfie.liveness") > 1`:                              false,
		`value("face.match") < 0.3 && failed("face.match")`:         true,
		`"document.zone" in available`:                              false,
		`"face.match" in available`:                                 true,
		`available.exists(s, failed(s))`:                            true,
		`available.all(s, passed(s))`:                               false,
		`size(available) == 14`:                                     true,
		`size(available) == 13`:                                     false,
		`score > 50`:                                                true,
		`score + 1.0 > 100.0`:                                       false,
		`passed("selfie.liveness") ? score < 10.0 : score < 1000.0`: false,
	} {
		d := decided(t, compiled(t, document(when)), given)
		if got := d.Reasons[0].Rule == "r1"; got != holds || got && d.Reasons[0].Code != "code" {
			t.Errorf("%s: %+v", when, d.Reasons)
		}
	}
}

// A rule that looks at what was not measured is a reason for review, whatever
// it would lead to.
func TestUnjudged(t *testing.T) {
	for _, when := range []string{`value("face.match") > 0.3`, `!(value("face.match") > 0.3)`, `score < 0`, `1 / (size(available) - size(available)) > 0`} {
		for _, s := range [][]engine.Signal{nil, {{Name: decide.Match, Status: engine.Unavailable, Value: number(0.9)}}, {{Name: decide.Match, Status: engine.Passed}}} {
			d := decided(t, compiled(t, strings.Replace(document(when), `"review"`, `"review","escalate":true`, 2)), s)
			r := d.Reasons[0]
			if d.Outcome != decide.Review || r.Rule != "r1" || r.Code != "unjudged" || r.Text == "" || !r.Escalate {
				t.Errorf("%s on %v: %+v", when, s, d)
			}
		}
	}
	d := decided(t, compiled(t, document(`value("face.match") > 0.3 || passed("selfie.face")`)), nil)
	if r := d.Reasons[0]; r.Signal != decide.Match || !strings.Contains(r.Text, decide.Match) {
		t.Errorf("it does not say what was missing: %+v", r)
	}
}

func TestRefusedConditions(t *testing.T) {
	for name, c := range map[string]struct{ when, says string }{
		"a typo":                    {`passed("selfie.livness")`, `"selfie.liveness"`},
		"a typo in a list":          {`"face.matsch" in available`, `column 1`},
		"a typo, second line":       {"passed(\"face.match\") &&\n passed(\"face.mach\")", `line 2, column 9`},
		"a name put together":       {`passed("face." + "match")`, `overload`},
		"no name":                   {`passed(1)`, "in quotes"},
		"no quotes":                 {`passed(selfie.liveness)`, "undeclared reference to 'selfie'"},
		"no argument":               {`passed()`, "passed"},
		"two arguments":             {`passed("face.match", "face.match")`, "passed"},
		"a number":                  {`score`, "double"},
		"a text":                    {`"face.match"`, "string"},
		"anything":                  {`google.protobuf.Value{bool_value: true}`, "must be true or false"},
		"no expression":             {`passed("face.match"`, "column"},
		"unknown function":          {`matches("a", "a")`, "undeclared reference to 'matches'"},
		"hidden variable":           {`"face.match" in @passed`, "column"},
		"value compared with text":  {`value("face.match") == "face.match"`, "overload"},
		"deep":                      {strings.Repeat("(", 200) + "true" + strings.Repeat(")", 200), ""},
		"long":                      {strings.Repeat(" ", 1100) + "true", "1104 bytes"},
		"empty":                     {"", "0 bytes"},
		"many, one of them a typo":  {`passed("face.match") || passed("face.match2")`, "face.match2"},
		"long name in the message":  {`passed("` + strings.Repeat("é", 400) + `")`, "…"},
		"function of another thing": {`passed(score)`, "overload"},
	} {
		_, err := decide.Compile([]byte(document(`passed("face.match")`, c.when)))
		if !errors.Is(err, decide.ErrRules) || !strings.Contains(err.Error(), `"r2"`) || !strings.Contains(err.Error(), c.says) || len(err.Error()) > 500 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRefusedDocuments(t *testing.T) {
	good := document(`passed("face.match")`)
	many := make([]string, 201)
	for i := range many {
		many[i] = "true"
	}
	otherwise := func(bands string) string {
		return good[:strings.Index(good, `"otherwise":`)] + `"otherwise":` + bands + good[strings.Index(good, `,"rules"`):]
	}
	_ = otherwise
	swap := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("no %s in %s", old, good)
		}
		return strings.Replace(good, old, new, 1)
	}
	const low = `{"from":0,"outcome":"review","reason":"low","text":"low"}`
	band := func(bands string) string {
		return `{"format":1,"name":"n","version":"1","rules":[],"otherwise":[` + bands + `]}`
	}
	for name, c := range map[string]struct{ document, says string }{
		"empty":                       {"", ""},
		"no JSON":                     {"rules", ""},
		"two documents":               {good + good, ""},
		"a list":                      {"[]", ""},
		"null":                        {"null", "format 0"},
		"nested":                      {strings.Repeat("[", 60000), ""},
		"too large":                   {good + strings.Repeat(" ", 128<<10), "bytes"},
		"no UTF-8":                    {swap(`"text":"text"`, "\"text\":\"\xff\""), ""},
		"too many rules":              {document(many...), "201 rules"},
		"unknown member":              {swap(`"name"`, `"names":1,"name"`), `"name"`},
		"unknown member of a rule":    {swap(`"when"`, `"wen":"","when"`), `"when"`},
		"member in capitals":          {swap(`"when"`, `"When"`), `"when"`},
		"member twice":                {swap(`"when"`, `"when":"true","when"`), ""},
		"another format":              {swap(`"format":1`, `"format":2`), "format 2"},
		"no name":                     {swap(`"mine"`, `""`), "name"},
		"bad version":                 {swap(`"3"`, `"3 or 4"`), "version"},
		"a rule without id":           {swap(`"r1"`, `""`), "rule 1"},
		"a rule named otherwise":      {swap(`"r1"`, `"otherwise"`), "taken"},
		"an id twice":                 {strings.Replace(document("true", "true"), `"r2"`, `"r1"`, 1), "taken"},
		"a rule that accepts":         {strings.Replace(good, `"review","reason":"code"`, `"accepted","reason":"code"`, 1), "accepted is what is left"},
		"unknown outcome":             {strings.Replace(good, `"review","reason":"code"`, `"fine","reason":"code"`, 1), `"fine"`},
		"no reason":                   {swap(`"code"`, `""`), "reason"},
		"no text":                     {swap(`"text":"text"`, `"text":""`), "text"},
		"long text":                   {swap(`"text":"text"`, `"text":"`+strings.Repeat("a", 501)+`"`), "501 bytes"},
		"wrong type":                  {swap(`"r1"`, `7`), ""},
		"no bands":                    {band(""), "bands"},
		"bands not to 0":              {band(`{"from":50,"outcome":"review","reason":"low","text":"low"}`), "from 0"},
		"a band that rejects":         {band(`{"from":0,"outcome":"rejected","reason":"low","text":"low"}`), "a score alone"},
		"bands that rise":             {band(`{"from":50,"outcome":"accepted"},{"from":60,"outcome":"accepted"},` + low), "fall"},
		"band above 100":              {band(`{"from":101,"outcome":"accepted"},` + low), "0 to 100"},
		"better for a lower score":    {band(`{"from":90,"outcome":"review","reason":"low","text":"low"},{"from":80,"outcome":"accepted"},` + low), "better"},
		"accepted whatever the score": {band(`{"from":0,"outcome":"accepted"}`), "accepted below 50"},
		"accepted with a text":        {band(`{"from":85,"outcome":"accepted","text":"well done"},` + low), "no reason"},
		"a band without text":         {band(`{"from":0,"outcome":"review","reason":"low","text":""}`), "text"},
		"unknown member of a band":    {band(`{"form":0,"outcome":"review","reason":"low","text":"low"}`), `"from"`},
	} {
		r, err := decide.Compile([]byte(c.document))
		if r != nil || !errors.Is(err, decide.ErrRules) || !strings.Contains(err.Error(), c.says) || len(err.Error()) > 500 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A loop over all signals is allowed, a loop in a loop is not.
const (
	loop    = `available.all(a, passed(a))`
	endless = `available.all(a, available.all(b, a == b || a != b))`
)

// crowd is more signals than a cost is estimated for.
func crowd() []engine.Signal {
	all := make([]engine.Signal, 10000)
	for i := range all {
		all[i] = fact(fmt.Sprintf("signal.%d", i), true)
	}
	return all
}

func repeated(condition string, n int) string {
	return document(slices.Repeat([]string{condition}, n)...)
}

func TestCost(t *testing.T) {
	for name, d := range map[string]string{"endless": document("true", endless), "many together": repeated(loop, 100)} {
		if r, err := decide.Compile([]byte(d)); r != nil || !errors.Is(err, decide.ErrCost) || errors.Is(err, decide.ErrRules) || !strings.Contains(err.Error(), `rule "r`) {
			t.Errorf("%s: %v", name, err)
		}
	}
	all := crowd()
	rules := compiled(t, document(loop))
	if d, err := rules.Decide(context.Background(), all); !errors.Is(err, decide.ErrCost) || d.Outcome != "" || !strings.Contains(err.Error(), `"r1"`) {
		t.Errorf("%+v, %v", d, err)
	}
	if d := decided(t, rules, all[:100]); d.Reasons[0].Rule != "r1" {
		t.Errorf("after one that was stopped: %+v", d)
	}
	// Each rule alone is within the limit, all together are not.
	some := all[:500]
	decided(t, rules, some)
	if d, err := compiled(t, repeated(loop, 20)).Decide(context.Background(), some); !errors.Is(err, decide.ErrCost) {
		t.Errorf("%+v, %v", d, err)
	}
}

// What the cost limit allows at most.
func BenchmarkCostLimit(b *testing.B) {
	rules, all := compiled(b, repeated(loop, 20)), crowd()[:500]
	for b.Loop() {
		if _, err := rules.Decide(context.Background(), all); !errors.Is(err, decide.ErrCost) {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		if _, err := decide.Default(); err != nil {
			b.Fatal(err)
		}
	}
}

// Whatever compiles can decide, and never accepts whom nothing is known of.
func FuzzCompile(f *testing.F) {
	for _, when := range []string{`passed("face.match")`, `score > 3 && !(value("face.match") < 0.5)`, loop, endless, `passed("`, `[1,2].exists(x, x == 1)`, `has(score)`, `{1: true}[1]`, "`a`"} {
		f.Add([]byte(document(when)))
	}
	f.Add([]byte(bands))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decide.Compile(b)
		if err != nil {
			if r != nil || !errors.Is(err, decide.ErrRules) && !errors.Is(err, decide.ErrCost) {
				t.Fatalf("%v, %v", r, err)
			}
			return
		}
		if d, err := r.Decide(context.Background(), nil); err != nil || d.Outcome == decide.Accepted || len(d.Reasons) == 0 {
			t.Fatalf("%+v, %v", d, err)
		}
		if _, err := r.Decide(context.Background(), signals(nil)); err != nil {
			t.Fatal(err)
		}
	})
}
