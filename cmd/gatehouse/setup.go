package main

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"strings"

	"gatehouse/appliance/api"
	"gatehouse/appliance/client"
)

func setupCommand() command {
	return command{
		name: "setup", args: "--server URL --ca FILE --code CODE", online: true, summary: "trade a new node's setup code for the first administrator",
		manual: `
A new node prints a setup code and the path of its CA at its first start. This
creates the first tenant and the key of its administrator, and writes the
profile that the other commands use: a JSON file with server, CA and key, mode
0600, at --profile, else $GATEHOUSE_PROFILE, else
~/.config/gatehouse/client.json. One that is there is kept, unless --force is
given.

The code works once and the key is kept nowhere else. Where the answer was lost
the same command with the same --idempotency-key gets it again for 24 hours.

Example:
  gatehouse setup --server https://127.0.0.1:8443 --ca ca.pem --code AAAA-BBBB-CCCC-DDDD-EEEE-FFFF-GG --organisation "First Bank"`,
		flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
			var s api.SetupRequest
			var force bool
			fs.StringVar(&s.Code, "code", "", "the `CODE` that the node printed")
			fs.StringVar(&s.Organisation, "organisation", "default", "`NAME` of the first tenant")
			fs.StringVar(&s.Name, "name", "administrator", "`NAME` of the administrator's credential")
			fs.BoolVar(&force, "force", false, "overwrite a profile that is there")
			key := defineKey(fs)
			return func(ctx context.Context, c *call, args []string) error {
				switch {
				case len(args) > 0 || c.node.server == "" || c.node.ca == "" || s.Code == "":
					return fmt.Errorf("%w: it needs --server URL, --ca FILE and --code CODE", errUsage)
				case c.node.keyFile != "":
					return fmt.Errorf("%w: --key-file has no use here: the key is made by the node", errUsage)
				}
				return setup(ctx, c, s, *key, force)
			}
		},
	}
}

func setup(ctx context.Context, c *call, s api.SetupRequest, key string, force bool) error {
	path, _, err := c.node.path()
	if err != nil {
		return err
	}
	to := nodeFlags{server: c.node.server, ca: c.node.ca} // whatever profile there is
	p, err := to.settle()
	if err != nil {
		return err
	}
	return enrol(ctx, c, p, key, path, force, func(ctx context.Context, node *client.Client, key string) (*api.Enrolled, error) {
		return node.Setup(ctx, key, s)
	})
}

// enrolled is what enrolling prints: the key, or the profile that has it.
type enrolled struct {
	Tenant  string     `json:"tenant"`
	Client  api.Client `json:"client"`
	Key     string     `json:"key,omitempty"`
	Profile string     `json:"profile,omitempty"`
}

func (e *enrolled) describe() string {
	var w strings.Builder
	fmt.Fprintf(&w, "Client %s: %s\n", e.Client.Id, oneLine(e.Client.Name))
	line(&w, "tenant", e.Tenant)
	line(&w, "roles", joined(e.Client.Roles))
	line(&w, "credential", string(e.Client.Credential))
	if e.Profile != "" {
		line(&w, "profile", e.Profile)
	}
	if e.Key != "" {
		line(&w, "key", e.Key)
		w.WriteString("\nThe key is shown this once; only its hash is kept.\n")
	}
	return w.String()
}

// enrol has a credential made, and writes it into the profile out, where that
// is not empty.
func enrol(ctx context.Context, c *call, p profile, key, out string, force bool, do func(context.Context, *client.Client, string) (*api.Enrolled, error)) error {
	node, err := p.client()
	if err != nil {
		return err
	}
	var file *privateFile
	if out != "" {
		if file, err = newPrivateFile(out, force); err != nil {
			return err
		}
		defer file.discard()
	}
	if key == "" {
		key = rand.Text()
	}
	made, err := do(ctx, node, key)
	if err != nil {
		return err
	}
	e := &enrolled{Tenant: made.Tenant, Client: made.Client, Key: or(made.Key, "")}
	if file != nil {
		p.Key = e.Key
		if err := file.commitProfile(p); err != nil {
			return fmt.Errorf("client %s was made, but %w; run the same command with --idempotency-key %s to get its key again", made.Client.Id, err, key)
		}
		e.Key, e.Profile = "", out
	}
	show(c, e, (*enrolled).describe)
	return nil
}

func joined[T ~string](all []T) string {
	var s []string
	for _, v := range all {
		s = append(s, string(v))
	}
	return strings.Join(s, ", ")
}
