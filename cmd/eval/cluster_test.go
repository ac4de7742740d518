package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The node of a cluster is a process: here it is this test's binary.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "cluster-node" {
		os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

func TestAllAreDrivenAlike(t *testing.T) {
	ours, err := os.ReadFile("cluster_drive.go")
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := os.ReadFile(filepath.Join("peers", "drive.go"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(ours, theirs) {
		t.Error("cluster_drive.go and peers/drive.go differ")
	}
}

func TestDriveCountsWhatWasAcknowledgedInTheWindow(t *testing.T) {
	var inside atomic.Bool
	var counted, all atomic.Int64
	var keys sync.Map
	marks := 0
	r, err := loading{clients: 3, warm: 30 * time.Millisecond, window: 100 * time.Millisecond}.drive(t.Context(), func() error {
		marks++
		inside.Store(marks == 1)
		return nil
	}, func(_ context.Context, key int64) error {
		if _, twice := keys.LoadOrStore(key, true); twice {
			t.Errorf("key %d was given twice", key)
		}
		time.Sleep(5 * time.Millisecond)
		if key%4 == 0 {
			return errors.New("no leader")
		}
		all.Add(1)
		if inside.Load() {
			counted.Add(1)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if marks != 2 || r.All != int(all.Load()) || r.Failed == 0 || r.Why != "no leader" {
		t.Errorf("%d marks, %d of %d writes, %d failed: %q", marks, r.All, all.Load(), r.Failed, r.Why)
	}
	// A write that ends as the window does may be on either side.
	if d := r.Writes - int(counted.Load()); r.Writes == 0 || d < -6 || d > 6 || r.Writes >= r.All {
		t.Errorf("%d writes are in the window of %d, want about %d", r.Writes, r.All, counted.Load())
	}
	if r.P50 < 5 || r.P99 < r.P50 || r.Seconds < 0.1 {
		t.Errorf("p50 %g ms, p99 %g ms in %g s", r.P50, r.P99, r.Seconds)
	}
}

func TestThreeNodesAgreeUnderLoad(t *testing.T) { loadThree(t, ourPeer{}) }

// etcd is there where make bench-cluster has built it.
func TestThreeOfEtcdAgreeUnderLoad(t *testing.T) {
	program, err := filepath.Abs(filepath.Join("..", "..", buildDir, "bench", "etcdpeer"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(program); err != nil {
		t.Skip("etcd is not built: make bench-cluster")
	}
	loadThree(t, etcdPeer{program})
}

func loadThree(t *testing.T, p clusterPeer) {
	s, err := p.start(t.Context(), place{t.TempDir(), clusterNodes, 2})
	if err != nil {
		t.Fatal(err)
	}
	defer s.stop()
	var marks []used
	r, err := s.load(t.Context(), loading{4, 100 * time.Millisecond, 500 * time.Millisecond}, func() error {
		u, err := s.used()
		marks = append(marks, u)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Writes == 0 || r.All < r.Writes || r.Failed > 0 || r.P50 <= 0 || r.P99 < r.P50 {
		t.Errorf("%+v", r)
	}
	if len(marks) != 2 || marks[1].cpu <= marks[0].cpu || marks[1].written < marks[0].written {
		t.Errorf("the servers used %+v", marks)
	}
	s.stop()
	if _, err := s.used(); err == nil {
		t.Error("servers that were stopped are still there")
	}
}

// A lost majority must be seen: then nothing is acknowledged, nor counted.
func TestWithoutAMajorityNothingIsAcknowledged(t *testing.T) {
	v, err := ourPeer{}.start(t.Context(), place{t.TempDir(), clusterNodes, 2})
	if err != nil {
		t.Fatal(err)
	}
	defer v.stop()
	s := v.(*ourServers)
	s.processes[1].end()
	s.processes[2].end()
	if err := s.alive(); err == nil {
		t.Error("two of the three were killed, and all are said to be there")
	}
	r, err := s.load(t.Context(), loading{2, 0, 200 * time.Millisecond}, func() error { return nil })
	if r.All > 0 || r.Failed == 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestANodeEndsWithItsInput(t *testing.T) {
	v, err := ourPeer{}.start(t.Context(), place{t.TempDir(), 1, 2})
	if err != nil {
		t.Fatal(err)
	}
	defer v.stop()
	p := v.(*ourServers).processes[0]
	if err := p.in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := p.wait(); err != nil {
		t.Error(err)
	}
}

func TestANodeWithoutAnOrder(t *testing.T) {
	for _, in := range []string{"", "{", "{}"} {
		if err := serveNode(t.Context(), strings.NewReader(in), &bytes.Buffer{}); !errors.Is(err, errUsage) {
			t.Errorf("%q: %v", in, err)
		}
	}
}

// rqlite says with a status of 200 that a statement failed.
func TestARefusalOfRqlite(t *testing.T) {
	answer := `{"results":[{"last_insert_id":1,"rows_affected":1}]}`
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(answer)) }))
	defer front.Close()
	s := &rqliteServers{leader: front.URL, caller: newCaller(1)}
	if err := s.execute(t.Context(), s.caller, "INSERT"); err != nil {
		t.Error(err)
	}
	answer = `{"results":[{"error":"UNIQUE constraint failed: kv.k"}]}`
	if err := s.execute(t.Context(), s.caller, "INSERT"); !errors.Is(err, errAnswer) {
		t.Errorf("%v, want %v", err, errAnswer)
	}
	if _, err := s.rows(t.Context()); !errors.Is(err, errAnswer) {
		t.Errorf("%v, want %v", err, errAnswer)
	}
	answer = `{"results":[{"columns":["COUNT(*)"],"types":["integer"],"values":[[7]]}]}`
	if n, err := s.rows(t.Context()); err != nil || n != 7 {
		t.Errorf("%d, %v", n, err)
	}
}

func TestClusterUsage(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("PATH", "")
	for args, code := range map[string]int{"cluster --nodes 2": 2, "cluster --rqlited absent": 1, "cluster-node": 2} {
		var out, errOut bytes.Buffer
		if got := run(t.Context(), strings.Fields(args), &out, &errOut); got != code {
			t.Errorf("%s: exit code %d, want %d: %s", args, got, code, errOut.String())
		}
	}
	if left, err := os.ReadDir("."); err != nil || len(left) > 0 {
		t.Errorf("something was made: %v, %v", left, err)
	}
}

func TestClusterFigures(t *testing.T) {
	var out bytes.Buffer
	s := &clusterRun{report: &report{out: &out, progress: &out, dir: t.TempDir()}, nodes: clusterNodes, wrote: map[setting][]wrote{}, failed: map[setting]string{},
		rivals: []rival{{name: oursName}, {name: etcdName, version: "3.x"}, {name: rqliteName, because: "rqlited-is-not-here"}}}
	s.declare(s.clusterFigures()...)
	few, many := procsTried()[0], procsTried()[len(procsTried())-1]
	if few == many {
		t.Skip("this machine has one setting")
	}
	for _, n := range writeClients() {
		// The second round found a machine that is half as fast to both.
		for _, slow := range []float64{1, 2, 1} {
			for at, rate := range map[setting]float64{{oursName, few, n}: 800, {oursName, many, n}: 990, {etcdName, few, n}: 1000, {etcdName, many, n}: 300} {
				s.wrote[at] = append(s.wrote[at], wrote{rate: rate / slow, p50: 1, p99: 2000 / rate * slow, cpu: 1, written: 2048})
			}
		}
	}
	s.tell(0.5)
	if err := s.close(true); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"figure cluster_writes_1_vs_etcd 0.99 ratio goal >= 0.9 met",
		"figure cluster_writes_16_vs_etcd 0.99 ratio goal >= 1 missed",
		"figure cluster_writes_64_vs_etcd 0.99 ratio goal >= 1 missed",
		"figure cluster_p99_64_vs_etcd 1.01 ratio goal <= 1 missed",
		"figure cluster_writes_16_gatehouse 990 per_s goal - - info",
		"figure cluster_writes_16_etcd 1000 per_s goal - - info",
		"figure cluster_bytes_16_etcd 2048 per_write goal - - info",
		"figure cluster_writes_16_vs_rqlite - ratio goal - - skipped:rqlited-is-not-here",
		"figure cluster_cpu_64_rqlite - s_per_1000_writes goal - - skipped:rqlited-is-not-here",
		"etcd 3.x: ",
		"Other programs used 50 %",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	if n := strings.Count(out.String(), "  best\n"); n != 2*len(writeClients()) {
		t.Errorf("%d rows are the best, want one of each program for each number of clients", n)
	}
}
