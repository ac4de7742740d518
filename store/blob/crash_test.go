package blob_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/store/blob"
)

const crashDir = "GATEHOUSE_BLOB_CRASH_DIR"

// A process killed while it writes leaves whole blobs, every one of those that
// it told of, and unfinished files that Clean takes away.
func TestKilled(t *testing.T) {
	if dir := os.Getenv(crashDir); dir != "" {
		putUntilKilled(t, dir)
	}
	dir, ctx := t.TempDir(), context.Background()
	told, left := 0, 0
	for round := range 5 {
		c := exec.Command(os.Args[0], "-test.run=^TestKilled$")
		c.Env = append(os.Environ(), crashDir+"="+dir)
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		var names []string
		for lines.Scan() {
			names = append(names, strings.TrimSpace(lines.Text()))
			if len(names) == 3 {
				time.AfterFunc(time.Duration(round)*7*time.Millisecond, func() { c.Process.Kill() })
			}
		}
		if err := c.Wait(); err == nil || len(names) < 3 {
			t.Fatalf("round %d: %v after %d blobs", round, err, len(names))
		}
		s, err := blob.Open(dir, blob.Config{})
		if err != nil {
			t.Fatal(err)
		}
		n, err := s.Clean()
		if err != nil {
			t.Fatal(err)
		}
		left += n
		for _, name := range names {
			if len(name) < 64 { // the kill cut its line
				continue
			}
			told++
			if err := s.Check(ctx, name); err != nil {
				t.Errorf("round %d: %v", round, err)
			}
		}
		all := 0
		err = s.Walk(ctx, func(name string, _ int64) error { all++; return s.Check(ctx, name) })
		if err != nil || len(files(t, dir)) != all {
			t.Errorf("round %d: %d blobs, %d files, %v", round, all, len(files(t, dir)), err)
		}
	}
	t.Logf("%d blobs told of, %d unfinished files", told, left)
}

func putUntilKilled(t *testing.T, dir string) {
	s, err := blob.Open(dir, blob.Config{})
	if err != nil {
		t.Fatal(err)
	}
	plain := random(5 * chunk)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			key, h := alice()
			for {
				ref, err := s.Put(context.Background(), key, h, bytes.NewReader(plain), 1<<20)
				if err != nil {
					t.Error(err)
					return
				}
				fmt.Println(ref.Name)
			}
		})
	}
	wg.Wait()
}
