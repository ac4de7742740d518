package trust_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"gatehouse/store/audit/trust"
)

func TestParsePolicy(t *testing.T) {
	t.Parallel()
	l1, l2 := vkey(t, log1, "a"), vkey(t, log2, "a") // one key for all logs of a cluster
	rotated := vkey(t, log1, "b")
	_, w1 := witness(t, "w.example/1", "1")
	_, w2 := witness(t, "w.example/2", "2")
	_, w3 := witness(t, "w.example/3", "3")
	p := policy(t,
		"# pinned on a day",
		"\t log  "+l1+"\thttps://log.example/a#b ",
		"log "+l2,
		"",
		"log "+rotated,
		"valid "+id(l1)+" - 100",
		"valid "+id(rotated)+" 90 -",
		"   # witnesses",
		"witness Zürich "+w1+" https://w.example/1",
		"witness w2 "+w2,
		"witness w3 "+w3,
		"group any any w2 w3",
		"group both all Zürich any",
		"quorum both",
	)
	if got, want := p.Logs(), []string{log1, log2}; !reflect.DeepEqual(got, want) {
		t.Errorf("logs %q", got)
	}
	want := strings.Join([]string{
		"log " + l1 + " https://log.example/a#b",
		"log " + l2,
		"log " + rotated,
		"valid " + id(l1) + " - 100",
		"valid " + id(rotated) + " 90 -",
		"witness Zürich " + w1 + " https://w.example/1",
		"witness w2 " + w2,
		"witness w3 " + w3,
		"group any 1 w2 w3",
		"group both 2 Zürich any",
		"quorum both\n",
	}, "\n")
	if p.String() != want {
		t.Errorf("written as\n%s\ninstead of\n%s", p, want)
	}
	if again := policy(t, want); again.String() != want {
		t.Errorf("read and written again as\n%s", again)
	}
}

