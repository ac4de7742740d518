package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path/filepath"
)

// rqlitePeer is rqlite, by the program that it is built as.
type rqlitePeer struct{ program string }

type rqliteServers struct {
	processes
	leader string // its URL
	caller *caller
}

// start begins with one server, which leads, and has the others join it.
func (q rqlitePeer) start(ctx context.Context, at place) (_ servers, err error) {
	free, err := freeAddresses(2 * at.nodes)
	if err != nil {
		return nil, err
	}
	s := &rqliteServers{leader: "http://" + free[0], caller: newCaller(1)}
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	for i := range at.nodes {
		name, http, raft := fmt.Sprintf("n%d", i+1), free[2*i], free[2*i+1]
		args := []string{"-node-id", name, "-http-addr", http, "-raft-addr", raft}
		if i > 0 {
			args = append(args, "-join", free[1])
		}
		p, err := startProcess(ctx, filepath.Join(at.dir, name+".log"), at.procs, q.program, append(args, filepath.Join(at.dir, name))...)
		if err != nil {
			return nil, err
		}
		s.processes = append(s.processes, p)
		// A server is ready when it knows a leader, so when it has joined.
		err = until(ctx, s.processes, name+" does not join", func(ctx context.Context) error {
			_, err := s.caller.ask(ctx, "http://"+http+"/readyz", "", nil)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return s, s.execute(ctx, s.caller, "CREATE TABLE kv (k INTEGER PRIMARY KEY, v TEXT NOT NULL)")
}

// execute one statement, which must not fail.
func (s *rqliteServers) execute(ctx context.Context, c *caller, statement ...any) error {
	b, err := json.Marshal([][]any{statement})
	if err != nil {
		return err
	}
	b, err = c.ask(ctx, s.leader+"/db/execute", "application/json", b)
	if err == nil && bytes.Contains(b, []byte(`"error"`)) { // the status is 200 all the same
		err = fmt.Errorf("%w: %s", errAnswer, b)
	}
	return err
}

// load writes text, which JSON makes no longer.
func (s *rqliteServers) load(ctx context.Context, l loading, mark func() error) (r loadResult, err error) {
	c := newCaller(l.clients)
	defer c.CloseIdleConnections()
	before, err := s.rows(ctx)
	if err != nil {
		return r, err
	}
	value := base64.RawStdEncoding.EncodeToString(bytesOf(valueSize * 3 / 4))
	r, err = l.drive(ctx, mark, func(ctx context.Context, key int64) error {
		return s.execute(ctx, c, "INSERT INTO kv(k, v) VALUES(?, ?)", before+key, value)
	})
	if err != nil {
		return r, err
	}
	after, err := s.rows(ctx)
	if err == nil && after-before < int64(r.All) {
		err = fmt.Errorf("%d writes were acknowledged, %d are there", r.All, after-before)
	}
	return r, err
}

func (s *rqliteServers) rows(ctx context.Context) (int64, error) {
	b, err := s.caller.ask(ctx, s.leader+"/db/query?level=strong", "application/json", []byte(`["SELECT COUNT(*) FROM kv"]`))
	if err != nil {
		return 0, err
	}
	var a struct{ Results []struct{ Values [][]int64 } }
	if err := json.Unmarshal(b, &a); err != nil || len(a.Results) != 1 || len(a.Results[0].Values) != 1 || len(a.Results[0].Values[0]) != 1 {
		return 0, fmt.Errorf("%w: %s", errAnswer, b)
	}
	return a.Results[0].Values[0][0], nil
}

func (s *rqliteServers) stop() {
	s.caller.CloseIdleConnections()
	s.processes.stop()
}
