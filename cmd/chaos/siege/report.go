package siege

import (
	"fmt"
	"slices"
	"time"
)

// What was found.
type What string

const (
	Lost       What = "lost"  // acknowledged, and gone or changed
	Twice      What = "twice" // one idempotency key, more than one effect
	Order      What = "not linearizable"
	Undecided  What = "undecided"       // linearizability, in the time there was
	Hash       What = "state differs"   // at one index
	Fork       What = "fork"            // of an audit log, or an event that is missing
	Keys       What = "keys"            // that sign an audit log, and should not, or differ
	Picture    What = "picture"         // that a node cannot show
	Away       What = "not whole"       // unaided, in time
	Unfinished What = "unfinished"      // a verification in hand
	Refused    What = "refused"         // without a reason
	Ended      What = "ended by itself" // a node, without a reason
	Damage     What = "damage"          // that 'data check' finds, or a gallery that differs
	Plain      What = "plain text"      // on a disk
	Trouble    What = "trouble"         // a fault, a stop or a check that went wrong
)

// Violation of a promise.
type Violation struct {
	What   What   `json:"what"`
	Detail string `json:"detail"`
}

func (v Violation) String() string { return fmt.Sprintf("%s: %s", v.What, v.Detail) }

// Result of a round.
type Result struct {
	Round
	Began      time.Time     `json:"began"`
	Struck     []struck      `json:"struck"`
	Gap        time.Duration `json:"gap"`    // the longest without an acknowledged write
	Return     time.Duration `json:"return"` // after healing, until all nodes were whole
	Writes     int           `json:"writes"`
	Verified   int           `json:"verified"`
	Failed     int           `json:"failed"` // verifications without a decision
	Exits      []Exit        `json:"exits,omitempty"`
	Violations []Violation   `json:"violations,omitempty"`
}

// Skip is a nemesis that this machine cannot have.
type Skip struct {
	Nemesis string
	Why     error
}

// Report of a run.
type Report struct {
	Seed    uint64
	Began   time.Time
	Took    time.Duration
	Rounds  []*Result
	Skipped []Skip
	Kept    []string // directories of clusters of which something was found
	Events  int64    // of audit logs, read and hashed
	Shown   int      // pictures that a node showed, compared byte by byte
	Checked int      // sessions read back, on each node
	Indexes int      // at which state hashes of all nodes were compared
	Scanned int64    // bytes of disks searched for plain text
}

// Violations of all rounds.
func (r *Report) Violations() (all []Violation) {
	for _, one := range r.Rounds {
		all = append(all, one.Violations...)
	}
	return all
}

// Count of the violations of some sorts; none given: all.
func (r *Report) Count(sorts ...What) (n int) {
	for _, v := range r.Violations() {
		if len(sorts) == 0 || slices.Contains(sorts, v.What) {
			n++
		}
	}
	return n
}

// Row of one nemesis.
type Row struct {
	Nemesis          string
	Runs, Violations int
	Failed           int // verifications without a decision
	gaps, returns    []time.Duration
	Exits            map[int]int // code of a node that ended by itself, how often
}

// Rows in the order of Names.
func (r *Report) Rows() (rows []*Row) {
	for _, name := range Names() {
		row := &Row{Nemesis: name, Exits: map[int]int{}}
		for _, one := range r.Rounds {
			if one.Nemesis != name {
				continue
			}
			row.Runs++
			row.Violations, row.Failed = row.Violations+len(one.Violations), row.Failed+one.Failed
			row.gaps, row.returns = append(row.gaps, one.Gap), append(row.returns, one.Return)
			for _, e := range one.Exits {
				row.Exits[e.Code]++
			}
		}
		if row.Runs > 0 {
			rows = append(rows, row)
		}
	}
	return rows
}

// Gap at a share of the runs: the longest time of each without a write.
func (r *Row) Gap(share float64) time.Duration { return at(r.gaps, share) }

// Return at a share of the runs: how long after healing all nodes were whole.
func (r *Row) Return(share float64) time.Duration { return at(r.returns, share) }

func at(all []time.Duration, share float64) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[int(share*float64(len(sorted)-1)+0.5)]
}
