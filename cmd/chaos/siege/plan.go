package siege

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"gatehouse/cmd/chaos/lab"
	"gatehouse/store/disk/killpoint"
)

// Kind of a fault.
type Kind string

const (
	Kill      Kind = "kill"
	Stop      Kind = "stop" // in order, as an operator does
	Pause     Kind = "pause"
	Cut       Kind = "cut"
	Deaf      Kind = "deaf" // what the others send it is lost
	Mute      Kind = "mute" // what it sends the others is lost
	SlowLink  Kind = "slow link"
	Freeze    Kind = "freeze"
	SlowDisk  Kind = "slow disk"
	Fill      Kind = "fill"
	ClockStep Kind = "clock"
)

// disk tells whether a node may end by itself, to be started again, because of
// the fault.
func (k Kind) disk() bool { return k == Freeze || k == SlowDisk || k == Fill }

// Target is which node a fault is of, at the time when it begins.
type Target string

const (
	Leader   Target = "leader"
	Follower Target = "follower"
	All      Target = "all"
)

// Act of the cluster that a fault comes in the middle of.
type Act string

const (
	KeyChange Act = "change of keys" // a new key signs the audit logs, or the earlier one no more
	Install   Act = "install"        // a follower that was away is sent the state
)

// Fault of a round.
type Fault struct {
	Kind    Kind            `json:"kind"`
	On      Target          `json:"on"`
	Which   int             `json:"which,omitempty"`  // of the two followers: 0 or 1
	At      killpoint.Point `json:"at,omitempty"`     // where a node dies; empty: at once
	During  Act             `json:"during,omitempty"` // which is begun, and
	Into    time.Duration   `json:"into,omitempty"`   // has gone on for so long
	After   time.Duration   `json:"after"`            // the round's first fault
	For     time.Duration   `json:"for"`
	Clients bool            `json:"clients,omitempty"` // a cut takes the node from them too
	Rate    int64           `json:"rate,omitempty"`    // bytes a second of a link, operations a second of a disk
	Leave   int64           `json:"leave,omitempty"`   // bytes on a full disk
	Offset  time.Duration   `json:"offset,omitempty"`  // of a clock
}

func (f Fault) String() string {
	s := fmt.Sprintf("%s %s for %.1f s", f.Kind, f.On, f.For.Seconds())
	switch {
	case f.Kind == ClockStep:
		s += fmt.Sprintf(", %+v", f.Offset)
	case f.Kind == Fill:
		s += fmt.Sprintf(", %d KiB left", f.Leave>>10)
	case f.Rate > 0:
		s += fmt.Sprintf(", %d/s", f.Rate)
	case f.Clients:
		s += ", from the clients too"
	case f.At != "":
		s += fmt.Sprintf(", %s", f.At)
	}
	switch {
	case f.During != "" && f.At != "":
		s += fmt.Sprintf(", in the %s", f.During)
	case f.During != "":
		s += fmt.Sprintf(", %.2f s into the %s", f.Into.Seconds(), f.During)
	}
	if f.After > 0 {
		s += fmt.Sprintf(", %.1f s later", f.After.Seconds())
	}
	return s
}

// Round is one nemesis with its parameters.
type Round struct {
	Number  int     `json:"number"` // from 1
	Nemesis string  `json:"nemesis"`
	Faults  []Fault `json:"faults"`
}

// nemesis makes the faults of a round.
type nemesis struct {
	name  string
	needs lab.Ability
	make  func(*rand.Rand) []Fault
}

// some time, to the tenth of a second, both in seconds.
func some(r *rand.Rand, from, to float64) time.Duration {
	return time.Duration(10*(from+(to-from)*r.Float64())) * (time.Second / 10)
}

func one(f Fault, from, to float64) func(*rand.Rand) []Fault {
	return func(r *rand.Rand) []Fault {
		f := f
		f.For = some(r, from, to)
		if f.On == Follower {
			f.Which = r.IntN(2)
		}
		switch f.Kind {
		case Cut:
			f.Clients = r.IntN(2) == 0
		case SlowLink:
			f.Rate = 16<<10 + r.Int64N(112<<10)
		case SlowDisk:
			f.Rate = 10 + r.Int64N(90)
		case Fill:
			f.Leave = r.Int64N(1 << 20)
		}
		return []Fault{f}
	}
}

