package appliance

import (
	"bufio"
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"gatehouse/cluster"
	"gatehouse/store/id"
	"gatehouse/store/state"
)

// Survivor is a node that is left of a cluster, and how far its files go.
type Survivor struct {
	Cluster string `json:"cluster"`
	Node    string `json:"node"`
	Term    uint64 `json:"term"`  // of the newest entry
	Index   uint64 `json:"index"` // of the newest entry, whether it was agreed on or not
	Applied uint64 `json:"applied_index"`
}

func (s Survivor) history() cluster.History {
	return cluster.History{Term: s.Term, Index: s.Index, Applied: s.Applied}
}

// String is the survivor's line of a file of peers.
func (s Survivor) String() string {
	return fmt.Sprintf("%s %s %d %d %d", s.Cluster, s.Node, s.Term, s.Index, s.Applied)
}

// MaxPeers bytes of a file of peers: a line has 120 at most, and a comment may
// stand above each.
const MaxPeers = 4 << 10

// ParsePeers reads a file with one line for each survivor, as String writes it.
// Empty lines and those that begin with # are left out. Error: ErrRecovery.
func ParsePeers(b []byte) ([]Survivor, error) {
	if len(b) > MaxPeers {
		return nil, fmt.Errorf("%w: the file of peers has more than %d bytes", ErrRecovery, MaxPeers)
	}
	var all []Survivor
	seen := map[string]bool{}
	lines := bufio.NewScanner(bytes.NewReader(b))
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		s, err := parseSurvivor(text)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%w: line %d of the file of peers: %v", ErrRecovery, n, err)
		case seen[s.Node]:
			return nil, fmt.Errorf("%w: %s is twice in the file of peers", ErrRecovery, s.Node)
		case len(all) > 0 && s.Cluster != all[0].Cluster:
			return nil, fmt.Errorf("%w: the file of peers names two clusters, %s and %s", ErrRecovery, all[0].Cluster, s.Cluster)
		case len(all) == state.MaxMembers:
			return nil, fmt.Errorf("%w: the file of peers has more than %d nodes", ErrRecovery, state.MaxMembers)
		}
		seen[s.Node] = true
		all = append(all, s)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%w: the file of peers: %v", ErrRecovery, err)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: the file of peers names no node", ErrRecovery)
	}
	return all, nil
}

func parseSurvivor(text string) (s Survivor, err error) {
	f := strings.Fields(text)
	if len(f) != 5 {
		return s, fmt.Errorf("%d fields, not CLUSTER NODE TERM INDEX APPLIED", len(f))
	}
	s.Cluster, s.Node = f[0], f[1]
	if id.Check(id.Cluster, s.Cluster) != nil || id.Check(id.Node, s.Node) != nil {
		return s, fmt.Errorf("%.100q %.100q are no ids of a cluster and a node", s.Cluster, s.Node)
	}
	for i, n := range []*uint64{&s.Term, &s.Index, &s.Applied} {
		if *n, err = strconv.ParseUint(f[2+i], 10, 63); err != nil {
			return s, fmt.Errorf("%.100q is no number", f[2+i])
		}
	}
	if s.Applied > s.Index || s.Term == 0 {
		return s, fmt.Errorf("entry %d of term %d, and %d of the state: that cannot be", s.Index, s.Term, s.Applied)
	}
	return s, nil
}
