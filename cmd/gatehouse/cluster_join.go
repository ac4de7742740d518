package main

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"gatehouse/appliance"
	members "gatehouse/appliance/member"
)

func clusterJoinCommand() command {
	return command{
		name: "cluster join", args: "TOKEN --data DIR --peer HOST:PORT", plain: true, summary: "make this server a node of a cluster",
		manual: `
Joins the cluster that TOKEN is from ('gatehouse cluster invite' there prints it).
DIR is new or empty. The node proves the token, over TLS that is pinned to the
cluster's own authority, and gets a certificate and the cluster's keys, which a key
file opens at each start (--seal-file; by default DIR.seal, beside the directory:
move it to another medium).

HOST:PORT is where the other nodes reach this one; --peer-listen is where it waits
for them, if that is another address.

Then start it: 'gatehouse run --data DIR'. It fetches the state and the pictures
from the others, and votes when it has everything and has been steady for ten
seconds: 'gatehouse cluster status --watch 2s'.

Exit codes: 0 joined; 1 failure, or no node of the cluster can be reached; 2 wrong
usage; 3 TOKEN cannot be read, or the cluster did not accept the node: the message
says why.

Example:
  gatehouse cluster join ghj1.eyJ… --data /var/lib/gatehouse --peer 10.0.7.2:8444 --name server-2`,
		flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
			j := appliance.Joining{Version: version}
			fs.StringVar(&j.Data, "data", "", "keep everything in this `DIR`, which is new or empty")
			fs.StringVar(&j.Peer, "peer", "", "`HOST:PORT` at which the other nodes reach this one")
			fs.StringVar(&j.Listen, "peer-listen", "", "wait for them at this `ADDRESS` (default: that of --peer)")
			fs.StringVar(&j.Name, "name", "", "`NAME` of the node for people, as server-2")
			fs.StringVar(&j.SealFile, "seal-file", "", "make the key file at this `PATH` (default: DIR.seal)")
			return func(ctx context.Context, c *call, args []string) error {
				if len(args) != 1 || j.Data == "" || j.Peer == "" {
					return fmt.Errorf("%w: it needs TOKEN, --data DIR and --peer HOST:PORT", errUsage)
				}
				j.Token = args[0]
				out, err := appliance.Join(ctx, j)
				switch {
				case errors.Is(err, members.ErrToken), errors.Is(err, members.ErrRefused):
					return c.end(err, exitRefused)
				case errors.Is(err, appliance.ErrData): // nothing is damaged
					return err
				case err != nil:
					return c.broken(err)
				}
				show(c, out, func(out *appliance.Joined) string {
					return fmt.Sprintf("Node %s is a member of cluster %s.\n\nStart it:\n\n  gatehouse run --data %s\n\n", out.Node, out.Cluster, out.Data)
				})
				return nil
			}
		},
	}
}
