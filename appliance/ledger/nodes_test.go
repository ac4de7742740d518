package ledger_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/appliance/ledger"
	"gatehouse/store/audit"
	"gatehouse/store/audit/trust"
	"gatehouse/store/command"
	"gatehouse/store/disk"
)

// neighbour is another node's ledger, reached as the members reach each other.
type neighbour struct{ *ledger.Ledger }

func (n neighbour) Others() []string { return []string{"nod_b"} }

func (n neighbour) Do(_ string, r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	n.ServeCosign(w, r)
	return w.Result(), nil
}

// node opens a ledger of the world as one node has it.
func (w *world) node(t *testing.T, name string, key *trust.Witness, others ledger.Others) *ledger.Ledger {
	t.Helper()
	dir := filepath.Join(w.dir, name)
	must(t, disk.MkdirAll(dir))
	l, err := ledger.Open(ledger.Config{Proposer: w.proposer(), Dir: dir, Cluster: w, State: w.s, Keys: w.keys, Log: slog.New(slog.DiscardHandler),
		Custody: alone{w.keys}, Leading: func() bool { return true }, Others: others, Witness: func() (*trust.Witness, error) { return key, nil }})
	must(t, err)
	return l
}

// What this node signs another one cosigns, once it has compared it with its own
// log; and the auditor's policy knows its key.
func TestOtherNodesCosign(t *testing.T) {
	w := found(t, t.TempDir())
	defer w.s.Close()
	for n := range 4 {
		must(t, w.some(bank, command.MaxEvents+n))
	}
	skey, vkey, err := trust.NewWitness("nod_b", rand.Reader)
	must(t, err)
	key, err := trust.ParseWitness(skey)
	must(t, err)
	w.do(t, "", command.Type_FINALISE, &command.Finalise{Version: 2}, event(audit.ClusterFinalise, "cluster", "clu_a"))
	w.do(t, "", command.Type_JOIN, &command.Join{Member: &command.Member{Id: "nod_b", Address: "10.0.0.2:8444", Key: make([]byte, 32), Commands: 2, Witness: vkey}}, event(audit.NodeMemberJoin, "node", "nod_b"))
	a := w.node(t, "a", nil, neighbour{w.node(t, "b", key, nil)})
	last := map[string]int64{}
	must(t, a.Cosigned(t.Context(), last))
	cosigned := 0
	for _, log := range []string{bank, audit.System} {
		must(t, w.s.Log(log).Scan(t.Context(), 0, w.size(t, log), func(_ int64, leaf []byte) error {
			if l, err := audit.DecodeLeaf(leaf); err != nil {
				return err
			} else if l.Action == audit.AuditCosign && l.Data["witness"] == vkey {
				cosigned++
			}
			return nil
		}))
	}
	if cosigned == 0 || last["clu_a/"+bank+"/e1"] == 0 {
		t.Errorf("%d cosignatures, %v", cosigned, last)
	}
	size := w.size(t, bank)
	must(t, a.Cosigned(t.Context(), last)) // it has not grown
	if now := w.size(t, bank); now != size {
		t.Errorf("%d events, %d before", now, size)
	}
	policy, err := a.Trust(t.Context(), bank)
	must(t, err)
	if !strings.Contains(policy, "witness nod_b "+vkey+"\n") {
		t.Errorf("the policy does not know the node:\n%s", policy)
	}
	if _, err := trust.ParsePolicy([]byte(policy)); err != nil {
		t.Error(err)
	}
}

// A node does not cosign what is not in its own log, nor does the other one take
// a signature by a key that is not the node's.
func TestNodesDoNotCosignWhatDiffers(t *testing.T) {
	w := found(t, t.TempDir())
	defer w.s.Close()
	other := found(t, t.TempDir())
	defer other.s.Close()
	for _, world := range []*world{w, other} {
		for n := range 4 {
			must(t, world.some(bank, command.MaxEvents+n))
		}
	}
	skey, vkey, err := trust.NewWitness("nod_b", rand.Reader)
	must(t, err)
	key, err := trust.ParseWitness(skey)
	must(t, err)
	stranger, _, err := trust.NewWitness("nod_b", rand.Reader)
	must(t, err)
	strange, err := trust.ParseWitness(stranger)
	must(t, err)
	w.do(t, "", command.Type_FINALISE, &command.Finalise{Version: 2}, event(audit.ClusterFinalise, "cluster", "clu_a"))
	w.do(t, "", command.Type_JOIN, &command.Join{Member: &command.Member{Id: "nod_b", Address: "10.0.0.2:8444", Key: make([]byte, 32), Commands: 2, Witness: vkey}}, event(audit.NodeMemberJoin, "node", "nod_b"))
	for what, b := range map[string]*ledger.Ledger{"another state": other.node(t, "b", key, nil), "another key": w.node(t, "c", strange, nil)} {
		before := w.size(t, bank)
		if err := w.node(t, "of "+what, nil, neighbour{b}).Cosigned(context.Background(), map[string]int64{}); err == nil {
			t.Errorf("%s: it was cosigned", what)
		}
		if now := w.size(t, bank); now != before {
			t.Errorf("%s: the log has %d events, %d before", what, now, before)
		}
	}
}
