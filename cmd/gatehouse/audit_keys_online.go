package main

import (
	"context"
	"flag"
	"fmt"
	"strings"

	"gatehouse/appliance/api"
	"gatehouse/appliance/client"
	"gatehouse/store/audit"
)

// keyCommands are about who signs the log, and who vouches for it.
func keyCommands() []command {
	return []command{
		{
			name: "audit trust", online: true, summary: "the policy with the keys that sign the logs",
			manual: `
Prints the keys of the tenant's log and of the system's as a policy (C2SP
tlog-policy), which the auditor gives to 'audit verify' with --trust: those that
sign now, two of each while an earlier one is being replaced, and the retired ones
with the size of the log at which each ended. The auditor must get it, or at least
compare it, by another way than with the bundles: who could forge the one could forge
the other.

Example:
  gatehouse audit trust > bank.policy`,
			flags: func(*flag.FlagSet) func(context.Context, *call, []string) error {
				return func(ctx context.Context, c *call, args []string) error {
					if err := arguments(args); err != nil {
						return err
					}
					return with(c, func(n *client.Client) (*shownPolicy, error) {
						b, err := n.AuditTrust(ctx)
						return &shownPolicy{string(b)}, err
					}, func(t *shownPolicy) string { return t.Policy })
				}
			},
		},
		{
			name: "audit cosign", args: "CHECKPOINT --witness FILE", online: true, summary: "keep the signature of a witness under a checkpoint",
			manual: `
CHECKPOINT is what the auditor's 'audit witness' wrote, and --witness names the
FILE with the auditor's public key. The node verifies both and writes them into the
log; bundles that end or begin at that checkpoint carry the signature from then on:
export the same range again, with --to. The head of the system's log, which the
witness signs beside it (CHECKPOINT.system), is for platform_admin to keep.
A log that was cut or rewritten since is then found out by whoever has either.

Example:
  gatehouse audit cosign from-the-auditor.checkpoint --witness auditor.pub`,
			flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
				witness := fs.String("witness", "", "the witness's public key is in this `FILE`")
				return func(ctx context.Context, c *call, args []string) error {
					if err := arguments(args, "CHECKPOINT"); err != nil {
						return err
					}
					if *witness == "" {
						return fmt.Errorf("%w: it needs --witness FILE", errUsage)
					}
					checkpoint, err := readSmall(args[0], audit.MaxCheckpoint)
					if err != nil {
						return err
					}
					key, err := readSmall(*witness, maxTrust)
					if err != nil {
						return err
					}
					q := api.CosignRequest{Witness: strings.TrimSpace(string(key)), Checkpoint: string(checkpoint)}
					return with(c, func(n *client.Client) (*api.Cosigned, error) { return n.CosignAudit(ctx, q) }, func(k *api.Cosigned) string {
						return fmt.Sprintf("Kept: %s has cosigned %s at %s\n", oneLine(k.Witness), oneLine(position(&api.LogHead{Origin: k.Origin, Size: k.Size})), clock(k.SignedAt))
					})
				}
			},
		},
		{
			name: "audit rotate-key", online: true, summary: "sign the logs with a new key, beside the present one",
			manual: `
Makes a new key. Checkpoints and bundles bear both signatures until 'audit
retire-key', so that auditors who have pinned either can verify them meanwhile:
give them what 'audit trust' prints now. It is for platform_admin.

Example:
  gatehouse audit rotate-key && gatehouse audit trust > bank.policy`,
			flags: func(*flag.FlagSet) func(context.Context, *call, []string) error {
				return func(ctx context.Context, c *call, args []string) error {
					if err := arguments(args); err != nil {
						return err
					}
					return with(c, func(n *client.Client) (*api.AuditKeys, error) { return n.RotateAuditKey(ctx) }, describeKeys)
				}
			},
		},
		{
			name: "audit retire-key", online: true, summary: "destroy the earlier of two keys that sign the logs",
			manual: `
Ends the overlap that 'audit rotate-key' began. The earlier key is destroyed and
signs no more; what it has signed stays valid: 'audit trust' prints it still, bounded
by the size of the log at which it ended. Give auditors that policy. The node refuses
before the two have signed together for 30 days; --early is for a key that somebody
may know.

Example:
  gatehouse audit retire-key`,
			flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
				early := fs.Bool("early", false, "before auditors had 30 days to take up the new key")
				return func(ctx context.Context, c *call, args []string) error {
					if err := arguments(args); err != nil {
						return err
					}
					return with(c, func(n *client.Client) (*api.AuditKeys, error) { return n.RetireAuditKey(ctx, *early) }, describeKeys)
				}
			},
		},
	}
}

// shownPolicy is a policy as the node gives it.
type shownPolicy struct {
	Policy string `json:"policy"`
}

func describeKeys(k *api.AuditKeys) string {
	var w strings.Builder
	for _, one := range k.Keys {
		fmt.Fprintf(&w, "%-8s  since %s  %s\n", one.State, clock(one.CreatedAt), oneLine(one.Key))
	}
	return w.String()
}
