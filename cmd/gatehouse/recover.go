package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"gatehouse/appliance"
)

func recoverCommand() command {
	return command{
		name: "data recover", plain: true, args: "--data DIR [--peers FILE]", summary: "go on with what is left after a majority of the nodes was lost for good",
		manual: `
The last resort, where so many nodes of a cluster are lost with their disks that
those that are left are no majority. It makes a cluster of those that are left.
Where a lost node can come back, or its disk can be put into another server, do
that instead: nothing is lost then.

What the lost nodes alone had agreed on is lost. As a rule that is nothing while one
of each majority is left; where the only node with a vote is lost, it is what had
not reached the others. Writes that were under way may be carried out although
nobody was told. Each audit log is closed
and goes on as a new one (a new epoch), whose first event names the last state of
the closed one. The closed ones stay readable ('audit tail --epoch N').

How to go about it, while no node of the cluster runs:

 1. On each server that is left: 'gatehouse data recover --data DIR'. It prints one
    line, that says how far the node's files go, and changes nothing.
 2. Put these lines into one file, FILE, the same on each of these servers.
 3. On each: 'gatehouse data recover --data DIR --peers FILE'. It says what would
    be done. With --cluster NAME, the cluster's name as it is shown, it is done.
    What was there is kept in DIR/before-recovery-TIME.
 4. Start the node that is named as the first, then the others.
 5. Bring in new servers: 'gatehouse cluster invite'. Give auditors the new keys:
    'gatehouse audit trust'.

NEVER START A LOST NODE AGAIN with its old directory. Two of them together would
still be a majority of the old cluster, and decide beside the new one. Nor recover
two survivors by files of peers that do not name each other: that makes two clusters.

Exit codes: 0 done, or shown; 1 failure, nothing was changed (but for a recovery
that a crash had cut off before: that is finished then, and said); 2 wrong usage;
12 the files do not fit together.

Example:
  gatehouse data recover --data /var/lib/gatehouse >>peers
  gatehouse data recover --data /var/lib/gatehouse --peers peers
  gatehouse data recover --data /var/lib/gatehouse --peers peers --cluster clu_06c2t0e6o1qk5f3b2a1s9d8f7g --approved-by INC-4711`,
		flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
			var r recovering
			fs.StringVar(&r.dir, "data", "", "the stopped node's `DIR`")
			fs.StringVar(&r.peers, "peers", "", "the `FILE` with the lines of all nodes that are left")
			fs.StringVar(&r.cluster, "cluster", "", "do it: the `NAME` of the cluster, as it is shown")
			fs.StringVar(&r.approved, "approved-by", "", "for the audit log: `CODE`s of who or what has allowed it, with commas between")
			return r.run
		},
	}
}

type recovering struct {
	dir, peers, cluster, approved string
}

// maxApprovals: a ticket and those who signed it.
const maxApprovals = 8

// approval is a ticket's number or a login: no free text enters the log.
var approval = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

func (r *recovering) run(_ context.Context, c *call, args []string) error {
	if r.dir == "" || len(args) > 0 {
		return fmt.Errorf("%w: it needs --data DIR", errUsage)
	}
	if r.peers == "" {
		if r.cluster != "" || r.approved != "" {
			return fmt.Errorf("%w: --cluster and --approved-by go with --peers FILE", errUsage)
		}
		s, err := appliance.Survive(r.dir)
		if err != nil {
			return c.broken(err)
		}
		show(c, s, func(s *appliance.Survivor) string { return s.String() + "\n" })
		return nil
	}
	var approved []string
	if r.approved != "" {
		approved = strings.Split(r.approved, ",")
	}
	if len(approved) > maxApprovals {
		return fmt.Errorf("%w: --approved-by takes %d codes at most", errUsage, maxApprovals)
	}
	for _, a := range approved {
		if !approval.MatchString(a) {
			return fmt.Errorf("%w: --approved-by takes codes of letters, digits, '.', '_' and '-', not %q", errUsage, a)
		}
	}
	peers, err := readPeers(r.peers)
	if err != nil {
		return c.broken(err)
	}
	plan, err := appliance.PlanRecovery(r.dir, peers)
	if err != nil {
		return c.broken(err)
	}
	switch r.cluster {
	case "":
		show(c, plan, describePlan)
		return nil
	case plan.Cluster:
	default:
		return fmt.Errorf("%w: this node is of the cluster %s, not %s", errUsage, plan.Cluster, r.cluster)
	}
	done, err := appliance.Recover(r.dir, peers, approved, time.Now())
	if err != nil {
		return c.broken(err)
	}
	show(c, done, describeRecovered)
	return nil
}

// readPeers reads one byte more than a file of peers may have, so that a larger one
// is found to be.
func readPeers(path string) ([]appliance.Survivor, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, appliance.MaxPeers+1))
	if err != nil {
		return nil, err
	}
	return appliance.ParsePeers(b)
}

func describePlan(p *appliance.Recovered) string {
	var w strings.Builder
	fmt.Fprintf(&w, "cluster    %s\nthis node  %s, entry %d of term %d, of which %d are agreed on for sure\n", p.Cluster, p.Node, p.Index, p.Term, p.Applied)
	fmt.Fprintf(&w, "left       %s\nlost       %s\n", strings.Join(p.Voters, ", "), strings.Join(p.Lost, ", "))
	if p.First == p.Node {
		fmt.Fprintf(&w, "\nThis node has the newest entries: it keeps all, also the last %d, and goes first.\n", p.Open)
	} else {
		fmt.Fprintf(&w, "\n%s has the newest entries and goes first. This node drops its last %d and gets what it lacks from there.\n", p.First, p.Open)
	}
	fmt.Fprintf(&w, "The lost nodes are removed for good; never start one again with its old directory.\nThe audit logs go on in epoch %d.\n\nNothing was changed. To do it, the same again with --cluster %s\n", p.Epoch, p.Cluster)
	return w.String()
}

func describeRecovered(p *appliance.Recovered) string {
	then := "Start it now"
	if p.First != p.Node {
		then = "Start it once " + p.First + " runs"
	}
	return fmt.Sprintf("The cluster %s consists of %s.\nWhat was there is kept in %s.\n%s. Never start a lost node (%s) again with its old directory.\n", p.Cluster, strings.Join(p.Voters, ", "), p.Kept, then, strings.Join(p.Lost, ", "))
}
