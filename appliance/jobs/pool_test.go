package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"gatehouse/appliance/jobs"
)

// bench is a pool whose jobs wait until they are let go on.
type bench struct {
	*jobs.Pool
	started chan jobs.Job
	answer  chan error
	failed  chan jobs.Job
	stop    func()
	dir     string
}

func start(t *testing.T, workers, limit int) *bench {
	t.Helper()
	b := &bench{started: make(chan jobs.Job, 100), answer: make(chan error), failed: make(chan jobs.Job, 100), dir: filepath.Join(t.TempDir(), "jobs")}
	p, err := jobs.New(jobs.Config{Dir: b.dir, Workers: workers, Limit: limit,
		Run: func(ctx context.Context, j jobs.Job) error {
			b.started <- j
			select {
			case err := <-b.answer:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		},
		Failed: func(j jobs.Job, _ error) { b.failed <- j }})
	if err != nil {
		t.Fatal(err)
	}
	b.Pool = p
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { p.Run(ctx); close(ended) }()
	b.stop = sync.OnceFunc(func() { cancel(); <-ended })
	t.Cleanup(b.stop)
	return b
}

func (b *bench) next(t *testing.T) jobs.Job {
	t.Helper()
	select {
	case j := <-b.started:
		return j
	case <-time.After(10 * time.Second):
		t.Fatal("no job was started")
		return jobs.Job{}
	}
}

// idle fails where a job is started within a moment.
func (b *bench) idle(t *testing.T, why string) {
	t.Helper()
	select {
	case j := <-b.started:
		t.Fatalf("%s was started %s", j.Session, why)
	case <-time.After(50 * time.Millisecond):
	}
}

func job(n int) jobs.Job { return jobs.Job{Session: fmt.Sprintf("ses_%d", n)} }

func TestInteractiveBeforeBatch(t *testing.T) {
	b := start(t, 1, 10)
	b.Pause()
	var want []string
	for n := range 6 {
		j := job(n)
		j.Batch = n < 3
		b.Add(j)
	}
	for _, n := range []int{3, 4, 5, 0, 1, 2} {
		want = append(want, job(n).Session)
	}
	b.idle(t, "while the pool is paused")
	b.Resume()
	var got []string
	for range want {
		got = append(got, b.next(t).Session)
		b.answer <- nil
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestBounded(t *testing.T) {
	b := start(t, 2, 3)
	for n := range 5 {
		b.Add(job(n))
	}
	b.next(t)
	b.next(t)
	b.idle(t, "beside as many as there are workers")
	if s := b.Stats(); s.Running != 2 || s.Waiting != 3 || s.Workers != 2 {
		t.Errorf("%+v", s)
	}
	if !b.Full(false) || b.Full(true) {
		t.Error("three wait, and the queue of three is not full, or batch is")
	}
	if _, err := b.Reserve(false); !errors.Is(err, jobs.ErrFull) {
		t.Error(err)
	}
	var give []func()
	for range 3 {
		release, err := b.Reserve(true)
		if err != nil {
			t.Fatal(err)
		}
		give = append(give, release)
	}
	if _, err := b.Reserve(true); !errors.Is(err, jobs.ErrFull) {
		t.Error("more places were given than there are")
	}
	give[0]()
	give[0]() // once
	if _, err := b.Reserve(true); err != nil {
		t.Error(err)
	}
	if _, err := b.Reserve(true); !errors.Is(err, jobs.ErrFull) {
		t.Error("a place was given back twice")
	}
	for range 5 {
		b.answer <- nil
	}
}

func TestRetryAfterGrows(t *testing.T) {
	b := start(t, 1, 1000)
	b.Pause()
	last := b.RetryAfter(false)
	if last < time.Second {
		t.Errorf("%v", last)
	}
	for n := range 300 {
		b.Add(job(n))
		if now := b.RetryAfter(false); now < last {
			t.Fatalf("%v, then %v", last, now)
		} else {
			last = now
		}
	}
	if last < 30*time.Second {
		t.Errorf("300 jobs before: %v", last)
	}
}

// A suspect is run when nothing else is, and nothing beside it.
func TestSuspectsAlone(t *testing.T) {
	b := start(t, 3, 10)
	b.Pause()
	suspect := job(1)
	suspect.Suspect = true
	b.Add(job(0))
	b.Add(suspect)
	b.Add(job(2))
	b.Resume()
	if j := b.next(t); j.Session != "ses_0" {
		t.Fatalf("%s was first", j.Session)
	}
	b.idle(t, "beside another")
	b.answer <- nil
	if j := b.next(t); !j.Suspect {
		t.Fatalf("%s came before the suspect", j.Session)
	}
	b.idle(t, "beside a suspect")
	if !b.Running("ses_1") || b.Running("ses_2") {
		t.Error("Running is wrong")
	}
	b.answer <- nil
	if j := b.next(t); j.Session != "ses_2" {
		t.Fatalf("%s was last", j.Session)
	}
	b.answer <- nil
}

// A job that could not be done now keeps its place, and waits while the pool
// is paused.
func TestLater(t *testing.T) {
	b := start(t, 1, 10)
	b.Add(job(0))
	b.Add(job(1))
	b.next(t)
	b.Pause()
	b.answer <- fmt.Errorf("%w: sealed", jobs.ErrLater)
	b.idle(t, "while the pool is paused")
	if s := b.Stats(); s.Waiting != 2 || s.Done != 0 {
		t.Errorf("%+v", s)
	}
	b.Resume()
	if j := b.next(t); j.Session != "ses_0" {
		t.Errorf("%s, the first was put back", j.Session)
	}
	// Resumed before the job says later: nobody will resume it again.
	b.Pause()
	b.Resume()
	b.answer <- jobs.ErrLater
	if j := b.next(t); j.Session != "ses_0" {
		t.Errorf("%s", j.Session)
	}
	b.answer <- nil
	b.next(t)
	b.answer <- nil
	if len(b.failed) != 0 {
		t.Error("what is later has not failed")
	}
}

// A job that cannot be done now while others can waits beside them, once.
func TestAside(t *testing.T) {
	b := start(t, 1, 10)
	b.Add(job(0))
	b.Add(job(1))
	b.next(t)
	put := time.Now()
	b.answer <- fmt.Errorf("%w: a picture", jobs.ErrAside)
	if j := b.next(t); j.Session != "ses_1" {
		t.Errorf("%s, the first was put aside", j.Session)
	}
	b.Add(job(0)) // it is held
	b.answer <- nil
	if j := b.next(t); j.Session != "ses_0" || time.Since(put) < jobs.AsideTime {
		t.Errorf("%s after %v", j.Session, time.Since(put))
	}
	b.answer <- nil
	b.idle(t, "twice")
	if len(b.failed) != 0 || b.Stats().Done != 2 {
		t.Errorf("%+v", b.Stats())
	}
}

// Of two attempts at a session, the first to end leaves the other under way: its
// death counts, and a suspect waits for it.
func TestTwoAttempts(t *testing.T) {
	b := start(t, 2, 10)
	b.Add(job(0))
	b.next(t)
	b.Add(jobs.Job{Session: "ses_0", Attempt: 1})
	b.next(t)
	b.answer <- nil
	b.Add(jobs.Job{Session: "ses_9", Suspect: true})
	b.idle(t, "beside another")
	if died, err := b.UnderWay(); err != nil || !died["ses_0"] || !b.Running("ses_0") || b.Stats().Running != 1 {
		t.Errorf("%v, %v; %+v", died, err, b.Stats())
	}
	b.answer <- nil
	if j := b.next(t); j.Session != "ses_9" {
		t.Errorf("%s", j.Session)
	}
	b.answer <- nil
}

func TestFailed(t *testing.T) {
	b := start(t, 1, 10)
	b.Add(job(0))
	b.Add(job(1))
	b.next(t)
	b.answer <- errors.New("broken")
	select {
	case j := <-b.failed:
		if j.Session != "ses_0" {
			t.Errorf("%+v", j)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("nobody was told")
	}
	b.next(t)
	b.stop() // cancels the second: that is no failure
	if len(b.failed) != 0 {
		t.Error("a job that was cancelled has failed")
	}
	if files, err := os.ReadDir(b.dir); err != nil || len(files) != 0 {
		t.Errorf("%v are left, %v", files, err)
	}
}

func TestWatch(t *testing.T) {
	b := start(t, 1, 10)
	changed, stop := b.Watch("ses_0")
	other, stopOther := b.Watch("ses_1")
	defer stopOther()
	b.Add(job(0))
	b.next(t)
	<-changed // taken
	b.answer <- nil
	<-changed // done
	b.Changed("ses_0")
	b.Changed("ses_0") // one that nobody has heard is enough
	<-changed
	stop()
	b.Changed("ses_0")
	select {
	case <-changed:
		t.Error("told after the stop")
	case <-other:
		t.Error("told of another session")
	default:
	}
}

// What a death has left is there until it was settled, as the node may die again
// before it could tell the others.
func TestUnderWayUntilItIsSettled(t *testing.T) {
	b := start(t, 1, 1)
	for _, name := range []string{"ses_1", "other"} {
		if err := os.WriteFile(filepath.Join(b.dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if found, err := b.UnderWay(); err != nil || len(found) != 1 || !found["ses_1"] {
			t.Errorf("%v %v", found, err)
		}
	}
	if err := b.Settle("ses_1"); err != nil {
		t.Error(err)
	}
	if found, err := b.UnderWay(); err != nil || len(found) != 0 {
		t.Errorf("after it was settled: %v %v", found, err)
	}
}
