package main

import (
	"context"
	"flag"
	"fmt"
	"strings"

	"gatehouse/store/audit/trust"
)

func forkCommand() command {
	return command{
		name: "audit fork", plain: true, args: "EVIDENCE --trust FILE", summary: "check the evidence that a log has two histories, offline",
		manual: `
EVIDENCE is what 'audit verify' or 'audit witness' wrote: two heads of one log,
both signed by its keys, that cannot both be true. Nothing else is needed to be
convinced but the log's keys in a policy. Witnesses do not matter: it was the log
that signed.

Exit codes: 0 it convinces; 1 it does not, or failure; 2 wrong usage; 3 a file was
refused.

Example:
  gatehouse audit fork bank-2026-q4.ekab.fork.json --trust bank.policy`,
		flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
			var files auditorFiles
			fs.StringVar(&files.trust, "trust", "", "trust the keys in this policy `FILE`")
			return func(_ context.Context, c *call, args []string) error {
				if err := arguments(args, "EVIDENCE"); err != nil {
					return err
				}
				if files.trust == "" {
					return fmt.Errorf("%w: it needs --trust FILE", errUsage)
				}
				return checkFork(c, args[0], &files)
			}
		},
	}
}

// shownFork is evidence that convinces.
type shownFork struct {
	Fork bool `json:"fork"`
	*trust.Evidence
}

// maxEvidence bytes are more than trust reads.
const maxEvidence = 1 << 20

func checkFork(c *call, file string, files *auditorFiles) error {
	policy, err := files.policy()
	if err != nil {
		return err
	}
	b, err := readSmall(file, maxEvidence)
	if err != nil {
		return err
	}
	e, err := trust.ParseEvidence(b)
	if err != nil {
		return &inputError{file, err}
	}
	if err := e.Check(policy); err != nil {
		return fmt.Errorf("%s does not convince: %w", file, err)
	}
	show(c, &shownFork{true, e}, (*shownFork).describe)
	return nil
}

func (f *shownFork) describe() string {
	var w strings.Builder
	fmt.Fprintf(&w, "It convinces: %s\n", f.What)
	line(&w, "log", f.Origin)
	line(&w, "size", fmt.Sprint(f.Size))
	fmt.Fprintf(&w, "\nThe log signed this:\n\n%s\nand this:\n\n%s\n", indent(f.A), indent(f.B))
	return w.String()
}

// indent lines that came in a file.
func indent(text string) string {
	var w strings.Builder
	for one := range strings.Lines(text) {
		fmt.Fprintf(&w, "  %s\n", oneLine(strings.TrimSuffix(one, "\n")))
	}
	return w.String()
}
