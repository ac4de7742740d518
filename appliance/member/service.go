package member

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"gatehouse/appliance/access"
	"gatehouse/appliance/act"
	"gatehouse/appliance/problem"
	"gatehouse/cluster"
	"gatehouse/cluster/peer"
	"gatehouse/cluster/pki"
	"gatehouse/store/audit"
	"gatehouse/store/command"
	"gatehouse/store/id"
	"gatehouse/store/keys"
	"gatehouse/store/state"
)

// Raft is what the service asks of the cluster.
type Raft interface {
	Read(context.Context) error
	Leading() bool
	Status() cluster.Status
	Servers() ([]cluster.Server, error)
	Add(ctx context.Context, node string) error
	Promote(ctx context.Context, node string) error
	Remove(ctx context.Context, node string) error
	Transfer(ctx context.Context, node string) error
}

// Config of the service.
type Config struct {
	*act.Proposer
	Cluster   string
	Release   string // of this program
	Address   string // of this node's peer port, as the others reach it; empty: it has none
	Name      string // of this node, for people
	Raft      Raft
	State     *state.State
	Keys      *keys.Store
	Port      *peer.Port
	Identity  *Identity
	Directory *Directory
	// Local is what this node says of itself.
	Local func() Report
	// Lost is told, on the leader, each second of each member that is away.
	Lost func(ctx context.Context, node string)
	Log  *slog.Logger
}

// Service is safe for concurrent use.
type Service struct {
	Config
	joining sync.Mutex // one at a time
	renewed time.Time  // the last try
	said    time.Time  // when it said last that it is turned away
	early   sync.Once  // it was said that no node can join yet
	watch   watch
}

// New makes the service; Run watches the others.
func New(c Config) *Service {
	return &Service{Config: c, watch: watch{seen: map[string]*seen{}}}
}

func (s *Service) view(read func(*state.View) error) error { return s.State.View(read) }

// Found makes this node the first member, where nobody is and it has a peer
// port: an authority, the key-ring in force, its own row and certificate. The
// leader calls it, unsealed; what is there is left.
func (s *Service) Found(ctx context.Context) error {
	if s.Address == "" || s.Keys.Sealed() {
		return nil
	}
	var rows []*command.Member
	var version uint64
	var hasAuthority, hasRing bool
	err := s.view(func(v *state.View) (err error) {
		version = v.Version()
		_, a := v.Authority()
		_, r := v.Ring()
		hasAuthority, hasRing = a == nil, r == nil
		rows, err = v.Members()
		return err
	})
	if err != nil || len(rows) > 0 {
		return err
	}
	if version < uint64(command.Since(command.Type_JOIN)) {
		s.early.Do(func() {
			s.Log.Warn("other nodes can join once the active version is raised: gatehouse cluster finalise", "active_version", version)
		})
		return nil
	}
	if !hasAuthority {
		if err := s.makeAuthority(ctx); err != nil {
			return err
		}
	}
	if !hasRing {
		serial, err := s.Keys.RingSerial()
		if err != nil {
			return err
		}
		sum := s.Keys.RingSum()
		if err := s.own(ctx, command.Type_SET_RING, &command.SetRing{Ring: &command.Ring{Serial: serial, Sum: sum[:]}}, audit.KeyCreate, "keyring", fmt.Sprint(serial)); err != nil {
			return err
		}
	}
	request, err := s.Identity.Request()
	if err != nil {
		return err
	}
	cert, by, err := s.issue(request, s.Node)
	if err != nil {
		return err
	}
	if err := s.Identity.Certify(cert.Raw, by.Raw); err != nil {
		return err
	}
	of := pki.Fingerprint(cert)
	err = s.own(ctx, command.Type_JOIN, &command.Join{Member: &command.Member{Id: s.Node, Name: s.Name, Address: s.Address, Key: of[:], Release: s.Release, Commands: command.Version}},
		audit.NodeMemberJoin, "node", s.Node)
	s.Directory.Follow(s.State)
	return err
}

// own has a command of the node itself agreed on.
func (s *Service) own(ctx context.Context, t command.Type, payload proto.Message, action audit.Action, kind, object string) error {
	_, err := s.Propose(ctx, access.Caller{}, t, payload, nil, &command.Event{Action: string(action), ObjectType: kind, ObjectId: object, Result: string(audit.OK)})
	return err
}

// Invite one node: to join, or to take a member's place.
func (s *Service) Invite(ctx context.Context, c access.Caller, replaces string) (*Token, error) {
	if err := s.Raft.Read(ctx); err != nil {
		return nil, err
	}
	row, err := s.authority()
	if err != nil {
		return nil, err
	}
	if replaces != "" {
		m, err := s.find(replaces)
		if err != nil {
			return nil, err
		}
		replaces = m.Node
	}
	t := &Token{Cluster: s.Cluster, Invitation: s.ID(id.Invitation), Secret: make([]byte, secretSize), Expires: s.Now().Add(InviteFor).UTC()}
	if err := t.pin(row); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(s.Rand, t.Secret); err != nil {
		return nil, err
	}
	for _, m := range s.Directory.All() {
		if m.Removed || m.Node == replaces {
			continue
		}
		key, err := keyOf(&m)
		if err != nil {
			return nil, err
		}
		t.Addresses, t.Keys = append(t.Addresses, m.Address), append(t.Keys, key)
	}
	sum := sha256.Sum256(t.Secret)
	e := act.Event(c, audit.NodeMemberInvite, "invitation", t.Invitation)
	e.Facts = map[string]string{"expires": t.Expires.Format("2006-01-02T15:04:05Z")}
	if replaces != "" {
		e.Facts["replaces"] = replaces
	}
	_, err = s.Propose(ctx, ofCluster(c), command.Type_INVITE, &command.Invite{Invitation: &command.Invitation{Id: t.Invitation, Secret: sum[:], ExpiresNs: t.Expires.UnixNano(), Replaces: replaces}}, nil, e)
	if err != nil {
		return nil, err
	}
	return t, nil
}

