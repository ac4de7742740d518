package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"gatehouse/appliance"
	"gatehouse/appliance/forward"
)

func runCommand() command {
	return command{
		name: "run", summary: "run a node in the foreground", args: "--data DIR",
		manual: `
Runs a node over a data directory, which it makes at the first start. It serves
the API over HTTPS (TLS 1.3) until it is interrupted, and then lets the requests
under way end.

The first start prints a one-time setup code; 'gatehouse setup' trades it for
the first administrator's credential. Until that is done every start prints a
new code.

Keys: the first start makes a key file beside the data directory (DIR.seal, or
--seal-file), which opens the seal at every start. Whoever has both can read
everything: move the file to another medium, and add a passphrase or shares
('gatehouse seal add'). Without a key file the node starts sealed and waits for
'gatehouse unseal'.

Certificate: the node makes its own at the first start (DIR/tls/cert.pem), which
clients pin with --ca. Give the bank's with --certificate and --key; changed
files are taken up without a restart.

Cluster: --peer names the address at which other nodes reach this one. It is kept,
and a node that has one can be joined by others ('gatehouse cluster invite') or has
joined ('gatehouse cluster join'). A node of a cluster waits at its start until a
majority of the voters answers; /livez answers meanwhile, everything else says so.
One that is stopped in order lets another one lead first.

--forward sends every event of the audit logs to the bank's own collection, in
order and at least once, beside the requests: syslog over TLS (RFC 5424), as
syslog+tls://HOST:6514?ca=FILE with cert=FILE&key=FILE where the receiver wants to
know the sender and name=HOST where its certificate has another name; or lines of
JSON, as file:///PATH, which logrotate may move. from=now leaves out what was
logged before. How far behind a sink is, 'gatehouse status' and the metrics tell.

The log goes to standard error. It holds no personal data and no keys.

Exit codes: 0 stopped when asked; 1 failure; 2 wrong usage; 10 the disk is
full; 11 the disk failed; 12 log, state, keys and signed checkpoints are damaged
or do not fit together ('gatehouse data check' says what); 13 a newer release of gatehouse
wrote an entry that this one does not know; 14 the node was removed from its
cluster. After 12 to 14 a restart does not help.

Example:
  gatehouse run --data /var/lib/gatehouse --listen 0.0.0.0:8443 --name idv.bank.example`,
		flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
			var r running
			fs.StringVar(&r.config.Data, "data", "", "keep everything in this `DIR`")
			fs.StringVar(&r.config.Listen, "listen", "127.0.0.1:8443", "serve the API at this `ADDRESS`")
			fs.Func("name", "a host `NAME` or address for the node's own certificate; may be repeated", func(s string) error {
				r.config.Names = append(r.config.Names, s)
				return nil
			})
			fs.StringVar(&r.config.Certificate, "certificate", "", "PEM `FILE` of the API's certificate, with its chain")
			fs.StringVar(&r.config.Key, "key", "", "PEM `FILE` of its key")
			fs.StringVar(&r.config.SealFile, "seal-file", "", "make the first key file at this `PATH` (default: DIR.seal)")
			fs.StringVar(&r.config.Peer, "peer", "", "`HOST:PORT` at which the other nodes of a cluster reach this one (default: as at the start before)")
			fs.StringVar(&r.config.PeerListen, "peer-listen", "", "wait for them at this `ADDRESS` (default: that of --peer)")
			fs.StringVar(&r.config.Name, "node-name", "", "`NAME` of the node for people, as server-1 (default: as before)")
			fs.IntVar(&r.config.Queue, "queue", 0, "let at most `N` verifications wait (default 0: 32 for each worker)")
			fs.DurationVar(&r.config.Stall, "stall", 0, "give up leadership, or end with code 11, where the disk does not end a write within this `TIME` (default 4s)")
			fs.Uint64Var(&r.reserve, "reserve", 1024, "refuse new evidence below this many `MiB` of free disk")
			fs.Func("forward", "forward the audit logs to this `ADDRESS`; may be repeated", func(s string) error {
				r.config.Forward = append(r.config.Forward, s)
				_, err := forward.ParseSink(s)
				return err
			})
			fs.StringVar(&r.level, "log-level", "info", "log from this `LEVEL` on: debug, info, warn, error")
			fs.StringVar(&r.format, "log-format", "text", "log as `FORMAT`: text or json")
			return r.run
		},
	}
}

