package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	"gatehouse/appliance"
	"gatehouse/appliance/api"
	"gatehouse/appliance/client"
)

func galleryCommands() []command {
	return []command{
		{
			name: "gallery search", args: "FILE|--session SESSION --purpose WHY", online: true, summary: "whose face it is, of all that were enrolled",
			manual: searchManual,
			flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
				var s searchFlags
				s.define(fs)
				return s.run
			},
		},
		{
			name: "gallery stats", online: true, summary: "size, threshold and work of the face galleries",
			manual: `
Prints, for each list: how many faces it has, the threshold that keeps an FPIR of
0.01 among them, its memory, and its graph with the recall that was measured; the
newest snapshot; and the work that is under way, or was last.

Faces of other models are those that were enrolled with another model pack. They
cannot be compared, so verifications go to review while there are some.

Example:
  gatehouse gallery stats --json`,
			flags: func(*flag.FlagSet) func(context.Context, *call, []string) error {
				return func(ctx context.Context, c *call, args []string) error {
					if err := arguments(args); err != nil {
						return err
					}
					return with(c, func(n *client.Client) (*api.Gallery, error) { return n.Gallery(ctx) }, describeGallery)
				}
			},
		},
		{
			name: "gallery rebuild", online: true, summary: "make the galleries anew, or the graph of the subjects",
			manual: `
Makes both galleries anew from the templates that are kept, beside those that
serve, and puts them in their place: where 'gallery verify' found a difference.
With --graph it builds the graph of the subjects instead, for 'gallery search
--engine graph'. A graph is in memory alone: it is gone after a restart, a seal or
a rebuild, and where so many were removed that the rows were moved together.

The node works in the background. This waits for it, and prints on stderr how far
it is; --no-wait or Ctrl-C leave the node to it, and 'gallery stats' tells then.

Example:
  gatehouse gallery rebuild --graph`,
			flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
				graph := fs.Bool("graph", false, "build the graph of the subjects")
				noWait := fs.Bool("no-wait", false, "do not wait for the end")
				key := defineKey(fs)
				return func(ctx context.Context, c *call, args []string) error {
					if err := arguments(args); err != nil {
						return err
					}
					return with(c, func(n *client.Client) (*api.Gallery, error) {
						g, err := n.RebuildGallery(ctx, *key, *graph)
						if err != nil || *noWait {
							return g, err
						}
						return c.rebuilt(ctx, n, g)
					}, describeGallery)
				}
			},
		},
		{
			name: "gallery verify", online: true, summary: "compare the galleries with the templates, bit for bit",
			manual: `
Opens every template that is kept and compares it with what the galleries have in
memory. A million take some tens of seconds. It is in the audit log, with what
came out.

Exit codes: 0 they are the same; 12 they differ: run 'gallery rebuild', and keep
the output for whoever looks into it; the others as for every command.

Example:
  gatehouse gallery verify --json`,
			flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
				key := defineKey(fs)
				return func(ctx context.Context, c *call, args []string) error {
					if err := arguments(args); err != nil {
						return err
					}
					return with(c, func(n *client.Client) (*api.GalleryReport, error) {
						r, err := n.VerifyGallery(ctx, *key)
						if err == nil && !r.Ok {
							c.exit = appliance.ExitHistory
						}
						return r, err
					}, describeReport)
				}
			},
		},
	}
}

// The node is asked how far it is first after firstPoll, then ever later, up to
// lastPoll: work on few faces takes less than a second, on many some minutes.
const (
	firstPoll = 50 * time.Millisecond
	lastPoll  = 2 * time.Second
)

// rebuilt waits until the work on the galleries is done.
func (c *call) rebuilt(ctx context.Context, n *client.Client, g *api.Gallery) (_ *api.Gallery, err error) {
	start, shown, pause := time.Now(), -1, firstPoll
	for {
		switch t := g.Task; {
		case t == nil:
			return nil, errors.New("the node was restarted before the work was done; run the command again")
		case !t.Busy && t.Error != nil:
			return nil, fmt.Errorf("the %s failed: %s; the galleries are as they were, see the node's log", t.Name, *t.Error)
		case !t.Busy:
			return g, nil
		case !c.json && t.Of > 0 && 10*t.Done/t.Of > shown:
			shown = 10 * t.Done / t.Of
			fmt.Fprintf(c.err, "%s: %d of %d, %.0f/s\n", t.Name, t.Done, t.Of, float64(t.Done)/time.Since(start).Seconds())
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
		}
		pause = min(2*pause, lastPoll)
		if g, err = n.Gallery(ctx); err != nil {
			return nil, err
		}
	}
}

func describeGallery(g *api.Gallery) string {
	var w strings.Builder
	fmt.Fprintf(&w, "Galleries of %s\n", oneLine(g.Model))
	for _, l := range []struct {
		name string
		of   *api.GalleryList
	}{{"subjects", &g.Subjects}, {"blocklist", &g.Blocklist}} {
		locked := "may be swapped"
		if l.of.Locked {
			locked = "locked"
		}
		line(&w, l.name, fmt.Sprintf("%s, threshold %.4f (FPIR 0.01), %s %s, %s", plural(l.of.Templates, "face"), l.of.Threshold, mib(l.of.Bytes), locked, l.of.Kernel))
		if l.of.OtherModels > 0 {
			line(&w, "", fmt.Sprintf("%s of other models: not compared", plural(l.of.OtherModels, "face")))
		}
		if l.of.Removed > 0 {
			line(&w, "", fmt.Sprintf("%s of removed faces, wiped and not closed yet", plural(l.of.Removed, "place")))
		}
		if r := l.of.Graph; r != nil {
			line(&w, "graph", fmt.Sprintf("%s, recall %.4f, %s", plural(r.Templates, "face"), r.Recall, mib(r.Bytes)))
		}
	}
	if g.SnapshotIndex != nil {
		line(&w, "snapshot", fmt.Sprintf("up to entry %d", *g.SnapshotIndex))
	}
	if t := g.Task; t != nil {
		state := "done"
		if t.Busy {
			state = fmt.Sprintf("%d of %d", t.Done, t.Of)
		}
		line(&w, "task", fmt.Sprintf("%s: %s", t.Name, cmp.Or(or(t.Error, ""), state)))
	}
	return w.String()
}

func describeReport(r *api.GalleryReport) string {
	var w strings.Builder
	fmt.Fprintf(&w, "templates  %d\n", r.Templates)
	if r.OtherModels > 0 {
		fmt.Fprintf(&w, "others     %d are of other models, which no gallery has\n", r.OtherModels)
	}
	if r.Ok {
		w.WriteString("the galleries have them bit for bit, and nothing else\n")
		return w.String()
	}
	fmt.Fprintf(&w, "FOUND      %d cannot be opened, %d are missing, %d are different, %d should not be there\n", r.Damaged, r.Missing, r.Different, r.Extra)
	if r.First != nil {
		fmt.Fprintf(&w, "first      %s\n", oneLine(*r.First))
	}
	if r.Damaged > 0 {
		w.WriteString("the state is damaged: stop the node and run gatehouse data check\n")
	}
	if r.Missing+r.Different+r.Extra > 0 {
		w.WriteString("make them anew: gatehouse gallery rebuild\n")
	}
	return w.String()
}

func mib(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }
