package state_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"gatehouse/store/audit/segment"
	"gatehouse/store/command"
	"gatehouse/store/state"
)

// sealingIn names the directory in which the child seals.
const sealingIn = "GATEHOUSE_TEST_SEALING_IN"

// sealNext does what a node does next with a full segment of ten_a, and commits:
// the file, then a part of the leaves. It gives false where all is done.
func sealNext(s *state.State, w *world) (bool, error) {
	h, err := s.Log("ten_a").Head()
	if err != nil || h.Sealed == segment.Leaves {
		return false, err
	}
	if h.Sealed == 0 {
		if err := s.Log("ten_a").WriteSegment(w.t.Context(), 0); err != nil {
			return false, err
		}
	}
	index, _ := s.Applied()
	c := w.seal("ten_a", int(h.Sealed)+state.DropAtOnce)
	c.ProposedAtNs = start + int64(index) // the same at every try
	b, err := command.Encode(c)
	if err != nil {
		return false, err
	}
	a, err := s.Apply([]state.Entry{{Index: index + 1, Term: 1, Data: b}})
	if err == nil && a[0].Refusal != "" {
		err = errors.New(a[0].Refusal)
	}
	return true, errors.Join(err, s.Commit())
}

// TestSealingChild is the process that is killed.
func TestSealingChild(t *testing.T) {
	dir := os.Getenv(sealingIn)
	if dir == "" {
		t.Skip("it is run by TestSealing")
	}
	s, err := state.Open(filepath.Join(dir, "state.db"), false)
	must(t, err)
	fmt.Println("sealing")
	for more := true; more; {
		more, err = sealNext(s, &world{t: t})
		must(t, err)
	}
	must(t, s.Close())
}

// A process that is killed at any moment of sealing, again and again, loses no
// leaf, and the next goes on where it was.
func killedByTheSystem(t *testing.T, w *world, all [][]byte) {
	if testing.Short() {
		t.Skip("it kills processes for half a minute")
	}
	must(t, w.s.Close())
	dir := filepath.Dir(w.path)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	kills, done := 0, false
	for kills < 100 && !done {
		child := exec.Command(os.Args[0], "-test.run", "^TestSealingChild$")
		child.Env = append(os.Environ(), sealingIn+"="+dir)
		out, err := child.StdoutPipe()
		must(t, err)
		must(t, child.Start())
		_, err = out.Read(make([]byte, 1)) // it has opened the state
		must(t, err)
		// Writing the file takes about 300 ms, each part 50 ms.
		after := time.AfterFunc(time.Duration(r.IntN(250))*time.Millisecond, func() { child.Process.Kill() })
		err = child.Wait()
		after.Stop()
		if done = err == nil; !done {
			kills++
		}
		s, err := state.Open(w.path, false)
		must(t, err)
		if kills%4 == 0 || done {
			same(t, s, all)
		}
		must(t, s.Close())
		if t.Failed() {
			t.Fatalf("after %d kills", kills)
		}
		if kills > 12 { // a machine that is too slow to get through between two
			s, err := state.Open(w.path, false)
			must(t, err)
			for more := true; more; {
				more, err = sealNext(s, w)
				must(t, err)
			}
			same(t, s, all)
			must(t, s.Close())
			done = true
		}
	}
	if kills == 0 {
		t.Error("nothing was killed")
	}
	t.Logf("%d kills", kills)
	left, err := filepath.Glob(filepath.Join(dir, "audit", "ten_a", "e1", "*"))
	must(t, err)
	if len(left) != 1 {
		t.Errorf("left over: %v", left)
	}
}
