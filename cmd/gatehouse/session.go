package main

import (
	"bytes"
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"gatehouse/appliance/api"
	"gatehouse/appliance/client"
)

const slots = "document_front, document_back, selfie, liveness_frame_1 … liveness_frame_5"

func sessionCommands() []command {
	return []command{
		{
			name: "session create", args: "--consent-text VERSION --consent-channel CHANNEL", online: true, summary: "begin a verification",
			manual: `
Creates a session and prints its id. Evidence is put into it with 'session put';
'session submit' has it verified; 'session verify' does all of it at once.

The consent is what the person agreed to: the version of the text, where it was
given, and when. Your reference for the person is personal data, so it is read
from a file or from stdin.

Example:
  echo customer-4711 | gatehouse session create --consent-text 2026-03 --consent-channel branch --subject-ref-file -`,
			flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
				var s newSession
				s.define(fs)
				return func(ctx context.Context, c *call, args []string) error {
					if err := arguments(args); err != nil {
						return err
					}
					request, err := s.request(time.Now())
					if err != nil {
						return err
					}
					return with(c, func(n *client.Client) (*api.Session, error) {
						return n.CreateSession(ctx, *s.key, request)
					}, describeSession)
				}
			},
		},
		{
			name: "session put", args: "SESSION SLOT FILE", online: true, summary: "upload a picture as evidence",
			manual: `
Uploads a JPEG, PNG or WebP of at most 20 MiB into a slot: document_front,
document_back, selfie, liveness_frame_1 to liveness_frame_5. The same picture
again is not a new try. Ends with 3 where the picture or the slot is refused.

Example:
  gatehouse session put ses_06c2t0e6o1qk5f3b2a1s9d8f7g selfie selfie.jpg`,
			flags: func(*flag.FlagSet) func(context.Context, *call, []string) error { return sessionPut },
		},
		{
			name: "session submit", args: "SESSION", online: true, summary: "have the evidence verified",
			manual: `
Submits the session and prints where it stands; with --wait, when it is decided
or after that time.

Example:
  gatehouse session submit ses_06c2t0e6o1qk5f3b2a1s9d8f7g --wait 10s`,
			flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
				wait, key := defineWait(fs), defineKey(fs)
				return func(ctx context.Context, c *call, args []string) error {
					if err := cmp.Or(arguments(args, "SESSION"), checkWait(*wait)); err != nil {
						return err
					}
					return with(c, func(n *client.Client) (*api.Session, error) { return n.Submit(ctx, *key, args[0], *wait) }, describeSession)
				}
			},
		},
		{
			name: "session verify", args: "--document FILE [--document-back FILE] --selfie FILE", online: true, summary: "a whole verification by the node in one call",
			manual: `
Creates a session, uploads the pictures, submits, waits for the decision and
prints it, as 'gatehouse verify' does without a node. Where the decision takes
longer than --wait (10s where it is not given), 'session get' has it later.

Where the answer was lost, the same command with the same --idempotency-key and
--consent-given-at goes on where the first one stopped.

Example:
  gatehouse session verify --document passport.jpg --selfie selfie.jpg --consent-text 2026-03 --consent-channel branch`,
			flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
				var s newSession
				var files verifyFiles
				s.define(fs)
				fs.StringVar(&files.document, "document", "", "picture `FILE` of the document's data page or front")
				fs.StringVar(&files.back, "document-back", "", "picture `FILE` of the document's back")
				fs.StringVar(&files.selfie, "selfie", "", "picture `FILE` of the person")
				wait := defineWait(fs)
				return func(ctx context.Context, c *call, args []string) error {
					if files.document == "" || files.selfie == "" || len(args) > 0 {
						return fmt.Errorf("%w: it needs --document FILE and --selfie FILE", errUsage)
					}
					if err := checkWait(*wait); err != nil {
						return err
					}
					return sessionVerify(ctx, c, &s, files, *wait)
				}
			},
		},
	}
}

// newSession is what a session begins with.
type newSession struct {
	reference, text, channel, given, priority string
	key                                       *string
}

func (s *newSession) define(fs *flag.FlagSet) {
	fs.StringVar(&s.reference, "subject-ref-file", "", "your reference for the person, from this `FILE` (- is stdin)")
	fs.StringVar(&s.text, "consent-text", "", "`VERSION` of the text that the person agreed to")
	fs.StringVar(&s.channel, "consent-channel", "", "`CHANNEL` by which: branch, web, app, phone or paper")
	fs.StringVar(&s.given, "consent-given-at", "", "`TIME` (RFC 3339) at which (default: now)")
	fs.StringVar(&s.priority, "priority", "", "`PRIORITY`: interactive (worked on first) or batch")
	s.key = defineKey(fs)
}

