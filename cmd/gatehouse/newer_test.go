package main_test

import (
	"encoding/json"
	"io"
	"path/filepath"
	"testing"

	"github.com/hashicorp/raft"

	"gatehouse/appliance/appliancetest/crash"
	"gatehouse/cluster/raftlog"
	commands "gatehouse/store/command"
)

// A log that a newer release has written stops the node with its own exit
// code, and is not skipped at the next start either.
func TestEntryOfANewerRelease(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	n, err := crash.Program{Binary: binary, Data: data, Log: io.Discard}.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
	newer, err := commands.Encode(&commands.Command{Version: commands.Version, Type: 4711})
	if err != nil {
		t.Fatal(err)
	}
	var of struct{ Cluster string }
	if err := json.Unmarshal(readFile(t, filepath.Join(data, "node.json")), &of); err != nil {
		t.Fatal(err)
	}
	log, err := raftlog.Open(raftlog.Config{Dir: filepath.Join(data, "raft", "log"), Cluster: of.Cluster})
	if err != nil {
		t.Fatal(err)
	}
	last, err := log.LastIndex()
	if err != nil {
		t.Fatal(err)
	}
	var entry raft.Log
	if err := log.GetLog(last, &entry); err != nil {
		t.Fatal(err)
	}
	if err := log.StoreLogs([]*raft.Log{{Index: last + 1, Term: entry.Term, Type: raft.LogCommand, Data: newer}}); err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		o := gatehouse(t, "run", "--data", data, "--listen", "127.0.0.1:0", "--log-level", "error", "--json")
		o.fails(t, 13, "", "type 4711", "newer release")
	}
}
