package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"gatehouse/appliance/ledger"
	"gatehouse/store/audit"
)

func (s *auditRun) bundleFigures() []figure {
	return []figure{
		info("audit_export_1m_s", "s", 1), info("audit_export_mb_s", "MB_per_s", 0), goal("audit_verify_1m_s", "s", 1, "<", 60), goal("audit_verify_rss_mb", "MB", 0, "<", 300),
		info("audit_verify_over_sha256", "ratio", 2),
	}
}

// mostBundled events, for which the goals are.
const mostBundled = 1_000_000

func (s *auditRun) bundled() int64 { return min(s.size, mostBundled) }

// bundles exports a bundle and has the program verify it.
func (s *auditRun) bundles(ctx context.Context) error {
	path, policy := filepath.Join(s.dir, "bundle.ekab"), filepath.Join(s.dir, "policy")
	defer os.Remove(path)
	export, err := wall(func() error { return s.export(ctx, path) })
	if err != nil {
		return err
	}
	trust, err := s.log.ledger.Trust(ctx, s.log.tenant)
	if err != nil {
		return err
	}
	if err := os.WriteFile(policy, []byte(trust), 0o600); err != nil {
		return err
	}
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	mb := float64(st.Size()) / 1e6
	t := table{title: fmt.Sprintf("A bundle of %d events, %.0f MB", s.bundled(), mb), head: []string{"what", "s", "MB/s", "peak memory, MB"},
		note: "Exporting is by this process, with the whole machine, to a file that is synced. SHA-256 and 'gatehouse audit verify' have one core, and find\nthe file in the page cache. Peak memory counts the mapped parts of the program's file."}
	row := func(name string, ms float64, memory string) {
		t.add(name, fmt.Sprintf("%.2f", ms/1e3), fmt.Sprintf("%.0f", mb/ms*1e3), memory)
	}
	row("export", export, "–")
	s.measure("audit_export_mb_s", mb/export*1e3)
	hash, verify, rss, err := s.verify(ctx, path, policy)
	absent := errors.Is(err, fs.ErrNotExist)
	if err != nil && !absent {
		return err
	}
	row("SHA-256 of the file", hash, "–")
	if !absent {
		row("verify", verify, fmt.Sprintf("%.0f", rss))
		s.measure("audit_verify_over_sha256", verify/hash)
	}
	s.table(t)
	why := ""
	if s.bundled() < mostBundled {
		why = shorterLog
	}
	s.settle("audit_export_1m_s", export/1e3, why)
	if absent {
		why = "no-binary"
		s.leave("audit_verify_over_sha256", why)
		fmt.Fprintf(s.out, "%s is not there: build it with make, or name it with --binary.\n\n", s.program)
	}
	s.settle("audit_verify_1m_s", verify/1e3, why)
	s.settle("audit_verify_rss_mb", rss, why)
	return nil
}

func (s *auditRun) export(ctx context.Context, path string) (err error) {
	to := s.bundled()
	p, err := s.log.ledger.Export(ctx, s.log.reader("POST /v1/audit/exports"), s.log.tenant, ledger.Range{To: &to})
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 1<<20)
	if err := p.Write(ctx, w); err != nil {
		return err
	}
	return errors.Join(w.Flush(), f.Sync())
}

// verify times both on one core, and the program's memory. Error:
// fs.ErrNotExist, where there is no program.
func (s *auditRun) verify(ctx context.Context, path, policy string) (hash, verify, rss float64, err error) {
	err = confine(1, func() error {
		for range 2 { // the first brings the file into the page cache
			var err error
			if hash, err = wall(func() error { return hashed(path) }); err != nil {
				return err
			}
		}
		if _, err := os.Stat(s.program); err != nil {
			return err
		}
		verify, err = wall(func() (err error) {
			child := &speedRun{report: s.report, program: s.program}
			rss, err = child.peak(ctx, []string{"audit", "verify", path, "--trust", policy})
			return err
		})
		return err
	})
	return hash, verify, rss, err
}

func hashed(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.CopyBuffer(struct{ io.Writer }{sha256.New()}, struct{ io.Reader }{f}, make([]byte, 1<<20))
	return err
}

func proofFigures() []figure {
	return []figure{info("audit_proof_us", "us", 0), info("audit_proof_verify_us", "us", 1)}
}

// proofs makes and verifies proofs that events are in the log.
func (s *auditRun) proofs(ctx context.Context) error {
	log := s.log.view()
	h, err := log.Head()
	if err != nil {
		return err
	}
	root, err := audit.Root(h.Size, log)
	if err != nil {
		return err
	}
	var made, verified []float64
	for range s.or(300, 2000) {
		if err := ctx.Err(); err != nil {
			return err
		}
		seq := s.log.teller.random.Int64N(h.Size)
		begin := time.Now()
		leaf, err := log.Leaf(seq)
		if err != nil {
			return err
		}
		proof, err := audit.InclusionProof(h.Size, seq, log)
		if err != nil {
			return err
		}
		between := time.Now()
		if err := audit.VerifyInclusion(leaf, seq, h.Size, proof, root); err != nil {
			return err
		}
		verified = append(verified, microseconds(time.Since(between)))
		made = append(made, microseconds(between.Sub(begin)))
	}
	t := table{title: fmt.Sprintf("Proofs that an event is among %d", h.Size), head: []string{"what", "p50 µs", "p95 µs"},
		note: fmt.Sprintf("Of %d events anywhere in the log. Made from the event and its proof, read from the files and the state, some of it from the cache of pages.", len(made))}
	for _, row := range []struct {
		name string
		us   []float64
	}{{"make", made}, {"verify", verified}} {
		t.add(row.name, fmt.Sprintf("%.1f", percentile(row.us, 50)), fmt.Sprintf("%.1f", percentile(row.us, 95)))
	}
	s.table(t)
	s.measure("audit_proof_us", percentile(made, 50))
	s.measure("audit_proof_verify_us", percentile(verified, 50))
	return nil
}
