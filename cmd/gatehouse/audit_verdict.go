package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/store/audit/bundle"
	"gatehouse/store/audit/trust"
)

// audited is a verdict as it is printed.
type audited struct {
	File string `json:"file"`
	*bundle.Verdict
	Next          string `json:"next,omitempty"`           // what to do about the finding
	State         string `json:"state,omitempty"`          // that was written
	DisclosedFile string `json:"disclosed_file,omitempty"` // that was written
	EvidenceFile  string `json:"evidence_file,omitempty"`  // that has the evidence

	// In place of the verdict's: the names as JSON has them elsewhere.
	End       *shownHead `json:"end,omitempty"`
	SystemEnd *shownHead `json:"system_end,omitempty"`
}

// shownHead is a head of a log, and who has signed it.
type shownHead struct {
	Origin   string           `json:"origin"`
	Size     int64            `json:"size"`
	Root     tlog.Hash        `json:"root"`
	Keys     []string         `json:"keys"`
	Cosigned []trust.Cosigned `json:"cosigned"`
	Unknown  []string         `json:"unknown_keys,omitempty"`
}

func headOf(v *trust.Verified) *shownHead {
	if v == nil {
		return nil
	}
	h := &shownHead{v.Origin, v.Size, v.Root, v.Keys, v.Cosigned, v.Unknown}
	if h.Cosigned == nil {
		h.Cosigned = []trust.Cosigned{}
	}
	return h
}

func newAudited(file string, v *bundle.Verdict) *audited {
	return &audited{File: file, Verdict: v, End: headOf(v.End), SystemEnd: headOf(v.SystemEnd)}
}

func (a *audited) describe() string {
	var w strings.Builder
	if a.Good {
		fmt.Fprintf(&w, "Good: %s of the log, none missing, none altered, in order\n\n", plural(int(a.Leaves), "record"))
		a.facts(&w)
		a.more(&w, "Not shown by it:", a.Notes)
		return w.String()
	}
	f := a.Finding
	fmt.Fprintf(&w, "NOT GOOD: code %d, at the step %s\n\n", f.Code, f.Step)
	line(&w, "finding", f.Detail)
	if f.Leaf != nil {
		line(&w, "record", fmt.Sprint(*f.Leaf))
	}
	if a.Origin != "" {
		line(&w, "log", a.Origin)
		line(&w, "range", fmt.Sprintf("from size %d to %d", a.From, a.To))
	}
	if a.EvidenceFile != "" {
		line(&w, "evidence", a.EvidenceFile)
	}
	fmt.Fprintf(&w, "\n%s\n", f.Meaning)
	if a.Next != "" {
		fmt.Fprintf(&w, "What to do: %s\n", oneLine(a.Next))
	}
	w.WriteString("Nothing of it was remembered.\n")
	return w.String()
}

func (a *audited) facts(w *strings.Builder) {
	line(w, "log", a.Origin)
	line(w, "range", fmt.Sprintf("from size %d to %d", a.From, a.To))
	if a.Leaves > 0 {
		line(w, "times", clock(time.Unix(0, int64(a.FirstTime)))+" to "+clock(time.Unix(0, int64(a.LastTime))))
	}
	line(w, "root", a.Root.String())
	line(w, "signed by", strings.Join(a.End.Keys, ", "))
	for _, k := range a.End.Cosigned {
		line(w, "cosigned by", k.Name+", "+clock(k.At))
	}
	if a.SystemEnd != nil {
		line(w, "anchored in", fmt.Sprintf("%s, at size %d", a.SystemEnd.Origin, a.SystemEnd.Size))
	}
	line(w, "exported", clock(a.Exported))
	if a.Nonce != "" {
		line(w, "nonce", a.Nonce)
	}
	line(w, "erasures", fmt.Sprint(a.Erasures))
	if a.Disclosed > 0 {
		line(w, "disclosed", plural(a.Disclosed, "value"))
	}
	if a.DisclosedFile != "" {
		line(w, "written to", a.DisclosedFile)
	}
	if a.State != "" {
		line(w, "state", fmt.Sprintf("%s: the next bundle begins at %d", a.State, a.To))
	}
}

func (a *audited) more(w *strings.Builder, heading string, all []string) {
	if len(all) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", heading)
	for _, n := range all {
		fmt.Fprintf(w, "  - %s\n", oneLine(n))
	}
}

// next is what to do about a finding.
func next(v *bundle.Verdict, s *state) string {
	switch v.Code {
	case bundle.CodeManifest:
		return "get the file again, and compare its SHA-256 with the one that 'audit export' printed."
	case bundle.CodeSignature, bundle.CodeUnknownKey:
		return "compare the keys of your policy with what 'gatehouse audit trust' prints at the bank, by another way than the bundles take; a key that was replaced stays in the policy, with the sizes at which it counts."
	case bundle.CodeQuorum:
		if v.Evidence != nil {
			return "keep the evidence: the log has signed two histories, and the witnesses have not cosigned this one; whoever has your policy is convinced by 'gatehouse audit fork'."
		}
		return "ask the bank whether it keeps what the witnesses signed, of the system's log too, and exported the same range again since; then ask the witnesses why they did not cosign."
	case bundle.CodeStart:
		if last, ok := s.memory.Last(v.Origin); ok {
			return fmt.Sprintf("ask for the bundle that begins where you ended: 'gatehouse audit export --from %d'. If the bank cannot make it, its log was put back: keep your state.", last.Size)
		}
		return "ask for a bundle from 0, or accept this beginning with --first-use once you know why you take it."
	case bundle.CodeFork:
		if v.Evidence == nil {
			return "keep the bundle and your state; put back into your policy the keys that signed what you have seen, for with them the evidence can be made; ask for the same range again, and compare with other auditors of this log."
		}
		return "keep the evidence, the bundle and your state apart from the bank; whoever has your policy is convinced by 'gatehouse audit fork'."
	case bundle.CodeOrder, bundle.CodeAltered:
		return "keep the bundle and ask for the same range again: where that has the finding too, the log at the bank was changed."
	case bundle.CodeTime:
		return "ask the bank about its clocks at that time; a clock that was behind is accepted with --clock-tolerance."
	case bundle.CodeDisclosure:
		return "check that --secret is the key that the bank disclosed to, then ask for the bundle again."
	case bundle.CodeStale:
		return "ask for an export that begins at the same size and is made with your nonce."
	}
	return ""
}

// keep writes the evidence of a fork into a file that is not there yet. Where it
// cannot, the verdict stands, and --json prints the evidence too.
func (a *audited) keep(c *call, file string) {
	if a.Evidence == nil {
		return
	}
	if file == "" {
		if file = a.File + ".fork.json"; a.File == "-" {
			file = "bundle.fork.json"
		}
	}
	b, err := a.Evidence.Encode()
	if err == nil {
		err = writeNew(file, b)
	}
	if err != nil {
		fmt.Fprintf(c.err, "gatehouse: the evidence is not written: %s: %s; name another file with --evidence\n", oneLine(file), oneLine(cause(err).Error()))
		return
	}
	a.EvidenceFile = file
}

// writeNew writes a file that is not there, or is there with these bytes.
func writeNew(name string, b []byte) (err error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		if had, err := readSmall(name, int64(len(b))); err == nil && bytes.Equal(had, b) {
			return nil
		}
		return errors.New("it is there already and is not overwritten")
	}
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			os.Remove(name)
		}
	}()
	if _, err := f.Write(b); err != nil {
		return err
	}
	return f.Sync()
}
