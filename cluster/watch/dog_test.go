package watch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/cluster"
	"gatehouse/cluster/watch"
)

// node is what a Dog sees, as a test wants it.
type node struct {
	mu      sync.Mutex
	leads   bool
	voters  int
	others  int
	heir    string
	full    bool
	behind  time.Duration
	listing error
	due     uint64
	began   time.Time // of the write under way
	pause   time.Duration
	hangs   func() // what a look at the state does

	transfer func(ctx context.Context, to string) error
	handed   []time.Duration // when, since the start
	to       []string
	fatal    []error
	died     time.Duration
	told     []watch.Alarm
	start    time.Time
}

func (n *node) config() watch.Config {
	return watch.Config{
		Stalled: func() time.Duration {
			n.mu.Lock()
			pause := n.pause
			n.pause = 0
			n.mu.Unlock()
			time.Sleep(pause) // as if the process had been stopped here
			n.mu.Lock()
			defer n.mu.Unlock()
			if n.began.IsZero() {
				return 0
			}
			return time.Since(n.began)
		},
		Leading: func() bool { return get(n, &n.leads) },
		Voters:  func() int { return get(n, &n.voters) },
		Others:  func() int { return get(n, &n.others) },
		Heir:    func() string { return get(n, &n.heir) },
		Transfer: func(ctx context.Context, to string) error {
			n.mu.Lock()
			n.handed, n.to = append(n.handed, time.Since(n.start)), append(n.to, to)
			n.mu.Unlock()
			if n.transfer != nil {
				return n.transfer(ctx, to)
			}
			n.set(func() { n.leads = false })
			return nil
		},
		Full: func() bool { return get(n, &n.full) },
		Behind: func() time.Duration {
			if hangs := get(n, &n.hangs); hangs != nil {
				hangs()
			}
			return get(n, &n.behind)
		},
		Snapshots: func() error { return get(n, &n.listing) },
		Due:       func() (uint64, time.Time) { return get(n, &n.due), n.start },
		Fatal:     func(err error) { n.set(func() { n.fatal, n.died = append(n.fatal, err), time.Since(n.start) }) },
		Tell:      func(a watch.Alarm) { n.set(func() { n.told = append(n.told, a) }) },
	}
}

func get[T any](n *node, v *T) T {
	n.mu.Lock()
	defer n.mu.Unlock()
	return *v
}

func (n *node) set(do func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	do()
}

func (n *node) stalls() { n.set(func() { n.began = time.Now() }) }

// hears says which alarms were told, the ended ones with a minus.
func (n *node) hears() string {
	var all []string
	for _, a := range get(n, &n.told) {
		if a.Ended {
			all = append(all, "-"+string(a.Kind))
		} else {
			all = append(all, string(a.Kind))
		}
	}
	return strings.Join(all, " ")
}

// watched runs a test beside a Dog, by a clock that only the test moves.
func watched(t *testing.T, n *node, do func(d *watch.Dog)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		n.start = time.Now()
		d := watch.New(n.config())
		go d.Run(ctx)
		do(d)
		stop()
		synctest.Wait()
	})
}

func trio(leads bool) *node { return &node{leads: leads, voters: 3, others: 2, heir: "nod_b"} }

func sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// between says whether something took no less and no more.
func between(t *testing.T, what string, got, least, most time.Duration) {
	t.Helper()
	if got < least || got > most {
		t.Errorf("%s after %v, want %v to %v", what, got, least, most)
	}
}

func TestALeaderWhoseDiskStallsHandsOver(t *testing.T) {
	n := trio(true)
	watched(t, n, func(d *watch.Dog) {
		n.stalls()
		sleep(10 * time.Second)
		if len(n.handed) != 1 || n.to[0] != "nod_b" || len(n.fatal) != 0 {
			t.Fatalf("handed over at %v to %v, fatal %v", n.handed, n.to, n.fatal)
		}
		between(t, "handed over", n.handed[0], 4*time.Second, 4250*time.Millisecond)
		if got := d.Alarms(); len(got) != 1 || got[0].Kind != watch.Stalled || !strings.HasPrefix(got[0].Detail, "a write takes 4") {
			t.Errorf("alarms %v", got)
		}
		n.set(func() { n.began = time.Time{} })
		sleep(time.Second)
		if got := d.Alarms(); len(got) != 0 || n.hears() != "disk_stalled -disk_stalled" {
			t.Errorf("alarms %v, told %q", got, n.hears())
		}
	})
}

func TestALeaderThatCannotHandOverEnds(t *testing.T) {
	for name, transfer := range map[string]func(ctx context.Context, to string) error{
		"refused":            func(context.Context, string) error { return errors.New("refused") },
		"hangs":              func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() },
		"hangs for good":     func(context.Context, string) error { time.Sleep(time.Hour); return nil },
		"nothing came of it": func(context.Context, string) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			n := trio(true)
			n.transfer = transfer
			watched(t, n, func(*watch.Dog) {
				n.stalls()
				sleep(2 * time.Hour)
				if len(n.fatal) != 1 || !errors.Is(n.fatal[0], watch.ErrStalled) || !errors.Is(n.fatal[0], cluster.ErrDisk) || len(n.handed) != 1 {
					t.Fatalf("fatal %v, handed over at %v", n.fatal, n.handed)
				}
				between(t, "ended", n.died, 4*time.Second, 5250*time.Millisecond)
			})
		})
	}
}

