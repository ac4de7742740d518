// Command gatehouse verifies people: documents, faces, liveness. One file
// per group of commands; each parses, calls, prints and picks the exit code.
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
	// flags defines the command's own flags and gives what runs it.
	flags func(*flag.FlagSet) func(context.Context, *call, []string) error
}

func commands() []command {
	return slices.Concat([]command{verifyCommand()}, faceCommands(), []command{documentCommand()},
		modelCommands(), []command{specimenCommand(), versionCommand(), licencesCommand()})
}

// call is what every command has at hand.
type call struct {
	out *output
	err io.Writer
	common
	exit int // set by a command that ends with a code of its own
}

// common are the flags that all commands take.
type common struct {
	json, jsonl bool
	models      string
	device      string
	workers     int
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
	case err == nil:
		return call.exit
	case errors.Is(err, errReported):
		return call.exit
	case errors.Is(err, errUsage):
		err = fmt.Errorf("%w: %s: %s; see 'gatehouse help %s'", errUsage, c.name, strings.TrimPrefix(err.Error(), errUsage.Error()+": "), c.name)
	}
	return call.fail(err)
}

// find takes the command's words off the arguments; nil asks for the overview.
func find(args []string) (c *command, rest []string, help bool, err error) {
	if len(args) > 0 && (args[0] == "help" || args[0] == "-h" || args[0] == "--help" || args[0] == "-help") {
		help, args = true, args[1:]
	}
	if len(args) == 0 {
		return nil, nil, true, nil
	}
	for _, c := range commands() {
		words := strings.Fields(c.name)
		if len(args) >= len(words) && slices.Equal(args[:len(words)], words) {
			return &c, args[len(words):], help, nil
		}
	}
	var group []string
	for _, c := range commands() {
		if strings.HasPrefix(c.name, args[0]+" ") {
			group = append(group, c.name)
		}
	}
	if len(group) > 0 {
		return nil, nil, false, fmt.Errorf("'%s' needs one of: %s; see 'gatehouse help'", args[0], strings.Join(group, ", "))
	}
	return nil, nil, false, fmt.Errorf("there is no command '%s'; 'gatehouse help' lists them", args[0])
}

func (c *command) flagSet(call *call) *flag.FlagSet {
	fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.BoolVar(&call.json, "json", false, "print one JSON document")
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
matches the face and checks liveness. Nothing leaves this machine.

Usage: gatehouse COMMAND [flags] [arguments]

`)
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-18s %s\n", c.name, c.summary)
	}
	fmt.Fprint(w, `
'gatehouse help COMMAND' prints its manual page.

Exit codes: 0 done, whatever the decision; 1 failure; 2 wrong usage;
3 an input was refused.
`)
}

func (c *command) page(w io.Writer) {
	fmt.Fprintf(w, "gatehouse %s — %s\n\nUsage: gatehouse %s [flags] %s\n\n%s\n\nFlags:\n", c.name, c.summary, c.name, c.args, strings.TrimSpace(c.manual))
	fs := c.flagSet(&call{})
	c.flags(fs)
	fs.VisitAll(func(f *flag.Flag) {
		kind, text := flag.UnquoteUsage(f)
		fmt.Fprintf(w, "  %-22s %s\n", strings.TrimSpace("--"+f.Name+" "+kind), text)
	})
}
