package main_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/appliance/appliancetest/crash"
	"gatehouse/appliance/member"
)

func TestClusterHelp(t *testing.T) {
	for command, says := range map[string][]string{
		"status":           {"--watch TIME", "--until-steady", "5 no majority answers"},
		"invite":           {"once, within ten minutes", "--profile"},
		"join":             {"TOKEN --data DIR --peer HOST:PORT", "--peer-listen", "--seal-file", "3 TOKEN cannot be read"},
		"transfer":         {"[NODE]"},
		"drain":            {"--undo"},
		"set-address":      {"NODE HOST:PORT", "--data DIR"},
		"replace":          {"cluster invite"},
		"remove":           {"an empty directory"},
		"finalise":         {"no way back"},
		"renew":            {"--data DIR", "the node must be stopped", "remove the node there"},
		"rotate-authority": {"Ctrl-C ends the waiting and nothing else", "1 it was begun, and the waiting was interrupted", "a node which is away holds it up"},
	} {
		out := succeed(t, "help", "cluster", command)
		for _, w := range append(says, "Usage: gatehouse cluster "+command, "Example:\n") {
			if !strings.Contains(strings.ReplaceAll(out, "\n", " "), strings.ReplaceAll(w, "\n", " ")) {
				t.Errorf("gatehouse help cluster %s: lacks %q: %s", command, w, out)
			}
		}
	}
}

func TestClusterWrongUsage(t *testing.T) {
	for _, c := range []struct{ args, says string }{
		{"cluster", "cluster status, cluster invite, cluster join"},
		{"cluster status x", "no arguments"},
		{"cluster status --until-steady", "--watch TIME"},
		{"cluster status --watch -1s", "--watch TIME"},
		{"cluster invite x", "no arguments"},
		{"cluster join", "--data DIR"},
		{"cluster join TOKEN --data x", "--peer HOST:PORT"},
		{"cluster join --data x --peer y:1", "TOKEN"},
		{"cluster transfer one two", "one NODE"},
		{"cluster drain", "NODE"},
		{"cluster set-address one", "HOST:PORT"},
		{"cluster set-address one two", `"two"`},
		{"cluster replace", "NODE"},
		{"cluster remove", "NODE"},
		{"cluster finalise now", "no arguments"},
		{"cluster renew", "--data DIR"},
		{"cluster rotate-authority now", "no arguments"},
	} {
		o := gatehouse(t, strings.Fields(c.args)...)
		if o.code != 2 || o.stdout != "" {
			t.Errorf("%s: exit code %d, stdout %q", c.args, o.code, o.stdout)
		}
		o.says(t, c.says, "gatehouse help")
	}
}

// Exit code and words of each state of a cluster, as a script looks at them.
func TestClusterStatusExit(t *testing.T) {
	one := map[string]any{"node": "nod_1", "name": "server-1", "address": "a:1", "role": "voter", "up": false, "draining": true, "seen_at": at}
	for _, c := range []struct {
		quorum bool
		advice []string
		code   int
		says   []string
	}{
		{true, nil, 0, []string{"a majority answers", "voter, AWAY", "last seen", "server-1 is nod_1"}},
		{true, []string{"free some\nroom"}, 1, []string{"* free some room"}},
		{false, []string{"start it"}, 5, []string{"NO MAJORITY ANSWERS"}},
	} {
		n := newStandIn(t, map[string]reply{"GET /v1/cluster": {200, map[string]any{"cluster": "clu_1", "leader": "", "quorum": c.quorum, "active_version": 2, "newest_version": 2, "members": []any{one}, "advice": append([]string{}, c.advice...)}}})
		o := n.do(t, "cluster", "status")
		if o.code != c.code || o.stderr != "" {
			t.Errorf("%+v", o)
		}
		for _, w := range c.says {
			if !strings.Contains(o.stdout, w) {
				t.Errorf("lacks %q: %s", w, o.stdout)
			}
		}
	}
	n := newStandIn(t, nil)
	n.Close()
	n.do(t, "cluster", "status", "--json").fails(t, 5, "", "cannot be reached")
}

// free gives an address that nobody listens at.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

type shownCluster struct {
	Cluster, Leader string
	Quorum          bool
	Members         []shownMember
	Advice          []string
}

type shownMember struct {
	Node, Name, Address, Role string
	Up, Draining              bool
}

