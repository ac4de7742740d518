package member_test

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/appliance/access"
	"gatehouse/appliance/member"
	"gatehouse/cluster"
	"gatehouse/cluster/peer"
	"gatehouse/cluster/pki"
	"gatehouse/store/audit"
	"gatehouse/store/command"
	"gatehouse/store/keys"
	"gatehouse/store/state"
)

// rotation as a node sees it.
func (n *node) rotation(t testing.TB) *member.Rotation {
	t.Helper()
	r := n.overview(t).Rotation
	if r == nil {
		t.Fatal("there is no authority")
	}
	return r
}

// in waits until all nodes that run see a phase, and gives it as the leader does.
func (h *house) in(t testing.TB, phase member.Phase) *member.Rotation {
	t.Helper()
	eventually(t, soon, string(phase), func() bool {
		return !slices.ContainsFunc(h.nodes, func(n *node) bool { return n.end != nil && n.rotation(t).Phase != phase })
	})
	return h.lead(t).rotation(t)
}

// authority that is in force, with its key.
func (n *node) authority(t testing.TB) *pki.Authority {
	t.Helper()
	var row *command.Authority
	must(t, n.state.View(func(v *state.View) (err error) { row, err = v.Authority(); return err }))
	a, err := member.Latest(n.keys, row)
	must(t, err)
	return a
}

// certifiedBy is the authority of the certificate that a node shows to another one.
func certifiedBy(t testing.TB, from, of *node) string {
	t.Helper()
	c, err := from.port.Dial(t.Context(), of.id, peer.RPC)
	must(t, err)
	defer c.Close()
	shown := c.Conn.(*tls.Conn).ConnectionState().PeerCertificates
	must(t, shown[0].CheckSignatureFrom(shown[1]))
	return fmt.Sprintf("%x", sha256.Sum256(shown[1].Raw))
}

// lets says whether a node lets another in that shows a certificate of an
// authority, for the key that it has.
func lets(t testing.TB, to, who *node, by *pki.Authority) bool {
	t.Helper()
	request, err := who.identity.Request()
	must(t, err)
	key, err := who.identity.Key()
	must(t, err)
	cert, err := by.Issue(request, who.house.cluster, who.id, who.house.now(), rand.Reader)
	must(t, err)
	raw, err := net.Dial("tcp", to.address)
	must(t, err)
	defer raw.Close()
	must(t, raw.SetDeadline(time.Now().Add(soon)))
	c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{string(peer.RPC)}, Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}}})
	must(t, c.Handshake()) // in TLS 1.3 the refusal comes after it
	_, err = fmt.Fprintf(c, "GET /member/status HTTP/1.1\r\nHost: a\r\n\r\n")
	if err == nil {
		_, err = c.Read(make([]byte, 1))
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		t.Fatal("neither let in nor refused")
	}
	return err == nil
}

// steps that the audit log has of rotations.
func (n *node) steps(t testing.TB) (all []string) {
	t.Helper()
	log := n.state.Log(audit.System)
	head, err := log.Head()
	must(t, err)
	for seq := range int64(head.Size) {
		b, err := log.Leaf(seq)
		must(t, err)
		l, err := audit.DecodeLeaf(b)
		must(t, err)
		if l.Object.Type == "authority" && l.Action == audit.KeyRotate {
			all = append(all, fmt.Sprint(l.Data["step"], " ", l.Object.SHA256))
		}
	}
	return all
}

// With all nodes there a rotation takes no more than a few looks, begun through
// whichever node, and nothing that is proposed meanwhile is refused. What the
// earlier authority has certified opens nothing from then on.
func TestAuthorityIsRotated(t *testing.T) {
	t.Parallel()
	h := three(t)
	first := h.nodes[0].authority(t)
	before := h.in(t, member.Settled).Authority
	if want := fmt.Sprintf("%x", sha256.Sum256(first.Certificate.Raw)); before != want {
		t.Errorf("%s is in force, want %s", before, want)
	}
	writing := make(chan error)
	stop := make(chan struct{})
	go func() {
		for {
			select {
			case <-stop:
				writing <- nil
				return
			default:
			}
			if err := h.nodes[1].acts.Record(t.Context(), access.Caller{}, &command.Event{Action: string(audit.AuditAnchor), Result: "ok"}); err != nil {
				writing <- err
				return
			}
		}
	}()
	must(t, h.others(t)[0].Rotate(t.Context(), access.Caller{}))
	must(t, h.others(t)[1].Rotate(t.Context(), access.Caller{})) // it is under way: no other one begins
	eventually(t, soon, "another authority is in force and trusted alone", func() bool {
		return !slices.ContainsFunc(h.nodes, func(n *node) bool {
			r := n.rotation(t)
			return r.Phase != member.Settled || r.Authority == before
		})
	})
	close(stop)
	if err := <-writing; err != nil {
		t.Errorf("a write while the authority is rotated: %v", err)
	}
	now := h.nodes[0].rotation(t).Authority
	for i, n := range h.nodes {
		if by := certifiedBy(t, h.nodes[(i+1)%3], n); by != now {
			t.Errorf("%s shows a certificate of %s, want %s", n.name, by, now)
		}
		other := h.nodes[(i+1)%3]
		if lets(t, n, other, first) {
			t.Errorf("%s lets %s in with a certificate of the earlier authority", n.name, other.name)
		}
		if !lets(t, n, other, n.authority(t)) {
			t.Errorf("%s does not let %s in with a certificate of the new authority", n.name, other.name)
		}
		if o := n.overview(t); !o.Quorum || len(o.Advice) > 0 {
			t.Errorf("%s: %v", n.name, o.Advice)
		}
	}
	if got, want := h.nodes[0].steps(t), []string{"trust " + now, "switch " + now, "drop " + before}; !slices.Equal(got, want) {
		t.Errorf("the log has %v, want %v", got, want)
	}
	// A restart shows what was trusted last, and a second rotation is as the first.
	n := h.others(t)[0]
	n.stop()
	n.open(t, cluster.Again)
	n.run()
	must(t, n.raft.Ready(t.Context()))
	must(t, n.Rotate(t.Context(), access.Caller{}))
	eventually(t, soon, "a third one is in force", func() bool {
		r := n.rotation(t)
		return r.Phase == member.Settled && r.Authority != now
	})
}

