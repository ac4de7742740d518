package main

import (
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"net"
	"time"

	"gatehouse/appliance"
	"gatehouse/appliance/api"
	"gatehouse/appliance/client"
)

func clusterCommands() []command {
	return []command{
		clusterStatusCommand(), clusterInviteCommand(), clusterJoinCommand(), clusterTransferCommand(), clusterDrainCommand(),
		clusterSetAddressCommand(), clusterReplaceCommand(), clusterRemoveCommand(), clusterFinaliseCommand(), clusterRenewCommand(), clusterRotateAuthorityCommand(),
	}
}

func clusterInviteCommand() command {
	return command{
		name: "cluster invite", online: true, summary: "let one node join",
		manual: `
Prints a token that lets one node join, once, within ten minutes. Whoever has it
gets the keys of the cluster: hand it over as you would a password.

On the new server: 'gatehouse cluster join TOKEN --data DIR --peer HOST:PORT'.

The nodes reach each other at their --peer addresses. A cluster of three goes on
when any one of them is lost; a second node alone keeps a copy and has no vote,
as two voters would be stopped by the loss of either.

Example:
  gatehouse cluster invite`,
		flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
			return func(ctx context.Context, c *call, args []string) error {
				if err := arguments(args); err != nil {
					return err
				}
				return with(c, func(n *client.Client) (*api.Invitation, error) { return n.Invite(ctx, api.InvitationRequest{}) }, describeInvitation)
			}
		},
	}
}

func describeInvitation(i *api.Invitation) string {
	return fmt.Sprintf("On the new server, before %s:\n\n  gatehouse cluster join %s --data DIR --peer HOST:PORT\n\n", clock(i.ExpiresAt), i.Token)
}

func clusterReplaceCommand() command {
	return command{
		name: "cluster replace", args: "NODE", online: true, summary: "let a new node take the place of one that will not come back",
		manual: `
Prints a token as 'gatehouse cluster invite' does. The node that joins with it
takes the place of NODE (an id or a name): when it has everything and has been
steady for ten seconds it is given a vote, and NODE is removed. NODE may be away
all the while.

Example:
  gatehouse cluster replace server-2`,
		flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
			return func(ctx context.Context, c *call, args []string) error {
				if err := arguments(args, "NODE"); err != nil {
					return err
				}
				return with(c, func(n *client.Client) (*api.Invitation, error) {
					return n.Invite(ctx, api.InvitationRequest{Replaces: &args[0]})
				}, describeInvitation)
			}
		},
	}
}

func clusterTransferCommand() command {
	return command{
		name: "cluster transfer", args: "[NODE]", online: true, summary: "let another node lead",
		manual: `
Hands leadership to NODE (an id or a name), or to the node that is nearest.
Writes wait for less than a second. A node that is stopped in order does this by
itself.

Example:
  gatehouse cluster transfer server-3`,
		flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
			return func(ctx context.Context, c *call, args []string) error {
				var t api.TransferRequest
				switch len(args) {
				case 0:
				case 1:
					t.Node = &args[0]
				default:
					return fmt.Errorf("%w: it takes one NODE at most", errUsage)
				}
				return with(c, func(n *client.Client) (*api.Cluster, error) { return n.Transfer(ctx, t) }, describeCluster)
			}
		},
	}
}

func clusterDrainCommand() command {
	return command{
		name: "cluster drain", args: "NODE", online: true, summary: "give a node no new work, or again some",
		manual: `
NODE (an id or a name) takes no verifications from now on; what it has in hand it
ends. It goes on answering requests and voting. --undo lets it take work again.

Example:
  gatehouse cluster drain server-2`,
		flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
			undo := fs.Bool("undo", false, "let it take work again")
			return func(ctx context.Context, c *call, args []string) error {
				if err := arguments(args, "NODE"); err != nil {
					return err
				}
				on := !*undo
				return with(c, func(n *client.Client) (*api.Cluster, error) {
					return n.ChangeMember(ctx, args[0], api.MemberChange{Draining: &on})
				}, describeCluster)
			}
		},
	}
}

