package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/appliance/jobs"
)

// The process that is killed by a job is this test's binary.
const (
	dirOf  = "GATEHOUSE_TEST_JOBS"
	workOf = "GATEHOUSE_TEST_WORK" // "session" or "session!" for a suspect
	poison = "ses_poison"
	deadly = 77
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(dirOf); dir != "" {
		child(dir, strings.Fields(os.Getenv(workOf)))
	}
	os.Exit(m.Run())
}

func child(dir string, work []string) {
	left := atomic.Int64{}
	left.Store(int64(len(work)))
	ctx, cancel := context.WithCancel(context.Background())
	p, err := jobs.New(jobs.Config{Dir: dir, Workers: 3, Limit: 100, Failed: func(jobs.Job, error) {}, Run: func(_ context.Context, j jobs.Job) error {
		time.Sleep(20 * time.Millisecond)
		if j.Session == poison {
			os.Exit(deadly)
		}
		time.Sleep(20 * time.Millisecond)
		fmt.Println(j.Session)
		if left.Add(-1) == 0 {
			cancel()
		}
		return nil
	}})
	if err != nil {
		os.Exit(1)
	}
	if len(work) == 0 {
		os.Exit(0)
	}
	for _, s := range work {
		name, suspect := strings.CutSuffix(s, "!")
		p.Add(jobs.Job{Session: name, Suspect: suspect})
	}
	p.Run(ctx)
	os.Exit(0)
}

// A job that kills its process is found, and alone is found guilty; the others
// are all done.
func TestPoison(t *testing.T) {
	dir := t.TempDir()
	p, err := jobs.New(jobs.Config{Dir: dir, Workers: 1, Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	waiting := map[string]bool{poison: true}
	for n := range 12 {
		waiting[fmt.Sprintf("ses_%d", n)] = true
	}
	deaths := map[string]int{}
	starts := 0
	for ; len(waiting) > 0 && starts < 10; starts++ {
		var work []string
		for s := range waiting {
			if deaths[s] > 0 {
				s += "!"
			}
			work = append(work, s)
		}
		c := exec.Command(os.Args[0], "-test.run=^$")
		c.Env = append(os.Environ(), dirOf+"="+dir, workOf+"="+strings.Join(work, " "))
		out, err := c.Output()
		var exit *exec.ExitError
		if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != deadly) {
			t.Fatalf("%v: %s", err, out)
		}
		died, err := p.UnderWay()
		if err != nil {
			t.Fatal(err)
		}
		for s := range strings.FieldsSeq(string(out)) {
			delete(waiting, s)
		}
		for s := range died {
			if err := p.Settle(s); err != nil {
				t.Fatal(err)
			}
			if deaths[s]++; deaths[s] == 3 {
				delete(waiting, s)
				if s != poison {
					t.Errorf("%s is innocent", s)
				}
			}
		}
	}
	if len(waiting) > 0 || deaths[poison] != 3 {
		t.Errorf("after %d starts %v wait, deaths %v", starts, waiting, deaths)
	}
	for s, n := range deaths {
		if s != poison && n > 1 {
			t.Errorf("%s was suspected %d times", s, n)
		}
	}
}