// waiting fails the test where a rotation does not wait for exactly this.
func waiting(t testing.TB, n *node, want ...member.Wait) {
	t.Helper()
	eventually(t, soon, fmt.Sprintf("%s: the rotation waits for %v", n.name, want), func() bool {
		return slices.Equal(n.rotation(t).Waits, want)
	})
}

// nameless member: one that was let in and never came.
func (n *node) nameless(t testing.TB) string {
	t.Helper()
	all := n.directory.All()
	i := slices.IndexFunc(all, func(m member.Known) bool { return m.Name == "" && !m.Removed })
	if i < 0 {
		t.Fatal("all have names")
	}
	return all[i].Node
}

// A node that is away holds each step up, and the status says so; it comes back at
// any of them with what it had. Nodes join at all of them, and another leader goes
// on where the one before it was.
func TestRotationWaitsForEveryNode(t *testing.T) {
	t.Parallel()
	h := three(t)
	leader, b, c := h.lead(t), h.others(t)[0], h.others(t)[1]
	first := leader.authority(t)
	before := leader.rotation(t).Authority
	early, late := leader.invited(t, ""), leader.invited(t, "") // before it begins

	c.stop()
	eventually(t, soon, "it is missed", func() bool { return !leader.Up(c.id) && !b.Up(c.id) })
	must(t, b.Rotate(t.Context(), access.Caller{}))
	away := member.Wait{Node: c.id, Away: true, Why: "does not answer"}
	for _, n := range []*node{leader, b} {
		waiting(t, n, away)
		if r := n.rotation(t); r.Phase != member.Introducing || r.Authority != before {
			t.Errorf("%s: %+v", n.name, r)
		}
		if advice := strings.Join(n.overview(t).Advice, "\n"); !strings.Contains(advice, "authority waits for "+c.name+", which does not answer") {
			t.Errorf("%s: %s", n.name, advice)
		}
	}
	next := leader.authority(t) // the latest
	for _, by := range []*pki.Authority{first, next} {
		if !lets(t, leader, b, by) || !lets(t, b, leader, by) {
			t.Error("one of two that are trusted is refused")
		}
	}
	if _, err := member.Apply(t.Context(), early, h.applicant(t, "").Application); err != nil {
		t.Errorf("an invitation of before: %v", err)
	}
	must(t, leader.Remove(t.Context(), access.Caller{}, leader.nameless(t)))
	d := h.join(t, "d", "")
	waiting(t, leader, away)
	held := leader.invited(t, "") // and used later

	// It is back, answers and trusts the next one, and does not renew its own yet.
	c.open(t, cluster.Again)
	r := h.in(t, member.Renewing)
	if r.Authority == before {
		t.Error("the earlier one is still in force")
	}
	uncertified := member.Wait{Node: c.id, Why: "has no certificate of the new authority yet"}
	for _, n := range []*node{leader, b, d} {
		waiting(t, n, uncertified)
		if by := certifiedBy(t, c, n); by != r.Authority {
			t.Errorf("%s shows a certificate of %s, want %s", n.name, by, r.Authority)
		}
	}
	if by := certifiedBy(t, b, c); by != before {
		t.Errorf("%s shows a certificate of %s, want %s", c.name, by, before)
	}
	// A restart with a certificate of the earlier one.
	c.stop()
	c.open(t, cluster.Again)
	must(t, c.raft.Ready(t.Context()))
	h.join(t, "e", "")
	must(t, leader.raft.Transfer(t.Context(), b.id))
	eventually(t, soon, "another leader", b.raft.Leading)
	waiting(t, b, uncertified)
	c.run()
	if r = h.in(t, member.Settled); r.Authority == before || len(r.Waits) > 0 {
		t.Errorf("%+v", r)
	}
	if _, err := member.Apply(t.Context(), held, h.applicant(t, "").Application); err != nil {
		t.Errorf("an invitation from the middle of it: %v", err)
	}
	if _, err := member.Apply(t.Context(), late, h.applicant(t, "").Application); !errors.Is(err, member.ErrUnreached) || !strings.Contains(err.Error(), "the cluster's authority was rotated") {
		t.Errorf("an invitation that knows the earlier one alone: %v", err)
	}
	if lets(t, b, leader, first) || lets(t, d, b, first) || lets(t, c, b, first) {
		t.Error("the earlier authority lets somebody in")
	}
	if got, want := b.steps(t), []string{"trust " + r.Authority, "switch " + r.Authority, "drop " + before}; !slices.Equal(got, want) {
		t.Errorf("the log has %v, want %v", got, want)
	}
}