// member of a name, as the node knows it.
func (s *served) member(t *testing.T, name string) *shownMember {
	t.Helper()
	o := s.as(t, "admin", "cluster", "status", "--json")
	c := one[shownCluster](t, o.stdout)
	i := slices.IndexFunc(c.Members, func(m shownMember) bool { return m.Name == name || m.Node == name })
	if i < 0 {
		return nil
	}
	return &c.Members[i]
}

// until the member is as it should be.
func (s *served) until(t *testing.T, name, what string, is func(*shownMember) bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		m := s.member(t, name)
		if is(m) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s does not become %s: %+v", name, what, m)
		}
	}
}

func (s *served) invite(t *testing.T) string {
	t.Helper()
	return does[struct{ Token string }](t, s, "admin", "cluster", "invite").Token
}

func TestClusterOfANodeWithoutPort(t *testing.T) {
	s := serve(t)
	o := s.as(t, "admin", "cluster", "status", "--json")
	c := one[object](t, o.stdout)
	c.has(t, "status", "cluster", "leader", "quorum", "active_version", "newest_version", "members", "advice")
	all := part[[]object](t, c, "members")
	if o.code != 0 || len(all) != 1 {
		t.Fatalf("%+v", o)
	}
	all[0].has(t, "member", "node", "name", "address", "role", "up", "draining", "seen_at", "release", "applied_index", "state_hash", "lag", "sealed",
		"jobs_waiting", "jobs_running", "disk_free_bytes", "disk_full", "missing", "clock_skew_ms")
	s.as(t, "admin", "cluster", "invite", "--json").fails(t, 3, "", "gatehouse run --peer HOST:PORT")
	s.as(t, "admin", "cluster", "rotate-authority", "--json").fails(t, 3, "", "gatehouse run --peer HOST:PORT")
	s.as(t, "admin", "cluster", "drain", "server-9", "--json").fails(t, 3, "", "server-9")
	s.as(t, "admin", "cluster", "finalise").code0(t)
	s.enrol(t, "branch", "operator")
	s.as(t, "branch", "cluster", "invite", "--json").fails(t, 4, "", "platform_admin")
	gatehouse(t, "cluster", "renew", "--data", s.Data, "--json").fails(t, 1, "", "locked")
	s.stop(t)
	gatehouse(t, "cluster", "renew", "--data", s.Data, "--json").fails(t, 12, "", "no certificate for other nodes")
	gatehouse(t, "cluster", "renew", "--data", s.dir, "--json").fails(t, 12, "", "there is no node")
	own := filepath.Join(s.dir, "peers")
	saved(t, own, []byte(succeed(t, "data", "recover", "--data", s.Data)))
	gatehouse(t, "data", "recover", "--data", s.Data, "--peers", own, "--json").fails(t, 1, "", "never one of several")
}