// maxReference characters, as the contract has it.
const maxReference = 256

func (s *newSession) request(now time.Time) (r api.SessionRequest, err error) {
	given := now.UTC().Truncate(time.Second)
	if s.given != "" {
		if given, err = time.Parse(time.RFC3339, s.given); err != nil {
			return r, fmt.Errorf("%w: --consent-given-at is a time like 2026-11-24T09:00:00Z, not %q", errUsage, s.given)
		}
	}
	switch {
	case s.text == "" || !api.ConsentChannel(s.channel).Valid():
		return r, fmt.Errorf("%w: it needs --consent-text VERSION and --consent-channel (branch, web, app, phone or paper): nobody is verified without consent", errUsage)
	case s.priority != "" && !api.SessionRequestPriority(s.priority).Valid():
		return r, fmt.Errorf("%w: --priority is interactive or batch, not %q", errUsage, s.priority)
	}
	r = api.SessionRequest{Kind: api.SessionRequestKind("identity"), Consent: api.Consent{TextVersion: s.text, GivenAt: given.UTC(), Channel: api.ConsentChannel(s.channel)}}
	if s.priority != "" {
		p := api.SessionRequestPriority(s.priority)
		r.Priority = &p
	}
	if s.reference != "" {
		b, err := readSmall(s.reference, maxReference*utf8.UTFMax+2) // and a line's end
		if err != nil {
			return r, err
		}
		text := strings.TrimRight(string(b), "\r\n")
		if n := utf8.RuneCountInString(text); n == 0 || n > maxReference || !utf8.ValidString(text) {
			return r, &inputError{s.reference, fmt.Errorf("a reference is a line of 1 to %d characters in UTF-8", maxReference)}
		}
		r.SubjectRef = &text
	}
	return r, nil
}

func sessionPut(ctx context.Context, c *call, args []string) error {
	if err := arguments(args, "SESSION", "SLOT", "FILE"); err != nil {
		return err
	}
	slot := api.Slot(args[1])
	if !slot.Valid() {
		return fmt.Errorf("%w: there is no slot %q; give one of %s", errUsage, args[1], slots)
	}
	p, done, err := openPicture(ctx, args[2])
	if err != nil {
		return err
	}
	defer done()
	return with(c, func(n *client.Client) (*api.Evidence, error) {
		return n.PutEvidence(ctx, args[0], slot, p)
	}, func(e *api.Evidence) string {
		return fmt.Sprintf("Evidence %s: %s, %s, %d bytes, try %d\n", e.Id, e.Slot, oneLine(e.MediaType), e.Bytes, e.Tries)
	})
}

func sessionVerify(ctx context.Context, c *call, s *newSession, files verifyFiles, wait time.Duration) error {
	request, err := s.request(time.Now())
	if err != nil {
		return err
	}
	v := client.Verification{Session: request}
	for _, f := range []struct {
		name string
		to   **client.Picture
	}{{files.document, &v.DocumentFront}, {files.back, &v.DocumentBack}, {files.selfie, &v.Selfie}} {
		if f.name == "" {
			continue
		}
		p, done, err := openPicture(ctx, f.name)
		if err != nil {
			return err
		}
		defer done()
		*f.to = p
	}
	return with(c, func(n *client.Client) (*api.Session, error) { return n.Verify(ctx, *s.key, wait, v) }, describeSession)
}

// openPicture opens a picture to be sent as it is read. What is no plain file,
// a pipe, is read first: it may have to be sent twice.
func openPicture(ctx context.Context, name string) (*client.Picture, func(), error) {
	var from io.ReaderAt
	var size int64
	done := func() {}
	if st, err := os.Stat(name); err == nil && st.Mode().IsRegular() {
		if f, err := os.Open(name); err == nil {
			from, size, done = f, st.Size(), func() { f.Close() }
		}
	}
	if from == nil { // also for its errors
		b, err := readFile(ctx, name)
		if err != nil {
			return nil, nil, err
		}
		from, size = bytes.NewReader(b), int64(len(b))
	}
	p, err := client.NewPicture(from, size)
	if err != nil {
		done()
		return nil, nil, &inputError{name, fmt.Errorf("%w; save it as JPEG, PNG or WebP of at most 20 MiB", err)}
	}
	return p, done, nil
}
