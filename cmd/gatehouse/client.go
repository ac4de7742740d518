package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"

	"gatehouse/appliance/api"
	"gatehouse/appliance/client"
)

// maxCertificate bytes of a PEM file, as the contract has it.
const maxCertificate = 16 << 10

func clientCommands() []command {
	return []command{
		{
			name: "client create", args: "--name NAME --role ROLE [--role ROLE…]", online: true, summary: "register a caller",
			manual: `
Makes an API key for a caller of this tenant and prints it, this once, or with
--out writes it into a profile (mode 0600) and prints it not at all. With
--certificate the caller is known by that client certificate instead, and there
is no key.

Roles: platform_admin, tenant_admin, operator (creates sessions and reads their
decisions), reviewer, compliance, auditor, monitor.

Example:
  gatehouse client create --name "branch 17" --role operator --out branch17.json`,
			flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
				n := newCaller{}
				fs.StringVar(&n.request.Name, "name", "", "`NAME` of the caller")
				fs.Func("role", "`ROLE` of the caller; may be repeated", func(s string) error {
					if !api.Role(s).Valid() {
						return errors.New("there is no such role")
					}
					n.request.Roles = append(n.request.Roles, api.Role(s))
					return nil
				})
				fs.StringVar(&n.certificate, "certificate", "", "PEM `FILE` of the certificate that the caller will show")
				n.out, n.force = defineOut(fs)
				n.key = defineKey(fs)
				return n.create
			},
		},
		{
			name: "client list", online: true, summary: "list who may call",
			manual: `
Prints id, credential, roles and name of this tenant's callers, also of those
that were revoked.

Example:
  gatehouse client list --json`,
			flags: func(*flag.FlagSet) func(context.Context, *call, []string) error {
				return func(ctx context.Context, c *call, args []string) error {
					if err := arguments(args); err != nil {
						return err
					}
					return with(c, func(n *client.Client) (*api.Clients, error) { return allClients(ctx, n) }, describeClients)
				}
			},
		},
		{
			name: "client revoke", args: "CLIENT", online: true, summary: "revoke a caller's credential, at once",
			manual: `
From now on the caller's key or certificate is refused. It cannot be undone;
register the caller again for a new one.

Example:
  gatehouse client revoke cli_06c2t0e6o1qk5f3b2a1s9d8f7g`,
			flags: func(*flag.FlagSet) func(context.Context, *call, []string) error {
				return func(ctx context.Context, c *call, args []string) error {
					if err := arguments(args, "CLIENT"); err != nil {
						return err
					}
					return with(c, func(n *client.Client) (*api.Client, error) { return n.RevokeClient(ctx, args[0]) }, func(r *api.Client) string {
						return describeClients(&api.Clients{Clients: []api.Client{*r}})
					})
				}
			},
		},
	}
}

type newCaller struct {
	request     api.ClientRequest
	certificate string
	out, key    *string
	force       *bool
}

func (n *newCaller) create(ctx context.Context, c *call, args []string) error {
	switch {
	case len(args) > 0 || n.request.Name == "" || len(n.request.Roles) == 0:
		return fmt.Errorf("%w: it needs --name NAME and --role ROLE", errUsage)
	case n.certificate != "" && *n.out != "":
		return fmt.Errorf("%w: --out writes a key, and with --certificate there is none", errUsage)
	}
	if n.certificate != "" {
		pem, err := readSmall(n.certificate, maxCertificate)
		if err != nil {
			return err
		}
		text := string(pem)
		n.request.Certificate = &text
	}
	p, err := c.node.settle()
	if err != nil {
		return err
	}
	return enrol(ctx, c, p, *n.key, *n.out, *n.force, func(ctx context.Context, node *client.Client, key string) (*api.Enrolled, error) {
		return node.CreateClient(ctx, key, n.request)
	})
}

func allClients(ctx context.Context, n *client.Client) (*api.Clients, error) {
	all := &api.Clients{Clients: []api.Client{}}
	for cursor := ""; ; {
		page, err := n.Clients(ctx, cursor)
		if err != nil {
			return nil, err
		}
		all.Clients = append(all.Clients, page.Clients...)
		if cursor = or(page.Next, ""); cursor == "" {
			return all, nil
		}
	}
}

func describeClients(all *api.Clients) string {
	var w strings.Builder
	for _, c := range all.Clients {
		state := "since " + clock(c.CreatedAt)
		if c.RevokedAt != nil {
			state = "revoked " + clock(*c.RevokedAt)
		}
		fmt.Fprintf(&w, "%s  %-11s  %-31s  %s  %s\n", c.Id, c.Credential, state, oneLine(c.Name), joined(c.Roles))
	}
	return w.String()
}
