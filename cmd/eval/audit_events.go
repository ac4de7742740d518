package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"gatehouse/appliance/access"
	"gatehouse/appliance/act"
	"gatehouse/store/audit"
	"gatehouse/store/command"
	"gatehouse/store/id"
)

const (
	// branches of the bank call the node, each with a client of its own.
	branches = 64
	// returning of a hundred persons were verified before.
	returning = 40
	// rejected of a hundred verifications.
	rejected = 8
	// keepEvery of so many verifications is kept, to be searched for.
	keepEvery = 100
)

// teller tells the events of verifications as package session does: the same
// members, as long, in as many commands. What opens the commitments is left out:
// it lies under a person's key and is not of the log.
type teller struct {
	log    *auditLog
	acts   *act.Proposer
	random *rand.Rand
	begins time.Time

	clients []string
	models  []string
	policy  string
	told    int64
	kept    []verified
}

// verified is one verification that is searched for later.
type verified struct {
	session, subject, client string
	at                       time.Time
}

func newTeller(l *auditLog, begins time.Time) *teller {
	t := &teller{log: l, acts: l.bulk, random: rand.New(l.random), begins: begins, policy: "default/2 sha256:"}
	for range branches {
		t.clients = append(t.clients, t.acts.ID(id.Client))
	}
	t.policy += hex.EncodeToString(t.bytes(32))
	for _, name := range []string{"face.detector", "face.landmarks", "face.liveness", "face.pose", "face.eyes", "face.recogniser.a", "face.recogniser.b", "text.detector", "text.recogniser"} {
		t.models = append(t.models, name+"@"+hex.EncodeToString(t.bytes(8)))
	}
	return t
}

func (t *teller) bytes(n int) []byte {
	b := make([]byte, n)
	_, _ = t.log.random.Read(b) // it never fails
	return b
}

// person n has the same id whenever it comes.
func (t *teller) person(n int64) string {
	at := t.begins.Add(time.Duration(n) * time.Second)
	return id.New(id.Subject, at, rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)}))
}

func (t *teller) score(low, high float64) string {
	return strconv.FormatFloat(low+(high-low)*t.random.Float64(), 'g', 6, 64)
}

// tell a verification.
func (t *teller) tell(ctx context.Context) error {
	v := verified{session: t.acts.ID(id.Session), client: t.clients[t.random.IntN(len(t.clients))], at: t.acts.Now()}
	n, fresh := t.told, t.random.IntN(100) >= returning
	if !fresh {
		n = t.random.Int64N(t.told + 1)
	}
	v.subject = t.person(n)
	if t.told%keepEvery == 0 {
		t.kept = append(t.kept, v)
	}
	t.told++
	caller := access.Caller{Tenant: t.log.tenant, Client: v.client, Authn: access.ByKey, Request: t.acts.ID(id.Request), Route: "POST /v1/verifications"}
	node := access.Caller{Tenant: t.log.tenant}
	reader := caller
	reader.Request, reader.Route = t.acts.ID(id.Request), "GET /v1/sessions/{session}/result"
	about := func(c access.Caller, action audit.Action, facts map[string]string) *command.Event {
		e := act.Event(c, action, "session", v.session)
		e.Subject, e.Facts = v.subject, facts
		return e
	}
	for _, c := range []struct {
		by     access.Caller
		events []*command.Event
	}{
		{caller, []*command.Event{about(caller, audit.SessionCreate, nil),
			about(caller, audit.ConsentRecord, map[string]string{"channel": "branch", "given_at": v.at.UTC().Format(time.RFC3339), "text_version": "2026-03"})}},
		{caller, []*command.Event{t.evidence(caller, &v, "document_front")}},
		{caller, []*command.Event{t.evidence(caller, &v, "selfie")}},
		{caller, []*command.Event{about(caller, audit.SessionSubmit, nil)}},
		{node, t.decided(fresh, func(a audit.Action, facts map[string]string) *command.Event { return about(node, a, facts) })},
		{reader, []*command.Event{about(reader, audit.AccessResult, nil)}},
	} {
		if err := t.acts.Record(ctx, c.by, c.events...); err != nil {
			return err
		}
		t.log.pass(len(c.events))
	}
	return nil
}

func (t *teller) evidence(c access.Caller, v *verified, slot string) *command.Event {
	e := act.Event(c, audit.SessionEvidenceAdd, "evidence", t.acts.ID(id.Evidence))
	e.ObjectSha256, e.Subject = t.bytes(32), v.subject
	e.Facts = map[string]string{"session": v.session, "slot": slot, "media_type": "image/jpeg"}
	return e
}

// decided are the events of the node's own work on a verification.
func (t *teller) decided(fresh bool, about func(audit.Action, map[string]string) *command.Event) []*command.Event {
	doc := about(audit.DocumentProcess, map[string]string{"type": "passport", "document.zone": "passed 1", "document.zone.valid": "passed 1", "document.zone.trusted": "passed " + t.score(0.9, 1),
		"document.dates": "passed 1", "document.unexpired": "passed 1", "document.portrait": "passed 1"})
	doc.Commitments = map[string][]byte{}
	for _, field := range []string{"birth", "expiry", "given_names", "issuer", "nationality", "number", "sex", "surname"} {
		doc.Commitments[field] = t.bytes(32)
	}
	alike := t.score(0.5, 0.9)
	face := about(audit.FaceProcess, map[string]string{"face.match": "passed " + alike + " threshold 0.4516 fmr 3e-06", "face.possible_match": "passed " + alike + " threshold 0.3766 fmr 3e-06",
		"selfie.face": "passed 1", "selfie.inter_eye_distance": "passed " + t.score(80, 200) + " threshold 16", "selfie.single_face": "passed 1 threshold 1"})
	face.Models = t.models
	live := t.score(0.8, 1)
	compared := "compared " + strconv.FormatInt(t.told, 10) + " threshold 0.329008 fmr 0.01 fpir 0.01 engine exact found 0"
	made := about(audit.DecisionMake, map[string]string{"outcome": "approved", "score": t.score(80, 100)})
	if t.random.IntN(100) < rejected {
		made.Facts = map[string]string{"outcome": "rejected", "reason_1": "match.other_person", "reason_2": "match.doubtful", "score": t.score(20, 80)}
	}
	made.PolicyVersion, made.Models = t.policy, t.models
	all := []*command.Event{doc, face,
		about(audit.LivenessProcess, map[string]string{"selfie.liveness": "passed " + live + " threshold 0.5", "selfie.no_attack": "passed " + live + " threshold 0.3"}),
		about(audit.DuplicateSearch, map[string]string{"subjects": compared, "blocklist": fmt.Sprintf("compared %d threshold 0.329008 fmr 0.01 fpir 0.01 engine exact found 0", branches),
			"face.unique": "passed 0 threshold 0", "face.not_listed": "passed 0 threshold 0"}),
		made}
	if fresh {
		enrolled := about(audit.TemplateEnrol, nil)
		enrolled.Models = []string{"gatehouse-default-1/a512+b192"}
		all = append(all, enrolled)
	}
	return all
}
