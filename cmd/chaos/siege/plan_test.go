package siege_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"gatehouse/cmd/chaos/lab"
	"gatehouse/cmd/chaos/siege"
	"gatehouse/store/disk/killpoint"
)

func rounds(t *testing.T, seed uint64, only string, able lab.Abilities, n int) (all []siege.Round) {
	t.Helper()
	p, err := siege.NewPlan(seed, only, able)
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		all = append(all, p.Next())
	}
	return all
}

func TestASeedGivesOnePlan(t *testing.T) {
	n := 3 * len(siege.Names())
	first := rounds(t, 7, "", nil, n)
	if again := rounds(t, 7, "", nil, n); !reflect.DeepEqual(first, again) {
		t.Errorf("%v\n%v", first, again)
	}
	if other := rounds(t, 8, "", nil, n); reflect.DeepEqual(first, other) {
		t.Error("another seed, and the same plan")
	}
}

// Each nemesis comes once before any comes again, each time with other
// parameters.
func TestEachNemesisComes(t *testing.T) {
	names := siege.Names()
	all := rounds(t, 1, "", nil, 2*len(names))
	faults := map[string][][]siege.Fault{}
	for i, r := range all {
		if r.Number != i+1 {
			t.Errorf("round %d is number %d", i+1, r.Number)
		}
		faults[r.Nemesis] = append(faults[r.Nemesis], r.Faults)
	}
	same := 0
	for _, name := range names {
		if len(faults[name]) != 2 {
			t.Fatalf("%s came %d times", name, len(faults[name]))
		}
		if reflect.DeepEqual(faults[name][0], faults[name][1]) {
			same++
		}
	}
	if same > 2 {
		t.Errorf("%d came with the same parameters twice", same)
	}
}

func TestFaultsAreInRange(t *testing.T) {
	for _, r := range rounds(t, 3, "", nil, 500) {
		if want := map[bool]int{true: 2, false: 1}[r.Nemesis == "two"]; len(r.Faults) != want {
			t.Errorf("%+v", r)
		}
		for _, f := range r.Faults {
			slow := f.Kind == siege.SlowLink || f.Kind == siege.SlowDisk
			if f.For < 0 || f.For > 20*time.Second || f.After > 5*time.Second || slow != (f.Rate > 0) || (f.Kind == siege.ClockStep) != (f.Offset != 0) || f.Which > 0 && f.On != siege.Follower {
				t.Errorf("%s: %+v", r.Nemesis, f)
			}
		}
	}
}

// Each point is one that some node comes by: where a change of keys or an install
// is needed for that, the fault comes with it.
func TestNodesDieAtEveryPoint(t *testing.T) {
	needs := map[killpoint.Point]siege.Act{
		killpoint.BlobKept: "", killpoint.BlobCopied: "", killpoint.Agreed: "", killpoint.Applying: "",
		killpoint.RingStaged: siege.KeyChange, killpoint.RingAgreed: siege.KeyChange, killpoint.RingKept: siege.KeyChange,
		killpoint.StateKept: siege.Install, killpoint.StateDurable: siege.Install,
	}
	at, amid := map[killpoint.Point]bool{}, map[siege.Act]map[siege.Kind]bool{siege.KeyChange: {}, siege.Install: {}}
	for _, r := range rounds(t, 5, "", nil, 800) {
		for _, f := range r.Faults {
			if f.During != "" {
				amid[f.During][f.Kind] = true
			}
			if f.At == "" {
				continue
			}
			at[f.At] = true
			act, known := needs[f.At]
			follower := f.At == killpoint.StateKept || f.At == killpoint.StateDurable
			leader := f.At == killpoint.RingStaged || f.At == killpoint.RingAgreed
			if !known || f.During != act || f.Kind != siege.Kill || follower && f.On != siege.Follower || leader && f.On != siege.Leader {
				t.Errorf("%+v", f)
			}
		}
	}
	if len(at) != len(needs) {
		t.Errorf("nodes die at %v alone", at)
	}
	for act, kinds := range amid {
		if !kinds[siege.Kill] || !kinds[siege.Pause] || !kinds[siege.Cut] {
			t.Errorf("amid a %s: %v alone", act, kinds)
		}
	}
}

func TestWhatCannotBeHadIsLeftOut(t *testing.T) {
	able := lab.Abilities{lab.Freeze: lab.ErrAbsent}
	for _, r := range rounds(t, 1, "", able, 50) {
		for _, f := range r.Faults {
			if f.Kind == siege.Freeze {
				t.Errorf("%+v", r)
			}
		}
	}
	if _, err := siege.NewPlan(1, "freeze-leader", able); !errors.Is(err, siege.ErrNemesis) {
		t.Error(err)
	}
	if _, err := siege.NewPlan(1, "meteor", nil); !errors.Is(err, siege.ErrNemesis) {
		t.Error(err)
	}
	for _, r := range rounds(t, 1, "power", nil, 5) {
		if r.Nemesis != "power" {
			t.Errorf("%+v", r)
		}
	}
}
