package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/appliance/appliancetest/crash"
)

func TestRecoverWrongUsage(t *testing.T) {
	out := succeed(t, "help", "data", "recover")
	for _, w := range []string{"NEVER START A LOST NODE AGAIN", "--peers FILE", "--approved-by CODE", "Example:\n"} {
		if !strings.Contains(out, w) {
			t.Errorf("the manual lacks %q", w)
		}
	}
	for args, says := range map[string]string{
		"data recover":                                                    "--data DIR",
		"data recover --data x y":                                         "--data DIR",
		"data recover --data x --cluster clu_1":                           "--peers FILE",
		"data recover --data x --approved-by INC-1":                       "--peers FILE",
		"data recover --data x --peers y --approved-by a,b,c,d,e,f,g,h,i": "8 codes",
		"data recover --data x --peers y --approved-by me/you":            "codes of letters",
	} {
		o := gatehouse(t, strings.Fields(args)...)
		if o.code != 2 || o.stdout != "" {
			t.Errorf("%s: %+v", args, o)
		}
		o.says(t, says, "gatehouse help")
	}
}

func saved(t *testing.T, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// recovers a copy of a stopped node without a vote, as if the only one with a vote
// were lost.
func recovers(t *testing.T, s *served, from crash.Program) {
	t.Helper()
	dir := filepath.Join(s.dir, "survivor")
	if out, err := exec.Command("cp", "-a", from.Data, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	line := succeed(t, "data", "recover", "--data", dir)
	own := one[struct {
		Cluster, Node string
		Term, Index   uint64
		Applied       uint64 `json:"applied_index"`
	}](t, succeed(t, "data", "recover", "--data", dir, "--json"))
	f := strings.Fields(line)
	if len(f) != 5 || f[0] != own.Cluster || f[1] != own.Node || own.Term == 0 || own.Index < own.Applied {
		t.Fatalf("%q, %+v", line, own)
	}
	peers := filepath.Join(s.dir, "peers")
	recover := func(more ...string) outcome {
		return gatehouse(t, append([]string{"data", "recover", "--data", dir, "--peers", peers}, more...)...)
	}
	for text, says := range map[string]string{
		"":                        "names no node",
		"# nobody\n":              "names no node",
		"one two three":           "line 1",
		line + line:               "twice",
		strings.Repeat("#", 5000): "more than 4096 bytes",
		strings.Replace(line, own.Node, own.Cluster, 1):          "no ids",
		strings.Join([]string{f[0], f[1], f[2], "1", "2"}, " "):  "cannot be",
		strings.Join([]string{f[0], f[1], f[2], "99", "2"}, " "): "it ran meanwhile",
	} {
		saved(t, peers, []byte(text))
		recover("--json").fails(t, 1, "", says)
	}
	if err := os.Remove(peers); err != nil {
		t.Fatal(err)
	}
	recover("--json").fails(t, 1, "", "no such file")
	saved(t, peers, []byte("# what is left\n\n"+line))
	if o := recover(); o.code != 0 || !strings.Contains(o.stdout, "Nothing was changed") || !strings.Contains(o.stdout, "--cluster "+own.Cluster) {
		t.Errorf("%+v", o)
	}
	recover("--cluster", "clu_1", "--json").fails(t, 2, "", own.Cluster)
	o := recover("--cluster", own.Cluster, "--approved-by", "INC-1,INC-2", "--json")
	o.code0(t)
	done := one[struct {
		Kept         string
		Lost, Voters []string
		Epoch        int
	}](t, o.stdout)
	if done.Epoch != 2 || len(done.Lost) != 1 || len(done.Voters) != 1 {
		t.Errorf("%+v", done)
	}
	if _, err := os.Stat(filepath.Join(done.Kept, "state.db")); err != nil {
		t.Error(err)
	}
	survivor := crash.Program{Binary: binary, Data: dir, Log: &s.log}
	n, err := survivor.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer n.Kill()
	shows := func(args ...string) outcome {
		return gatehouse(t, append(args, "--profile", s.profile("admin"), "--server", n.Address, "--ca", n.CA, "--json")...)
	}
	if members := one[shownCluster](t, shows("cluster", "status").stdout).Members; len(members) != 1 || members[0].Node != own.Node {
		t.Errorf("%+v", members)
	}
	events := shows("audit", "tail", "--log", "system", "--from", "0").stdout
	for _, w := range []string{"log.epoch.start", "cluster.recover", "INC-1,INC-2", "node.member.remove"} {
		if !strings.Contains(events, w) {
			t.Errorf("the log lacks %s", w)
		}
	}
	if closed := shows("audit", "tail", "--log", "system", "--epoch", "1", "--from", "0"); !strings.Contains(closed.stdout, "cluster.found") {
		t.Errorf("%+v", closed)
	}
	shows("audit", "tail", "--epoch", "7").fails(t, 3, "", "epochs 1 to 2")
}
