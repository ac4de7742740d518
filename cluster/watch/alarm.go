package watch

import "time"

// MaxSkew between the clocks of two nodes, above which whoever sees it raises
// Skewed (design; R17).
const MaxSkew = 2 * time.Second

// Kind of alarm. Metrics, logs and the audit log know it by this name: it does
// not change.
type Kind string

// Kinds of alarm. Dog raises and ends those up to Kept; the others are for
// whoever asks the other nodes' clocks, and Compare.
const (
	Stalled   Kind = "disk_stalled"
	Full      Kind = "disk_full"
	Late      Kind = "clock_behind"
	Unlisted  Kind = "snapshots_unreadable"
	Growing   Kind = "log_grows"
	Kept      Kind = "leader_kept"
	Skewed    Kind = "clock_skewed"
	Differs   Kind = "state_differs"
	Undecided Kind = "state_undecided"
)

// Kinds there are.
func Kinds() []Kind {
	return []Kind{Stalled, Full, Late, Unlisted, Growing, Kept, Skewed, Differs, Undecided}
}

// Alarm was raised, or has ended.
type Alarm struct {
	Kind   Kind
	Ended  bool
	Detail string // what was measured
}

// Wrong says to whoever is on duty what has happened.
func (k Kind) Wrong() string {
	switch k {
	case Stalled:
		return "The disk of this node does not end what it was asked to write. Nothing was lost, but the node can do no work; where it led, another node takes over."
	case Full:
		return "The disk of this node is nearly full. New evidence is refused here; verifications that have theirs go on, and another node leads where one has room."
	case Late:
		return "The clock of this node is behind the cluster's by more than a minute. While it leads, the cluster's time stands still and nothing expires, so another node leads where one can."
	case Unlisted:
		return "The folder of Raft's snapshots on this node cannot be read. A node that lags could not be helped from here, so another node leads where one can."
	case Growing:
		return "This node takes no snapshots, so that its log is never shortened and fills the disk. Nothing else is wrong until the disk is full."
	case Kept:
		return "This node should not lead, for another alarm's reason, and no other node could take over. The cluster goes on, but must not lose more."
	case Skewed:
		return "The clocks of two nodes differ by more than two seconds. Nothing is wrong yet; at a minute a node may not lead, and certificates may be refused."
	case Differs:
		return "The data of one node is not that of the others. If it is this node it takes no more part and stops with exit code 12; the others go on."
	case Undecided:
		return "The data of two nodes differ and there is no third to tell which is right. Both go on."
	}
	return ""
}

// Next says what to do.
func (k Kind) Next() string {
	switch k {
	case Stalled:
		return "Look at the storage: the kernel's log (dmesg), the array, the hypervisor. If the node has stopped with exit code 11, start it when the disk answers again; it needs no other help. If it is the only node, wait for the disk and do not stop the node."
	case Full:
		return "Make room on the data disk or enlarge it; the node takes evidence again by itself at twice the reserve. Delete nothing in the data directory by hand."
	case Late:
		return "Look at the time service (chronyc tracking, timedatectl) of this node and of the others, as it may be theirs that is ahead, and correct the one that is wrong."
	case Unlisted:
		return "Look at raft/snapshots in the data directory: its owner and mode, and the kernel's log for errors of the disk. With a damaged disk replace the node: 'gatehouse cluster replace NODE'."
	case Growing:
		return "Look into the node's log for 'failed to take snapshot', and at raft/snapshots in the data directory: its owner and mode, and the room on the disk. Where nothing is found, start the node again before the disk is full."
	case Kept:
		return "See which nodes answer ('gatehouse cluster status') and bring back those that do not. Then see to the other alarm."
	case Skewed:
		return "Look at the time service (chronyc tracking, timedatectl) of both nodes and correct the one that is wrong."
	case Differs:
		return "Call the vendor and keep the node's data directory as it is. Do not start a node that has stopped with exit code 12: replace it with 'gatehouse cluster replace NODE'."
	case Undecided:
		return "Bring back the third node: it tells which is right. Restore nothing and remove no node before. Call the vendor and keep all data directories."
	}
	return ""
}