func TestBareKeyIsAPolicy(t *testing.T) {
	t.Parallel()
	k := vkey(t, log1, "a")
	for _, text := range []string{k, k + "\n", "# the bank's\n\n  " + k + "\t\n#end"} {
		if p := policy(t, text); p.String() != "log "+k+"\nquorum none\n" {
			t.Errorf("%q is read as\n%s", text, p)
		}
	}
	for _, text := range []string{k + "\n" + vkey(t, log2, "a"), k + "\nquorum none", k + " https://log.example"} {
		if p, err := trust.ParsePolicy([]byte(text)); p != nil || !errors.Is(err, trust.ErrPolicy) || !strings.Contains(err.Error(), "line 1") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestParsePolicyRefuses(t *testing.T) {
	t.Parallel()
	l := vkey(t, log1, "a")
	_, w1 := witness(t, "w.example/1", "1")
	_, w2 := witness(t, "w.example/2", "2")
	_, again := witness(t, "w.example/other", "1") // the same public key
	_, insider := witness(t, "w.example/log", "a") // the log's public key
	flipped := "A" + l[1:]                         // another name under the same hash
	for name, c := range map[string]struct {
		text, says string
	}{
		"nothing":                        {"", "no quorum line"},
		"no quorum":                      {"log " + l, "no quorum line"},
		"two quorums":                    {"quorum none\nquorum none", "line 2"},
		"a quorum of nobody":             {"quorum w1", "line 1"},
		"a quorum before its name":       {"quorum w1\nwitness w1 " + w1, "line 1"},
		"a quorum of two":                {"witness w1 " + w1 + "\nwitness w2 " + w2 + "\nquorum w1 w2", "line 3"},
		"another word":                   {"quorum none\nLOG " + l, "line 2"},
		"a log without a key":            {"log\nquorum none", "line 1"},
		"a log with too much":            {"log " + l + " url #comment\nquorum none", "line 1"},
		"a log twice":                    {"log " + l + "\nlog " + l + "\nquorum none", "line 1 already"},
		"a log's name changed":           {"log " + flipped + "\nquorum none", "damaged"},
		"a key's hash in capitals":       {"log " + strings.Replace(l, id(l), log1+"+"+strings.ToUpper(id(l)[len(log1)+1:]), 1) + "\nquorum none", "line 1"},
		"a key cut":                      {"log " + l[:len(l)-4] + "\nquorum none", "line 1"},
		"a key of nobody":                {"log ++\nquorum none", "line 1"},
		"a log with a witness's key":     {"log " + w1 + "\nquorum none", "type 4"},
		"a witness with a log's key":     {"witness w1 " + l + "\nquorum w1", "type 1"},
		"a witness twice":                {"witness w1 " + w1 + "\nwitness w2 " + w1 + "\nquorum w1", "line 1 already"},
		"a witness under two names":      {"witness w1 " + w1 + "\nwitness w2 " + again + "\nquorum w1", "line 2"},
		"a log that is its witness":      {"log " + l + "\nwitness w1 " + insider + "\nquorum w1", "line 2"},
		"a witness that is its log":      {"witness w1 " + insider + "\nlog " + l + "\nquorum w1", "line 2"},
		"one name for two":               {"witness w1 " + w1 + "\nwitness w1 " + w2 + "\nquorum w1", "taken"},
		"a group named as a witness":     {"witness w1 " + w1 + "\ngroup w1 any w1\nquorum w1", "taken"},
		"a witness named none":           {"witness none " + w1 + "\nquorum none", "taken"},
		"a group with none":              {"group g any none\nquorum g", "line 1"},
		"a group of nobody":              {"group g any\nquorum g", "line 1"},
		"a group of itself":              {"group g any g\nquorum g", "line 1"},
		"a group before its member":      {"group g any w1\nwitness w1 " + w1 + "\nquorum g", "line 1"},
		"a group with one member twice":  {"witness w1 " + w1 + "\ngroup g 2 w1 w1\nquorum g", "member already"},
		"a member of two groups":         {"witness w1 " + w1 + "\ngroup g any w1\ngroup h any w1\nquorum h", "line 3"},
		"a group that needs nobody":      {"witness w1 " + w1 + "\ngroup g 0 w1\nquorum g", "line 2"},
		"a group that needs too many":    {"witness w1 " + w1 + "\ngroup g 2 w1\nquorum g", "line 2"},
		"a number with a sign":           {"witness w1 " + w1 + "\ngroup g +1 w1\nquorum g", "line 2"},
		"a number beyond all":            {"witness w1 " + w1 + "\ngroup g 18446744073709551617 w1\nquorum g", "line 2"},
		"sizes of no key":                {"valid " + id(l) + " - 5\nlog " + l + "\nquorum none", "line 1"},
		"sizes of a witness":             {"witness w1 " + w1 + "\nvalid " + id(w1) + " - 5\nquorum w1", "line 2"},
		"sizes twice":                    {"log " + l + "\nvalid " + id(l) + " - 5\nvalid " + id(l) + " 5 -\nquorum none", "line 3"},
		"sizes that fall":                {"log " + l + "\nvalid " + id(l) + " 5 4\nquorum none", "line 2"},
		"no size":                        {"log " + l + "\nvalid " + id(l) + " 5 5\nquorum none", "line 2"},
		"a size below none":              {"log " + l + "\nvalid " + id(l) + " -1 5\nquorum none", "line 2"},
		"a size beyond all":              {"log " + l + "\nvalid " + id(l) + " 0 9223372036854775808\nquorum none", "line 2"},
		"sizes without an end":           {"log " + l + "\nvalid " + id(l) + " 5\nquorum none", "line 2"},
		"Windows line ends":              {"log " + l + "\r\nquorum none\r\n", "line ends"},
		"a hidden character in comments": {"quorum none\n# \x1b[2J", "line 2"},
		"a delete character":             {"quorum none\n# \x7f", "line 2"},
		"no-break space":                 {"log\u00a0" + l + "\nquorum none", "line 1"},
		"lines without end":              {strings.Repeat("\n", 300) + "quorum none", "lines"},
		"bytes without end":              {"quorum none\n#" + strings.Repeat("x", 1<<16), "bytes"},
	} {
		p, err := trust.ParsePolicy([]byte(c.text))
		if p != nil || !errors.Is(err, trust.ErrPolicy) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; it should say %q", name, err, c.says)
		}
	}
}

// tlog-policy asks for 32 of each at least.
func TestPolicyHoldsManyKeys(t *testing.T) {
	t.Parallel()
	var text []string
	for i := range 32 {
		text = append(text, "log "+vkey(t, fmt.Sprintf("clu_a/ten_%d/e1", i), "a"))
		_, w := witness(t, fmt.Sprintf("w.example/%d", i), fmt.Sprint(i))
		text = append(text, fmt.Sprintf("witness w%d %s", i, w), fmt.Sprintf("group g%d all w%d", i, i))
	}
	if p := policy(t, append(text, "quorum g31")...); len(p.Logs()) != 32 {
		t.Errorf("%d logs", len(p.Logs()))
	}
}