func TestADiskThatComesBackDuringTheHandOver(t *testing.T) {
	n := trio(true)
	n.transfer = func(context.Context, string) error {
		n.set(func() { n.began = time.Time{} })
		return errors.New("refused")
	}
	watched(t, n, func(*watch.Dog) {
		n.stalls()
		sleep(time.Minute)
		if len(n.fatal) != 0 || len(n.handed) != 1 {
			t.Errorf("fatal %v, handed over at %v", n.fatal, n.handed)
		}
	})
}

func TestWhoHoldsUpNoWriteEndsLate(t *testing.T) {
	alone := trio(true) // the leader of nobody who answers
	alone.others, alone.heir = 0, ""
	alone.transfer = func(context.Context, string) error { return errors.New("nobody") }
	for name, n := range map[string]*node{"follower": trio(false), "leader whom nobody answers": alone} {
		t.Run(name, func(t *testing.T) {
			watched(t, n, func(d *watch.Dog) {
				n.stalls()
				sleep(39 * time.Second)
				if len(n.fatal) != 0 || len(n.handed) != 0 || n.hears() != "disk_stalled" {
					t.Errorf("fatal %v, handed over at %v, told %q", n.fatal, n.handed, n.hears())
				}
				sleep(5 * time.Second)
				if len(n.fatal) != 1 || !errors.Is(n.fatal[0], watch.ErrStalled) {
					t.Fatalf("fatal %v", n.fatal)
				}
				between(t, "ended", n.died, 40*time.Second, 41250*time.Millisecond)
			})
		})
	}
}

// Those that come back find a leader that hangs, and it makes room at once.
func TestOthersComeBackToALeaderThatHangs(t *testing.T) {
	n := trio(true)
	n.others = 0
	watched(t, n, func(*watch.Dog) {
		n.stalls()
		sleep(10 * time.Second)
		n.set(func() { n.others = 1 })
		sleep(time.Second)
		if len(n.handed) != 1 {
			t.Fatal("it did not hand over")
		}
		between(t, "handed over", n.handed[0], 10*time.Second, 10250*time.Millisecond)
	})
}

func TestTheOnlyVoterStays(t *testing.T) {
	n := &node{leads: true, voters: 1, full: true, behind: time.Hour}
	watched(t, n, func(*watch.Dog) {
		n.stalls()
		sleep(time.Hour)
		if len(n.fatal) != 0 || len(n.handed) != 0 || n.hears() != "disk_full clock_behind disk_stalled" {
			t.Errorf("fatal %v, handed over at %v, told %q", n.fatal, n.handed, n.hears())
		}
	})
}

// A disk that is slow, and a process that was stopped, are no stall.
func TestNoStall(t *testing.T) {
	t.Run("slow writes", func(t *testing.T) {
		n := trio(true)
		watched(t, n, func(*watch.Dog) {
			for range 30 {
				n.stalls()
				sleep(3 * time.Second)
			}
			if len(n.fatal) != 0 || len(n.handed) != 0 || n.hears() != "" {
				t.Errorf("fatal %v, handed over at %v, told %q", n.fatal, n.handed, n.hears())
			}
		})
	})
	t.Run("a process that was stopped", func(t *testing.T) {
		n := trio(true)
		watched(t, n, func(*watch.Dog) {
			n.stalls()
			n.set(func() { n.pause = time.Minute })
			sleep(62 * time.Second) // it goes on, and so does the write, for two seconds
			n.set(func() { n.began = time.Time{} })
			sleep(time.Minute)
			if len(n.fatal) != 0 || len(n.handed) != 0 || n.hears() != "" {
				t.Errorf("fatal %v, handed over at %v, told %q", n.fatal, n.handed, n.hears())
			}
		})
	})
}

func TestALeaderWithAnIllHandsOver(t *testing.T) {
	for kind, ail := range map[watch.Kind]func(n *node, on bool){
		watch.Full: func(n *node, on bool) { n.full = on },
		watch.Late: func(n *node, on bool) {
			n.behind = 60 * time.Second // is not above
			if on {
				n.behind = 61 * time.Second
			}
		},
		watch.Unlisted: func(n *node, on bool) {
			n.listing = nil
			if on {
				n.listing = errors.New("permission denied")
			}
		},
	} {
		t.Run(string(kind), func(t *testing.T) {
			n := trio(true)
			watched(t, n, func(d *watch.Dog) {
				sleep(30 * time.Second)
				n.set(func() { ail(n, false) })
				sleep(30 * time.Second)
				if n.hears() != "" || len(n.handed) != 0 {
					t.Fatalf("told %q, handed over at %v", n.hears(), n.handed)
				}
				n.set(func() { ail(n, true) })
				sleep(11 * time.Second)
				if n.hears() != string(kind) || len(n.handed) != 1 || n.to[0] != "nod_b" {
					t.Fatalf("told %q, handed over at %v to %v", n.hears(), n.handed, n.to)
				}
				sleep(5 * time.Minute) // it follows: that is no reason to do more
				if len(n.handed) != 1 {
					t.Errorf("handed over at %v", n.handed)
				}
				n.set(func() { ail(n, false) })
				sleep(11 * time.Second)
				if n.hears() != fmt.Sprintf("%s -%s", kind, kind) || len(n.fatal) != 0 {
					t.Errorf("told %q, fatal %v", n.hears(), n.fatal)
				}
			})
		})
	}
}

