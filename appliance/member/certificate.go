package member

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"gatehouse/cluster/peer"
	"gatehouse/cluster/pki"
	"gatehouse/store/command"
	"gatehouse/store/state"
)

// renewEvery so often at most a renewal that failed is tried again; switchEvery,
// where the others wait for it: the leader may have changed with the first try.
const (
	renewEvery  = time.Minute
	switchEvery = 5 * lookEvery
)

// keepCertificate renews the node's certificate at two thirds of its time, and at
// once where another authority certifies now.
func (s *Service) keepCertificate(ctx context.Context) {
	leaf := s.Identity.Leaf()
	if leaf == nil {
		return
	}
	now, every := s.Now(), renewEvery
	if s.outdated() {
		every = switchEvery
	} else if now.Before(leaf.NotAfter.Add(-pki.Valid / 3)) {
		return
	}
	if now.Before(s.renewed.Add(every)) {
		return
	}
	s.renewed = now
	if err := s.Renew(ctx); err != nil {
		s.Log.Error("the node's certificate among the members could not be renewed", "not_after", leaf.NotAfter, "error", err)
		return
	}
	s.Log.Info("the node's certificate among the members was renewed", "not_after", s.Identity.Leaf().NotAfter)
}

// outdated says whether the node's certificate is of an authority that certifies
// nobody any more.
func (s *Service) outdated() bool {
	var row *command.Authority
	if err := s.view(func(v *state.View) (err error) { row, err = v.Authority(); return err }); err != nil {
		return false
	}
	by := s.Identity.Certified()
	return by != nameOf(row.Certificate) && (len(row.NextCertificate) == 0 || by != nameOf(row.NextCertificate))
}

// Renew the node's certificate, for the key that it has: by itself where it
// leads, else by the leader.
func (s *Service) Renew(ctx context.Context) error {
	request, err := s.Identity.Request()
	if err != nil {
		return err
	}
	leader := s.Raft.Status().Leader
	if leader == s.Node {
		w, err := s.renew(ctx, request, s.Node)
		if err != nil {
			return err
		}
		return s.Identity.Certify(w.Certificate, w.Authority)
	}
	ctx, cancel := context.WithTimeout(ctx, joinTime)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, certificatePath, bytes.NewReader(request))
	if err != nil {
		return err
	}
	answer, err := s.Port.Do(peer.RPC, leader, r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(io.LimitReader(answer.Body, maxJoin))
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the leader refused: %.200s", b)
	}
	w := &Welcome{}
	if err := json.Unmarshal(b, w); err != nil {
		return err
	}
	return s.Identity.Certify(w.Certificate, w.Authority)
}
