package main

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/appliance/api"
	"gatehouse/appliance/client"
)

func auditCommands() []command {
	return slices.Concat(readCommands(), []command{searchCommand(), exportCommand()}, keyCommands(), auditorCommands())
}

// readCommands look at the log, event by event.
func readCommands() []command {
	return []command{
		{
			name: "audit tail", online: true, summary: "print the events of the audit log",
			manual: `
Prints the last ten events, or from --from on: a sequence number, or negative,
counted from the end, down to -1000. --follow goes on with new ones until it is interrupted;
then --json prints an event a line. Reading the log is an event too, so it is
asked for new ones every five seconds only. Nothing is verified here: 'audit
prove' does that.

Example:
  gatehouse audit tail --from -100 --json`,
			flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
				var t tailFlags
				fs.Int64Var(&t.from, "from", -10, "begin with the event of this sequence `N`, or that many before the end")
				fs.BoolVar(&t.follow, "follow", false, "go on with new events")
				t.log = defineLog(fs)
				defineEpoch(fs, &t.epoch)
				return t.run
			},
		},
		{
			name: "audit prove", args: "SEQ", online: true, summary: "prove that an event is in the log, and print it",
			manual: `
Fetches the event, the proof and the signed head of the log, and verifies them
here: the head's signature, that the event is in the tree under it byte for
byte, and that it is the one that was asked for. Ends with 1 where anything
does not hold.

--trust names a FILE with the log's key (one line, a note vkey), or a policy with
all that signed it ('audit trust'), that you got by another way than from this
node. Without it the node's own key is used, and the output says so: a node that
shows another history could show another key too.

Example:
  gatehouse audit prove 17 --trust log.vkey`,
			flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
				log, trust := defineLog(fs), defineTrust(fs)
				return func(ctx context.Context, c *call, args []string) error {
					if err := cmp.Or(arguments(args, "SEQ"), checkLog(*log)); err != nil {
						return err
					}
					seq, err := strconv.ParseInt(args[0], 10, 64)
					if err != nil || seq < 0 {
						return fmt.Errorf("%w: SEQ is the number of an event, from 0, not %q", errUsage, args[0])
					}
					return with(c, func(n *client.Client) (*proved, error) {
						return prove(ctx, n, api.Log(*log), seq, *trust)
					}, (*proved).describe)
				}
			},
		},
		{
			name: "audit checkpoint", online: true, summary: "the signed head of the log",
			manual: `
Verifies the log's signed head and prints it, or with --out writes it into a
file. Keep it away from the node: 'audit consistency' then shows whether the log
was ever cut or rewritten since.

--trust names a FILE with the log's key, as for 'audit prove'.

Example:
  gatehouse audit checkpoint --out monday.checkpoint`,
			flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
				out := fs.String("out", "", "write the checkpoint into this `FILE`")
				log, trust := defineLog(fs), defineTrust(fs)
				return func(ctx context.Context, c *call, args []string) error {
					if err := cmp.Or(arguments(args), checkLog(*log)); err != nil {
						return err
					}
					return auditCheckpoint(ctx, c, api.Log(*log), *trust, *out)
				}
			},
		},
		{
			name: "audit key", online: true, summary: "the key that verifies the log's heads",
			manual: `
Prints the log's key (a note vkey). Keep it away from the node, and give it to
'audit prove', 'checkpoint' and 'consistency' with --trust: then a node that
shows another history under another key is found out.

Example:
  gatehouse audit key > log.vkey`,
			flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
				log := defineLog(fs)
				return func(ctx context.Context, c *call, args []string) error {
					if err := cmp.Or(arguments(args), checkLog(*log)); err != nil {
						return err
					}
					return with(c, func(n *client.Client) (*printedKey, error) {
						key, err := n.AuditKey(ctx, api.Log(*log))
						return &printedKey{strings.TrimSpace(key)}, err
					}, func(k *printedKey) string { return k.Key + "\n" })
				}
			},
		},
		{
			name: "audit consistency", args: "CHECKPOINT", online: true, summary: "verify that the log extends an earlier checkpoint",
			manual: `
CHECKPOINT is a file that 'audit checkpoint --out' wrote earlier. Verifies its
signature and that of the log's present head, and that the present log begins
with the earlier one: nothing was removed, changed or put between. Ends with 1
where that does not hold.

--trust names a FILE with the log's key, as for 'audit prove'.

Example:
  gatehouse audit consistency monday.checkpoint --trust log.vkey`,
			flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
				log, trust := defineLog(fs), defineTrust(fs)
				return func(ctx context.Context, c *call, args []string) error {
					if err := cmp.Or(arguments(args, "CHECKPOINT"), checkLog(*log)); err != nil {
						return err
					}
					return with(c, func(n *client.Client) (*extended, error) {
						return extends(ctx, n, api.Log(*log), args[0], *trust)
					}, (*extended).describe)
				}
			},
		},
	}
}

// printedKey is a log's verifier key.
type printedKey struct {
	Key string `json:"key"`
}

