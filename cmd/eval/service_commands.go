package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"gatehouse/store/audit"
	"gatehouse/store/command"
	"gatehouse/store/id"
	"gatehouse/store/state"
)

// commandSize of what is written: the size of etcd's and Raft's own benchmarks.
const commandSize = 1024

// writeKind is what the commands do.
type writeKind string

const (
	recordWrites   writeKind = "record an access"
	evidenceWrites writeKind = "add evidence"
)

// writer makes commands as the services of a node do, and has them agreed on.
type writer struct {
	*member
	tenant, client string
	subject        string            // on file, for records
	openings       map[writeKind]int // bytes, by which a command has its size; of evidence, with its slot
}

func newID(k id.Kind) string { return id.New(k, time.Now(), rand.Reader) }

// bytesOf gives n random bytes: sealed ones cannot be told from them.
func bytesOf(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // it never fails
	return b
}

// found founds a cluster with a tenant.
func (m *member) found(ctx context.Context) (*writer, error) {
	w := &writer{member: m, tenant: newID(id.Tenant), client: newID(id.Client)}
	code := bytesOf(sha256.Size)
	cluster := newID(id.Cluster)
	for _, c := range []struct {
		of      command.Type
		payload proto.Message
		event   *command.Event
	}{
		{command.Type_FOUND, &command.Found{Cluster: cluster, Node: m.id, SetupCode: code},
			&command.Event{Action: string(audit.ClusterFound), ObjectType: "cluster", ObjectId: cluster}},
		{command.Type_SETUP, &command.Setup{SetupCode: code,
			Tenant: &command.Tenant{Id: w.tenant, Name: "Specimen Bank", Key: bytesOf(80), CreatedNs: time.Now().UnixNano()},
			Admin:  &command.Client{Id: w.client, Tenant: w.tenant, Name: "head office", Roles: []string{state.PlatformAdmin}, Key: bytesOf(sha256.Size), CreatedNs: time.Now().UnixNano()}},
			&command.Event{Action: string(audit.SetupComplete), ObjectType: "tenant", ObjectId: w.tenant}},
	} {
		made, err := w.command(c.of, c.payload, c.event)
		if err != nil {
			return nil, err
		}
		made.Tenant = ""
		if err := w.propose(ctx, made); err != nil {
			return nil, err
		}
	}
	return w, w.prepare(ctx)
}

// prepare puts a person on file, and sizes the commands.
func (w *writer) prepare(ctx context.Context) error {
	session, subject := newID(id.Session), newID(id.Subject)
	c, err := w.create(session, subject)
	if err != nil {
		return err
	}
	if err := w.propose(ctx, c); err != nil {
		return err
	}
	w.subject, w.openings = subject, map[writeKind]int{}
	for kind, next := range map[writeKind]func() (*command.Command, error){
		recordWrites:   w.record,
		evidenceWrites: func() (*command.Command, error) { return w.evidence(session, subject, "selfie") },
	} {
		if err := w.size(kind, next); err != nil {
			return err
		}
	}
	return nil
}

// size finds how long the openings are that fill a command.
func (w *writer) size(kind writeKind, next func() (*command.Command, error)) error {
	for range 4 { // what is added has a length before it, whose own length grows
		c, err := next()
		if err != nil {
			return err
		}
		b, err := command.Encode(c)
		if err != nil {
			return err
		}
		if len(b) == commandSize {
			return nil
		}
		w.openings[kind] += commandSize - len(b)
	}
	return fmt.Errorf("the commands that %s cannot be made %d bytes long", kind, commandSize)
}

// command fills in the envelope.
func (w *writer) command(t command.Type, payload proto.Message, events ...*command.Event) (*command.Command, error) {
	c, err := command.New(t, payload)
	if err != nil {
		return nil, err
	}
	c.Id, c.Tenant, c.ProposedAtNs, c.Proposer = newID(id.Command), w.tenant, time.Now().UnixNano(), w.id
	c.Actor = &command.Actor{Type: "client", Id: w.client, Authn: "key"}
	for _, e := range events {
		e.Id, e.Result, e.RequestId = newID(id.Event), string(audit.OK), newID(id.Request)
	}
	c.Events = events
	return c, nil
}

// propose has a command agreed on; it must not be refused.
func (w *writer) propose(ctx context.Context, c *command.Command) error {
	a, err := w.node.Propose(ctx, c)
	if err == nil && a.Refusal != "" {
		err = fmt.Errorf("%v was refused: %s", c.Type, a.Refusal)
	}
	return err
}

func (w *writer) create(session, subject string) (*command.Command, error) {
	now := time.Now()
	return w.command(command.Type_CREATE_SESSION, &command.CreateSession{
		Session: &command.Session{Id: session, Tenant: w.tenant, Kind: "identity", CreatedBy: w.client, CreatedNs: now.UnixNano(), ExpiresNs: now.Add(30 * time.Minute).UnixNano(), TtlNs: int64(30 * time.Minute),
			Consent: &command.Consent{TextVersion: "2026-03", GivenAtNs: now.UnixNano(), Channel: "branch"}},
		Subject: &command.Subject{Id: subject, Tenant: w.tenant, Key: bytesOf(80), CreatedNs: now.UnixNano()},
	}, &command.Event{Action: string(audit.SessionCreate), ObjectType: "session", ObjectId: session, Route: "POST /v1/sessions"})
}

// record of an access to evidence.
func (w *writer) record() (*command.Command, error) {
	return w.command(command.Type_RECORD, nil, &command.Event{Action: string(audit.AccessEvidence), ObjectType: "evidence", ObjectId: newID(id.Evidence),
		ObjectSha256: bytesOf(sha256.Size), Subject: w.subject, Reason: "review", Route: "GET /v1/sessions/{session}/evidence/{slot}", Openings: bytesOf(w.openings[recordWrites])})
}

func (w *writer) evidence(session, subject, slot string) (*command.Command, error) {
	blob, evidence := bytesOf(sha256.Size), newID(id.Evidence)
	return w.command(command.Type_ADD_EVIDENCE, &command.AddEvidence{Session: session, Evidence: &command.Evidence{Id: evidence, Slot: slot, Class: "image/jpeg",
		Blob: hex.EncodeToString(blob), Stored: 5 << 20, Size: 5<<20 - 4096, AddedNs: time.Now().UnixNano(), Request: bytesOf(sha256.Size)}},
		&command.Event{Action: string(audit.SessionEvidenceAdd), ObjectType: "evidence", ObjectId: evidence, ObjectSha256: blob, Subject: subject,
			Route: "PUT /v1/sessions/{session}/evidence/{slot}", Openings: bytesOf(max(0, w.openings[evidenceWrites]-len(slot)))})
}

// captures that a session takes, by slot (the API's design); together with the
// command that makes it they are twenty.
func captures() map[string]int {
	return map[string]int{"document_front": 3, "document_back": 3, "selfie": 3,
		"liveness_frame_1": 2, "liveness_frame_2": 2, "liveness_frame_3": 2, "liveness_frame_4": 2, "liveness_frame_5": 2}
}

// source gives one client's commands, one after the other.
func (w *writer) source(kind writeKind) func() (*command.Command, error) {
	if kind == recordWrites {
		return w.record
	}
	var session, subject string
	var slots []string // that are still free
	return func() (*command.Command, error) {
		if len(slots) == 0 {
			for slot, n := range captures() {
				for range n {
					slots = append(slots, slot)
				}
			}
			session, subject = newID(id.Session), newID(id.Subject)
			return w.create(session, subject)
		}
		slot := slots[0]
		slots = slots[1:]
		return w.evidence(session, subject, slot)
	}
}
