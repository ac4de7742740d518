package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"strings"

	"gatehouse/appliance/api"
	"gatehouse/appliance/client"
)

const searchManual = `
Searches the tenant's subjects and its blocklist for whom a face is like: the
largest face of a picture, or with --session the face of a decided session, whose
own person is left out. Who is less similar than the threshold is nobody, and is
not named. The search and its purpose are in the audit log before the answer
leaves the node.

FMR, the false match rate, is how often two different persons are as similar as
that. FPIR, the false positive identification rate, is how often a search names
somebody although the person is not enrolled. Each face of the list is another
chance to be wrong: among N faces FPIR = 1 - (1 - FMR)^N. So that it stays at
--fpir the threshold rises with the list: an FPIR of 0.01 needs an FMR of about
1e-5 among a thousand faces, and of 1e-8 among a million. A lower --fpir names
fewer wrong persons and misses more of the right ones. Where the threshold lies
above what the models' calibration measured, the output says so: then it is a
projection.

--engine exact compares every face and misses none. graph looks at few of the
subjects, and is for very large galleries; the output has its recall, how often it
gave the most similar face when that was measured. 'gallery rebuild --graph'
builds it. The blocklist is always compared exactly, and so is every verification.

Who is erased or taken off the blocklist is in no later search: the face is wiped
from memory, and from the snapshots on the disk, before the removal answers.

Ends with 0 whether somebody was found or not.

Example:
  gatehouse gallery search selfie.jpg --purpose compliance
  gatehouse gallery search --session ses_06c2t0e6o1qk5f3b2a1s9d8f7g --list subjects --k 20 --purpose review --json`

// Limits of a search, as the contract has them.
const (
	maxCandidates = 100
	maxFPIR       = 0.5
)

type searchFlags struct {
	query        client.FaceQuery
	list, engine string
	purpose, key *string
}

func (s *searchFlags) define(fs *flag.FlagSet) {
	fs.StringVar(&s.query.Session, "session", "", "search for the face of this decided `SESSION`")
	fs.IntVar(&s.query.K, "k", 5, "at most `N` candidates of each list, 1 to 100")
	fs.Float64Var(&s.query.FPIR, "fpir", 0.01, "`RATE` of searches that may name somebody for a person who is not enrolled, up to 0.5")
	fs.StringVar(&s.list, "list", "both", "which `LIST`: subjects, blocklist or both")
	fs.StringVar(&s.engine, "engine", "exact", "`ENGINE`: exact or graph")
	s.purpose, s.key = definePurpose(fs), defineKey(fs)
}

func (s *searchFlags) run(ctx context.Context, c *call, args []string) error {
	q := s.query
	q.List, q.Engine = api.SearchFormList(s.list), api.SearchFormEngine(s.engine)
	switch {
	case q.K < 1 || q.K > maxCandidates:
		return fmt.Errorf("%w: --k is from 1 to %d, not %d", errUsage, maxCandidates, q.K)
	case !(q.FPIR > 0 && q.FPIR <= maxFPIR):
		return fmt.Errorf("%w: --fpir is above 0 and at most %g, not %g", errUsage, maxFPIR, q.FPIR)
	case !q.List.Valid():
		return fmt.Errorf("%w: --list is subjects, blocklist or both, not %q", errUsage, s.list)
	case !q.Engine.Valid():
		return fmt.Errorf("%w: --engine is exact or graph, not %q", errUsage, s.engine)
	}
	if err := cmp.Or(oneProbe(args, q.Session), checkPurpose(*s.purpose)); err != nil {
		return err
	}
	done, err := openProbe(ctx, args, &q.Probe)
	if err != nil {
		return err
	}
	defer done()
	return with(c, func(n *client.Client) (*api.FaceSearch, error) {
		return n.SearchFaces(ctx, *s.key, api.Purpose(*s.purpose), q)
	}, describeSearch)
}

// oneProbe checks that there is one face: a file or a session.
func oneProbe(args []string, session string) error {
	if len(args) > 1 || (len(args) == 1) == (session != "") {
		return fmt.Errorf("%w: it needs one face: FILE or --session SESSION", errUsage)
	}
	return nil
}

// openProbe opens the picture, where the face is in one.
func openProbe(ctx context.Context, args []string, p *client.Probe) (done func(), err error) {
	if len(args) == 0 {
		return func() {}, nil
	}
	p.Picture, done, err = openPicture(ctx, args[0])
	return done, err
}

func describeSearch(f *api.FaceSearch) string {
	var w strings.Builder
	describeMatches(&w, "Subjects", f.Subjects)
	describeMatches(&w, "Blocklist", f.Blocklist)
	if f.Model != nil {
		fmt.Fprintf(&w, "Model: %s\n", oneLine(*f.Model))
	}
	return w.String()
}

// describeMatches prints what a search of one list came to; nothing where it was
// not searched.
func describeMatches(w *strings.Builder, list string, m *api.FaceMatches) {
	if m == nil {
		return
	}
	among := plural(m.Compared, "face")
	if m.OtherModels > 0 {
		among += fmt.Sprintf("; %d of other models were not compared", m.OtherModels)
	}
	fmt.Fprintf(w, "%s: %s, among %s\n", list, map[bool]string{true: "FOUND", false: "unknown"}[m.Outcome == api.FaceMatchesOutcomeFound], among)
	text := fmt.Sprintf("%.4f (FMR %.1e, FPIR %g)", m.Threshold, m.ThresholdFmr, m.Fpir)
	if m.BeyondCalibration {
		text += ", above what the calibration measured"
	}
	line(w, "threshold", text)
	engine := string(m.Engine)
	if m.Recall != nil {
		engine += fmt.Sprintf(", recall %.4f", *m.Recall)
	}
	line(w, "engine", engine)
	for _, c := range m.Candidates {
		fmt.Fprintf(w, "  %s  %s  similarity %.4f  FMR ≤ %.1e  FPIR ≤ %.1e\n", oneLine(or(c.Session, or(c.Entry, ""))), oneLine(c.Subject), c.Similarity, c.Fmr, c.Fpir)
	}
}