func defineLog(fs *flag.FlagSet) *string {
	return fs.String("log", "tenant", "which `LOG`: tenant or system")
}

func defineEpoch(fs *flag.FlagSet, epoch *int) {
	fs.IntVar(epoch, "epoch", 0, "show the log of epoch `N`, which 'data recover' has closed, instead of the present one")
}

func checkLog(log string) error {
	if !api.Log(log).Valid() {
		return fmt.Errorf("%w: --log is tenant or system, not %q", errUsage, log)
	}
	return nil
}

func defineTrust(fs *flag.FlagSet) *string {
	return fs.String("trust", "", "trust the key in this `FILE` instead of the one that the node gives")
}

type tailFlags struct {
	from   int64
	epoch  int
	follow bool
	log    *string
}

// followEvery so often the log is asked for more; each time is an event of it.
const followEvery = 5 * time.Second

func (t *tailFlags) run(ctx context.Context, c *call, args []string) error {
	if err := cmp.Or(arguments(args), checkLog(*t.log)); err != nil {
		return err
	}
	n, err := c.node.client()
	if err != nil {
		return err
	}
	if !t.follow {
		all, err := t.all(ctx, n)
		if err != nil {
			return err
		}
		show(c, all, describeEvents)
		return nil
	}
	c.jsonl = c.json
	for from := t.from; ; {
		page, err := n.ClosedEvents(ctx, api.Log(*t.log), t.epoch, from, 0)
		if ctx.Err() != nil {
			return nil // --follow ends so
		}
		if err != nil {
			return err
		}
		for _, e := range page.Events {
			show(c, &e, describeEvent)
		}
		next, more := after(page)
		if from = next; more {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(followEvery):
		}
	}
}

// all events from t.from to the end of the log as it is at first.
func (t *tailFlags) all(ctx context.Context, n *client.Client) (*api.AuditEvents, error) {
	all, err := n.ClosedEvents(ctx, api.Log(*t.log), t.epoch, t.from, 0)
	if err != nil {
		return nil, err
	}
	for page := all; ; {
		next, more := after(page)
		if !more || next >= all.Size {
			all.Next = nil
			return all, nil
		}
		if page, err = n.ClosedEvents(ctx, api.Log(*t.log), t.epoch, next, 0); err != nil {
			return nil, err
		}
		all.Events = append(all.Events, page.Events...)
	}
}

// after gives where the next page begins, and whether it is there already.
func after(page *api.AuditEvents) (int64, bool) {
	if page.Next != nil && len(page.Events) > 0 {
		return *page.Next, true
	}
	if len(page.Events) > 0 {
		if seq, err := strconv.ParseInt(member(page.Events[len(page.Events)-1], "seq"), 10, 64); err == nil {
			return seq + 1, false
		}
	}
	return page.Size, false
}

func describeEvents(page *api.AuditEvents) string {
	var w strings.Builder
	for _, e := range page.Events {
		w.WriteString(describeEvent(&e))
	}
	fmt.Fprintf(&w, "%s\n", oneLine(position(&api.LogHead{Origin: page.Origin, Size: page.Size})))
	return w.String()
}

func describeEvent(e *map[string]any) string {
	return oneLine(fmt.Sprintf("%6s  %s  %-24s %-8s %s  %s", member(*e, "seq"), member(*e, "ts"), member(*e, "action"), member(*e, "result"),
		strings.TrimSpace(member(*e, "actor", "type")+" "+member(*e, "actor", "id")), member(*e, "object", "id"))) + "\n"
}

// member of an object in an object, as text; empty where there is none.
func member(o map[string]any, path ...string) string {
	for _, name := range path[:len(path)-1] {
		inner, ok := o[name].(map[string]any)
		if !ok {
			return ""
		}
		o = inner
	}
	switch v := o[path[len(path)-1]].(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}

func auditCheckpoint(ctx context.Context, c *call, log api.Log, trust, out string) error {
	n, err := c.node.client()
	if err != nil {
		return err
	}
	k, err := trustIn(ctx, n, log, trust)
	if err != nil {
		return err
	}
	head, text, err := k.head(ctx, n, log)
	if err != nil {
		return err
	}
	if out != "" {
		if err := writeWhole(out, text); err != nil {
			return err
		}
	}
	show(c, &signedHead{head.Origin, head.Size, head.Root.String(), string(text), out, k.pinned}, func(h *signedHead) string {
		if out == "" {
			return h.Checkpoint
		}
		return fmt.Sprintf("%s: %s, root %s, signed by %s\n%s", out, oneLine(position(&api.LogHead{Origin: h.Origin, Size: h.Size})), h.Root, signers(head), k.doubt())
	})
	return nil
}

// signedHead is a checkpoint and what it says.
type signedHead struct {
	Origin     string `json:"origin"`
	Size       int64  `json:"size"`
	Root       string `json:"root"`
	Checkpoint string `json:"checkpoint"`
	File       string `json:"file,omitempty"`
	Pinned     bool   `json:"key_pinned"`
}
