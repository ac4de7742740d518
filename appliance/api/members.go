package api

import (
	"net"
	"net/http"
	"time"

	"gatehouse/appliance/access"
	"gatehouse/appliance/member"
	"gatehouse/appliance/problem"
)

func (s *server) ClusterStatus(w http.ResponseWriter, r *http.Request) {
	s.handle(w, r, func(access.Caller) error { return s.cluster(w) })
}

// cluster shows how it stands.
func (s *server) cluster(w http.ResponseWriter) error {
	o, err := s.Members.Overview()
	if err != nil {
		return err
	}
	out := Cluster{Cluster: o.Cluster, Leader: o.Leader, Quorum: o.Quorum, ActiveVersion: int64(o.Active), NewestVersion: int64(o.Newest),
		Members: []Member{}, Advice: append([]string{}, o.Advice...)}
	if r := o.Rotation; r != nil {
		out.Authority = &Authority{Sha256: r.Authority, Phase: AuthorityPhase(r.Phase), Waits: []AuthorityWait{}}
		for _, w := range r.Waits {
			out.Authority.Waits = append(out.Authority.Waits, AuthorityWait{w.Node, w.Why})
		}
	}
	for _, m := range o.Members {
		out.Members = append(out.Members, standing(&m))
	}
	return show(w, http.StatusOK, out)
}

func standing(m *member.Standing) Member {
	out := Member{Node: m.Node, Name: m.Name, Address: m.Address, Role: MemberRole(m.Role), Up: m.Up, Draining: m.Draining, Error: some(m.Error)}
	if !m.Expiry.IsZero() {
		out.CertificateExpiresAt = &m.Expiry
	}
	if m.Seen.IsZero() {
		return out
	}
	p := func(n int64) *int64 { return &n }
	seen := m.Seen.UTC().Truncate(time.Millisecond)
	r := &m.Report
	out.SeenAt, out.Release, out.AppliedIndex, out.StateHash, out.Lag = &seen, some(r.Release), p(int64(r.Applied)), some(r.Hash), p(int64(m.Lag))
	out.Sealed, out.JobsWaiting, out.JobsRunning, out.DiskFreeBytes, out.DiskFull = &r.Sealed, &r.Waiting, &r.Running, p(int64(r.Free)), &r.Full
	out.Missing, out.ClockSkewMs = &r.Missing, p(m.Skew.Milliseconds())
	return out
}

func (s *server) InviteNode(w http.ResponseWriter, r *http.Request) {
	s.handle(w, r, func(c access.Caller) error {
		var in InvitationRequest
		if _, err := body(r, &in); err != nil {
			return err
		}
		t, err := s.Members.Invite(r.Context(), c, orEmpty(in.Replaces))
		if err != nil {
			return err
		}
		return show(w, http.StatusCreated, Invitation{Token: t.String(), ExpiresAt: t.Expires.Truncate(time.Second)})
	})
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func (s *server) TransferLeadership(w http.ResponseWriter, r *http.Request) {
	s.handle(w, r, func(c access.Caller) error {
		var in TransferRequest
		if _, err := body(r, &in); err != nil {
			return err
		}
		if err := s.Members.Transfer(r.Context(), c, orEmpty(in.Node)); err != nil {
			return err
		}
		return s.cluster(w)
	})
}

func (s *server) RotateAuthority(w http.ResponseWriter, r *http.Request) {
	s.handle(w, r, func(c access.Caller) error {
		if err := s.Members.Rotate(r.Context(), c); err != nil {
			return err
		}
		return s.cluster(w)
	})
}

func (s *server) FinaliseVersion(w http.ResponseWriter, r *http.Request) {
	s.handle(w, r, func(c access.Caller) error {
		if _, err := s.Members.Finalise(r.Context(), c); err != nil {
			return err
		}
		return s.cluster(w)
	})
}

func (s *server) ChangeMember(w http.ResponseWriter, r *http.Request, node string) {
	s.handle(w, r, func(c access.Caller) error {
		var in MemberChange
		if _, err := body(r, &in); err != nil {
			return err
		}
		if in.Address == nil && in.Draining == nil {
			return problem.New(problem.BadValue, "nothing is to be changed: give address or draining")
		}
		if in.Address != nil {
			if host, port, err := net.SplitHostPort(*in.Address); err != nil || host == "" || port == "" {
				return problem.New(problem.BadValue, "an address is HOST:PORT").In("address")
			}
			if err := s.Members.SetAddress(r.Context(), c, node, *in.Address); err != nil {
				return err
			}
		}
		if in.Draining != nil {
			if err := s.Members.Drain(r.Context(), c, node, *in.Draining); err != nil {
				return err
			}
		}
		return s.cluster(w)
	})
}

func (s *server) RemoveMember(w http.ResponseWriter, r *http.Request, node string) {
	s.handle(w, r, func(c access.Caller) error {
		if err := s.Members.Remove(r.Context(), c, node); err != nil {
			return err
		}
		return s.cluster(w)
	})
}
