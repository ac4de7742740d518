// Command gatehouse verifies people: documents, faces, liveness, on this
// machine or by a node. One file per group of commands; each parses, calls,
// prints and picks the exit code.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// Exit codes, as the manual gives them.
const (
	exitDone    = 0 // also when the decision is "rejected"
	exitFailure = 1
	exitUsage   = 2
	exitRefused = 3 // an input was refused
	exitDenied  = 4 // not allowed, or not signed in
	exitAway    = 5 // the node cannot be reached, is sealed or is too busy
)

// errUsage marks a wrong call; errReported an error that was printed already.
var (
	errUsage    = errors.New("usage")
	errReported = errors.New("reported")
)

// command is one verb with its manual page.
type command struct {
	name    string // "face compare"
	args    string // "A B"
	summary string
	manual  string
	online  bool // it calls a node
	plain   bool // it needs neither a node nor models
	// flags defines the command's own flags and gives what runs it.
	flags func(*flag.FlagSet) func(context.Context, *call, []string) error
}

// group of commands, as the overview shows them.
type group struct {
	title    string
	commands []command
}

func groups() []group {
	return []group{
		{"On this machine", slices.Concat([]command{verifyCommand()}, faceCommands(), []command{documentCommand()}, modelCommands(), []command{specimenCommand()})},
		{"A node", slices.Concat([]command{runCommand()}, dataCommands())},
		{"A cluster of nodes", clusterCommands()},
		{"Verification by a node", slices.Concat(sessionCommands(), evidenceCommands(), subjectCommands())},
		{"Face galleries of a node", slices.Concat(galleryCommands(), blocklistCommands())},
		{"Audit log of a node", auditCommands()},
		{"Administration of a node", slices.Concat([]command{setupCommand(), statusCommand()}, tenantCommands(), clientCommands(), sealCommands())},
		{"Measurements on this machine", benchCommands()},
		{"About this program", []command{versionCommand(), licencesCommand()}},
	}
}

func commands() []command {
	var all []command
	for _, g := range groups() {
		all = append(all, g.commands...)
	}
	return all
}

// call is what every command has at hand.
type call struct {
	out *output
	err io.Writer
	common
	exit int // set by a command that ends with a code of its own
}

// common are the flags that all commands take, and those of each kind.
type common struct {
	json, jsonl bool
	models      string
	device      string
	workers     int
	node        nodeFlags
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C kills
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	out := &output{w: stdout}
	code := dispatch(ctx, args, out, stderr)
	if out.err != nil {
		fmt.Fprintf(stderr, "gatehouse: the result cannot be printed: %v\n", out.err)
		code = max(code, exitFailure)
	}
	return code
}

func dispatch(ctx context.Context, args []string, out *output, errOut io.Writer) int {
	c, rest, help, err := find(args)
	switch {
	case err != nil:
		fmt.Fprintf(errOut, "gatehouse: %v\n", err)
		return exitUsage
	case c == nil:
		overview(out)
		return exitDone
	case help:
		c.page(out)
		return exitDone
	}
	call := &call{out: out, err: errOut}
	fs := c.flagSet(call)
	do := c.flags(fs)
	files, err := interspersed(fs, rest)
	if errors.Is(err, flag.ErrHelp) {
		c.page(out)
		return exitDone
	}
	if err == nil {
		err = do(ctx, call, files)
	} else {
		err = fmt.Errorf("%w: %v", errUsage, err)
	}
	switch {
	case err == nil, errors.Is(err, errReported):
		return call.exit
	case answered(err):
		return call.failOnline(err)
	case errors.Is(err, errUsage):
		err = fmt.Errorf("%w: %s: %s; see 'gatehouse help %s'", errUsage, c.name, strings.TrimPrefix(err.Error(), errUsage.Error()+": "), c.name)
	}
	return call.fail(err)
}

// find takes the command's words off the arguments, as many as are a command's
// name; nil asks for the overview.
func find(args []string) (c *command, rest []string, help bool, err error) {
	if len(args) > 0 && (args[0] == "help" || args[0] == "-h" || args[0] == "--help" || args[0] == "-help") {
		help, args = true, args[1:]
	}
	if len(args) == 0 {
		return nil, nil, true, nil
	}
	longest := 0
	var siblings []string
	for _, candidate := range commands() {
		words := strings.Fields(candidate.name)
		if n := len(words); n > longest && len(args) >= n && slices.Equal(args[:n], words) {
			c, longest = &candidate, n
		}
		if strings.HasPrefix(candidate.name, args[0]+" ") {
			siblings = append(siblings, candidate.name)
		}
	}
	switch {
	case c != nil:
		return c, args[longest:], help, nil
	case len(siblings) > 0:
		return nil, nil, false, fmt.Errorf("'%s' needs one of: %s; see 'gatehouse help'", args[0], strings.Join(siblings, ", "))
	}
	return nil, nil, false, fmt.Errorf("there is no command '%s'; 'gatehouse help' lists them", args[0])
}

func (c *command) flagSet(call *call) *flag.FlagSet {
	fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.BoolVar(&call.json, "json", false, "print one JSON document")
	if c.online {
		call.node.define(fs)
		return fs
	}
	if c.plain {
		return fs
	}
	fs.BoolVar(&call.jsonl, "jsonl", false, "print one line of JSON for each file")
	fs.StringVar(&call.models, "models", "", "use the model pack in this `DIR|FILE` instead of the built-in one")
	fs.StringVar(&call.device, "device", "cpu", "run the models on this `DEVICE`: cpu")
	fs.IntVar(&call.workers, "workers", 0, "run at most `N` models at a time (default: one a core)")
	return fs
}

// interspersed parses flags wherever they stand among the arguments, up to
// "--".
func interspersed(fs *flag.FlagSet, args []string) ([]string, error) {
	var plain []string
	for {
		if err := fs.Parse(args); err != nil {
			return nil, err
		}
		consumed := args[:len(args)-fs.NArg()]
		if len(consumed) > 0 && consumed[len(consumed)-1] == "--" || fs.NArg() == 0 {
			return append(plain, fs.Args()...), nil
		}
		plain, args = append(plain, fs.Arg(0)), fs.Args()[1:]
	}
}

func overview(w io.Writer) {
	fmt.Fprint(w, `gatehouse verifies people on your own machine: it reads an identity document,
matches the face and checks liveness. Nothing leaves this machine, except to
the node that a command calls.

Usage: gatehouse COMMAND [flags] [arguments]
`)
	for _, g := range groups() {
		fmt.Fprintf(w, "\n%s:\n", g.title)
		for _, c := range g.commands {
			fmt.Fprintf(w, "  %-18s %s\n", c.name, c.summary)
		}
	}
	fmt.Fprint(w, `
'gatehouse help COMMAND' prints its manual page.

Exit codes: 0 done, whatever the decision; 1 failure; 2 wrong usage;
3 an input was refused; 4 not allowed, or not signed in; 5 the node cannot be
reached, is sealed or is too busy.
`)
}

func (c *command) page(w io.Writer) {
	fmt.Fprintf(w, "gatehouse %s — %s\n\nUsage: gatehouse %s [flags] %s\n\n%s\n\nFlags:\n", c.name, c.summary, c.name, c.args, strings.TrimSpace(c.manual))
	fs := c.flagSet(&call{})
	c.flags(fs)
	fs.VisitAll(func(f *flag.Flag) {
		kind, text := flag.UnquoteUsage(f)
		fmt.Fprintf(w, "  %-26s %s\n", strings.TrimSpace("--"+f.Name+" "+kind), text)
	})
}
