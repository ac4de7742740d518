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

func sealCommands() []command {
	return []command{
		{
			name: "seal", online: true, summary: "have the node wipe every key from its memory, now",
			manual: `
Until it is unsealed the node verifies nothing, reads nothing and answers only
liveness, seal status and unseal.

Example:
  gatehouse seal`,
			flags: func(*flag.FlagSet) func(context.Context, *call, []string) error {
				return func(ctx context.Context, c *call, args []string) error {
					if err := arguments(args); err != nil {
						return err
					}
					return with(c, func(n *client.Client) (*api.Seal, error) { return n.Seal(ctx) }, describeSeal)
				}
			},
		},
		{
			name: "seal status", online: true, summary: "whether the node is sealed, and what opens it",
			manual: `
Prints whether the node is sealed, the slots that open it, and how many shares
were given. It works on a sealed node.

Example:
  gatehouse seal status --json`,
			flags: func(*flag.FlagSet) func(context.Context, *call, []string) error {
				return func(ctx context.Context, c *call, args []string) error {
					if err := arguments(args); err != nil {
						return err
					}
					return with(c, func(n *client.Client) (*api.Seal, error) { return n.SealStatus(ctx) }, describeSeal)
				}
			},
		},
		{
			name: "seal add", args: "file|passphrase|shamir", online: true, summary: "add another way to unseal the node",
			manual: `
Adds a slot; any one slot opens the seal.

  file        a key file on the server, at --path there
  passphrase  from --passphrase-file, else from stdin; a terminal is asked twice
              and does not show it
  shamir      split among --shares holders, any --threshold of whom open it. The
              shares are printed this once.

Example:
  gatehouse seal add shamir --threshold 2 --shares 3`,
			flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
				var s newSlot
				fs.StringVar(&s.path, "path", "", "`PATH` of the key file on the server")
				fs.StringVar(&s.passphrase, "passphrase-file", "", "take the passphrase from this `FILE` (- is stdin)")
				fs.IntVar(&s.threshold, "threshold", 0, "`K` holders open it together")
				fs.IntVar(&s.shares, "shares", 0, "`N` holders in all")
				return s.add
			},
		},
		{
			name: "seal remove", args: "SLOT", online: true, summary: "remove a way to unseal the node",
			manual: `
Removes a slot, by its id as 'seal status' prints it; never the last.

Example:
  gatehouse seal remove 2f6c0d1e9a3b4c57`,
			flags: func(*flag.FlagSet) func(context.Context, *call, []string) error {
				return func(ctx context.Context, c *call, args []string) error {
					if err := arguments(args, "SLOT"); err != nil {
						return err
					}
					return with(c, func(n *client.Client) (*api.Seal, error) { return n.RemoveSlot(ctx, args[0]) }, describeSeal)
				}
			},
		},
		{
			name: "unseal", args: "--file | --passphrase-file FILE | --share-file FILE", online: true, summary: "open the node's seal",
			manual: `
Gives the node what opens one of its slots: the key files on the server, a
passphrase, or one share. Every holder of a share runs this once, until enough
were given. A terminal does not show what is typed.

Ends with 3 where it does not open the seal, which the node counts and delays.

Example:
  gatehouse unseal --share-file -`,
			flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
				file := fs.Bool("file", false, "have the node try its key files")
				passphrase := fs.String("passphrase-file", "", "take the passphrase from this `FILE` (- is stdin)")
				share := fs.String("share-file", "", "take the share from this `FILE` (- is stdin)")
				return func(ctx context.Context, c *call, args []string) error {
					if err := arguments(args); err != nil {
						return err
					}
					return unseal(ctx, c, *file, *passphrase, *share)
				}
			},
		},
	}
}

func describeSeal(s *api.Seal) string {
	var w strings.Builder
	w.WriteString(map[bool]string{true: "Sealed", false: "Open"}[s.Sealed] + "\n")
	if s.Sealed && s.SharesNeeded != nil {
		line(&w, "shares", fmt.Sprintf("%d of %d given", or(s.SharesGiven, 0), *s.SharesNeeded))
	}
	for _, slot := range s.Slots {
		line(&w, "slot", describeSlot(slot))
	}
	if s.Warning != nil {
		line(&w, "warning", *s.Warning)
	}
	return w.String()
}

func describeSlot(s api.SealSlot) string {
	text := fmt.Sprintf("%s, %s, since %s", s.Id, s.Kind, clock(s.CreatedAt))
	if s.Path != nil {
		text += ", " + *s.Path
	}
	if s.Threshold != nil && s.Shares != nil {
		text += fmt.Sprintf(", %d of %d shares", *s.Threshold, *s.Shares)
	}
	return text
}

type newSlot struct {
	path, passphrase  string
	threshold, shares int
}

func (s *newSlot) add(ctx context.Context, c *call, args []string) error {
	if err := arguments(args, "KIND: file, passphrase or shamir"); err != nil {
		return err
	}
	kind := api.SlotRequestKind(args[0])
	file, passphrase, shamir := s.path != "", s.passphrase != "", s.threshold != 0 || s.shares != 0
	switch {
	case !kind.Valid():
		return fmt.Errorf("%w: there is no kind of slot %q; give file, passphrase or shamir", errUsage, args[0])
	case kind == api.SlotRequestKindFile && (!file || passphrase || shamir):
		return fmt.Errorf("%w: file needs --path PATH and nothing else", errUsage)
	case kind == api.SlotRequestKindPassphrase && (file || shamir):
		return fmt.Errorf("%w: passphrase takes --passphrase-file FILE and nothing else", errUsage)
	case kind == api.SlotRequestKindShamir && (file || passphrase || s.threshold < 2 || s.shares < s.threshold):
		return fmt.Errorf("%w: shamir needs --threshold K and --shares N, 2 ≤ K ≤ N, and nothing else", errUsage)
	}
	r := api.SlotRequest{Kind: kind}
	switch kind {
	case api.SlotRequestKindFile:
		r.Path = &s.path
	case api.SlotRequestKindPassphrase:
		text, err := readSecret(ctx, c, cmp.Or(s.passphrase, "-"), "new passphrase", true)
		if err != nil {
			return err
		}
		r.Passphrase = &text
	case api.SlotRequestKindShamir:
		r.Threshold, r.Shares = &s.threshold, &s.shares
	}
	return with(c, func(n *client.Client) (*api.SlotAdded, error) { return n.AddSlot(ctx, r) }, describeAdded)
}

func describeAdded(a *api.SlotAdded) string {
	var w strings.Builder
	w.WriteString("Slot added\n")
	line(&w, "slot", describeSlot(a.Slot))
	for _, share := range or(a.Shares, nil) {
		line(&w, "share", share)
	}
	if a.Shares != nil {
		w.WriteString("\nThe shares are shown this once. Give one to each holder.\n")
	}
	return w.String()
}

func unseal(ctx context.Context, c *call, file bool, passphrase, share string) error {
	given := 0
	for _, one := range []bool{file, passphrase != "", share != ""} {
		if one {
			given++
		}
	}
	if given != 1 {
		return fmt.Errorf("%w: it needs one of --file, --passphrase-file FILE and --share-file FILE", errUsage)
	}
	var r api.UnsealRequest
	if file {
		r.File = &file
	} else {
		name, what, to := passphrase, "passphrase", &r.Passphrase
		if share != "" {
			name, what, to = share, "share", &r.Share
		}
		text, err := readSecret(ctx, c, name, what, false)
		if err != nil {
			return err
		}
		*to = &text
	}
	return with(c, func(n *client.Client) (*api.Seal, error) { return n.Unseal(ctx, r) }, describeSeal)
}
