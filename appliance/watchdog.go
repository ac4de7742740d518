package appliance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gatehouse/appliance/member"
	"gatehouse/cluster/watch"
	"gatehouse/store/audit"
	"gatehouse/store/command"
	"gatehouse/store/disk"
	"gatehouse/store/state"
)

// compareEvery so often the states of the nodes are compared, by what each has
// told of its own.
const compareEvery = 2 * time.Second

// openWatch makes what watches the node.
func (n *Node) openWatch() error {
	n.probe = watch.NewDisk(n.Data)
	n.watch = watch.New(watch.Config{
		Stall: n.Stall, Stalled: n.stalled, Leading: n.raft.Leading, Voters: func() int { return len(n.voters()) },
		Others: func() int { return len(n.answering()) }, Heir: n.heir, Transfer: n.raft.Transfer, Full: n.disk.Full,
		Behind: n.behind, Snapshots: n.raft.Snapshots, Due: n.raft.Due, Fatal: n.stop, Tell: n.alarm,
	})
	return n.quarantined()
}

// stalled is how long the write that is under way has taken.
func (n *Node) stalled() time.Duration { return max(n.raft.Stalled(), n.probe.Stalled()) }

func (n *Node) voters() (all []string) {
	servers, err := n.raft.Servers()
	if err != nil { // Raft has stopped
		return nil
	}
	for _, s := range servers {
		if s.Voter {
			all = append(all, s.ID)
		}
	}
	return all
}

// answering are the other voters that do.
func (n *Node) answering() []string {
	return slices.DeleteFunc(n.voters(), func(id string) bool { return id == n.acts.Node || !n.members.Up(id) })
}

// heir is a voter that could lead in this node's place.
func (n *Node) heir() string {
	for _, id := range n.answering() {
		if r, ok := n.members.Told(id); ok && !r.Full && !r.Stalled && r.Behind < watch.MaxSkew {
			return id
		}
	}
	return ""
}

// behind is how much this node's clock is behind the time of the state.
func (n *Node) behind() time.Duration {
	var at int64
	if err := n.state.View(func(v *state.View) error { at = v.Time(); return nil }); err != nil {
		return 0 // the state says itself what is wrong with it
	}
	return time.Unix(0, at).Sub(n.Now())
}

// alarm puts what the watch has found into the log and the audit log.
func (n *Node) alarm(a watch.Alarm) {
	if a.Ended {
		n.Log.Info("an alarm has ended", "alarm", string(a.Kind))
	} else {
		n.Log.Error("alarm: "+a.Kind.Wrong(), "alarm", string(a.Kind), "measured", a.Detail, "next", a.Kind.Next())
	}
	action := audit.NodeSkew
	switch a.Kind {
	case watch.Full:
		if action = audit.NodeReadonly; a.Ended {
			action = audit.NodeWritable
		}
	case watch.Differs, watch.Undecided:
		action = audit.NodeQuarantine
	case watch.Late, watch.Skewed:
	default: // of this node's disk, which the log must not wait for
		return
	}
	if !n.open.Load() {
		return
	}
	ctx, cancel := context.WithTimeout(n.stopping, eventTime)
	defer cancel()
	e := &command.Event{Action: string(action), ObjectType: "node", ObjectId: n.acts.Node, Result: string(audit.OK),
		Facts: map[string]string{"alarm": string(a.Kind), "ended": fmt.Sprint(a.Ended)}}
	if err := n.own(ctx, command.Type_RECORD, nil, e); err != nil && ctx.Err() == nil {
		n.Log.Warn("an alarm is not in the audit log", "error", err)
	}
}

// compare the states and the clocks of the nodes until ctx ends.
func (n *Node) compare(ctx context.Context) {
	tick := time.NewTicker(compareEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		skew := n.members.Skew()
		n.watch.Set(watch.Skewed, skew > watch.MaxSkew, skew.Round(time.Millisecond).String())
		voters := n.voters()
		if !slices.Contains(voters, n.acts.Node) {
			continue // it still joins
		}
		others := map[string][]state.Mark{}
		for _, id := range n.answering() {
			if r, ok := n.members.Told(id); ok {
				others[id] = r.Marked()
			}
		}
		v := watch.Compare(n.state.Marks(), others, len(voters))
		detail := fmt.Sprintf("at entry %d, with %v", v.Index, v.Nodes)
		n.watch.Set(watch.Differs, v.Outcome == watch.Others || v.Outcome == watch.Minority, detail)
		n.watch.Set(watch.Undecided, v.Outcome == watch.Tie, detail)
		if v.Outcome == watch.Minority {
			n.stop(errors.Join(fmt.Errorf("%w: %s", watch.ErrDiffers, detail), n.quarantine(detail)))
			return
		}
	}
}

// quarantineFile says why a node's state must not be used.
func (n *Node) quarantineFile() string { return filepath.Join(n.Data, "quarantine.txt") }

// quarantine keeps the node from starting with a state that is not the others'.
func (n *Node) quarantine(detail string) error {
	return disk.WriteFile(n.quarantineFile(), []byte(detail+"\n"), 0o600)
}

func (n *Node) quarantined() error {
	b, err := os.ReadFile(n.quarantineFile())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("%w (%s): keep a copy of the directory for whoever looks into it, and put a new node in its place: 'gatehouse cluster replace NODE' on another one",
		watch.ErrDiffers, strings.TrimSpace(string(b)))
}

// watched adds to what the node says of itself what the watch knows.
func (n *Node) watched(r *member.Report) {
	if n.watch == nil {
		return
	}
	for _, a := range n.watch.Alarms() {
		r.Alarms = append(r.Alarms, a.Kind)
	}
	r.Stalled = slices.Contains(r.Alarms, watch.Stalled)
	r.Mark(n.state.Marks())
}