// ofCluster is the caller for what is the cluster's own, not its tenant's.
func ofCluster(c access.Caller) access.Caller { c.Tenant = ""; return c }

// find a member by its id or its name.
func (s *Service) find(node string) (*Known, error) {
	all := s.Directory.All()
	i := slices.IndexFunc(all, func(m Known) bool { return !m.Removed && (m.Node == node || m.Name != "" && m.Name == node) })
	if i < 0 {
		var names []string
		for _, m := range all {
			if !m.Removed {
				names = append(names, s.Directory.Name(m.Node))
			}
		}
		return nil, problem.New(problem.NotFound, "no member is called %.64q; there are: %s", node, strings.Join(names, ", ")).In("node")
	}
	return &all[i], nil
}

// Remove a member. One that is away is removed as well; the last voter is not.
func (s *Service) Remove(ctx context.Context, c access.Caller, node string) error {
	if err := s.Raft.Read(ctx); err != nil {
		return err
	}
	m, err := s.find(node)
	if err != nil {
		return err
	}
	servers, err := s.Raft.Servers()
	if err != nil {
		return err
	}
	if err := s.removable(servers, m.Node); err != nil {
		return err
	}
	_, err = s.Propose(ctx, ofCluster(c), command.Type_REMOVE_MEMBER, &command.RemoveMember{Node: m.Node}, nil, act.Event(c, audit.NodeMemberRemove, "node", m.Node))
	return err
}

// removable: the voters that are left and answer must be a majority of those
// that are left.
func (s *Service) removable(servers []cluster.Server, node string) error {
	voters, up := 0, 0
	for _, v := range servers {
		if !v.Voter || v.ID == node {
			continue
		}
		voters++
		if v.ID == s.Node || s.watch.up(v.ID) {
			up++
		}
	}
	switch {
	case voters == 0:
		return problem.New(problem.ClusterState, "it is the only node with a vote: wait until another one has been promoted")
	case up < voters/2+1:
		return problem.New(problem.ClusterState, "without it %d of %d voters would answer, which is no majority", up, voters)
	}
	return nil
}

// SetAddress of a member's peer port.
func (s *Service) SetAddress(ctx context.Context, c access.Caller, node, address string) error {
	if err := s.Raft.Read(ctx); err != nil {
		return err
	}
	m, err := s.find(node)
	if err != nil {
		return err
	}
	e := act.Event(c, audit.NodeMemberChange, "node", m.Node)
	e.Facts = map[string]string{"address": address, "before": m.Address}
	_, err = s.Propose(ctx, ofCluster(c), command.Type_CHANGE_MEMBER, &command.ChangeMember{Node: m.Node, Address: &address}, nil, e)
	return err
}

// Drain says whether a member takes jobs.
func (s *Service) Drain(ctx context.Context, c access.Caller, node string, draining bool) error {
	if err := s.Raft.Read(ctx); err != nil {
		return err
	}
	m, err := s.find(node)
	if err != nil {
		return err
	}
	e := act.Event(c, audit.NodeMemberChange, "node", m.Node)
	e.Facts = map[string]string{"draining": fmt.Sprint(draining)}
	_, err = s.Propose(ctx, ofCluster(c), command.Type_CHANGE_MEMBER, &command.ChangeMember{Node: m.Node, Draining: &draining}, nil, e)
	return err
}

// Finalise raises the active version to what all members know. It is refused where
// that is in use already and a member knows less than this program.
func (s *Service) Finalise(ctx context.Context, c access.Caller) (uint32, error) {
	if err := s.Raft.Read(ctx); err != nil {
		return 0, err
	}
	version, last := uint32(command.Version), ""
	var active uint64
	err := s.view(func(v *state.View) error {
		active = v.Version()
		rows, err := v.Members()
		for _, m := range rows {
			if m.RemovedNs == 0 && m.Commands < version {
				version, last = m.Commands, m.Id
			}
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	if last != "" && uint64(version) <= active {
		return 0, problem.New(problem.ClusterState, "%s runs an earlier release, which knows version %d of the commands, and that is active: have it run the new one first", s.Directory.Name(last), version)
	}
	e := act.Event(c, audit.ClusterFinalise, "cluster", s.Cluster)
	e.Facts = map[string]string{"version": fmt.Sprint(version)}
	_, err = s.Propose(ctx, ofCluster(c), command.Type_FINALISE, &command.Finalise{Version: version}, nil, e)
	return version, err
}