// What a node that cannot join is told. Nothing is left of it.
func TestJoinIsRefused(t *testing.T) {
	shift := filepath.Join(t.TempDir(), "shift")
	t.Setenv("GATEHOUSE_CLOCK_OFFSET", shift) // of nodes alone
	s := serve(t, "--peer", free(t))
	dir, address := filepath.Join(s.dir, "new"), free(t)
	join := func(token, dir, peer string) outcome {
		return gatehouse(t, "cluster", "join", token, "--data", dir, "--peer", peer, "--json")
	}
	used := s.invite(t)
	for token, says := range map[string]string{"nonsense": "it begins with ghj1.", used[:len(used)-20]: "missing or changed", used + strings.Repeat("x", 5000): "not an invitation"} {
		join(token, dir, address).fails(t, 3, "", says)
	}
	full := filepath.Join(s.dir, "full")
	if err := os.MkdirAll(filepath.Join(full, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	join(used, full, address).fails(t, 1, "", "is not empty")
	join(used, dir, s.member(t, s.leader(t)).Address).fails(t, 1, "", "address already in use")
	for _, wrong := range []string{"127.0.0.1", ":8444", "0.0.0.0:8444", "127.0.0.1:0"} {
		join(used, dir, wrong).fails(t, 1, "", "--peer HOST:PORT")
	}
	if err := os.WriteFile(dir+".seal", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	join(used, dir, address).fails(t, 1, "", dir+".seal exists already")
	if err := os.Remove(dir + ".seal"); err != nil {
		t.Fatal(err)
	}
	token, err := member.ParseToken(used)
	if err != nil {
		t.Fatal(err)
	}
	other := *token // of a cluster with another authority, whose nodes have moved here
	other.Authority = slices.Clone(token.Authority)
	other.Authority[0] ^= 1
	join(other.String(), dir, address).fails(t, 1, "", "no node of the cluster can be reached")
	guessed := *token
	guessed.Secret = slices.Clone(token.Secret)
	guessed.Secret[0] ^= 1
	join(guessed.String(), dir, address).fails(t, 3, "", "did not accept the node")
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}

	joined := one[object](t, succeed(t, "cluster", "join", used, "--data", dir, "--peer", address, "--json"))
	joined.has(t, "join", "cluster", "node", "data", "members")
	if len(part[[]object](t, joined, "members")) != 2 {
		t.Errorf("%s", joined["members"])
	}
	late := filepath.Join(s.dir, "late")
	join(used, late, free(t)).fails(t, 3, "", "the invitation was used, has ended")
	expired := s.invite(t)
	if err := os.WriteFile(shift, []byte("11m"), 0o600); err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond) // the clock is looked at ten times a second
	join(expired, late, free(t)).fails(t, 3, "", "has ended")
	join(s.invite(t), late, free(t)).fails(t, 3, "", "the clock of the new node", "time server")
	if err := os.Remove(shift); err != nil {
		t.Fatal(err)
	}
	valid := s.invite(t)
	s.Kill()
	s.Node = nil
	join(valid, late, free(t)).fails(t, 1, "", "no node of the cluster can be reached", "connection refused")
	if left, err := os.ReadDir(late); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	gatehouse(t, "data", "recover", "--data", dir, "--json").fails(t, 12, "", "missing")
	peers := filepath.Join(s.dir, "peers")
	saved(t, peers, []byte(succeed(t, "data", "recover", "--data", s.Data)))
	gatehouse(t, "data", "recover", "--data", s.Data, "--peers", peers, "--json").fails(t, 1, "", "1 of the 1 nodes that vote are left, which is a majority")
}

func (s *served) leader(t *testing.T) string {
	t.Helper()
	return one[shownCluster](t, s.as(t, "admin", "cluster", "status", "--json").stdout).Leader
}

// authority that certifies the nodes.
func (s *served) authority(t *testing.T) string {
	t.Helper()
	return one[struct{ Authority struct{ SHA256 string } }](t, s.as(t, "admin", "cluster", "status", "--json").stdout).Authority.SHA256
}

// removedWhileOff: a node that does not know that it was removed waits, and says why.
func (s *served) removedWhileOff(t *testing.T, off crash.Program) {
	t.Helper()
	n, err := off.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer n.Kill()
	const why = "turns this one away"
	for end := time.Now().Add(30 * time.Second); ; {
		o := gatehouse(t, "cluster", "status", "--profile", s.profile("admin"), "--server", n.Address, "--ca", n.CA, "--json")
		if strings.Contains(o.stderr, why) {
			o.fails(t, 5, "", "removed", "wipe its directory")
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%+v", o)
		}
	}
	if log := s.log.String(); !strings.Contains(log, why) {
		t.Error("its log does not say why it waits")
	}
}

// A second node joins, drains, moves, and is removed.
func TestTwoNodes(t *testing.T) {
	s := serve(t, "--peer", free(t), "--node-name", "server-1")
	two := crash.Program{Binary: binary, Data: filepath.Join(s.dir, "two"), Log: &s.log}
	succeed(t, "cluster", "join", s.invite(t), "--data", two.Data, "--peer", free(t), "--name", "server-2")
	n, err := two.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Kill() })
	s.until(t, "server-2", "up", func(m *shownMember) bool { return m.Up })
	if m := s.member(t, "server-2"); m.Role != "joining" {
		t.Errorf("two nodes vote: %+v", m)
	}
	// What one was told the other knows.
	s.enrol(t, "branch", "operator")
	if o := gatehouse(t, append([]string{"session", "create", "--profile", s.profile("branch"), "--server", n.Address, "--ca", n.CA}, consent...)...); o.code != 0 {
		t.Errorf("at the second node: %+v", o)
	}
	for _, drained := range []bool{true, false} {
		args := []string{"cluster", "drain", "server-2", "--json"}
		if !drained {
			args = append(args, "--undo")
		}
		s.as(t, "admin", args...).code0(t)
		if m := s.member(t, "server-2"); m.Draining != drained {
			t.Errorf("%+v", m)
		}
	}
	before := s.authority(t)
	if o := s.as(t, "admin", "cluster", "rotate-authority"); o.code != 0 || !strings.Contains(o.stdout, "trust no other one") {
		t.Errorf("%+v", o)
	}
	certifies := s.authority(t)
	if certifies == before || len(certifies) != 64 {
		t.Errorf("%s certifies, %s did before", certifies, before)
	}
	moved := free(t)
	s.as(t, "admin", "cluster", "set-address", "server-2", "no-address", "--json").fails(t, 2, "", "no-address")
	gatehouse(t, "cluster", "set-address", "server-1", moved, "--data", two.Data, "--json").fails(t, 1, "", "locked")
	gatehouse(t, "cluster", "renew", "--data", two.Data, "--json").fails(t, 1, "", "locked")
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
	off := two
	off.Data = filepath.Join(s.dir, "off")
	if out, err := exec.Command("cp", "-a", two.Data, off.Data).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}

	recovers(t, s, two)

	// One that runs says itself where it is.
	s.as(t, "admin", "cluster", "set-address", "server-2", moved).code0(t)
	if m := s.member(t, "server-2"); m.Address != moved {
		t.Errorf("%+v", m)
	}
	renewed := one[struct {
		From      time.Time `json:"not_before"`
		Until     time.Time `json:"not_after"`
		Authority string
	}](t, succeed(t, "cluster", "renew", "--data", two.Data, "--json"))
	if now := time.Now(); renewed.From.After(now) || renewed.Until.Before(now.Add(20*24*time.Hour)) {
		t.Errorf("%+v", renewed)
	}
	if renewed.Authority != certifies {
		t.Errorf("certified by %s, want %s", renewed.Authority, certifies)
	}
	if out := succeed(t, "cluster", "renew", "--data", two.Data); !strings.Contains(out, "It is of authority "+certifies[:12]) || !strings.Contains(out, "help cluster renew") {
		t.Error(out)
	}
	gatehouse(t, "cluster", "set-address", "server-9", moved, "--data", two.Data, "--json").fails(t, 1, "", "server-9")
	succeed(t, "cluster", "set-address", "server-1", moved, "--data", two.Data)
	knows := part[map[string]member.Moved](t, one[object](t, string(readFile(t, filepath.Join(two.Data, "peer", "members.json")))), "moved")
	leader := s.member(t, "server-1")
	if knows[leader.Node] != (member.Moved{From: leader.Address, To: moved}) {
		t.Errorf("%v", knows)
	}
	succeed(t, "cluster", "set-address", "server-1", leader.Address, "--data", two.Data)

	fresh := free(t)
	two.Flags = []string{"--peer", fresh}
	if n, err = two.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.until(t, "server-2", "up at "+fresh, func(m *shownMember) bool { return m.Up && m.Address == fresh })

	s.as(t, "admin", "cluster", "remove", "server-1", "--json").fails(t, 3, "", "the only node with a vote")
	s.as(t, "admin", "cluster", "transfer", "server-1", "--json").fails(t, 3, "", "it leads already")
	s.as(t, "admin", "cluster", "remove", "server-2").code0(t)
	if err := n.Ended(15 * time.Second); err == nil || err.Error() != "exit status 14" {
		t.Errorf("a node that was removed: %v", err)
	}
	if !strings.Contains(s.log.String(), "removed from its cluster") {
		t.Error("a node that was removed does not say why it ends")
	}
	// It may have ended before its own log held the removal: then it serves
	// until the other tells it again.
	o := gatehouse(t, "run", "--data", two.Data, "--listen", "127.0.0.1:0", "--log-level", "error", "--json")
	said := decode[struct{ Error problem }](t, o.stdout)
	if o.code != 14 || !strings.Contains(o.stderr, "wipe its directory") || len(said) == 0 || said[len(said)-1].Error.Exit != 14 {
		t.Errorf("a removed node that is started again: %+v", o)
	}
	if m := s.member(t, "server-2"); m != nil {
		t.Errorf("%+v", m)
	}
	s.removedWhileOff(t, off)
	var actions []string
	for _, l := range does[struct {
		Events []struct {
			Action string
			Object struct{ ID string }
		}
	}](t, s, "admin", "audit", "tail", "--from", "0", "--log", "system").Events {
		actions = append(actions, l.Action)
	}
	for _, want := range []string{"node.member.invite", "node.member.join", "node.member.change", "node.member.remove"} {
		if !slices.Contains(actions, want) {
			t.Errorf("the log has no %s: %v", want, actions)
		}
	}
	s.stop(t)
}

// code0 checks that a command went well.
func (o outcome) code0(t *testing.T) {
	t.Helper()
	if o.code != 0 || o.stderr != "" {
		t.Errorf("%+v", o)
	}
}
