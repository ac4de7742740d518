package main

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"time"

	"gatehouse/appliance/api"
)

// progressEvery so often the progress is asked for: the nodes look at each other once
// a second.
const progressEvery = time.Second

func clusterRotateAuthorityCommand() command {
	return command{
		name: "cluster rotate-authority", online: true, summary: "replace the authority that certifies the nodes",
		manual: `
Makes a new authority, lets all nodes trust it, has every node certified by it, and
ends the trust in the earlier one. Requests and verifications go on all the while.
It takes seconds where all nodes are there; each step waits until every node is
ready for it, so that a node which is away holds it up: start it, or remove it.

Prints each step on stderr as it comes and waits for the end. Ctrl-C ends the
waiting and nothing else: the nodes go on by themselves, whoever leads.
'gatehouse cluster status' shows how far they are. Where a rotation is under way
already, no other one begins: this waits for that one.

Do it when the authority's key may be known to somebody: with it one could pretend
to be the cluster towards a server that joins, and so get its keys. Between the
nodes it opens nothing, as each knows the others by keys of their own. Invitations
that were made before it and not used are of no use after it: make others.

It needs version 3 of the commands ('gatehouse cluster finalise').

Exit codes: 0 it has ended; 1 it was begun, and the waiting was interrupted;
5 no node answers any more.

Example:
  gatehouse cluster rotate-authority`,
		flags: func(*flag.FlagSet) func(context.Context, *call, []string) error {
			return func(ctx context.Context, c *call, args []string) error {
				if err := arguments(args); err != nil {
					return err
				}
				return c.rotateAuthority(ctx)
			}
		},
	}
}

func (c *call) rotateAuthority(ctx context.Context) error {
	node, err := c.node.client()
	if err != nil {
		return err
	}
	s, err := node.RotateAuthority(ctx)
	if err != nil {
		return err
	}
	for said := ""; !rotated(s); {
		if now := describeRotation(s); now != said {
			said = now
			fmt.Fprintln(c.err, now)
		}
		select {
		case <-ctx.Done():
		case <-time.After(progressEvery):
			s, err = node.Cluster(ctx)
		}
		if ctx.Err() != nil {
			c.exit = exitFailure
			fmt.Fprintln(c.err, "gatehouse: the rotation goes on without this command; 'gatehouse cluster status' shows how far it is")
			return nil
		}
		if err != nil {
			return err
		}
	}
	show(c, s, func(s *api.Cluster) string {
		return fmt.Sprintf("The nodes are certified by authority %s now, and trust no other one.\n", short(or(s.Authority, api.Authority{}).Sha256))
	})
	return nil
}

func rotated(s *api.Cluster) bool {
	return s.Authority == nil || s.Authority.Phase == api.AuthorityPhaseSettled
}

// short is enough of a SHA-256 to tell two apart.
func short(sum string) string { return sum[:min(12, len(sum))] }

// describeRotation in one line.
func describeRotation(s *api.Cluster) string {
	a := or(s.Authority, api.Authority{})
	var text string
	switch a.Phase {
	case api.AuthorityPhaseIntroducing:
		text = "a new authority is being introduced"
	case api.AuthorityPhaseRenewing:
		text = "the nodes get certificates of authority " + short(a.Sha256)
	default:
		return "the nodes are certified by authority " + short(a.Sha256)
	}
	var waits []string
	for _, w := range a.Waits {
		name := w.Node
		for _, m := range s.Members {
			if m.Node == w.Node {
				name = nodeName(&m)
			}
		}
		waits = append(waits, name+" "+oneLine(w.Why))
	}
	if len(waits) > 0 {
		text += "; waiting: " + strings.Join(waits, ", ")
	}
	return text
}
