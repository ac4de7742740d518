package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/appliance/api"
	"gatehouse/appliance/client"
	"gatehouse/store/audit"
	"gatehouse/store/audit/trust"
)

func exportCommand() command {
	return command{
		name: "audit export", args: "--out FILE [--from SIZE|TIME] [--to SIZE|TIME] [--nonce TEXT]", online: true, summary: "a signed bundle that an auditor verifies offline",
		manual: `
Writes a range of the log into one file with all that shows that nothing is
missing from it, was changed or put between: give it to the auditor, who needs
'gatehouse audit verify' and nothing else. The file is written whole or not at
all.

--from and --to are sizes of the log (--from is where the last bundle ended), or
times: --from includes its time, --to does not. Without --to the range ends at
the log's present head. The same range gives the same bytes but for the time of
the signature.

--nonce is a text that the auditor has chosen. It is written into the log before
the export, once, so that the bundle cannot be older than the auditor's request.

--disclose-to has the bundle also say what the commitments to personal data stand
for, encrypted to the auditor's key ('gatehouse audit keygen'). It is for the role
compliance and needs --purpose. What was erased stays closed.

Example:
  gatehouse audit export --from 4711 --nonce 2026-q4-7f3a --out bank-2026-q4.ekab`,
		flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
			var e exportFlags
			fs.StringVar(&e.tenant, "tenant", "", "of this tenant's log, by `ID`: it must be the credential's own (default)")
			fs.StringVar(&e.from, "from", "0", "begin at this `SIZE|TIME`")
			fs.StringVar(&e.to, "to", "", "end at this `SIZE|TIME` (default: the present head)")
			fs.StringVar(&e.nonce, "nonce", "", "show that the bundle is not older than this `TEXT` of the auditor's: 8 to 128 letters, digits or _.+/=:-")
			fs.StringVar(&e.recipient, "disclose-to", "", "disclose personal data to the public key in this `FILE`")
			fs.StringVar(&e.purpose, "purpose", "", "`WHY` personal data are disclosed; kept in the audit log")
			fs.StringVar(&e.out, "out", "", "write the bundle into this `FILE`")
			fs.BoolVar(&e.force, "force", false, "overwrite a file that is there")
			e.log = defineLog(fs)
			return e.run
		},
	}
}

type exportFlags struct {
	tenant, from, to, nonce, recipient, purpose, out string
	force                                            bool
	log                                              *string
}

// exported is a bundle that was written.
type exported struct {
	File   string `json:"file"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

func (e *exportFlags) run(ctx context.Context, c *call, args []string) error {
	if err := cmp.Or(arguments(args), checkLog(*e.log)); err != nil {
		return err
	}
	part, err := e.part()
	if err != nil {
		return err
	}
	n, err := c.node.client()
	if err != nil {
		return err
	}
	if e.tenant != "" {
		if err := e.own(ctx, n); err != nil {
			return err
		}
	}
	out, err := e.write(ctx, c, n, part)
	if err != nil {
		return err
	}
	show(c, out, func(x *exported) string {
		return fmt.Sprintf("%s: %d bytes, SHA-256 %s\nverify it: gatehouse audit verify %s --trust POLICY\n", oneLine(x.File), x.Bytes, x.SHA256, oneLine(x.File))
	})
	return nil
}

// part of the log that is asked for.
func (e *exportFlags) part() (part api.AuditRange, err error) {
	log := api.AuditRangeLog(*e.log)
	part.Log = &log
	if e.out == "" {
		return part, fmt.Errorf("%w: it needs --out FILE", errUsage)
	}
	if part.From, part.After, err = sizeOrTime("--from", e.from); err != nil {
		return part, err
	}
	if part.To, part.Before, err = sizeOrTime("--to", e.to); err != nil {
		return part, err
	}
	if e.nonce != "" {
		part.Nonce = &e.nonce
	}
	if (e.recipient == "") != (e.purpose == "") {
		return part, fmt.Errorf("%w: --disclose-to and --purpose go together", errUsage)
	}
	if e.recipient == "" {
		return part, nil
	}
	if err := checkPurpose(e.purpose); err != nil {
		return part, err
	}
	b, err := readSmall(e.recipient, maxTrust)
	if err != nil {
		return part, err
	}
	text := strings.TrimSpace(string(b))
	part.Recipient = &text
	return part, nil
}

// own refuses another tenant than the credential's, whose log it is.
func (e *exportFlags) own(ctx context.Context, n *client.Client) error {
	policy, err := n.AuditTrust(ctx)
	if err != nil {
		return err
	}
	p, err := trust.ParsePolicy(policy)
	if err != nil {
		return err
	}
	owns := slices.ContainsFunc(p.Logs(), func(origin string) bool {
		_, tenant, _, err := audit.ParseOrigin(origin)
		return err == nil && tenant == e.tenant && tenant != audit.System
	})
	if *e.log != "tenant" || !owns {
		return fmt.Errorf("%w: the credential is not of the tenant %s", errUsage, e.tenant)
	}
	return nil
}

// write the bundle beside its place and move it there when it is whole.
func (e *exportFlags) write(ctx context.Context, c *call, n *client.Client, part api.AuditRange) (_ *exported, err error) {
	if _, err := os.Lstat(e.out); err == nil && !e.force {
		return nil, &inputError{e.out, errors.New("it is there already; name another file, or overwrite it with --force")}
	}
	f, err := os.CreateTemp(filepath.Dir(e.out), ".gatehouse-*")
	if err != nil {
		return nil, &inputError{e.out, fmt.Errorf("it cannot be written: %w; give --out a file in an existing directory where this user may write", cause(err))}
	}
	defer func() {
		f.Close()
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	h := sha256.New()
	show := c.progress("MiB")
	err = n.ExportAudit(ctx, part, api.Purpose(e.purpose), io.MultiWriter(f, h), func(done, total int64) { show(int(done>>20), int(total>>20)) })
	if err != nil {
		return nil, err
	}
	size, err := f.Seek(0, io.SeekCurrent)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(f.Name(), e.out)
	}
	if err != nil {
		return nil, fmt.Errorf("%s cannot be written: %w", e.out, cause(err))
	}
	return &exported{e.out, size, hex.EncodeToString(h.Sum(nil))}, nil
}

// sizeOrTime reads a size of the log or a time.
func sizeOrTime(name, text string) (*int64, *time.Time, error) {
	if text == "" {
		return nil, nil, nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 0 {
		return &n, nil, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return nil, &t, nil
	}
	return nil, nil, fmt.Errorf("%w: %s is a size of the log or a time like 2026-11-01T00:00:00Z, not %q", errUsage, name, text)
}

// timeFlag is a flag that takes a time.
type timeFlag struct{ to **instant }

// instant is a time that a flag gave; nil where it was not given.
type instant time.Time

func (i *instant) time() *time.Time { return (*time.Time)(i) }

func (f timeFlag) String() string { return "" }

func (f timeFlag) Set(text string) error {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return errors.New("it is no time like 2026-11-01T00:00:00Z")
	}
	*f.to = (*instant)(&t)
	return nil
}
