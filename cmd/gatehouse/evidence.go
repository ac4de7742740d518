package main

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gatehouse/appliance/api"
	"gatehouse/appliance/client"
)

// evidenceCommands read what became of a session.
func evidenceCommands() []command {
	return []command{
		{
			name: "session get", args: "SESSION", online: true, summary: "state, signals and decision of a session",
			manual: `
Prints state, evidence, decision with reasons, every signal with its threshold,
the time of each stage, and the position in the audit log. No personal data.
With --wait it answers when the session is decided, or after that time.

Example:
  gatehouse session get ses_06c2t0e6o1qk5f3b2a1s9d8f7g --wait 10s --json`,
			flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
				wait := defineWait(fs)
				return func(ctx context.Context, c *call, args []string) error {
					if err := cmp.Or(arguments(args, "SESSION"), checkWait(*wait)); err != nil {
						return err
					}
					return with(c, func(n *client.Client) (*api.Session, error) { return n.Session(ctx, args[0], *wait) }, describeSession)
				}
			},
		},
		{
			name: "session list", online: true, summary: "list the sessions, oldest first",
			manual: `
Prints one page: id, state, time of creation and subject. Where there are more,
the last line says how to get the next page.

Example:
  gatehouse session list --limit 200 --json`,
			flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
				cursor := fs.String("cursor", "", "the `NEXT` of the page before")
				limit := fs.Int("limit", 0, "at most `N` sessions, 1 to 200")
				return func(ctx context.Context, c *call, args []string) error {
					if err := arguments(args); err != nil {
						return err
					}
					return with(c, func(n *client.Client) (*api.Sessions, error) { return n.Sessions(ctx, *cursor, *limit) }, describeSessions)
				}
			},
		},
		{
			name: "session events", args: "SESSION", online: true, summary: "follow a session until it is decided",
			manual: `
Prints the session's state at once and at each change, and ends when it is
decided; with --json each as one line of JSON. The node ends the stream after
ten minutes: then it says so on stderr.

Example:
  gatehouse session events ses_06c2t0e6o1qk5f3b2a1s9d8f7g`,
			flags: func(*flag.FlagSet) func(context.Context, *call, []string) error { return sessionEvents },
		},
		{
			name: "session result", args: "SESSION --purpose WHY", online: true, summary: "what was read from the document and seen of the person",
			manual: `
Prints personal data: what was read from the document, the faces, and whom the
face was like when it was decided. The reading and its purpose are in the audit
log before the answer leaves the node.

Example:
  gatehouse session result ses_06c2t0e6o1qk5f3b2a1s9d8f7g --purpose verification --json`,
			flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
				purpose := definePurpose(fs)
				return func(ctx context.Context, c *call, args []string) error {
					if err := cmp.Or(arguments(args, "SESSION"), checkPurpose(*purpose)); err != nil {
						return err
					}
					return with(c, func(n *client.Client) (*api.Result, error) {
						return n.Result(ctx, args[0], api.Purpose(*purpose))
					}, describeResult)
				}
			},
		},
		{
			name: "session evidence", args: "SESSION SLOT --purpose WHY --out FILE", online: true, summary: "look at a picture that was uploaded",
			manual: `
Writes the picture into a file that only this user may read (mode 0600), whole
or not at all. The reading and its purpose are in the audit log before the first
byte leaves the node.

Example:
  gatehouse session evidence ses_06c2t0e6o1qk5f3b2a1s9d8f7g selfie --purpose review --out selfie.jpg`,
			flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
				purpose := definePurpose(fs)
				out := fs.String("out", "", "write the picture into this `FILE`")
				force := fs.Bool("force", false, "overwrite a file that is there")
				return func(ctx context.Context, c *call, args []string) error {
					if err := cmp.Or(arguments(args, "SESSION", "SLOT"), checkPurpose(*purpose)); err != nil {
						return err
					}
					if *out == "" || !api.Slot(args[1]).Valid() {
						return fmt.Errorf("%w: it needs --out FILE and a slot of %s", errUsage, slots)
					}
					return sessionEvidence(ctx, c, args[0], api.Slot(args[1]), api.Purpose(*purpose), *out, *force)
				}
			},
		},
	}
}

