package main

import (
	"context"
	"flag"
	"fmt"

	"gatehouse/appliance"
)

func dataCommands() []command {
	return []command{{
		name: "data check", plain: true, summary: "check what a stopped node keeps", args: "--data DIR",
		manual: `
Checks the data directory of a node that does not run: that every row agrees
with the others, that every audit log is whole and its tree is that of its
events, that the logs extend everything that was ever signed of them, and that
every picture's stored bytes are those of its name. It needs no key and changes
no record.

Blobs that nothing names are counted as orphans: an upload that was cut off
leaves one, and the node removes them by itself.

Exit codes: 0 all is well; 1 failure; 2 wrong usage; 12 something does not fit
together.

Example:
  gatehouse data check --data /var/lib/gatehouse --json`,
		flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
			dir := fs.String("data", "", "the node's `DIR`")
			return func(ctx context.Context, c *call, args []string) error {
				if *dir == "" || len(args) > 0 {
					return fmt.Errorf("%w: it needs --data DIR", errUsage)
				}
				return c.check(ctx, *dir)
			}
		},
	}, recoverCommand()}
}

func (c *call) check(ctx context.Context, dir string) error {
	shown := -1
	r, err := appliance.Check(ctx, dir, func(what string, done, total int) {
		if percent := 100 * done / max(1, total); !c.json && !c.jsonl && percent/10 > shown {
			shown = percent / 10
			fmt.Fprintf(c.err, "%s: %d %%\n", what, percent)
		}
	})
	if err != nil {
		return c.broken(err)
	}
	if len(r.Findings) > 0 {
		c.exit = appliance.ExitHistory
	}
	if c.json || c.jsonl {
		c.print(r)
		return nil
	}
	fmt.Fprintf(c.out, "cluster  %s\nnode     %s\nstate    entry %d, hash %.16s…\n", r.Cluster, r.Node, r.Index, r.Hash)
	for _, l := range r.Logs {
		fmt.Fprintf(c.out, "log      %s: %d events, root %s\n", l.Origin, l.Size, l.Root)
	}
	fmt.Fprintf(c.out, "blobs    %d, of them %d orphans\n", r.Blobs, r.Orphans)
	for _, n := range r.Notes {
		fmt.Fprintf(c.out, "note     %s\n", n)
	}
	for _, f := range r.Findings {
		fmt.Fprintf(c.out, "FOUND    %s %s: %s\n", f.Kind, f.Where, f.What)
	}
	if len(r.Findings) == 0 {
		fmt.Fprintln(c.out, "nothing is wrong")
	}
	return nil
}
