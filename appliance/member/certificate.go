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
)

// renewEvery so often at most a renewal that failed is tried again.
const renewEvery = time.Minute

// keepCertificate renews the node's certificate at two thirds of its time.
func (s *Service) keepCertificate(ctx context.Context) {
	leaf := s.Identity.Leaf()
	now := s.Now()
	if leaf == nil || now.Before(leaf.NotAfter.Add(-pki.Valid/3)) || now.Before(s.renewed.Add(renewEvery)) {
		return
	}
	s.renewed = now
	if err := s.Renew(ctx); err != nil {
		s.Log.Error("the node's certificate among the members could not be renewed", "not_after", leaf.NotAfter, "error", err)
		return
	}
	s.Log.Info("the node's certificate among the members was renewed", "not_after", s.Identity.Leaf().NotAfter)
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
