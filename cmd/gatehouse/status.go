package main

import (
	"context"
	"flag"
	"fmt"
	"strconv"
	"strings"

	"gatehouse/appliance/api"
	"gatehouse/appliance/client"
)

func statusCommand() command {
	return command{
		name: "status", online: true, summary: "where the node stands",
		manual: `
Prints the node's version, role, applied index and state hash, its audit logs,
the work that waits, and the disk.

Ends with 5 where the node cannot be reached or is sealed; 'gatehouse seal
status' works on a sealed node.

Example:
  gatehouse status --json`,
		flags: func(*flag.FlagSet) func(context.Context, *call, []string) error {
			return func(ctx context.Context, c *call, args []string) error {
				if err := arguments(args); err != nil {
					return err
				}
				return with(c, func(n *client.Client) (*api.Status, error) { return n.Status(ctx) }, describeStatus)
			}
		},
	}
}

func describeStatus(s *api.Status) string {
	var w strings.Builder
	fmt.Fprintf(&w, "Node %s: %s", oneLine(s.Node), oneLine(s.Role))
	if s.Sealed {
		w.WriteString(", SEALED")
	}
	if !s.SetUp {
		w.WriteString(", not set up")
	}
	w.WriteString("\n")
	line(&w, "version", s.Version)
	line(&w, "cluster", s.Cluster)
	line(&w, "applied index", strconv.FormatInt(s.AppliedIndex, 10))
	line(&w, "state hash", s.StateHash)
	line(&w, "jobs", fmt.Sprintf("%d waiting, %d running, %s, %.0f ms each", s.Jobs.Waiting, s.Jobs.Running, plural(s.Jobs.Workers, "worker"), s.Jobs.ServiceMs))
	line(&w, "disk", fmt.Sprintf("%s of %s free, state %s", gib(s.Disk.FreeBytes), gib(s.Disk.TotalBytes), gib(s.Disk.StateBytes)))
	for _, l := range s.Audit {
		line(&w, "audit", position(&l))
	}
	for _, f := range s.Forwarding {
		text := f.Sink + ", up to date"
		if f.LagEvents > 0 {
			text = fmt.Sprintf("%s, %s behind, %.0f s", f.Sink, plural(int(f.LagEvents), "event"), f.LagSeconds)
		}
		if f.Alarm {
			text += ", ALARM"
		}
		if f.Error != nil {
			text += ": " + *f.Error
		}
		line(&w, "forwarding", text)
	}
	return w.String()
}

// position in an audit log.
func position(l *api.LogHead) string {
	return fmt.Sprintf("%s, %s", l.Origin, plural(int(l.Size), "event"))
}

func gib(bytes int64) string { return fmt.Sprintf("%.2f GiB", float64(bytes)/(1<<30)) }
