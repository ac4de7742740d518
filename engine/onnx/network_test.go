package onnx_test

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"gatehouse/engine/enginetest"
	"gatehouse/engine/onnx"
	"gatehouse/engine/pack"
)

func network(t *testing.T, task pack.Task) *onnx.Network {
	t.Helper()
	p := enginetest.Pack(t)
	n := open(t, 1).NewNetwork(p, p.Find(task)[0])
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

func TestFeedRefusesAnotherBatch(t *testing.T) {
	n := network(t, pack.FaceEyes) // takes one picture a run
	for _, count := range []int{0, 2} {
		err := n.Feed(t.Context(), n.Target, count, func(int, []float32) { t.Error("it was fed") }, ignore)
		if !errors.Is(err, onnx.ErrModel) || !strings.Contains(err.Error(), "face.eyes") {
			t.Errorf("%d pictures: %v", count, err)
		}
	}
}

// Each picture of a batch has its place, whatever ran before.
func TestFeedOfAnyBatch(t *testing.T) {
	p := enginetest.Pack(t)
	m := p.Find(pack.FaceEmbed)[1]
	if m.Input.Batch != 0 {
		t.Fatalf("%s takes %d pictures a run, not any number", m.Name, m.Input.Batch)
	}
	n := open(t, 1).NewNetwork(p, m)
	t.Cleanup(func() { _ = n.Close() })
	fill := func(i int, dst []float32) {
		for k := range dst {
			dst[k] = float32((k*(i+1))%7)/7 - .5
		}
	}
	feed := func(count, from int) (values []float32) {
		err := n.Feed(t.Context(), n.Target, count, func(i int, dst []float32) { fill(from+i, dst) }, func(out []onnx.Output) error {
			values = append(values, out[0].Data...)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(values) != count*m.Dimensions {
			t.Fatalf("%d values for %d pictures", len(values), count)
		}
		return values
	}
	three := feed(3, 0)
	for i := range 3 {
		for k, v := range feed(1, i) {
			if d := v - three[i*m.Dimensions+k]; d > 1e-4 || d < -1e-4 {
				t.Fatalf("picture %d: value %d is %v in a batch and %v alone", i, k, three[i*m.Dimensions+k], v)
			}
		}
	}
}

// A runtime that cannot be loaded is an error, not the end of the process, and
// a good one can be loaded after it. In a process of its own: this one has its
// runtime already.
func TestRuntimeThatIsNone(t *testing.T) {
	const child = "GATEHOUSE_TEST_CHILD"
	if os.Getenv(child) == "" {
		c := exec.Command(os.Args[0], "-test.run=^TestRuntimeThatIsNone$", "-test.v")
		c.Env = append(os.Environ(), child+"=1")
		if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	good := enginetest.Runtime(t)
	for _, spoil := range []func(*onnx.Config){
		func(c *onnx.Config) { c.Runtime.Bytes = []byte("no library") },
		func(c *onnx.Config) { c.Runtime.Bytes = enginetest.Asset(t, "libgcc_s.so.1") },
		func(c *onnx.Config) {
			c.Support = append(c.Support, onnx.Library{SOName: "libnowhere.so.1", Bytes: []byte("no library")})
		},
	} {
		bad := good
		spoil(&bad)
		if _, err := onnx.Open(bad); !errors.Is(err, onnx.ErrRuntime) || !strings.Contains(err.Error(), ".so") {
			t.Errorf("%v", err)
		}
	}
	rt, err := onnx.Open(good)
	if err != nil {
		t.Fatal(err)
	}
	if err := session(t, rt, halves(t), "x", "double").Run(t.Context(), four, count, ignore); err != nil {
		t.Error(err)
	}
	if !strings.HasPrefix(rt.Version(), "1.") {
		t.Errorf("version %q", rt.Version())
	}
}