// A log that no snapshot shortens is told of, and costs nobody the leadership. One
// snapshot that takes its time is none.
func TestALogThatGrows(t *testing.T) {
	n := trio(true)
	watched(t, n, func(d *watch.Dog) {
		for range 3 {
			n.set(func() { n.due = 20_000 })
			sleep(4*time.Minute + 50*time.Second)
			n.set(func() { n.due = 0 })
			sleep(11 * time.Second)
		}
		if n.hears() != "" {
			t.Fatalf("told %q", n.hears())
		}
		n.set(func() { n.due = 20_000 })
		sleep(5*time.Minute + 20*time.Second)
		if got := d.Alarms(); len(got) != 1 || got[0].Kind != watch.Growing || !strings.HasPrefix(got[0].Detail, "20000 entries") || n.hears() != "log_grows" {
			t.Fatalf("alarms %v, told %q", got, n.hears())
		}
		n.set(func() { n.due = 0 })
		sleep(11 * time.Second)
		if n.hears() != "log_grows -log_grows" || len(n.handed) != 0 || len(n.fatal) != 0 {
			t.Errorf("told %q, handed over at %v, fatal %v", n.hears(), n.handed, n.fatal)
		}
	})
}

// A node that leads again within the minute, with the same ill, keeps leading
// until it is over.
func TestLeadershipIsNotPassedToAndFro(t *testing.T) {
	n := trio(true)
	n.full = true
	n.transfer = func(context.Context, string) error { return nil } // and it leads again
	watched(t, n, func(*watch.Dog) {
		sleep(3*time.Minute + 30*time.Second)
		if len(n.handed) != 4 {
			t.Fatalf("handed over at %v", n.handed)
		}
		for i, at := range n.handed[1:] {
			if at-n.handed[i] < time.Minute {
				t.Errorf("handed over at %v", n.handed)
			}
		}
		if len(n.fatal) != 0 {
			t.Error(n.fatal)
		}
	})
}

func TestALeaderThatMustStay(t *testing.T) {
	n := trio(true)
	n.heir, n.behind = "", 2*time.Minute
	watched(t, n, func(d *watch.Dog) {
		sleep(10 * time.Second)
		if len(n.handed) != 0 || n.hears() != "clock_behind leader_kept" || len(d.Alarms()) != 2 {
			t.Fatalf("handed over at %v, told %q", n.handed, n.hears())
		}
		if !strings.Contains(n.told[0].Detail, "2m0s") {
			t.Errorf("%q", n.told[0].Detail)
		}
		n.set(func() { n.heir = "nod_c" })
		sleep(time.Minute)
		if !slices.Equal(n.to, []string{"nod_c"}) || n.hears() != "clock_behind leader_kept -leader_kept" {
			t.Errorf("handed over to %v, told %q", n.to, n.hears())
		}
	})
}

// An answer that was lost says nothing of who leads.
func TestAHandOverWhoseAnswerIsLost(t *testing.T) {
	n := trio(true)
	n.full = true
	n.transfer = func(context.Context, string) error {
		n.set(func() { n.leads = false })
		return errors.New("the connection was lost")
	}
	watched(t, n, func(*watch.Dog) {
		sleep(10 * time.Second)
		if n.hears() != "disk_full" || len(n.handed) != 1 {
			t.Errorf("told %q, handed over at %v", n.hears(), n.handed)
		}
	})
}

// The disk that stalls may hold up every other look, and the audit log.
func TestNothingHoldsUpTheWatchOfStalls(t *testing.T) {
	n := trio(true)
	n.transfer = func(context.Context, string) error { return errors.New("refused") }
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		hang := make(chan struct{})
		n.hangs, n.start = func() { <-hang }, time.Now()
		c := n.config()
		c.Tell = func(watch.Alarm) { <-hang }
		d := watch.New(c)
		go d.Run(ctx)
		n.stalls()
		sleep(6 * time.Second)
		if len(n.fatal) != 1 {
			t.Errorf("fatal %v", n.fatal)
		}
		if got := d.Alarms(); len(got) != 1 || got[0].Kind != watch.Stalled {
			t.Errorf("alarms %v", got)
		}
		close(hang)
		stop()
	})
}
