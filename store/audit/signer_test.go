package audit_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"gatehouse/store/audit"
)

// other is a tree of size leaves that differs from grown's in leaf at.
func other(t testing.TB, size, at int64) *memory {
	t.Helper()
	m := &memory{}
	for i := range size {
		leaf := record(i)
		if i == at {
			leaf = []byte("forged")
		}
		m.add(t, leaf)
	}
	return m
}

// never asserts that the signer refuses all that contradicts size 20 of grown.
func never(t *testing.T, s *audit.Signer) {
	t.Helper()
	m := grown(t, 30)
	for name, c := range map[string]struct {
		size int64
		h    audit.Hashes
		want error
	}{
		"one leaf fewer":         {19, m, audit.ErrRollback},
		"the empty tree":         {0, m, audit.ErrRollback},
		"the same size, forked":  {20, other(t, 20, 19), audit.ErrFork},
		"forked, then grown":     {30, other(t, 30, 0), audit.ErrFork},
		"grown, forked long ago": {21, other(t, 21, 7), audit.ErrFork},
		"hashes are missing":     {21, grown(t, 10), errNoHash},
		"no such size":           {-1, m, audit.ErrSize},
	} {
		if b, err := s.Sign(log1, c.size, c.h); b != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: signed %s, %v", name, b, err)
		}
		if err := s.Check(log1, c.size, c.h); !errors.Is(err, c.want) {
			t.Errorf("%s: checked, %v", name, err)
		}
	}
	if err := s.Check(log1, 20, m); err != nil {
		t.Error(err)
	}
	// What was forged in leaf 25 does not contradict what was signed at 20.
	if err := s.Check(log1, 30, other(t, 30, 25)); err != nil {
		t.Error(err)
	}
}

func TestSignerNeverContradictsItself(t *testing.T) {
	path := filepath.Join(t.TempDir(), "last-signed")
	s := openSigner(t, path, "seed")
	m := grown(t, 30)
	first, err := s.Sign(log1, 20, m)
	if err != nil {
		t.Fatal(err)
	}
	never(t, s)
	never(t, openSigner(t, path, "seed")) // after a restart

	again, err := openSigner(t, path, "seed").Sign(log1, 20, grown(t, 20))
	if err != nil || !bytes.Equal(again, first) {
		t.Errorf("the same again: %s, %v", again, err)
	}
	b, err := s.Sign(log1, 30, m)
	if err != nil {
		t.Fatal(err)
	}
	c, err := audit.VerifyCheckpoint(b, log1, known(t, log1, "seed"))
	if err != nil || c.Size != 30 || c.Root != root(t, 30, m) {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := s.Sign(log1, 20, m); !errors.Is(err, audit.ErrRollback) {
		t.Error(err)
	}
}

func TestSameHeadIsNotWrittenAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "last-signed")
	s := openSigner(t, path, "seed")
	m := grown(t, 3)
	if _, err := s.Sign(log1, 3, m); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Sign(log1, 3, m); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("written again: %v", err)
	}
}

// dying is a key whose process dies while it signs.
type dying struct {
	note.Signer
	at func()
}

var errDied = errors.New("the process died")

func (d dying) Sign([]byte) ([]byte, error) {
	d.at()
	return nil, errDied
}

