package replica_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/cluster/replica"
	"gatehouse/store/blob"
)

func TestOpenFetches(t *testing.T) {
	t.Parallel()
	c := build(t, 3, nil)
	a, third := c.nodes[0], c.nodes[2]
	plain := random(200 << 10)
	name := keep(t, plain, third) // B does not have it
	for range 2 {
		if got, err := a.read(name); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
	}
	if !a.whole(name) || third.gets.Load() != 1 {
		t.Errorf("kept: %v, transfers: %d", a.whole(name), third.gets.Load())
	}
	if s := a.Stats(); s.Healed != 1 || s.Bytes < 200<<10 || s.Rotten != 0 {
		t.Errorf("%+v", s)
	}
}

func TestManyOpenOne(t *testing.T) {
	t.Parallel()
	c := build(t, 2, nil)
	a, b := c.nodes[0], c.nodes[1]
	plain := random(1 << 20)
	name := keep(t, plain, b)
	h := b.Handler()
	b.instead(func(w http.ResponseWriter, q *http.Request) {
		time.Sleep(100 * time.Millisecond) // all of them are there by then
		h.ServeHTTP(w, q)
	})
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			if got, err := a.read(name); err != nil || !bytes.Equal(got, plain) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
	wg.Wait()
	if n := b.gets.Load(); n != 1 {
		t.Errorf("%d transfers", n)
	}
}

// One who gives up leaves the transfer to the others; the last ends it, and the
// next begins anew.
func TestGivingUp(t *testing.T) {
	t.Parallel()
	c := build(t, 2, nil)
	a, b := c.nodes[0], c.nodes[1]
	plain := random(1 << 20)
	name := keep(t, plain, b)
	begun, goOn, ended := make(chan struct{}, 9), make(chan struct{}), make(chan struct{}, 9)
	h := b.Handler()
	b.instead(func(w http.ResponseWriter, q *http.Request) {
		begun <- struct{}{}
		select {
		case <-goOn:
			h.ServeHTTP(w, q)
		case <-q.Context().Done():
			ended <- struct{}{}
		}
	})
	open := func(ctx context.Context) chan error {
		out := make(chan error, 1)
		go func() {
			r, err := a.Open(ctx, key{}, header, name)
			if err == nil {
				r.Close()
			}
			out <- err
		}()
		return out
	}
	ctx1, leave1 := context.WithCancel(context.Background())
	ctx2, leave2 := context.WithCancel(context.Background())
	one := open(ctx1)
	<-begun
	two := open(ctx2)
	time.Sleep(200 * time.Millisecond) // until it has joined
	leave1()
	if err := <-one; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	select {
	case <-ended:
		t.Fatal("the first who leaves ends it for all")
	case <-time.After(50 * time.Millisecond):
	}
	leave2()
	if err := <-two; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Fatal("the transfer goes on for nobody")
	}
	three := open(context.Background())
	<-begun
	close(goOn)
	if err := <-three; err != nil || !a.whole(name) {
		t.Errorf("%v", err)
	}
}

// serving is what can be wrong with a node that is asked for a blob of these
// bytes.
var serving = map[string]func(m *node, stored []byte) http.HandlerFunc{
	"other bytes": func(m *node, b []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, q *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(len(b)))
			w.Write(flip(len(b) / 2)(bytes.Clone(b)))
		}
	},
	"fewer": func(m *node, b []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, q *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(len(b)-1))
			w.Write(b[:len(b)-1])
		}
	},
	"more": func(m *node, b []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, q *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(len(b)+1))
			w.Write(append(bytes.Clone(b), 0))
		}
	},
	"cut off": func(m *node, b []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, q *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(len(b)))
			w.Write(b[:len(b)/2])
		}
	},
	"a size beyond any disk": func(m *node, b []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, q *http.Request) {
			w.Header().Set("Content-Length", strconv.FormatInt(1<<62, 10))
			w.Write(b)
		}
	},
	"a size beyond this disk": func(m *node, b []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, q *http.Request) {
			w.Header().Set("Content-Length", strconv.FormatInt(plenty, 10))
			w.Write(b)
		}
	},
	"no size": func(m *node, b []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, q *http.Request) {
			w.Write(b[:10])
			http.NewResponseController(w).Flush()
			w.Write(b[10:])
		}
	},
	"failure": func(m *node, b []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, q *http.Request) { w.WriteHeader(http.StatusInternalServerError) }
	},
	"no answer": func(m *node, b []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, q *http.Request) { <-m.end }
	},
	"no word of why not": func(m *node, b []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, q *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			http.NewResponseController(w).Flush()
			<-m.end
		}
	},
	"silence in the middle": func(m *node, b []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, q *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(len(b)))
			w.Write(b[:len(b)/2])
			http.NewResponseController(w).Flush()
			<-m.end
		}
	},
}

