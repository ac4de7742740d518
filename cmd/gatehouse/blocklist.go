package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"unicode/utf8"

	"gatehouse/appliance/api"
	"gatehouse/appliance/client"
)

func blocklistCommands() []command {
	return []command{
		{
			name: "blocklist add", args: "FILE|--session SESSION --reason-file FILE", online: true, summary: "put a face on the blocklist",
			manual: `
Puts the largest face of a picture, or with --session the face of a decided
session, on the blocklist. Of a picture the template alone is kept. From now on a
verification that shows the face goes to review, with the reason code
blocklist.face; verifications of before are not looked at again.

The entry is its own: it stays where the person of the session is erased. The
reason, a text of at most 1000 characters, is personal data, so it is read from a
file or from stdin, kept encrypted, and shown by 'blocklist show' alone.

Example:
  gatehouse blocklist add --session ses_06c2t0e6o1qk5f3b2a1s9d8f7g --reason-file reason.txt`,
			flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
				var p client.Probe
				fs.StringVar(&p.Session, "session", "", "take the face of this decided `SESSION`")
				reason := fs.String("reason-file", "", "why the face must not pass, from this `FILE` (- is stdin)")
				key := defineKey(fs)
				return func(ctx context.Context, c *call, args []string) error {
					return blocklistAdd(ctx, c, args, p, *reason, *key)
				}
			},
		},
		{
			name: "blocklist list", online: true, summary: "list the entries of the blocklist, oldest first",
			manual: `
Prints one page: id, time, who added it, and the session that the face is from,
where it is not from a picture. Where there are more, the last line says how to
get the next page. The reasons are shown one by one, by 'blocklist show'.

Example:
  gatehouse blocklist list --limit 200 --json`,
			flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
				cursor := fs.String("cursor", "", "the `NEXT` of the page before")
				limit := fs.Int("limit", 0, "at most `N` entries, 1 to 200")
				return func(ctx context.Context, c *call, args []string) error {
					if err := arguments(args); err != nil {
						return err
					}
					return with(c, func(n *client.Client) (*api.Blocklist, error) { return n.Blocklist(ctx, *cursor, *limit) }, describeBlocklist)
				}
			},
		},
		{
			name: "blocklist show", args: "ENTRY --purpose WHY", online: true, summary: "an entry of the blocklist, with its reason",
			manual: `
Prints the entry and why the face was blocked. The reading and its purpose are in
the audit log before the answer leaves the node.

Example:
  gatehouse blocklist show blk_06c2t0e6o1qk5f3b2a1s9d8f7g --purpose compliance`,
			flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
				purpose := definePurpose(fs)
				return func(ctx context.Context, c *call, args []string) error {
					if err := cmp.Or(arguments(args, "ENTRY"), checkPurpose(*purpose)); err != nil {
						return err
					}
					return with(c, func(n *client.Client) (*api.BlocklistEntry, error) {
						return n.Blocked(ctx, args[0], api.Purpose(*purpose))
					}, describeEntry)
				}
			},
		},
		{
			name: "blocklist remove", args: "ENTRY --reason WHY --yes", online: true, summary: "take a face off the blocklist",
			manual: `
Ends the entry as an erasure ends a person: the face is wiped from memory, and its
template, its reason and their key are deleted. It cannot be undone, so --yes is
needed. When it has ended no search finds the face; what was decided stays as it
is.

Example:
  gatehouse blocklist remove blk_06c2t0e6o1qk5f3b2a1s9d8f7g --reason error --yes`,
			flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
				reason := fs.String("reason", "", "`WHY`: subject_request, retention, error or legal")
				yes := fs.Bool("yes", false, "remove")
				return func(ctx context.Context, c *call, args []string) error {
					if err := arguments(args, "ENTRY"); err != nil {
						return err
					}
					if !api.ErasureReason(*reason).Valid() || !*yes {
						return fmt.Errorf("%w: it needs --reason (subject_request, retention, error or legal) and --yes: it cannot be undone", errUsage)
					}
					return with(c, func(n *client.Client) (*api.BlocklistRemoval, error) {
						return n.RemoveBlocked(ctx, args[0], api.ErasureReason(*reason))
					}, describeRemoval)
				}
			},
		},
	}
}

// maxReason characters, as the contract has it.
const maxReason = 1000

func blocklistAdd(ctx context.Context, c *call, args []string, p client.Probe, file, key string) error {
	if err := oneProbe(args, p.Session); err != nil {
		return err
	}
	if file == "" {
		return fmt.Errorf("%w: it needs --reason-file FILE: nobody is blocked without a reason", errUsage)
	}
	b, err := readSmall(file, maxReason*utf8.UTFMax+2) // and a line's end
	if err != nil {
		return err
	}
	reason := strings.TrimRight(string(b), "\r\n")
	if strings.TrimSpace(reason) == "" || utf8.RuneCountInString(reason) > maxReason || !utf8.ValidString(reason) {
		return &inputError{file, errors.New("a reason is a text of 1 to 1000 characters in UTF-8")}
	}
	done, err := openProbe(ctx, args, &p)
	if err != nil {
		return err
	}
	defer done()
	return with(c, func(n *client.Client) (*api.BlocklistEntry, error) { return n.AddBlocked(ctx, key, reason, p) }, describeEntry)
}

func describeEntry(e *api.BlocklistEntry) string {
	var w strings.Builder
	fmt.Fprintf(&w, "Entry %s\n", oneLine(e.Id))
	line(&w, "added", clock(e.CreatedAt))
	line(&w, "by", e.CreatedBy)
	line(&w, "face of", or(e.Session, "a picture"))
	if e.Reason != nil {
		line(&w, "reason", *e.Reason)
	}
	return w.String()
}

func describeBlocklist(all *api.Blocklist) string {
	var w strings.Builder
	for _, e := range all.Entries {
		fmt.Fprintf(&w, "%s  %s  %s  %s\n", oneLine(e.Id), clock(e.CreatedAt), oneLine(e.CreatedBy), oneLine(or(e.Session, "a picture")))
	}
	if all.Next != nil {
		fmt.Fprintf(&w, "more: gatehouse blocklist list --cursor %s\n", oneLine(*all.Next))
	}
	return w.String()
}

func describeRemoval(r *api.BlocklistRemoval) string {
	var w strings.Builder
	fmt.Fprintf(&w, "Entry %s: removed %s\n", oneLine(r.Id), clock(r.RemovedAt))
	for _, p := range r.Pending {
		line(&w, "pending", p)
	}
	return w.String()
}