func clusterSetAddressCommand() command {
	return command{
		name: "cluster set-address", args: "NODE HOST:PORT", online: true, summary: "tell the cluster a node's new address",
		manual: `
The nodes reach NODE (an id or a name) at HOST:PORT from now on. A node is known by
its id and its key, so that nothing else changes. A node that is started with a new
--peer tells the others by itself; this is for when it cannot.

Where all nodes have moved and none reaches another, tell each of them, while it is
stopped, where the others are: with --data DIR this changes what that one node
knows. Once they reach each other the cluster's own word counts again.

Example:
  gatehouse cluster set-address server-2 10.0.7.2:8444
  gatehouse cluster set-address server-2 10.0.7.2:8444 --data /var/lib/gatehouse`,
		flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
			dir := fs.String("data", "", "change what the stopped node of this `DIR` knows, and nothing else")
			return func(ctx context.Context, c *call, args []string) error {
				if err := arguments(args, "NODE", "HOST:PORT"); err != nil {
					return err
				}
				if host, port, err := net.SplitHostPort(args[1]); err != nil || host == "" || port == "" {
					return fmt.Errorf("%w: %q is no HOST:PORT", errUsage, args[1])
				}
				if *dir != "" {
					if err := appliance.MoveMember(*dir, args[0], args[1]); err != nil {
						return c.broken(err)
					}
					show(c, &movedNode{args[0], args[1]}, func(m *movedNode) string {
						return fmt.Sprintf("The node of %s looks for %s at %s.\n", *dir, m.Node, m.Address)
					})
					return nil
				}
				return with(c, func(n *client.Client) (*api.Cluster, error) {
					return n.ChangeMember(ctx, args[0], api.MemberChange{Address: &args[1]})
				}, describeCluster)
			}
		},
	}
}

// movedNode is what set-address on a stopped node prints.
type movedNode struct {
	Node    string `json:"node"`
	Address string `json:"address"`
}

func clusterRenewCommand() command {
	return command{
		name: "cluster renew", args: "--data DIR", plain: true, summary: "certify a stopped node again whose certificate has ended",
		manual: `
A node renews its certificate among the others by itself, ten days before it ends.
One that was off for longer is let in by nobody. This certifies it again, with the
cluster's authority from its own state; it needs the node's key file, and the node
must be stopped.

Look at the clocks first: where one is wrong, certificates look ended that are not.

Where the authority was rotated without this node (a disk that was put back from a
copy), what it knows of it is of no use any more: 'gatehouse cluster status --json'
on another node shows which authority is in force. Then remove the node there, wipe
its directory, and let it join again.

Example:
  gatehouse cluster renew --data /var/lib/gatehouse`,
		flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
			dir := fs.String("data", "", "the node's `DIR`")
			return func(ctx context.Context, c *call, args []string) error {
				if *dir == "" || len(args) > 0 {
					return fmt.Errorf("%w: it needs --data DIR", errUsage)
				}
				cert, authority, err := appliance.RenewCertificate(*dir)
				if err != nil {
					return c.broken(err)
				}
				show(c, &renewed{cert.NotBefore, cert.NotAfter, fmt.Sprintf("%x", sha256.Sum256(authority.Raw))}, func(r *renewed) string {
					return fmt.Sprintf(`The certificate is good from %s to %s.
It is of authority %s. Where 'gatehouse cluster status' on another node
names another one, nobody lets this node in: 'gatehouse help cluster renew'.
`, clock(r.From), clock(r.Until), short(r.Authority))
				})
				return nil
			}
		},
	}
}

// renewed is what renew prints.
type renewed struct {
	From  time.Time `json:"not_before"`
	Until time.Time `json:"not_after"`
	// Authority is SHA-256 of the certificate of the one that has made it, hex.
	Authority string `json:"authority"`
}

func clusterRemoveCommand() command {
	return command{
		name: "cluster remove", args: "NODE", online: true, summary: "remove a node for good",
		manual: `
Removes NODE (an id or a name). Its certificate is worth nothing from then on; it
cannot come back but as a new node, by an invitation and with an empty directory.
Its disk still holds what it held: wipe it.

It is refused where those that are left would be no majority. Three voters become
two: then neither may be away. To put another server in its place, use 'gatehouse
cluster replace' instead, which never leaves two.

Example:
  gatehouse cluster remove server-2`,
		flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
			return func(ctx context.Context, c *call, args []string) error {
				if err := arguments(args, "NODE"); err != nil {
					return err
				}
				return with(c, func(n *client.Client) (*api.Cluster, error) { return n.RemoveMember(ctx, args[0]) }, describeCluster)
			}
		},
	}
}

func clusterFinaliseCommand() command {
	return command{
		name: "cluster finalise", online: true, summary: "use what the new release brings, once all nodes run it",
		manual: `
After an upgrade the nodes go on using what the earlier release knows, so that each
can still go back to it. This raises the active version to what all nodes know.
There is no way back to the earlier release from then on.

It is refused where a node still runs the earlier release, or is away and ran it
last; 'gatehouse cluster status' names it.

Example:
  gatehouse cluster finalise`,
		flags: func(*flag.FlagSet) func(context.Context, *call, []string) error {
			return func(ctx context.Context, c *call, args []string) error {
				if err := arguments(args); err != nil {
					return err
				}
				return with(c, func(n *client.Client) (*api.Cluster, error) { return n.Finalise(ctx) }, describeCluster)
			}
		},
	}
}