func TestFetchTriesTheNext(t *testing.T) {
	t.Parallel()
	for what, f := range serving {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			c := build(t, 3, func(t replica.Limits) { *t.Idle = time.Second })
			a, b, third := c.nodes[0], c.nodes[1], c.nodes[2]
			plain := random(300 << 10)
			name := keep(t, plain, b, third)
			stored, err := os.ReadFile(b.file(name))
			if err != nil {
				t.Fatal(err)
			}
			b.instead(f(b, stored))
			begun := time.Now()
			if got, err := a.read(name); err != nil || !bytes.Equal(got, plain) {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
			if took := time.Since(begun); took > 20*time.Second {
				t.Errorf("it takes %v", took)
			}
			if b.gets.Load() == 0 || third.gets.Load() != 1 {
				t.Errorf("%d requests to B, %d to C", b.gets.Load(), third.gets.Load())
			}
			if left := a.files(t); len(left) != 1 || left[0] != name {
				t.Errorf("it leaves %v", left)
			}
		})
	}
}

func TestFetchFromNobody(t *testing.T) {
	t.Parallel()
	for what, f := range serving {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			c := build(t, 2, func(t replica.Limits) { *t.Idle = time.Second })
			a, b := c.nodes[0], c.nodes[1]
			name := keep(t, random(300<<10), b)
			stored, err := os.ReadFile(b.file(name))
			if err != nil {
				t.Fatal(err)
			}
			b.instead(f(b, stored))
			_, err = a.read(name)
			// Whole bytes of another name are an answer: there is no good copy.
			want := replica.ErrUnreached
			if what == "other bytes" || what == "fewer" || what == "more" {
				want = replica.ErrNoCopy
			}
			if !errors.Is(err, want) || errors.Is(err, blob.ErrNotFound) != (want == replica.ErrNoCopy) {
				t.Errorf("%v, want %v", err, want)
			}
			if left := a.files(t); len(left) != 0 {
				t.Errorf("it leaves %v", left)
			}
		})
	}
}

func TestNobodyHasIt(t *testing.T) {
	t.Parallel()
	c := build(t, 3, nil)
	a := c.nodes[0]
	name := strings.Repeat("0", 64)
	if _, err := a.read(name); !errors.Is(err, replica.ErrNoCopy) || !errors.Is(err, blob.ErrNotFound) || errors.Is(err, replica.ErrUnreached) {
		t.Errorf("%v", err)
	}
	if err := a.Heal(context.Background(), name); !errors.Is(err, replica.ErrNoCopy) {
		t.Errorf("%v", err)
	}
	before := c.nodes[1].gets.Load()
	for _, no := range []string{"", "ab", "../../../../etc/passwd", strings.Repeat("A", 64), "have"} {
		if _, err := a.read(no); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("%q: %v", no, err)
		}
	}
	if n := c.nodes[1].gets.Load(); n != before {
		t.Errorf("%d requests for what is no name", n-before)
	}
	c.nodes[1].server.Close()
	if _, err := a.read(name); !errors.Is(err, replica.ErrUnreached) || errors.Is(err, blob.ErrNotFound) {
		t.Errorf("with a node down: %v", err)
	}
	alone := build(t, 1, nil).nodes[0]
	if _, err := alone.read(name); !errors.Is(err, replica.ErrNoCopy) || !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("alone: %v", err)
	}
}

