package member_test

import (
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"gatehouse/appliance/access"
	"gatehouse/appliance/member"
	"gatehouse/appliance/problem"
	"gatehouse/cluster/peer"
	"gatehouse/cluster/pki"
	"gatehouse/store/command"
	"gatehouse/store/id"
	"gatehouse/store/state"
)

// Who is not let in, and what it is told; what was refused for another reason
// than the invitation leaves that to be used.
func TestWhoIsNotLetIn(t *testing.T) {
	t.Parallel()
	h := founded(t)
	a := h.nodes[0]
	for _, c := range []struct {
		name, why string
		change    func(*applicant)
	}{
		{"its clock is ahead", "clock", func(a *applicant) { a.Clock = h.now().Add(62 * time.Second) }},
		{"its clock is behind", "clock", func(a *applicant) { a.Clock = h.now().Add(-62 * time.Second) }},
		{"it is too old", "version", func(a *applicant) { a.Commands = command.Version - 1 }},
		{"it has no id", "id", func(a *applicant) { a.Node = "x" }},
		{"its address is another's", "exists", func(a *applicant) { a.Address = h.nodes[0].address }},
		{"its name is another's", "exists", func(a *applicant) { a.Name = "a" }},
		{"its id is another's", "exists", func(a *applicant) { a.Node = h.nodes[0].id }},
		{"its address is none", "HOST:PORT", func(a *applicant) { a.Address = "nowhere" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			token, who := a.invited(t, ""), h.applicant(t, "")
			c.change(who)
			_, err := member.Apply(t.Context(), token, who.Application)
			refused(t, err, c.why)
			who = h.applicant(t, "")
			who.Clock = h.now().Add(58 * time.Second) // within a minute
			w, err := member.Apply(t.Context(), token, who.Application)
			if err != nil || len(w.Certificate) == 0 || len(w.Keys) == 0 {
				t.Errorf("the invitation was used up: %v", err)
			}
			if err := a.Remove(t.Context(), access.Caller{}, who.id); err != nil { // room for the next
				t.Error(err)
			}
		})
	}
}

func TestInvitation(t *testing.T) {
	t.Parallel()
	h, other := founded(t), founded(t)
	a := h.nodes[0]
	apply := func(t *testing.T, token *member.Token) (*member.Welcome, error) {
		t.Helper()
		return member.Apply(t.Context(), token, h.applicant(t, "").Application)
	}
	t.Run("is used once", func(t *testing.T) {
		token := a.invited(t, "")
		if _, err := apply(t, token); err != nil {
			t.Fatal(err)
		}
		_, err := apply(t, token)
		refused(t, err, "invitation")
	})
	t.Run("with another secret", func(t *testing.T) {
		token := a.invited(t, "")
		rand.Read(token.Secret)
		_, err := apply(t, token)
		refused(t, err, "invitation")
	})
	t.Run("that never was", func(t *testing.T) {
		token := a.invited(t, "")
		token.Invitation = id.New(id.Invitation, time.Now(), rand.Reader)
		_, err := apply(t, token)
		refused(t, err, "invitation")
	})
	t.Run("of another cluster", func(t *testing.T) {
		token, mine := other.nodes[0].invited(t, ""), a.invited(t, "")
		token.Addresses, token.Keys = mine.Addresses, mine.Keys // whoever answers there is not of that cluster
		if _, err := apply(t, token); !errors.Is(err, member.ErrUnreached) || !errors.Is(err, peer.ErrRefused) {
			t.Errorf("%v", err)
		}
		token.Cluster, token.Authority = mine.Cluster, mine.Authority
		_, err := apply(t, token)
		refused(t, err, "invitation")
	})
	t.Run("another key is there", func(t *testing.T) {
		token := a.invited(t, "")
		rand.Read(token.Keys[0])
		if _, err := apply(t, token); !errors.Is(err, member.ErrUnreached) || !errors.Is(err, peer.ErrRefused) {
			t.Errorf("%v", err)
		}
	})
	t.Run("nobody is there", func(t *testing.T) {
		token := a.invited(t, "")
		token.Addresses, token.Keys = []string{freePort(t)}, nil
		if _, err := apply(t, token); !errors.Is(err, member.ErrUnreached) {
			t.Errorf("%v", err)
		}
		token.Addresses = append(token.Addresses, a.address) // the next one is
		if _, err := apply(t, token); err != nil {
			t.Error(err)
		}
	})
	t.Run("has ended", func(t *testing.T) {
		token := a.invited(t, "")
		h.ahead.Add(int64(member.InviteFor + time.Second))
		_, err := apply(t, token)
		refused(t, err, "invitation")
	})
}

// An eighth node is not let in, whenever it was invited.
func TestSevenMembers(t *testing.T) {
	t.Parallel()
	h := founded(t)
	a := h.nodes[0]
	var tokens []*member.Token
	for range state.MaxMembers { // one more than there are places
		tokens = append(tokens, a.invited(t, ""))
	}
	for i, token := range tokens {
		_, err := member.Apply(t.Context(), token, h.applicant(t, "").Application)
		if i < state.MaxMembers-1 {
			must(t, err)
			continue
		}
		refused(t, err, "at most 7")
	}
	if _, err := a.Invite(t.Context(), access.Caller{}, ""); !errors.Is(err, problem.New(problem.ClusterState, "")) {
		t.Errorf("an eighth is invited: %v", err)
	}
	// One of them may be replaced.
	token := a.invited(t, a.Directory.Others(a.id)[0])
	if _, err := member.Apply(t.Context(), token, h.applicant(t, "").Application); err != nil {
		t.Error(err)
	}
}

// Through a node that does not lead.
func TestJoinThroughAFollower(t *testing.T) {
	t.Parallel()
	h := three(t)
	for _, n := range h.others(t) {
		token := n.invited(t, "")
		token.Addresses, token.Keys = []string{n.address}, nil // as of an earlier release
		w, err := member.Apply(t.Context(), token, h.applicant(t, "").Application)
		if err != nil || len(w.Members) < 4 {
			t.Errorf("%v", err)
		}
	}
}

// Who comes to join and sends no application keeps no place.
func TestApplicationThatDoesNotCome(t *testing.T) {
	t.Parallel()
	h := founded(t)
	a := h.nodes[0]
	body, write := io.Pipe()
	defer write.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+a.address+"/member/join", body)
	must(t, err)
	r.ContentLength = 1000
	begun := time.Now()
	answer, err := peer.Stranger(h.cluster, nil, pki.Fingerprint(authorityOf(t, a))).RoundTrip(r)
	if err == nil {
		answer.Body.Close()
	}
	if took := time.Since(begun); took > 15*time.Second || err == nil && answer.StatusCode != http.StatusBadRequest {
		t.Errorf("%v after %v", answer, took)
	}
	if _, err := member.Apply(t.Context(), a.invited(t, ""), h.applicant(t, "").Application); err != nil {
		t.Error(err)
	}
}
