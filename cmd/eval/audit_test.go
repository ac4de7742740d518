package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/store/audit"
)

// A run over a log shorter than a segment measures what such a log can tell, and
// says why it leaves out the rest.
func TestAuditOfAShortLog(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes ten seconds")
	}
	t.Chdir(t.TempDir())
	var out, errOut bytes.Buffer
	if code := run(context.Background(), []string{"audit", "--quick", "--rows", "10000"}, &out, &errOut); code != 0 {
		t.Fatalf("exit code %d: %s", code, errOut.String())
	}
	for _, want := range []string{
		"10000 events", "a person",
		"figure audit_append_flat_sealing - ratio goal <= 1.5 skipped:the-log-is-shorter",
		"figure audit_search_p95_ms - ms goal < 1000 skipped:needs-the-flag-long",
		"figure audit_verify_1m_s - s goal < 60 skipped:no-binary",
		"figure audit_append_flat ", "figure audit_search_p95_10k_ms ", "figure audit_forward_syslog ",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in %s", want, out.String())
		}
	}
	left, err := filepath.Glob(filepath.Join(buildDir, "eval-audit-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("logs are left: %v, %v", left, err)
	}
}

func TestAuditRefuses(t *testing.T) {
	for _, args := range [][]string{{"audit", "--only", "noses"}, {"audit", "--rows", "7"}, {"audit", "--rows", "10000001"}} {
		t.Chdir(t.TempDir())
		var out, errOut bytes.Buffer
		if code := run(context.Background(), args, &out, &errOut); code != 2 {
			t.Errorf("%v: exit code %d: %s", args, code, errOut.String())
		}
		if _, err := os.Stat(buildDir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v: something was made", args)
		}
	}
}

// The events that are measured are as those of a node: their kinds, and their
// size, which was 783 bytes on average in verifications through the API.
func TestEventsOfAVerification(t *testing.T) {
	l, err := newAuditLog(t.Context(), t.TempDir(), 5000)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	if err := l.fill(t.Context(), 5000); err != nil {
		t.Fatal(err)
	}
	kinds, size, last := map[audit.Action]int{}, 0, audit.Time(0)
	err = l.view().Scan(t.Context(), 0, l.spent.leaves, func(_ int64, b []byte) error {
		e, err := audit.DecodeLeaf(b)
		if err != nil {
			return err
		}
		if e.TSMono < last {
			t.Errorf("event %d is before the one before it", e.Seq)
		}
		kinds[e.Action], size, last = kinds[e.Action]+1, size+len(b), e.TSMono
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []audit.Action{audit.SessionCreate, audit.ConsentRecord, audit.SessionSubmit, audit.DocumentProcess, audit.FaceProcess, audit.LivenessProcess,
		audit.DuplicateSearch, audit.DecisionMake, audit.AccessResult} {
		if kinds[want] != int(l.teller.told) {
			t.Errorf("%d %s in %d verifications", kinds[want], want, l.teller.told)
		}
	}
	if n := kinds[audit.TemplateEnrol]; n == 0 || n >= int(l.teller.told) {
		t.Errorf("%d enrolled of %d: some persons return", n, l.teller.told)
	}
	if mean := size / int(l.spent.leaves); mean < 740 || mean > 830 {
		t.Errorf("events have %d bytes on average", mean)
	}
}

func TestAuditIsInterrupted(t *testing.T) {
	t.Chdir(t.TempDir())
	ctx, cancel := context.WithCancel(context.Background())
	var out bytes.Buffer
	if code := run(ctx, []string{"audit", "--rows", "200000"}, &out, onFirstWrite(cancel)); code != 1 {
		t.Errorf("exit code %d: %s", code, out.String())
	}
	if left, _ := filepath.Glob(filepath.Join(buildDir, "eval-audit-*")); len(left) > 0 {
		t.Errorf("logs are left: %v", left)
	}
}

// onFirstWrite is a writer.
type onFirstWrite func()

func (f onFirstWrite) Write(b []byte) (int, error) {
	f()
	return len(b), nil
}