func TestCrashBetweenRecordAndSignature(t *testing.T) {
	path := filepath.Join(t.TempDir(), "last-signed")
	m := grown(t, 30)
	reached := false
	s, err := audit.OpenSigner(path, func(origin string) ([]note.Signer, error) {
		k, _ := key(t, origin, "seed")
		return []note.Signer{dying{k, func() {
			reached = true
			never(t, openSigner(t, path, "seed")) // the record is on disk already
		}}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if b, err := s.Sign(log1, 20, m); b != nil || !errors.Is(err, errDied) || !reached {
		t.Fatalf("%s, %v", b, err)
	}
	after := openSigner(t, path, "seed")
	never(t, after)
	if _, err := after.Sign(log1, 20, m); err != nil {
		t.Errorf("the head that was recorded cannot be signed: %v", err)
	}
}

func TestNothingIsSignedThatCannotBeRecorded(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	used := false
	s, err := audit.OpenSigner(filepath.Join(dir, "last-signed"), func(origin string) ([]note.Signer, error) {
		k, _ := key(t, origin, "seed")
		return []note.Signer{dying{k, func() { used = true }}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if b, err := s.Sign(log1, 3, grown(t, 3)); b != nil || !errors.Is(err, os.ErrNotExist) || used {
		t.Errorf("%s, %v, key used: %v", b, err, used)
	}
	// Nothing was signed, so another tree is not a fork.
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Sign(log1, 3, other(t, 3, 0)); !errors.Is(err, errDied) || !used {
		t.Errorf("%v, key used: %v", err, used)
	}
}

func TestAnEarlierEpochIsClosed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "last-signed")
	s := openSigner(t, path, "seed")
	m := grown(t, 9)
	for _, origin := range []string{log1, log2, "clu_a/ten_c/e1", "clu_a/ten_b/e10"} {
		if _, err := s.Sign(origin, 4, m); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range []*audit.Signer{s, openSigner(t, path, "seed")} {
		for _, origin := range []string{log1, log2, "clu_a/ten_b/e9"} {
			if _, err := s.Sign(origin, 9, m); !errors.Is(err, audit.ErrRollback) {
				t.Errorf("%s: %v", origin, err)
			}
			if _, err := s.SignEarlier(origin, 4, m); !errors.Is(err, audit.ErrRollback) {
				t.Errorf("%s: %v", origin, err)
			}
			if err := s.Check(origin, 9, m); !errors.Is(err, audit.ErrRollback) {
				t.Errorf("%s: %v", origin, err)
			}
		}
		if _, err := s.Sign("clu_a/ten_c/e1", 9, m); err != nil {
			t.Error(err)
		}
	}
}

func TestSignerRefusesKeysAndNames(t *testing.T) {
	path := filepath.Join(t.TempDir(), "last-signed")
	m := grown(t, 3)
	sealed := errors.New("sealed")
	for name, c := range map[string]struct {
		keys   func(string) ([]note.Signer, error)
		origin string
		want   error
	}{
		"sealed":        {func(string) ([]note.Signer, error) { return nil, sealed }, log1, sealed},
		"no key":        {keys(t), log1, audit.ErrSignature},
		"another's key": {func(string) ([]note.Signer, error) { return keys(t, "seed")(log2) }, log1, audit.ErrSignature},
		"another's key beside its own": {func(string) ([]note.Signer, error) {
			own, _ := key(t, log1, "seed")
			others, _ := key(t, log2, "seed")
			return []note.Signer{own, others}, nil
		}, log1, audit.ErrSignature},
		"no origin": {keys(t, "seed"), "example.com/log", audit.ErrOrigin},
	} {
		s, err := audit.OpenSigner(path, c.keys)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := s.Sign(c.origin, 3, m); b != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %s, %v", name, b, err)
		}
		if b, err := s.SignEarlier(c.origin, 3, m); b != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %s, %v", name, b, err)
		}
		if b, err := s.SignText(c.origin, "gatehouse/test/1\n"); b != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %s, %v", name, b, err)
		}
	}
	if err := openSigner(t, path, "seed").Check("example.com/log", 3, m); !errors.Is(err, audit.ErrOrigin) {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something was recorded: %v", err)
	}
}

func TestManyLogsAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "last-signed")
	s := openSigner(t, path, "seed")
	m := grown(t, 40)
	var all sync.WaitGroup
	for tenant := range 4 {
		for part := range 2 { // two goroutines a log
			all.Go(func() {
				origin := fmt.Sprintf("clu_a/ten_%d/e1", tenant)
				for size := int64(part); size <= 40; size += 4 {
					b, err := s.Sign(origin, size, m)
					if err == nil {
						_, err = audit.VerifyCheckpoint(b, origin, known(t, origin, "seed"))
					}
					if err != nil && !errors.Is(err, audit.ErrRollback) {
						t.Errorf("%s at %d: %v", origin, size, err)
					}
				}
			})
		}
	}
	all.Wait()
	again := openSigner(t, path, "seed")
	for tenant := range 4 {
		origin := fmt.Sprintf("clu_a/ten_%d/e1", tenant)
		if err := again.Check(origin, 39, m); !errors.Is(err, audit.ErrRollback) {
			t.Errorf("%s: %v", origin, err)
		}
		if err := again.Check(origin, 40, m); err != nil {
			t.Error(err)
		}
	}
}

func TestDamagedLastSigned(t *testing.T) {
	path := filepath.Join(t.TempDir(), "last-signed")
	s := openSigner(t, path, "seed")
	for _, origin := range []string{log1, "clu_a/system/e1"} {
		if _, err := s.Sign(origin, 5, grown(t, 5)); err != nil {
			t.Fatal(err)
		}
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(name string, b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := audit.OpenSigner(path, keys(t, "seed")); s != nil || !errors.Is(err, audit.ErrLastSigned) || !strings.Contains(err.Error(), path) {
			t.Fatalf("%s: %v", name, err)
		}
	}
	for n := range good {
		refused(fmt.Sprintf("cut to %d bytes", n), good[:n])
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		refused(fmt.Sprintf("byte %d", i), bad)
	}
	refused("appended", append(bytes.Clone(good), '\n'))
	refused("another version", bytes.Replace(good, []byte("signed/1"), []byte("signed/2"), 1))
	refused("too large", bytes.Repeat(good, 16<<20/len(good)+1))
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil { // it cannot be read
		t.Fatal(err)
	}
	if _, err := audit.OpenSigner(path, keys(t, "seed")); err == nil || errors.Is(err, audit.ErrLastSigned) {
		t.Error(err)
	}
}

func TestLastSignedIsPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "last-signed")
	if _, err := openSigner(t, path, "seed").Sign(log1, 1, grown(t, 1)); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}
