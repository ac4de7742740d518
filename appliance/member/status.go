package member

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"gatehouse/appliance/access"
	"gatehouse/appliance/act"
	"gatehouse/appliance/problem"
	"gatehouse/cluster"
	"gatehouse/cluster/peer"
	alarm "gatehouse/cluster/watch"
	"gatehouse/store/audit"
	"gatehouse/store/command"
	"gatehouse/store/state"
)

// Overview is how a cluster stands, as one node sees it.
type Overview struct {
	Cluster string
	Leader  string // id; empty: none is known
	Quorum  bool   // a majority of the voters answers
	Active  uint64 // version of the commands in use
	Newest  uint32 // that all members know
	Members []Standing
	// Rotation of the authority; nil where there is none yet.
	Rotation *Rotation
	Advice   []string // what an operator should do; empty: nothing
}

// Standing of one member.
type Standing struct {
	Known
	Role   string // leader, voter, joining
	Up     bool
	Seen   time.Time // when it answered last; zero: never since this node's start
	Report Report
	Lag    uint64        // entries that it is behind
	Skew   time.Duration // of its clock against this node's
	Expiry time.Time     // of this node's own certificate; zero for others
	Error  string        // why it does not answer
	// Commands is the newest version that it knows, as it told the cluster.
	Commands uint32
}

// warnSkew of clocks (design of the cluster).
const warnSkew = 2 * time.Second

// warnExpiry of a certificate that has not renewed itself.
const warnExpiry = 7 * 24 * time.Hour

// Overview of the cluster. It asks nobody: what it shows is at most a look old.
func (s *Service) Overview() (*Overview, error) {
	o := &Overview{Cluster: s.Cluster, Leader: s.Raft.Status().Leader, Newest: command.Version}
	var rows []*command.Member
	var authority *command.Authority
	err := s.view(func(v *state.View) (err error) {
		o.Active = v.Version()
		if authority, err = v.Authority(); err != nil && !errors.Is(err, state.ErrNotFound) {
			return err
		}
		rows, err = v.Members()
		return err
	})
	if err != nil {
		return nil, err
	}
	servers, err := s.Raft.Servers()
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		rows = []*command.Member{{Id: s.Node, Name: s.Name, Commands: command.Version}}
	}
	if authority != nil {
		o.Rotation = s.rotation(authority, rows)
	}
	newest, _ := s.State.Applied()
	voters, up := 0, 0
	for i, k := range knownOf(rows) {
		if k.Removed {
			continue
		}
		m := s.standing(k, newest)
		m.Commands = rows[i].Commands
		o.Newest = min(o.Newest, m.Commands) // one that is away counts: Finalise waits for it too
		at := slices.IndexFunc(servers, func(v cluster.Server) bool { return v.ID == k.Node })
		switch {
		case k.Node == o.Leader:
			m.Role = "leader"
		case at >= 0 && servers[at].Voter:
			m.Role = "voter"
		default:
			m.Role = "joining"
		}
		if m.Role != "joining" {
			voters++
			if m.Up {
				up++
			}
		}
		o.Members = append(o.Members, m)
	}
	o.Quorum = up > voters/2 && o.Leader != ""
	if p := s.Outside(); p != nil {
		o.Advice = append(o.Advice, p.Detail+". "+p.Next)
	}
	o.advise(voters, up)
	return o, nil
}

func (s *Service) standing(k Known, newest uint64) Standing {
	if k.Node == s.Node {
		m := Standing{Known: k, Up: true, Seen: s.Now(), Report: s.report()}
		if leaf := s.Identity.Leaf(); leaf != nil {
			m.Expiry = leaf.NotAfter
		}
		return m
	}
	w := s.watch.of(k.Node)
	m := Standing{Known: k, Up: w.missed < away, Seen: w.at, Report: w.report}
	if m.Up {
		m.Lag = newest - min(newest, w.report.Applied)
		m.Skew = w.report.Clock.Sub(w.at)
	} else if w.err != nil {
		m.Error = w.err.Error()
	}
	return m
}

// waits names the members that are away while the authority's rotation waits for
// them.
func (o *Overview) waits() (names []string) {
	if o.Rotation == nil {
		return nil
	}
	for _, w := range o.Rotation.Waits {
		i := slices.IndexFunc(o.Members, func(m Standing) bool { return m.Node == w.Node })
		switch {
		case !w.Away || i < 0:
		case o.Members[i].Name != "":
			names = append(names, o.Members[i].Name)
		default:
			names = append(names, w.Node)
		}
	}
	return names
}