// nemeses in the order of the report. Times are ours: longer than an election
// (0.75 s) and than a watchdog's patience (4 s), and not longer than a round.
func nemeses() []nemesis {
	alone := []nemesis{
		{"kill-leader", lab.Machines, one(Fault{Kind: Kill, On: Leader}, 0, 10)},
		{"kill-follower", lab.Machines, one(Fault{Kind: Kill, On: Follower}, 0, 10)},
		{"power", lab.Machines, one(Fault{Kind: Kill, On: All}, 0, 3)},
		{"restart-leader", lab.Machines, one(Fault{Kind: Stop, On: Leader}, 0, 3)},
		{"pause-leader", lab.Machines, one(Fault{Kind: Pause, On: Leader}, 2, 20)},
		{"pause-follower", lab.Machines, one(Fault{Kind: Pause, On: Follower}, 2, 20)},
		{"cut-leader", lab.Partition, one(Fault{Kind: Cut, On: Leader}, 3, 15)},
		{"cut-follower", lab.Partition, one(Fault{Kind: Cut, On: Follower}, 3, 15)},
		{"mute-leader", lab.Partition, one(Fault{Kind: Mute, On: Leader}, 3, 15)},
		{"deaf-leader", lab.Partition, one(Fault{Kind: Deaf, On: Leader}, 3, 15)},
		{"slow-link-leader", lab.SlowLink, one(Fault{Kind: SlowLink, On: Leader}, 5, 15)},
		{"slow-link-follower", lab.SlowLink, one(Fault{Kind: SlowLink, On: Follower}, 5, 15)},
		{"freeze-leader", lab.Freeze, one(Fault{Kind: Freeze, On: Leader}, 6, 15)},
		{"freeze-follower", lab.Freeze, one(Fault{Kind: Freeze, On: Follower}, 6, 15)},
		{"slow-disk-leader", lab.SlowDevice, one(Fault{Kind: SlowDisk, On: Leader}, 5, 15)},
		{"full-leader", lab.Machines, one(Fault{Kind: Fill, On: Leader}, 8, 15)},
		{"full-follower", lab.Machines, one(Fault{Kind: Fill, On: Follower}, 8, 15)},
		{"clock-ahead", lab.Machines, clocks(5 * time.Minute)},
		{"clock-behind", lab.Machines, clocks(-time.Hour)},
		{"kill-blob", lab.Machines, dying(killpoint.BlobKept, killpoint.BlobCopied)},
		{"kill-agreed", lab.Machines, dying(killpoint.Agreed)},
		{"kill-applying", lab.Machines, dying(killpoint.Applying)},
	}
	return slices.Concat(alone, amid(), []nemesis{{"two", lab.Freeze, func(r *rand.Rand) []Fault {
		var faults []Fault
		for _, i := range r.Perm(len(alone))[:2] {
			f := alone[i].make(r)[0]
			f.For = min(f.For, 10*time.Second)
			f.After = time.Duration(len(faults)) * some(r, 0, 4)
			faults = append(faults, f)
		}
		return faults
	}}})
}

// dying at one of some points of a node's work.
func dying(at ...killpoint.Point) func(*rand.Rand) []Fault {
	return func(r *rand.Rand) []Fault {
		return one(Fault{Kind: Kill, On: either(r), At: at[r.IntN(len(at))]}, 0, 5)(r)
	}
}

func either(r *rand.Rand) Target { return []Target{Leader, Follower}[r.IntN(2)] }

// amid an act of the whole cluster. A change of keys takes some tens of
// milliseconds, and an install about as long as sendTime.
func amid() []nemesis {
	return []nemesis{
		{"kill-key-change", lab.Machines, func(r *rand.Rand) []Fault {
			at := []killpoint.Point{killpoint.RingStaged, killpoint.RingAgreed, killpoint.RingKept}[r.IntN(3)]
			f := Fault{Kind: Kill, On: Leader, At: at, During: KeyChange}
			if at == killpoint.RingKept { // every node passes it, the leader alone the others
				f.On = either(r)
			}
			return one(f, 0, 8)(r)
		}},
		{"fault-key-change", lab.Partition, func(r *rand.Rand) []Fault {
			kind := []Kind{Kill, Pause, Cut}[r.IntN(3)]
			return one(Fault{Kind: kind, On: either(r), During: KeyChange, Into: time.Duration(r.Int64N(int64(100 * time.Millisecond)))}, 1, 12)(r)
		}},
		{"kill-install", lab.Machines, func(r *rand.Rand) []Fault {
			at := []killpoint.Point{killpoint.StateKept, killpoint.StateDurable}[r.IntN(2)]
			return one(Fault{Kind: Kill, On: Follower, At: at, During: Install}, 0, 8)(r)
		}},
		{"fault-install", lab.SlowLink, func(r *rand.Rand) []Fault {
			kind := []Kind{Kill, Pause, Cut}[r.IntN(3)]
			return one(Fault{Kind: kind, On: either(r), During: Install, Into: some(r, 0, sendTime.Seconds()/2)}, 1, 15)(r)
		}},
	}
}

// clocks step on the leader or on a follower.
func clocks(by time.Duration) func(*rand.Rand) []Fault {
	return func(r *rand.Rand) []Fault {
		return one(Fault{Kind: ClockStep, On: either(r), Offset: by}, 5, 12)(r)
	}
}

// Names of all nemeses.
func Names() (names []string) {
	for _, n := range nemeses() {
		names = append(names, n.name)
	}
	return names
}

// Plan gives the rounds of a seed without end: each nemesis once, in an order of
// chance, and then all again. What this machine lacks is left out.
type Plan struct {
	seed   uint64
	all    []nemesis
	order  []int
	number int
}

// NewPlan of a seed, of one nemesis or, where only is empty, of all; able nil:
// everything can be had. Error: ErrNemesis.
func NewPlan(seed uint64, only string, able lab.Abilities) (*Plan, error) {
	p := &Plan{seed: seed}
	for _, n := range nemeses() {
		if able[n.needs] == nil && (only == "" || slices.Contains(strings.Split(only, ","), n.name)) {
			p.all = append(p.all, n)
		}
	}
	if len(p.all) == 0 {
		return nil, fmt.Errorf("%w: %q; there are %s", ErrNemesis, only, strings.Join(Names(), ", "))
	}
	return p, nil
}

// Next round.
func (p *Plan) Next() Round {
	if p.number%len(p.all) == 0 {
		p.order = p.random(0).Perm(len(p.all))
	}
	n := p.all[p.order[p.number%len(p.all)]]
	p.number++
	return Round{Number: p.number, Nemesis: n.name, Faults: n.make(p.random(1))}
}

// random of the present round.
func (p *Plan) random(use uint64) *rand.Rand {
	return rand.New(rand.NewPCG(p.seed, uint64(p.number)<<1|use))
}
