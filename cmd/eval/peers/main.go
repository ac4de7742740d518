// Command peers runs etcd for make bench-cluster: a server in a process of its
// own, and clients that load it. It is a module of its own, so that the product
// does not depend on what it is compared with; it is never shipped, and must
// not import the product.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"go.etcd.io/etcd/api/v3/version"
)

const usage = `Usage: peers COMMAND [flags]

  serve     run one etcd server until standard input ends
  load      write to a cluster, print when it is counted and what was counted
  version   print which etcd it is

Flags: peers COMMAND --help
`

// errUsage was explained where it was found.
var errUsage = errors.New("wrong usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	verbs := map[string]func(context.Context, []string, io.Reader, io.Writer) error{"serve": serve, "load": load, "version": printVersion}
	if len(os.Args) < 2 || verbs[os.Args[1]] == nil {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	switch err := verbs[os.Args[1]](ctx, os.Args[2:], os.Stdin, os.Stdout); {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2)
	case err != nil:
		fmt.Fprintf(os.Stderr, "peers %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}

func parse(fs *flag.FlagSet, args []string) error {
	err := fs.Parse(args)
	if err == nil && fs.NArg() > 0 {
		err = fmt.Errorf("unexpected %q", fs.Arg(0))
		fmt.Fprintln(fs.Output(), err)
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		err = errUsage
	}
	return err
}

func printVersion(_ context.Context, _ []string, _ io.Reader, out io.Writer) error {
	_, err := fmt.Fprintln(out, version.Version)
	return err
}
