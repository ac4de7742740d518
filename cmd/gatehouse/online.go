package main

import (
	"errors"
	"flag"
	"fmt"
	"net/http"
	"strings"
	"time"

	"gatehouse/appliance/api"
	"gatehouse/appliance/client"
)

// errSignedOut: there is no credential to call a node with.
var errSignedOut = errors.New("not signed in")

// nodeProblem is the refusal of a node as JSON: what RFC 9457 has, besides a
// problem of this program.
type nodeProblem struct {
	Type string `json:"type,omitempty"`
	problem
	Status    int    `json:"status,omitempty"`
	Field     string `json:"field,omitempty"`
	Limit     string `json:"limit,omitempty"`
	Next      string `json:"next,omitempty"`
	RequestID string `json:"request_id,omitempty"`
}

// answered tells whether err came of calling a node.
func answered(err error) bool {
	var p *client.Problem
	return errors.As(err, &p) || errors.Is(err, errSignedOut) || errors.Is(err, client.ErrUnreachable) || errors.Is(err, client.ErrName)
}

// failOnline is fail for what came of calling a node.
func (c *call) failOnline(err error) int {
	p := nodeProblem{problem: describe(err)}
	var from *client.Problem
	switch {
	case errors.As(err, &from):
		p.Type, p.Title, p.Detail = from.Type, oneLine(from.Title), oneLine(from.Detail)
		p.Status, p.Field, p.Limit, p.Next, p.RequestID = from.Status, from.Field, from.Limit, from.Next, from.RequestID
		p.Exit = exitOf(from.Status)
	case errors.Is(err, errSignedOut):
		p.Title, p.Exit = "not signed in", exitDenied
	case errors.Is(err, client.ErrName):
		p.Title, p.Exit = "input refused", exitRefused
	default:
		p.Title, p.Exit = "node not reached", exitAway
	}
	fmt.Fprintf(c.err, "gatehouse: %s\n", oneLine(err.Error()))
	if c.json || c.jsonl {
		c.print(map[string]nodeProblem{"error": p})
	}
	return p.Exit
}

// exitOf the status of a refusal.
func exitOf(status int) int {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return exitDenied
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return exitAway
	case http.StatusRequestTimeout:
		return exitFailure
	}
	if 400 <= status && status < 500 {
		return exitRefused
	}
	return exitFailure
}

// with runs do with what calls the node, and prints what it gives.
func with[T any](c *call, do func(*client.Client) (*T, error), human func(*T) string) error {
	node, err := c.node.client()
	if err != nil {
		return err
	}
	v, err := do(node)
	if err != nil {
		return err
	}
	show(c, v, human)
	return nil
}

// show prints an answer, as JSON or as a person reads it.
func show[T any](c *call, v *T, human func(*T) string) {
	if c.json || c.jsonl {
		c.print(v)
		return
	}
	fmt.Fprint(c.out, human(v))
}

// defineKey defines the flag of commands that take effect once.
func defineKey(fs *flag.FlagSet) *string {
	return fs.String("idempotency-key", "", "`KEY` of an earlier run: the same command again has no second effect (default: a random one)")
}

// defineWait defines --wait for a decision.
func defineWait(fs *flag.FlagSet) *time.Duration {
	return fs.Duration("wait", 0, "wait up to this `TIME` for the decision, at most 30s")
}

// longestWait is the contract's.
const longestWait = 30 * time.Second

func checkWait(d time.Duration) error {
	if d < 0 || d > longestWait {
		return fmt.Errorf("%w: --wait is from 0s to %s, not %s", errUsage, longestWait, d)
	}
	return nil
}

// definePurpose defines --purpose, which nothing takes the place of.
func definePurpose(fs *flag.FlagSet) *string {
	return fs.String("purpose", "", "`WHY` the personal data are needed: verification, review, compliance, audit, support, subject_request or legal; kept in the audit log")
}

func checkPurpose(p string) error {
	if !api.Purpose(p).Valid() {
		return fmt.Errorf("%w: it needs --purpose: verification, review, compliance, audit, support, subject_request or legal, not %q", errUsage, p)
	}
	return nil
}

// arguments checks that there are as many as there are names for them.
func arguments(args []string, names ...string) error {
	switch {
	case len(args) == len(names):
		return nil
	case len(names) == 0:
		return fmt.Errorf("%w: it takes no arguments", errUsage)
	}
	return fmt.Errorf("%w: it needs %s", errUsage, strings.Join(names, " "))
}

// clock is a time as a person reads it, to the second.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// line is a name and a value below a heading.
func line(w *strings.Builder, name, value string) {
	fmt.Fprintf(w, "  %-14s %s\n", name, oneLine(value))
}

// or gives what p points at, or something else where it is nil.
func or[T any](p *T, other T) T {
	if p == nil {
		return other
	}
	return *p
}
