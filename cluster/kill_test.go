package cluster_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// childDir in the environment makes this binary a node over that folder, which
// proposes until it is killed.
const childDir = "GATEHOUSE_TEST_NODE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := child(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// child prints an id once its command was answered.
func child(dir string) error {
	ctx := context.Background()
	_, missing := os.Stat(dir + "/state.db")
	m, err := start(ctx, dir, missing != nil)
	if err != nil {
		return err
	}
	if missing != nil {
		if err := populate(ctx, m); err != nil {
			return err
		}
	}
	var print sync.Mutex
	failed := make(chan error)
	for worker := range 8 {
		go func() {
			for n := 0; ; n++ {
				id := fmt.Sprintf("ses_%d_%d_%d", os.Getpid(), worker, n)
				if a, err := m.node.Propose(ctx, create(id)); err != nil || a.Refusal != "" {
					failed <- fmt.Errorf("%v, %w", a, err)
					return
				}
				print.Lock()
				fmt.Println(id)
				print.Unlock()
			}
		}()
	}
	return <-failed
}

// What was answered is there after a SIGKILL, whenever it comes.
func TestKilled(t *testing.T) {
	t.Parallel()
	kills := 20
	if testing.Short() {
		kills = 3
	}
	r := rand.New(rand.NewPCG(1, 1))
	dir := t.TempDir()
	var acked []string
	for range kills {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childDir+"="+dir)
		var failure strings.Builder
		cmd.Stderr = &failure
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		give := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
		before := len(acked)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if len(acked) == before { // it answers: from now on at any time
				time.AfterFunc(time.Duration(r.IntN(250))*time.Millisecond, func() { _ = cmd.Process.Kill() })
			}
			acked = append(acked, lines.Text())
		}
		_ = cmd.Wait()
		give.Stop()
		if len(acked) == before {
			t.Fatalf("nothing was answered: %s", failure.String())
		}
	}
	m := open(t, dir, false)
	has(t, m.state, acked...)
	if found, err := m.state.Check(t.Context(), nil, nil); err != nil || len(found) > 0 {
		t.Errorf("%v, %v", found, err)
	}
	m.close(t)
	t.Logf("%d kills, %d commands answered, none lost", kills, len(acked))
}
