package main

import (
	"context"
	"flag"
	"fmt"
	"strconv"
	"strings"

	"gatehouse/appliance/api"
	"gatehouse/appliance/client"
)

func subjectCommands() []command {
	return []command{
		{
			name: "subject get", args: "SUBJECT --purpose WHY", online: true, summary: "what is held of a person",
			manual: `
Prints your reference for the person and the person's sessions. The reading and
its purpose are in the audit log before the answer leaves the node.

Example:
  gatehouse subject get sub_06c2t0e6o1qk5f3b2a1s9d8f7g --purpose subject_request`,
			flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
				purpose := definePurpose(fs)
				return func(ctx context.Context, c *call, args []string) error {
					if err := arguments(args, "SUBJECT"); err != nil {
						return err
					}
					if err := checkPurpose(*purpose); err != nil {
						return err
					}
					return with(c, func(n *client.Client) (*api.Subject, error) {
						return n.Subject(ctx, args[0], api.Purpose(*purpose))
					}, describeSubject)
				}
			},
		},
		{
			name: "subject erase", args: "SUBJECT --reason WHY --yes", online: true, summary: "erase a person",
			manual: `
Destroys the key of everything that is held of the person: the pictures, the
results, the reference. It cannot be undone, so --yes is needed. Prints what was
removed and what is still pending. The audit log keeps the events, without
personal data, and still verifies.

Example:
  gatehouse subject erase sub_06c2t0e6o1qk5f3b2a1s9d8f7g --reason subject_request --yes`,
			flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
				reason := fs.String("reason", "", "`WHY`: subject_request, retention, error or legal")
				yes := fs.Bool("yes", false, "erase")
				return func(ctx context.Context, c *call, args []string) error {
					if err := arguments(args, "SUBJECT"); err != nil {
						return err
					}
					if !api.ErasureReason(*reason).Valid() || !*yes {
						return fmt.Errorf("%w: it needs --reason (subject_request, retention, error or legal) and --yes: it cannot be undone", errUsage)
					}
					return with(c, func(n *client.Client) (*api.Erasure, error) {
						return n.EraseSubject(ctx, args[0], api.ErasureReason(*reason))
					}, describeErasure)
				}
			},
		},
	}
}

func describeSubject(s *api.Subject) string {
	var w strings.Builder
	fmt.Fprintf(&w, "Subject %s\n", s.Id)
	if s.SubjectRef != nil {
		line(&w, "reference", *s.SubjectRef)
	}
	line(&w, "created", clock(s.CreatedAt))
	if s.ErasedAt != nil {
		line(&w, "erased", clock(*s.ErasedAt))
	}
	for _, id := range s.Sessions {
		line(&w, "session", id)
	}
	return w.String()
}

func describeErasure(e *api.Erasure) string {
	var w strings.Builder
	fmt.Fprintf(&w, "Subject %s: erased %s\n", e.Subject, clock(e.ErasedAt))
	if e.EvidenceRemoved != nil {
		line(&w, "removed", strconv.Itoa(*e.EvidenceRemoved)+" of evidence")
	}
	for _, p := range e.Pending {
		line(&w, "pending", p)
	}
	return w.String()
}
