package blob_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gatehouse/store/blob"
)

func TestNames(t *testing.T) {
	s, dir := empty(t, blob.Config{})
	key, h := alice()
	ref := put(t, s, []byte("x"))
	if size, ok, err := s.Exists(ref.Name); err != nil || !ok || size != ref.Stored {
		t.Errorf("%d %v %v", size, ok, err)
	}
	if _, err := s.Open(context.Background(), key, blob.Header{}, ref.Name); !errors.Is(err, blob.ErrHeader) {
		t.Errorf("no header: %v", err)
	}
	absent := strings.Repeat("0", 64)
	if size, ok, err := s.Exists(absent); err != nil || ok || size != 0 {
		t.Errorf("absent: %d %v %v", size, ok, err)
	}
	for _, name := range []string{absent, "", "ab", strings.ToUpper(ref.Name), ref.Name + "0", "../../../../etc/passwd", strings.Repeat("/", 64), ref.Name[:62] + "/."} {
		if _, err := s.Open(context.Background(), key, h, name); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("Open(%q): %v", name, err)
		}
		for what, err := range map[string]error{"Remove": s.Remove(name), "Check": s.Check(context.Background(), name), "Quarantine": s.Quarantine(name)} {
			if !errors.Is(err, blob.ErrNotFound) {
				t.Errorf("%s(%q): %v", what, name, err)
			}
		}
	}
	if err := s.Remove(ref.Name); err != nil {
		t.Fatal(err)
	}
	if _, ok, _ := s.Exists(ref.Name); ok || len(files(t, dir)) != 0 {
		t.Error("still there")
	}
}

func TestWalk(t *testing.T) {
	s, dir := empty(t, blob.Config{})
	var want []string
	for i := range 12 {
		ref := put(t, s, random(i+1))
		want = append(want, fmt.Sprint(ref.Name, ref.Stored))
	}
	slices.Sort(want)
	// What is no blob, or not where it belongs.
	stray := strings.Repeat("e", 64)
	for _, p := range []string{"blobs/tmp/put-1", "blobs/note", "blobs/" + want[0][:2] + "/x", "blobs/zz/00/" + stray, "blobs/00/00/" + stray} {
		p = filepath.Join(dir, p)
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	collect := func(name string, stored int64) error {
		got = append(got, fmt.Sprint(name, stored))
		return nil
	}
	if err := s.Walk(context.Background(), collect); err != nil || !slices.Equal(got, want) {
		t.Errorf("%v\ngot  %v\nwant %v", err, got, want)
	}
	enough := errors.New("enough")
	seen := 0
	if err := s.Walk(context.Background(), func(string, int64) error { seen++; return enough }); !errors.Is(err, enough) || seen != 1 {
		t.Errorf("%v after %d", err, seen)
	}
	ctx, cancel := context.WithCancel(context.Background())
	if err := s.Walk(ctx, func(string, int64) error { cancel(); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestCheckAndQuarantine(t *testing.T) {
	s, dir := empty(t, blob.Config{})
	ctx := context.Background()
	ref := put(t, s, random(2*chunk))
	if err := s.Check(ctx, ref.Name); err != nil {
		t.Fatal(err)
	}
	path := file(dir, ref.Name)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"flipped": flipped(whole, len(whole)-1), "short": whole[:len(whole)-1], "long": append(slices.Clone(whole), 0), "empty": {}} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := s.Check(ctx, ref.Name); !errors.Is(err, blob.ErrRotten) {
			t.Errorf("%s: %v", name, err)
		}
		if err := s.Quarantine(ref.Name); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, ok, _ := s.Exists(ref.Name); ok {
			t.Errorf("%s: still in the store", name)
		}
	}
	kept, err := filepath.Glob(filepath.Join(dir, "quarantine", ref.Name+"*"))
	if err != nil || len(kept) != 4 {
		t.Errorf("%v in quarantine, %v: each of four must be kept", kept, err)
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if err := s.Check(cancelled, put(t, s, []byte("x")).Name); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestClean(t *testing.T) {
	s, dir := empty(t, blob.Config{})
	ref := put(t, s, []byte("kept"))
	for _, n := range []string{"put-1", "put-2"} {
		if err := os.WriteFile(filepath.Join(dir, "blobs", "tmp", n), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := blob.Open(dir, blob.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := s.Clean(); n != 2 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if left := files(t, dir); !slices.Equal(left, []string{file(dir, ref.Name)}) {
		t.Errorf("left: %v", left)
	}
}