func TestDamagedHere(t *testing.T) {
	t.Parallel()
	headerSize := 6 + 1 + 5 + len(header.Tenant+header.Subject+header.Object+header.KeyID+header.Class) + 4 + 32
	for what, change := range map[string]func([]byte) []byte{
		"magic":               flip(0),
		"format":              flip(6),
		"tenant":              flip(9),
		"salt":                flip(headerSize - 20),
		"the package":         flip(headerSize + 100),
		"a package's version": flip(headerSize),
		"last byte":           flip(-1),
		"cut short":           func(b []byte) []byte { return b[:len(b)-1] },
		"longer":              func(b []byte) []byte { return append(b, 0) },
		"empty":               func([]byte) []byte { return nil },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			c := build(t, 2, nil)
			a, b := c.nodes[0], c.nodes[1]
			plain := random(1000)
			name := keep(t, plain, a, b)
			a.damage(t, name, change)
			a.run(t)
			if got, err := a.read(name); err != nil || !bytes.Equal(got, plain) {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
			if !a.whole(name) {
				t.Error("it is not whole")
			}
			if _, err := os.Stat(filepath.Join(a.dir, "quarantine", name)); err != nil {
				t.Errorf("the damaged one is not kept: %v", err)
			}
			eventually(t, "Repaired is told", func() bool { r, _, _ := a.told(); return len(r) == 1 && r[0] == name })
			if s := a.Stats(); s.Rotten != 1 || s.Repaired != 1 || s.Healed != 1 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// Damage that readers meet in the middle is healed while they read.
func TestHeal(t *testing.T) {
	t.Parallel()
	c := build(t, 3, nil)
	a, b, empty := c.nodes[0], c.nodes[1], c.nodes[2]
	plain := random(200 << 10)
	name := keep(t, plain, a, b)
	a.damage(t, name, flip(70<<10))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if got, err := a.read(name); err != nil || !bytes.Equal(got, plain) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
	wg.Wait()
	if !a.whole(name) {
		t.Error("it is not whole")
	}
	if kept, _ := os.ReadDir(filepath.Join(a.dir, "quarantine")); len(kept) != 1 || b.gets.Load() != 1 {
		t.Errorf("%d in quarantine, %d transfers", len(kept), b.gets.Load())
	}

	// Where nobody has it whole, no wrong byte comes out.
	a.damage(t, name, flip(70<<10))
	b.damage(t, name, flip(150<<10))
	if got, err := a.read(name); !errors.Is(err, blob.ErrDamaged) || !errors.Is(err, replica.ErrNoCopy) || !bytes.Equal(got, plain[:64<<10]) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	// Where one cannot be asked, it may have it.
	name = keep(t, plain, empty)
	empty.damage(t, name, flip(150<<10))
	b.server.CloseClientConnections()
	b.server.Close()
	if got, err := empty.read(name); !errors.Is(err, replica.ErrUnreached) || !bytes.Equal(got, plain[:128<<10]) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// A wrong key is not a damaged blob.
func TestWrongKey(t *testing.T) {
	t.Parallel()
	c := build(t, 2, nil)
	a, b := c.nodes[0], c.nodes[1]
	name := keep(t, []byte("secret"), a, b)
	other := header
	other.Subject = "sub_b"
	if _, err := a.Open(context.Background(), otherKey{}, header, name); !errors.Is(err, blob.ErrDamaged) {
		t.Errorf("%v", err)
	}
	if _, err := a.Open(context.Background(), key{}, other, name); !errors.Is(err, blob.ErrHeader) {
		t.Errorf("%v", err)
	}
	if !a.whole(name) || b.gets.Load() != 0 || a.Stats().Rotten != 0 {
		t.Errorf("whole: %v, %d transfers, %+v", a.whole(name), b.gets.Load(), a.Stats())
	}
}

func TestFetchOntoAFullDisk(t *testing.T) {
	t.Parallel()
	c := build(t, 2, nil)
	a, b := c.nodes[0], c.nodes[1]
	name := keep(t, []byte("x"), b)
	a.free.Store(1 << 20)
	if _, err := a.read(name); !errors.Is(err, blob.ErrFull) || errors.Is(err, blob.ErrNotFound) {
		t.Errorf("%v", err)
	}
	a.free.Store(plenty)
	if got, err := a.read(name); err != nil || string(got) != "x" {
		t.Errorf("%q, %v", got, err)
	}
}

// A disk may be slower than the other node: that is not the node's silence.
func TestFetchOntoASlowDisk(t *testing.T) {
	t.Parallel()
	c := build(t, 2, nil)
	a, b := c.nodes[0], c.nodes[1]
	*replica.LimitsOf(a.Replica).Idle = time.Second
	plain := random(17 << 20) // after 16 MiB the store looks at the disk again
	name := keep(t, plain, b)
	a.slow.Store(int64(1300 * time.Millisecond))
	if got, err := a.read(name); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// The disk's failure is told to whoever asked, and no other node is asked.
func TestFetchOntoABrokenDisk(t *testing.T) {
	t.Parallel()
	c := build(t, 3, nil)
	a, third := c.nodes[0], c.nodes[2]
	name := keep(t, []byte("x"), c.nodes[1], third)
	if err := os.Remove(filepath.Join(a.dir, "blobs", "tmp")); err != nil {
		t.Fatal(err)
	}
	if _, err := a.read(name); !errors.Is(err, blob.ErrSync) || third.gets.Load() != 0 {
		t.Errorf("%v, %d requests to C", err, third.gets.Load())
	}
}