// A leader that is sealed can certify nobody, and does not begin to.
func TestRotationWaitsForASealedLeader(t *testing.T) {
	t.Parallel()
	h := founded(t)
	a := h.nodes[0]
	b := h.join(t, "b", "")
	eventually(t, soon, "both answer", func() bool { return a.Up(b.id) && b.Up(a.id) })
	before := a.rotation(t).Authority
	a.keys.Seal()
	if err := a.Rotate(t.Context(), access.Caller{}); !errors.Is(err, keys.ErrSealed) {
		t.Errorf("begun by a sealed node: %v", err)
	}
	must(t, b.Rotate(t.Context(), access.Caller{}))
	waiting(t, a, member.Wait{Node: a.id, Why: "leads, and is sealed: it can certify nobody"})
	waiting(t, b, member.Wait{Node: a.id, Why: "leads, and is sealed: it can certify nobody"})
	must(t, a.keys.UnsealFile())
	eventually(t, soon, "another authority", func() bool {
		r := a.rotation(t)
		return r.Phase == member.Settled && r.Authority != before
	})
}

// What a node has in memory alone does not count: after a restart the others would
// refuse it, and it them.
func TestRotationWaitsForTheDisk(t *testing.T) {
	t.Parallel()
	h := founded(t)
	a := h.nodes[0]
	before := a.rotation(t).Authority
	path := filepath.Join(a.dir, "peer")
	must(t, os.Rename(path, path+".away"))
	must(t, os.WriteFile(path, nil, 0o600)) // nothing can be written in it
	must(t, a.Rotate(t.Context(), access.Caller{}))
	waiting(t, a, member.Wait{Node: a.id, Why: "has not heard of the new authority yet"})
	if by := certifiedBy(t, a, a); by != before {
		t.Errorf("certified by %s, want %s", by, before)
	}
	time.Sleep(2 * time.Second) // two looks
	if r := a.rotation(t); r.Phase != member.Introducing {
		t.Errorf("%+v", r)
	}
	must(t, os.Remove(path))
	must(t, os.Rename(path+".away", path))
	eventually(t, soon, "another authority", func() bool {
		r := a.rotation(t)
		return r.Phase == member.Settled && r.Authority != before
	})
	identity, err := member.OpenIdentity(path)
	must(t, err)
	if by := identity.Certified(); by != a.rotation(t).Authority {
		t.Errorf("on the disk is a certificate of %s", by)
	}
}

// What a node was told last it trusts after a restart, and nothing older counts.
func TestTrustIsKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var all []*x509.Certificate
	var names []string
	for range 3 {
		a, err := pki.NewAuthority("clu_a", time.Now(), rand.Reader)
		must(t, err)
		all = append(all, a.Certificate)
		names = append(names, fmt.Sprintf("%x", sha256.Sum256(a.Certificate.Raw)))
	}
	who := []member.Known{{Node: "nod_a", Address: "a:1"}}
	for i, step := range []struct {
		index uint64
		told  [][]byte
		want  []string
	}{
		{5, nil, nil}, // by a release that had one authority
		{5, [][]byte{all[0].Raw}, names[:1]},
		{7, [][]byte{all[0].Raw, all[1].Raw}, names[:2]},
		{6, [][]byte{all[0].Raw}, names[:2]}, // older
		{9, [][]byte{all[1].Raw}, names[1:2]},
	} {
		d, err := member.OpenDirectory(dir, nil)
		must(t, err)
		must(t, d.Set(step.index, who, step.told))
		again, err := member.OpenDirectory(dir, nil)
		must(t, err)
		for _, d := range []*member.Directory{d, again} {
			if got := d.Trusts(); !slices.Equal(got, step.want) {
				t.Errorf("step %d: trusts %v, want %v", i, got, step.want)
			}
		}
	}
	d, err := member.OpenDirectory(dir, nil)
	must(t, err)
	if err := d.Set(10, who, [][]byte{[]byte("no certificate")}); !errors.Is(err, pki.ErrCertificate) {
		t.Errorf("%v", err)
	}
}
