package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"strings"

	"gatehouse/appliance/api"
	"gatehouse/appliance/client"
)

func searchCommand() command {
	return command{
		name: "audit search", args: "[--session ID] [--reference TEXT] …", online: true, summary: "find events by session, person, actor, action, object and time",
		manual: `
Prints the events for which all that is given holds, the newest first. A person
is found by --subject, or by --reference, the bank's own: the node knows it by a
blind index, until the person is erased. Times are RFC 3339; --after includes its
time, --before does not.

The node has verified each event that it shows against the tree of the log. To
verify one without trusting the node, use 'audit prove'; for all of a time,
'audit export' and 'audit verify'. The search is itself an event of the log.

Example:
  gatehouse audit search --reference CUST-0017 --after 2026-11-01T00:00:00Z
  gatehouse audit search --action access.evidence --actor cli_06c2t0e6o1qk5f3b2a1s9d8f7g --json`,
		flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
			var s searchingLog
			fs.StringVar(&s.session, "session", "", "events of this session `ID`")
			fs.StringVar(&s.subject, "subject", "", "events about this person, by `ID`")
			fs.StringVar(&s.reference, "reference", "", "events about the person with this `REFERENCE` of the bank's")
			fs.StringVar(&s.actor, "actor", "", "events that this `ID` caused")
			fs.StringVar(&s.action, "action", "", "events of this `ACTION`, as docs/formats.md lists them")
			fs.StringVar(&s.object, "object", "", "events about this `ID`: a session, client, slot, log …")
			fs.Var(timeFlag{&s.after}, "after", "events not before this `TIME`")
			fs.Var(timeFlag{&s.before}, "before", "events before this `TIME`")
			fs.StringVar(&s.cursor, "cursor", "", "go on after the page that gave this `CURSOR`")
			fs.IntVar(&s.limit, "limit", 50, "print at most `N` events, up to 200")
			s.log = defineLog(fs)
			defineEpoch(fs, &s.epoch)
			return s.run
		},
	}
}

type searchingLog struct {
	session, subject, reference, actor, action, object string
	after, before                                      *instant
	cursor                                             string
	limit, epoch                                       int
	log                                                *string
}

func (s *searchingLog) run(ctx context.Context, c *call, args []string) error {
	if err := cmp.Or(arguments(args), checkLog(*s.log)); err != nil {
		return err
	}
	if s.limit < 1 || s.limit > 200 {
		return fmt.Errorf("%w: --limit is 1 to 200", errUsage)
	}
	set := func(text string) *string {
		if text == "" {
			return nil
		}
		return &text
	}
	q := api.AuditQuery{Session: set(s.session), Subject: set(s.subject), Reference: set(s.reference), Actor: set(s.actor), Action: set(s.action),
		Object: set(s.object), After: s.after.time(), Before: s.before.time(), Cursor: set(s.cursor), Limit: &s.limit}
	log := api.AuditQueryLog(*s.log)
	q.Log = &log
	if s.epoch != 0 {
		epoch := int64(s.epoch)
		q.Epoch = &epoch
	}
	return with(c, func(n *client.Client) (*api.AuditFound, error) { return n.SearchAudit(ctx, q) }, describeFound)
}

func describeFound(f *api.AuditFound) string {
	var w strings.Builder
	for _, e := range f.Events {
		w.WriteString(describeEvent(&e))
	}
	fmt.Fprintf(&w, "%d of %s; verified by the node against %s\n", len(f.Events), plural(int(f.Total), "event"), oneLine(position(&api.LogHead{Origin: f.Origin, Size: f.Size})))
	if f.Next != nil {
		fmt.Fprintf(&w, "more: the same with --cursor %s\n", oneLine(*f.Next))
	}
	return w.String()
}
