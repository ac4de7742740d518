package segment_test

import (
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/store/audit"
	"gatehouse/store/audit/segment"
)

const origin = "clu_a/ten_a/e1"

// leaf seq of a log as a node writes it: six events a session, their ids, hashes
// and commitments as incompressible as real ones.
func leaf(seq int64) []byte {
	r := rand.New(rand.NewPCG(uint64(seq), 1))
	session := rand.New(rand.NewPCG(uint64(seq/6), 2))
	id := func(kind string, r *rand.Rand) string {
		b := binary.BigEndian.AppendUint64(nil, uint64(1795341600000+seq*40)<<16|r.Uint64()>>48)
		b = binary.BigEndian.AppendUint64(b, r.Uint64())
		return kind + "_" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b))
	}
	ts := audit.Time(1795341600000000000 + seq*40e6 + r.Int64N(40e6))
	l := audit.Leaf{
		V: 1, Seq: seq, Log: origin, ID: id("evt", r), TS: ts, TSMono: ts,
		Node: "nod_agpzx5u2yb3zvc4s7xk2l5m3qe", Term: 3, Index: uint64(seq) + 90,
		Actor:      audit.Actor{Type: "client", ID: "cli_agpzx5u2yb3zvc4s7xk2l5m3qe", Authn: "key"},
		SubjectRef: id("sub", session), Result: audit.OK,
		Req: audit.Request{RequestID: id("req", r), Route: "POST /v1/sessions/{id}/submit", PolicyVersion: "default/1"},
	}
	switch seq % 6 {
	case 0:
		l.Action, l.Object = audit.SessionCreate, audit.Object{Type: "session", ID: id("ses", session)}
	case 1, 2:
		var sum [32]byte
		for i := range sum {
			sum[i] = byte(r.Uint32())
		}
		l.Action, l.Object = audit.SessionEvidenceAdd, audit.Object{Type: "evidence", ID: id("evd", r), SHA256: hex.EncodeToString(sum[:])}
	case 3:
		l.Action = audit.DocumentProcess
		l.Req.Models = []string{"mrz@3", "forensics@2"}
		l.PII = map[string]audit.Commitment{}
		for _, field := range []string{"birth_date", "document.number", "name"} {
			var c audit.Commitment
			for i := range c {
				c[i] = byte(r.Uint32())
			}
			l.PII[field] = c
		}
	case 4:
		l.Action, l.Data = audit.FaceProcess, map[string]any{"liveness": "0.9731", "match": "0.8812"}
	case 5:
		l.Action, l.Object = audit.DecisionMake, audit.Object{Type: "session", ID: id("ses", session)}
	}
	b, err := l.Encode()
	if err != nil {
		panic(err)
	}
	return b
}

// grown is the stored hashes of a log of its leaves.
type grown struct {
	hashes []tlog.Hash
	leaves [][]byte
}

func (g *grown) Hash(i int64) (tlog.Hash, error) { return g.hashes[i], nil }

func (g *grown) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var h []tlog.Hash
	for _, i := range indexes {
		h = append(h, g.hashes[i])
	}
	return h, nil
}

func (g *grown) root(n int64) tlog.Hash {
	return g.hashes[tlog.StoredHashIndex(segment.Height, n)]
}

func (g *grown) source(seq int64) ([]byte, error) { return g.leaves[seq], nil }

func grow(segments int64) *grown {
	g := &grown{}
	for seq := range segments << segment.Height {
		l := leaf(seq)
		h, err := tlog.StoredHashes(seq, l, g)
		if err != nil {
			panic(err)
		}
		g.hashes, g.leaves = append(g.hashes, h...), append(g.leaves, l)
	}
	return g
}

// world is a log of two segments, which no test changes.
var world = sync.OnceValue(func() *grown { return grow(2) })

func put(t testing.TB, s *segment.Store, n int64) string {
	t.Helper()
	g := world()
	if err := s.Write(origin, n, g.root(n), g.source); err != nil {
		t.Fatal(err)
	}
	path, err := s.Path(origin, n)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func store(t testing.TB) *segment.Store {
	s := segment.OpenStore(filepath.Join(t.TempDir(), "audit"))
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
