package member

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"gatehouse/appliance/access"
	"gatehouse/appliance/problem"
	"gatehouse/cluster/peer"
	"gatehouse/store/audit"
	"gatehouse/store/command"
	"gatehouse/store/state"
)

// ErrRemoved: the node is no member any more.
var ErrRemoved = errors.New("this node was removed from its cluster: wipe its directory; it can join again as a new node, by an invitation")

// row of this node; nil where the cluster has no members yet. Error: ErrRemoved.
func (s *Service) row() (*command.Member, error) {
	var m *command.Member
	err := s.view(func(v *state.View) (err error) { m, err = v.Member(s.Node); return err })
	switch {
	case errors.Is(err, state.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	case m.RemovedNs != 0:
		return nil, ErrRemoved
	}
	return m, nil
}

// Announce tells the cluster what has changed of this node since it was here
// last: its release, its name, its address, its witness's key. Error: ErrRemoved.
func (s *Service) Announce(ctx context.Context) error {
	m, err := s.row()
	if m == nil || err != nil {
		return err
	}
	p := &command.ChangeMember{Node: s.Node}
	facts := map[string]string{}
	if m.Release != s.Release || m.Commands != command.Version {
		version := uint32(command.Version)
		p.Release, p.Commands = &s.Release, &version
		facts["release"], facts["before"] = s.Release, m.Release
	}
	if s.Name != "" && m.Name != s.Name {
		p.Name = &s.Name
		facts["name"] = s.Name
	}
	if s.Address != "" && m.Address != s.Address {
		p.Address = &s.Address
		facts["address"] = s.Address
	}
	w, err := s.Identity.Witness(s.Node)
	if err != nil {
		return err
	}
	if key := w.Vkey(); m.Witness != key {
		p.Witness = &key
		facts["witness"] = key
	}
	if len(facts) == 0 {
		return nil
	}
	_, err = s.Propose(ctx, access.Caller{}, command.Type_CHANGE_MEMBER, p, nil,
		&command.Event{Action: string(audit.NodeMemberChange), ObjectType: "node", ObjectId: s.Node, Result: string(audit.OK), Facts: facts})
	return err
}

const addressPath = "/member/address"

// callHome tells any member that answers where this node is now: who leads may
// not reach it at the address that it knows.
func (s *Service) callHome(ctx context.Context) {
	known, err := s.Directory.find(s.Node)
	if err != nil || s.Address == "" || known.Address == s.Address || s.Port == nil || s.Raft.Leading() {
		return
	}
	for _, node := range s.Directory.Others(s.Node) {
		if err := s.tellAddress(ctx, node); err == nil {
			s.Log.Info("the cluster was told this node's new address", "address", s.Address, "by", node)
			return
		}
	}
}

func (s *Service) tellAddress(ctx context.Context, node string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*lookEvery)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, addressPath, bytes.NewReader([]byte(s.Address)))
	if err != nil {
		return err
	}
	answer, err := s.Port.Do(peer.RPC, node, r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", answer.StatusCode)
	}
	return nil
}

// serveAddress changes the address of the member that asks, and of no other.
func (s *Service) serveAddress(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 512))
	if err != nil {
		reply(w, nil, problem.New(problem.Malformed, "%v", err))
		return
	}
	address, node := string(b), peer.From(r)
	_, err = s.Propose(r.Context(), access.Caller{}, command.Type_CHANGE_MEMBER, &command.ChangeMember{Node: node, Address: &address}, nil,
		&command.Event{Action: string(audit.NodeMemberChange), ObjectType: "node", ObjectId: node, Result: string(audit.OK), Facts: map[string]string{"address": address}})
	reply(w, struct{}{}, err)
}

// Present says whether this node is still a member. Error: ErrRemoved.
func (s *Service) Present() error {
	_, err := s.row()
	return err
}