func describeSessions(all *api.Sessions) string {
	var w strings.Builder
	for _, s := range all.Sessions {
		fmt.Fprintf(&w, "%s  %-10s  %s  %s\n", s.Id, s.State, clock(s.CreatedAt), s.Subject)
	}
	if all.Next != nil {
		fmt.Fprintf(&w, "more: gatehouse session list --cursor %s\n", oneLine(*all.Next))
	}
	return w.String()
}

func sessionEvents(ctx context.Context, c *call, args []string) error {
	if err := arguments(args, "SESSION"); err != nil {
		return err
	}
	n, err := c.node.client()
	if err != nil {
		return err
	}
	c.jsonl = c.json // a line each
	state := api.SessionState("")
	for s, err := range n.Events(ctx, args[0]) {
		if err != nil {
			return err
		}
		state = s.State
		show(c, s, func(s *api.Session) string {
			return fmt.Sprintf("%-10s  %s of evidence%s\n", s.State, plural(len(s.Evidence), "piece"), because(s))
		})
	}
	if !decided(state) {
		fmt.Fprintln(c.err, "gatehouse: the stream ended before the session was decided; run the command again to go on")
	}
	return nil
}

// decided: nothing more comes without a person.
func decided(s api.SessionState) bool {
	switch s {
	case api.SessionStateCreated, api.SessionStateCollecting, api.SessionStateSubmitted, api.SessionStateProcessing, "":
		return false
	}
	return true
}

// because gives a session's failure or its first reason.
func because(s *api.Session) string {
	switch {
	case s.Failure != nil:
		return "; " + oneLine(*s.Failure)
	case s.Decision != nil && len(s.Decision.Reasons) > 0:
		return "; " + oneLine(s.Decision.Reasons[0].Text)
	}
	return ""
}

func describeResult(r *api.Result) string {
	var w strings.Builder
	fmt.Fprintf(&w, "Session %s\n\nDocument:\n", r.Session)
	leaves(&w, "", r.Document)
	w.WriteString("\nFace:\n")
	leaves(&w, "", r.Face)
	if r.Likeness != nil {
		w.WriteString("\nLikeness, when it was decided:\n")
		describeMatches(&w, "Subjects", r.Likeness.Subjects)
		describeMatches(&w, "Blocklist", r.Likeness.Blocklist)
	}
	return w.String()
}

// leaves prints what is in a JSON value, a line each, by its path.
func leaves(w *strings.Builder, path string, v any) {
	inside := func(name string) string { return strings.TrimPrefix(path+"."+name, ".") }
	switch v := v.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			leaves(w, inside(name), v[name])
		}
	case []any:
		for i, e := range v {
			leaves(w, inside(fmt.Sprint(i)), e)
		}
	case string:
		fmt.Fprintf(w, "  %-34s %s\n", path, oneLine(v))
	case json.Number, bool:
		fmt.Fprintf(w, "  %-34s %v\n", path, v)
	}
}

// saved is a picture that was written into a file.
type saved struct {
	File      string   `json:"file"`
	Slot      api.Slot `json:"slot"`
	MediaType string   `json:"media_type"`
}

func sessionEvidence(ctx context.Context, c *call, session string, slot api.Slot, why api.Purpose, out string, force bool) error {
	file, err := newPrivateFile(out, force)
	if err != nil {
		return err
	}
	defer file.discard()
	return with(c, func(n *client.Client) (*saved, error) {
		kind, err := n.Evidence(ctx, session, slot, why, file.temp)
		if err != nil {
			return nil, err
		}
		return &saved{out, slot, kind}, file.commit(nil)
	}, func(s *saved) string { return fmt.Sprintf("%s: %s, %s\n", s.File, s.Slot, oneLine(s.MediaType)) })
}
