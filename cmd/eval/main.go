// Command eval measures what the engine is worth: how right it is on the
// evaluation data, how fast and how large it is here, alone and as a node that
// serves, and how programs that others use do beside it. It is behind make eval
// and make bench.
//
// Every figure is measured in the run that prints it. A goal that is missed is
// shown; it must never be hidden, nor a figure printed that was not measured.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

const usage = `Usage: go run ./cmd/eval COMMAND [flags]

  accuracy   measure on the evaluation data; skipped where that is absent
  speed      measure time and memory, on pictures that it makes itself
  service    measure the built program as a node, on a disk
  gallery    search for faces beside other programs; takes 7 GB of disk
  audit      fill an audit log, search, export, verify and forward it
  cluster    agree on writes, beside etcd and rqlite; takes 1 GB of disk
  scale      start a node with a million sessions, and join another to it; 60 GB
  peers      read the same passports with other programs

Run it at the root of the repository, after make assets. Tables come first, then
every figure on a line, also kept as build/figures/NAME:

  figure NAME VALUE UNIT goal OP VALUE met|missed|info|skipped:WHY

Exit codes: 0 done, also where goals are missed; 1 an error, or a test vector
that fails; 2 wrong usage.

Flags:
`

var errUsage = errors.New("wrong usage")

// buildDir is where everything is kept that a run makes.
const buildDir = "build"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	var f flags
	fs := f.set()
	help := func(to io.Writer) {
		fmt.Fprint(to, usage)
		fs.SetOutput(to)
		fs.PrintDefaults()
	}
	verbs := map[string]func(context.Context, *report, *flags) error{"accuracy": accuracy, "speed": speed, "peers": peers, "service": service, "gallery": gallerySearch, "audit": auditLogs, "cluster": clusterWrites, "cluster-node": clusterNode, "scale": scale}
	if len(args) > 0 && strings.Trim(args[0], "-") == "help" {
		help(out)
		return 0
	}
	if len(args) == 0 || verbs[args[0]] == nil {
		help(errOut)
		return 2
	}
	switch err := fs.Parse(args[1:]); {
	case errors.Is(err, flag.ErrHelp):
		help(out)
		return 0
	case err == nil && fs.NArg() > 0:
		err = fmt.Errorf("unexpected %q", fs.Arg(0))
		fallthrough
	case err != nil:
		fmt.Fprintf(errOut, "eval %s: %v; see 'eval help'\n", args[0], err)
		return 2
	}
	r := &report{out: out, progress: errOut, dir: filepath.Join(buildDir, "figures")}
	err := verbs[args[0]](ctx, r, &f)
	if e := r.close(err == nil); err == nil {
		err = e
	}
	switch {
	case errors.Is(err, errUsage):
		fmt.Fprintf(errOut, "eval %s: %v; see 'eval help'\n", args[0], err)
		return 2
	case err != nil:
		fmt.Fprintf(errOut, "eval %s: %v\n", args[0], err)
		return 1
	}
	return 0
}

// flags are those of all commands.
type flags struct {
	data    string
	only    string
	doc     string
	fresh   bool
	verbose bool
	binary  string
	quick   bool
	rows    int
	long    bool
	cluster clusterFlags
	scale   scaleFlags
}

func (f *flags) set() *flag.FlagSet {
	fs := flag.NewFlagSet("eval", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&f.data, "data", "../shared/data", "`DIR` with the evaluation data (accuracy, peers)")
	fs.StringVar(&f.only, "only", "", "this `PART` alone: of accuracy faces, mrz or liveness; of service api, writes, uploads or start; of gallery exact, graph or ready; of audit append, search, bundle, proofs or forward; of scale make, restart or join")
	fs.StringVar(&f.doc, "doc", "", "write the tables of accuracy to this Markdown `FILE` too")
	fs.BoolVar(&f.fresh, "fresh", false, "make all templates anew instead of using the kept ones")
	fs.BoolVar(&f.verbose, "verbose", false, "print every misread line beside its truth")
	fs.StringVar(&f.binary, "binary", "./gatehouse", "the built `FILE` that is measured (speed, service, audit, scale)")
	fs.BoolVar(&f.quick, "quick", false, "a shorter run, whose figures vary more (service, gallery, cluster), or a log of 100,000 events (audit)")
	fs.IntVar(&f.rows, "rows", 0, "search `N` rows instead of 100,000 and then 1,000,000 (gallery), or fill a log of N events instead of 1,000,000 (audit)")
	fs.BoolVar(&f.long, "long", false, "other dimensions and the graph at 1,000,000 rows too: hours (gallery); 10,000,000 events (audit)")
	f.cluster.set(fs)
	f.scale.set(fs)
	return fs
}
