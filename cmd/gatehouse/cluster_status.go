package main

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"gatehouse/appliance/api"
)

func clusterStatusCommand() command {
	return command{
		name: "cluster status", online: true, args: "", summary: "how the nodes stand, and what to do about them",
		manual: `
Prints each node of the cluster: whether it leads, votes or still joins, whether
it answers, how many entries it is behind, its release, its work, and what is
amiss. Below stands what somebody should do, the worst first; nothing there
means that nothing is to be done.

Ask any node. With --watch it prints again each time until it is interrupted, or,
with --until-steady, until every node answers, votes and keeps up, and no rotation
of the authority is under way.

Exit codes: 0 a majority of the voters answers and nothing is to be done;
1 something is to be done; 5 no majority answers, or the node asked does not.

Example:
  gatehouse cluster status --watch 2s`,
		flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
			watch := fs.Duration("watch", 0, "print again after this `TIME`, until interrupted")
			steady := fs.Bool("until-steady", false, "with --watch: end when every node answers, votes and keeps up, and no rotation is under way")
			return func(ctx context.Context, c *call, args []string) error {
				if err := arguments(args); err != nil {
					return err
				}
				if *watch < 0 || *steady && *watch == 0 {
					return fmt.Errorf("%w: --until-steady needs --watch TIME", errUsage)
				}
				return c.clusterStatus(ctx, *watch, *steady)
			}
		},
	}
}

func (c *call) clusterStatus(ctx context.Context, every time.Duration, steady bool) error {
	node, err := c.node.client()
	if err != nil {
		return err
	}
	for {
		s, err := node.Cluster(ctx)
		if err != nil {
			return err
		}
		show(c, s, describeCluster)
		c.exit = clusterExit(s)
		if every == 0 || steady && isSteady(s) {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(every):
		}
	}
}

func clusterExit(s *api.Cluster) int {
	switch {
	case !s.Quorum:
		return exitAway
	case len(s.Advice) > 0:
		return exitFailure
	}
	return exitDone
}

// isSteady says whether nothing is under way.
func isSteady(s *api.Cluster) bool {
	for _, m := range s.Members {
		if !m.Up || m.Role == api.MemberRoleJoining || or(m.Missing, 0) > 0 || or(m.Lag, 0) > 1000 {
			return false
		}
	}
	return s.Quorum && rotated(s)
}

func describeCluster(s *api.Cluster) string {
	var w strings.Builder
	quorum := "a majority answers"
	if !s.Quorum {
		quorum = "NO MAJORITY ANSWERS: nothing can be written"
	}
	fmt.Fprintf(&w, "Cluster %s: %s\n\n", s.Cluster, quorum)
	t := tabwriter.NewWriter(&w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  NODE\tADDRESS\tROLE\tBEHIND\tWORK\tDISK FREE\tRELEASE\t")
	for _, m := range s.Members {
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", nodeName(&m), m.Address, roleOf(&m), behind(&m), work(&m), room(&m), or(m.Release, "-"), trouble(&m))
	}
	_ = t.Flush() // into memory
	for _, m := range s.Members {
		if m.Name != "" {
			fmt.Fprintf(&w, "  %s is %s\n", m.Name, m.Node)
		}
	}
	if s.Authority != nil {
		fmt.Fprintf(&w, "  %s\n", describeRotation(s))
	}
	for _, a := range s.Advice {
		fmt.Fprintf(&w, "\n  * %s\n", oneLine(a))
	}
	return w.String()
}

func nodeName(m *api.Member) string {
	if m.Name != "" {
		return oneLine(m.Name)
	}
	return m.Node
}

func roleOf(m *api.Member) string {
	switch {
	case !m.Up:
		return string(m.Role) + ", AWAY"
	case m.Draining:
		return string(m.Role) + ", draining"
	}
	return string(m.Role)
}

func behind(m *api.Member) string {
	if m.Lag == nil || !m.Up {
		return "-"
	}
	return fmt.Sprint(*m.Lag)
}

func work(m *api.Member) string {
	if m.JobsRunning == nil || !m.Up {
		return "-"
	}
	return fmt.Sprintf("%d, %d wait", *m.JobsRunning, or(m.JobsWaiting, 0))
}

func room(m *api.Member) string {
	if m.DiskFreeBytes == nil || !m.Up {
		return "-"
	}
	return fmt.Sprintf("%.1f GB", float64(*m.DiskFreeBytes)/1e9)
}

func trouble(m *api.Member) string {
	var all []string
	if or(m.Sealed, false) {
		all = append(all, "sealed")
	}
	if or(m.DiskFull, false) {
		all = append(all, "disk full")
	}
	if n := or(m.Missing, 0); n > 0 {
		all = append(all, fmt.Sprintf("%d pictures to fetch", n))
	}
	if !m.Up && m.SeenAt != nil {
		all = append(all, "last seen "+clock(*m.SeenAt))
	}
	return strings.Join(all, ", ")
}
