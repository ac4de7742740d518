package trust_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/store/audit"
	"gatehouse/store/audit/trust"
)

func seed(f *testing.F, name string) []byte {
	f.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		f.Fatal(err)
	}
	return b
}

func FuzzParsePolicy(f *testing.F) {
	f.Add(seed(f, "policy"))
	f.Add([]byte(vkey(f, log1, "a")))
	f.Add([]byte("group g any g\nquorum none"))
	note := head(f, log1, 3, grown(f, 3, honest), "golden")
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := trust.ParsePolicy(b)
		if err != nil {
			if p != nil || !errors.Is(err, trust.ErrPolicy) {
				t.Fatalf("%v, %v", p, err)
			}
			return
		}
		if again, err := trust.ParsePolicy([]byte(p.String())); err != nil || again.String() != p.String() {
			t.Fatalf("%q is written as %q: %v", b, p, err)
		}
		v, err := p.Verify(note, log1)
		if err == nil && len(v.Keys) == 0 || err != nil && !among(err, trust.ErrUnknownKey, trust.ErrQuorum) {
			t.Fatalf("%+v, %v", v, err)
		}
	})
}

func FuzzReadMemory(f *testing.F) {
	f.Add(seed(f, "state.json"))
	f.Add(seed(f, "empty.json"))
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		path, again := filepath.Join(dir, "state.json"), filepath.Join(dir, "again.json")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		m, err := trust.ReadMemory(path)
		if err != nil {
			if m != nil || !errors.Is(err, trust.ErrMemory) {
				t.Fatalf("%v, %v", m, err)
			}
			return
		}
		if err := m.Write(again); err != nil {
			t.Fatal(err)
		}
		if written, err := os.ReadFile(again); err != nil || !bytes.Equal(written, b) {
			t.Fatalf("%q is written as %q: %v", b, written, err)
		}
	})
}

func FuzzParseEvidence(f *testing.F) {
	f.Add(seed(f, "rewrote.json"))
	f.Add(seed(f, "two-roots.json"))
	p := policy(f, vkey(f, log1, "golden"))
	rewrote, twoRoots := seed(f, "rewrote.json"), seed(f, "two-roots.json")
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := trust.ParseEvidence(b)
		if err != nil {
			if e != nil || !errors.Is(err, trust.ErrEvidence) {
				t.Fatalf("%v, %v", e, err)
			}
			return
		}
		if again := encoded(t, e); !bytes.Equal(again, b) {
			t.Fatalf("%q is written as %q", b, again)
		}
		// No one forges a proof: what convinces names the same two checkpoints.
		if e.Check(p) == nil && !sameTexts(e, rewrote) && !sameTexts(e, twoRoots) {
			t.Fatalf("%q convinces", b)
		}
	})
}

func sameTexts(e *trust.Evidence, b []byte) bool {
	other, err := trust.ParseEvidence(b)
	text := func(note string) string { s, _, _ := strings.Cut(note, "\n\n"); return s }
	return err == nil && text(e.A) == text(other.A) && text(e.B) == text(other.B)
}

func FuzzMerge(f *testing.F) {
	b := head(f, log1, 3, grown(f, 3, honest), "a")
	w, _ := witness(f, "w.example/1", "1")
	f.Add(b, lines(cosigned(f, b, noon, w))[1], lines(b)[0])
	f.Add([]byte("x\n\n"+example+"\n"), example, example)
	f.Add(b, "— x\n\n— y AAAAAAA=", "")
	f.Fuzz(func(t *testing.T, b []byte, one, two string) {
		got, err := trust.Merge(b, one, two)
		if err != nil {
			if got != nil || !among(err, trust.ErrNote, trust.ErrLine) {
				t.Fatalf("%q, %v", got, err)
			}
			return
		}
		if i := bytes.LastIndex(b, []byte("\n\n")); !bytes.HasPrefix(got, b[:i+2]) {
			t.Fatalf("%q changes the text of %q", got, b)
		}
		if again, err := trust.Merge(got, two, one); err != nil || !bytes.Equal(again, got) {
			t.Fatalf("%q becomes %q: %v", got, again, err)
		}
		if len(lines(got)) > len(lines(b))+2 {
			t.Fatalf("%q has lines that nobody gave", got)
		}
	})
}

func FuzzCosignatureLine(f *testing.F) {
	f.Add(example)
	f.Add("— w1 " + strings.Repeat("A", 104))
	f.Fuzz(func(t *testing.T, line string) {
		name, _, at, err := trust.CosignatureLine(line)
		if err != nil {
			if !errors.Is(err, trust.ErrLine) {
				t.Fatal(err)
			}
			return
		}
		if _, err := at.MarshalText(); err != nil || at.Unix() < 0 || !strings.HasPrefix(line, "— "+name+" ") {
			t.Fatalf("%q, %v, %v", name, at, err)
		}
	})
}

// A note that an attacker wrote is trusted only for what the log has signed.
func FuzzVerify(f *testing.F) {
	h := grown(f, 3, honest)
	w, vkey1 := witness(f, "w.example/1", "1")
	p := policy(f, "log "+vkey(f, log1, "a"), "witness w1 "+vkey1, "quorum none")
	good := cosigned(f, head(f, log1, 3, h, "a"), noon, w)
	f.Add(good)
	f.Add(head(f, log1, 2, h, "a"))
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := p.Verify(b, log1)
		if err != nil {
			if v != nil || !among(err, audit.ErrCheckpoint, trust.ErrSignature, trust.ErrUnknownKey) {
				t.Fatalf("%+v, %v", v, err)
			}
			return
		}
		if v.Root != root(t, v.Size, h) || len(v.Keys) != 1 {
			t.Fatalf("%q is trusted", b)
		}
	})
}
