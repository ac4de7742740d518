package main

import (
	"context"
	"flag"
	"fmt"
	"strings"

	"gatehouse/appliance/api"
	"gatehouse/appliance/client"
)

func tenantCommands() []command {
	return []command{
		{
			name: "tenant create", args: "--organisation NAME", online: true, summary: "create a tenant with its first administrator",
			manual: `
Creates a tenant: a wall around its sessions, persons, callers and audit log.
Prints the key of its administrator, this once, or with --out writes it into a
profile (mode 0600) and prints it not at all.

Example:
  gatehouse tenant create --organisation "Second Bank" --out second.json`,
			flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
				var t api.TenantRequest
				fs.StringVar(&t.Organisation, "organisation", "", "`NAME` of the tenant")
				fs.StringVar(&t.Name, "name", "administrator", "`NAME` of its administrator's credential")
				out, force := defineOut(fs)
				key := defineKey(fs)
				return func(ctx context.Context, c *call, args []string) error {
					if len(args) > 0 || t.Organisation == "" {
						return fmt.Errorf("%w: it needs --organisation NAME", errUsage)
					}
					p, err := c.node.settle()
					if err != nil {
						return err
					}
					return enrol(ctx, c, p, *key, *out, *force, func(ctx context.Context, node *client.Client, key string) (*api.Enrolled, error) {
						return node.CreateTenant(ctx, key, t)
					})
				}
			},
		},
		{
			name: "tenant list", online: true, summary: "list the tenants",
			manual: `
Prints id, organisation and time of creation of every tenant.

Example:
  gatehouse tenant list --json`,
			flags: func(*flag.FlagSet) func(context.Context, *call, []string) error {
				return func(ctx context.Context, c *call, args []string) error {
					if err := arguments(args); err != nil {
						return err
					}
					return with(c, func(n *client.Client) (*api.Tenants, error) { return n.Tenants(ctx) }, func(all *api.Tenants) string {
						var w strings.Builder
						for _, t := range all.Tenants {
							fmt.Fprintf(&w, "%s  %s  %s\n", t.Id, clock(t.CreatedAt), oneLine(t.Organisation))
						}
						return w.String()
					})
				}
			},
		},
	}
}

// defineOut defines the flags of commands that write a new caller's profile.
func defineOut(fs *flag.FlagSet) (out *string, force *bool) {
	return fs.String("out", "", "write the new key into this profile `FILE` instead of printing it"), fs.Bool("force", false, "overwrite a file that is there")
}