// advise says what somebody should do, the worst first.
func (o *Overview) advise(voters, up int) {
	say := func(format string, args ...any) { o.Advice = append(o.Advice, fmt.Sprintf(format, args...)) }
	if !o.Quorum {
		say("%d of %d voters answer, which is no majority: nothing can be written. Start the nodes that are away, or bring their disks into other servers. Where the disks of a majority are lost for good: 'gatehouse help data recover'.", up, voters)
	}
	joining := 0
	for _, m := range o.Members {
		name := m.Name
		if name == "" {
			name = m.Node
		}
		switch {
		case !m.Up:
			say("%s does not answer: look at that server. If it will not come back: 'gatehouse cluster replace %s'.", name, name)
		case m.Report.Sealed:
			say("%s is sealed: 'gatehouse unseal' there.", name)
		case m.Report.Full:
			say("%s has a full disk: free some room there.", name)
		}
		for _, k := range m.Report.Alarms {
			switch {
			case !m.Up, k == alarm.Full, k == alarm.Skewed: // each has a line of its own
			case k.Wrong() == "":
				say("%s has an alarm that this node does not know, %.64q: the log there says more.", name, k)
			default:
				say("%s says: %s %s", name, k.Wrong(), k.Next())
			}
		}
		if m.Up && m.Skew.Abs() > warnSkew {
			say("the clock of %s differs by %v from this node's: look at its time server.", name, m.Skew.Round(time.Second/10))
		}
		if !m.Expiry.IsZero() && time.Until(m.Expiry) < warnExpiry {
			say("the certificate of %s ends %s and has not been renewed: the log there says why.", name, m.Expiry.UTC().Format(time.DateOnly))
		}
		if m.Role == "joining" {
			joining++
		}
		if m.Commands < command.Version {
			say("%s runs an earlier release, which knows version %d of the commands: 'gatehouse cluster finalise' waits until it runs the new one, which knows %d.", name, m.Commands, command.Version)
		}
	}
	for _, w := range o.waits() {
		say("the rotation of the cluster's authority waits for %s, which does not answer: start it, or put another one in its place.", w)
	}
	switch {
	case joining > 0 && voters%2 == 1 && joining%2 == 1:
		say("a node joins and keeps a copy of everything; it votes once another one joins as well: 'gatehouse cluster invite'.")
	case joining > 0:
		say("%d nodes are catching up and will vote when they have been steady for %v.", joining, stable*lookEvery)
	case voters == 2:
		say("two nodes vote: if one is away nothing can be written. Let a third one join: 'gatehouse cluster invite'.")
	}
	if uint64(o.Newest) > o.Active {
		say("all members know version %d, %d is active: when you will not go back to the earlier release, 'gatehouse cluster finalise'.", o.Newest, o.Active)
	}
}

// transferPath is asked of the leader.
const transferPath = "/member/transfer"

// Transfer leadership to a member, or to whichever is nearest. It returns when
// another node leads.
func (s *Service) Transfer(ctx context.Context, c access.Caller, node string) error {
	if err := s.Raft.Read(ctx); err != nil {
		return err
	}
	if node != "" {
		m, err := s.find(node)
		if err != nil {
			return err
		}
		if node = m.Node; node == s.Raft.Status().Leader {
			return problem.New(problem.ClusterState, "it leads already")
		}
	}
	e := act.Event(c, audit.NodeTransfer, "node", s.Raft.Status().Leader)
	e.Facts = map[string]string{"to": node}
	if err := s.Record(ctx, ofCluster(c), e); err != nil {
		return err
	}
	if s.Raft.Leading() {
		return s.transfer(ctx, node)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, transferPath, bytes.NewReader([]byte(node)))
	if err != nil {
		return err
	}
	answer, err := s.Port.Do(peer.RPC, s.Raft.Status().Leader, r)
	if err != nil {
		return problem.New(problem.Unavailable, "the leader cannot be reached").Because(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	b, err := io.ReadAll(io.LimitReader(answer.Body, maxReport))
	if err != nil {
		return err
	}
	if why := problem.Told(b); why != nil {
		return why
	}
	return fmt.Errorf("the leader answered with status %d", answer.StatusCode)
}

func (s *Service) transfer(ctx context.Context, node string) error {
	switch err := s.Raft.Transfer(ctx, node); {
	case errors.Is(err, cluster.ErrElsewhere):
		return problem.New(problem.Unavailable, "another node has begun to lead meanwhile").Because(err)
	case err != nil:
		return problem.New(problem.ClusterState, "leadership could not be handed over: %v", err)
	}
	return nil
}

func (s *Service) serveTransfer(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 128))
	if err == nil {
		err = s.transfer(r.Context(), string(b))
	}
	reply(w, struct{}{}, err)
}