type running struct {
	config        appliance.Config
	reserve       uint64
	level, format string
}

// clockOffset names a file with a duration by which the node's clock is shifted:
// nothing else shifts the clock of a Go program, and tests of a cluster need one
// that is wrong.
const clockOffset = "GATEHOUSE_CLOCK_OFFSET"

// shiftedBy reads the file at most ten times a second.
func shiftedBy(file string) func() time.Time {
	var mu sync.Mutex
	var read time.Time
	var by time.Duration
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		now := time.Now()
		if now.Sub(read) > 100*time.Millisecond {
			read = now
			if b, err := os.ReadFile(file); err == nil {
				if d, err := time.ParseDuration(strings.TrimSpace(string(b))); err == nil {
					by = d
				}
			}
		}
		return now.Add(by)
	}
}

// started is what a first look at a node needs.
type started struct {
	Address     string `json:"address"`
	Certificate string `json:"certificate"`
	Fingerprint string `json:"fingerprint_sha256"`
	Sealed      bool   `json:"sealed"`
	SetupCode   string `json:"setup_code,omitempty"`
}

func (r *running) run(ctx context.Context, c *call, args []string) error {
	if r.config.Data == "" || len(args) > 0 {
		return fmt.Errorf("%w: it needs --data DIR", errUsage)
	}
	if r.config.Stall < 0 || r.config.Stall > 0 && r.config.Stall < time.Second {
		return fmt.Errorf("%w: --stall is from 1s", errUsage)
	}
	if r.config.Queue < 0 || r.reserve == 0 {
		return fmt.Errorf("%w: --queue is a number from 0, --reserve from 1", errUsage)
	}
	log, err := r.logger(c.err)
	if err != nil {
		return err
	}
	// The engine's workers are counted before the processors are set.
	if c.workers == 0 {
		c.workers = runtime.NumCPU()
	}
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(appliance.Processors())
	}
	if os.Getenv("GOGC") == "" {
		defer runtime.KeepAlive(appliance.Ballast())
	}
	if r.config.Engine, err = c.engineConfig(); err != nil {
		return err
	}
	r.config.Version, r.config.Log, r.config.Reserve = version, log, r.reserve<<20
	if file := os.Getenv(clockOffset); file != "" {
		log.Warn("the clock is shifted, for tests", "by", file)
		r.config.Now = shiftedBy(file)
	}
	n, err := appliance.New(r.config)
	if err != nil {
		return err
	}
	if err := n.Open(ctx); err != nil {
		return c.broken(err)
	}
	r.announce(c, n)
	if err := n.Run(ctx); err != nil {
		log.Error("the node stops", "error", err)
		return c.broken(err) // closing would wait for what does not answer
	}
	return n.Close()
}

// broken gives an error with the exit code that a supervisor looks at.
func (c *call) broken(err error) error {
	if code := appliance.Exit(err); code > exitFailure {
		return c.end(err, code)
	}
	return err
}

// end gives an error with an exit code of its own.
func (c *call) end(err error, code int) error {
	p := describe(err)
	p.Exit = code
	fmt.Fprintf(c.err, "gatehouse: %s\n", p.Detail)
	if c.json || c.jsonl {
		c.print(map[string]problem{"error": p})
	}
	c.exit = code
	return errReported
}

func (r *running) announce(c *call, n *appliance.Node) {
	s := started{"https://" + n.Address(), n.CertificateFile(), n.Fingerprint(), n.Sealed(), n.SetupCode()}
	if c.json || c.jsonl {
		c.print(s)
		return
	}
	fmt.Fprintf(c.out, "gatehouse %s serves %s\n  certificate  %s\n  sha256       %s\n", version, s.Address, s.Certificate, s.Fingerprint)
	if s.Sealed {
		fmt.Fprint(c.out, "  sealed       it waits for 'gatehouse unseal'\n")
	}
	if s.SetupCode != "" {
		fmt.Fprintf(c.out, "\nNobody has set it up. This code works once:\n\n  gatehouse setup --server %s --ca %s --code %s\n\n", s.Address, s.Certificate, s.SetupCode)
	}
}

func (r *running) logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(r.level)); err != nil {
		return nil, fmt.Errorf("%w: --log-level %q; use debug, info, warn or error", errUsage, r.level)
	}
	options := &slog.HandlerOptions{Level: level}
	switch r.format {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return nil, fmt.Errorf("%w: --log-format %q; use text or json", errUsage, r.format)
}
