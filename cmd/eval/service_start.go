package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"gatehouse/store/audit"
	"gatehouse/store/command"
	"gatehouse/store/id"
	"gatehouse/store/state"
)

func startFigures() []figure { return []figure{info("node_start_10k_s", "s", 2)} }

const (
	// What is kept of a decision, sealed: the JSON of the verification of make
	// run has 4533 and 2817 bytes.
	summaryBytes = 4600
	detailBytes  = 2900
)

// start measures a node's start over many sessions, each with evidence and a
// decision, from exec until it says that it is ready.
func (s *serviceRun) start(ctx context.Context) error {
	data := filepath.Join(s.dir, "start")
	n, err := s.startNode(ctx, data, credentials{})
	if err != nil {
		return err
	}
	who := n.who
	if err := n.stop(); err != nil {
		return err
	}
	const sessions = 10_000
	if err := s.fill(ctx, data, who, sessions); err != nil {
		return err
	}
	var ready []float64
	t := table{title: fmt.Sprintf("Start of a node with %d sessions", sessions), head: []string{"start", "ready after, s"},
		note: "From exec until /readyz answers 200; the median counts. The files are in the page cache."}
	for i := range s.or(1, 3) {
		took, err := s.ready(ctx, data, who, sessions)
		if err != nil {
			return err
		}
		ready = append(ready, took.Seconds())
		t.add(fmt.Sprint(i+1), fmt.Sprintf("%.2f", took.Seconds()))
	}
	s.table(t)
	s.measure("node_start_10k_s", median(ready))
	return nil
}

// ready starts the node and waits for it; it must hold the sessions.
func (s *serviceRun) ready(ctx context.Context, data string, who credentials, sessions int) (time.Duration, error) {
	n, err := s.startNode(ctx, data, who)
	if err != nil {
		return 0, err
	}
	for { // the first answers may say what is still missing
		if _, err = n.get(ctx, "/readyz"); err == nil || ctx.Err() != nil || time.Since(n.began) > startTime {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	took := time.Since(n.began)
	if err == nil {
		err = n.holds(ctx, sessions)
	}
	if err != nil {
		return 0, errors.Join(err, n.kill())
	}
	return took, n.stop()
}

// holds makes sure that the node has the events of the sessions, five each.
func (n *servedNode) holds(ctx context.Context, sessions int) error {
	c, err := n.caller()
	if err != nil {
		return err
	}
	status, err := c.Status(ctx)
	if err != nil {
		return err
	}
	for _, log := range status.Audit {
		if log.Size >= int64(5*sessions) {
			return nil
		}
	}
	return fmt.Errorf("the node does not hold %d sessions: its logs are %v", sessions, status.Audit)
}

// fill puts decided sessions into the state of a node that does not run.
func (s *serviceRun) fill(ctx context.Context, data string, who credentials, sessions int) (err error) {
	owner, err := ownerOf(data)
	if err != nil {
		return err
	}
	m, err := openMember(ctx, data, owner.Cluster, owner.Node)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.close()) }()
	w := &writer{member: m, tenant: who.tenant, client: who.client}
	return each(ctx, s.progress, "sessions", sessions, 64, func(ctx context.Context, _ int) error { return w.life(ctx) })
}

// owner of a data directory.
type owner struct {
	Cluster string `json:"cluster"`
	Node    string `json:"node"`
}

func ownerOf(data string) (o owner, err error) {
	b, err := os.ReadFile(filepath.Join(data, "node.json"))
	if err == nil {
		err = json.Unmarshal(b, &o)
	}
	if err != nil {
		err = fmt.Errorf("node.json: %w", err)
	}
	return o, err
}

// life of a session: made, two pictures, submitted, decided. It enrols no face:
// a gallery opens every template, and these bytes would open as none. How soon
// galleries are there, the benchmarks of appliance/identify say.
func (w *writer) life(ctx context.Context) error {
	session, subject := newID(id.Session), newID(id.Subject)
	about := func(a audit.Action) *command.Event {
		return &command.Event{Action: string(a), ObjectType: "session", ObjectId: session, Subject: subject}
	}
	for _, next := range []func() (*command.Command, error){
		func() (*command.Command, error) { return w.create(session, subject) },
		func() (*command.Command, error) { return w.evidence(session, subject, "document_front") },
		func() (*command.Command, error) { return w.evidence(session, subject, "selfie") },
		func() (*command.Command, error) {
			return w.command(command.Type_SUBMIT, &command.Submit{Session: session, Node: w.id}, about(audit.SessionSubmit))
		},
		func() (*command.Command, error) {
			return w.command(command.Type_COMPLETE, &command.Complete{Session: session, Attempt: 1, Outcome: state.Approved, Reasons: []string{"score"},
				Result: &command.Result{Session: session, Summary: bytesOf(summaryBytes), Detail: bytesOf(detailBytes), Rules: "default"}}, about(audit.DecisionMake))
		},
	} {
		c, err := next()
		if err == nil {
			err = w.propose(ctx, c)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
