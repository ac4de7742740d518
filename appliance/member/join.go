package member

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"sync/atomic"
	"time"

	"gatehouse/appliance/access"
	"gatehouse/appliance/act"
	"gatehouse/appliance/problem"
	"gatehouse/cluster/peer"
	"gatehouse/cluster/pki"
	"gatehouse/store/audit"
	"gatehouse/store/command"
	"gatehouse/store/id"
	"gatehouse/store/keys"
	"gatehouse/store/state"
)

const (
	maxJoin = 64 << 10
	// maxWelcome holds a whole key-ring (store/keys: 64 MiB) in base64.
	maxWelcome = 96 << 20
	joinTime   = 30 * time.Second
	// bodyTime is enough for an application of some kilobytes.
	bodyTime = 5 * time.Second
	// maxSkew of the clocks of two nodes: certificates are issued by them (R17).
	maxSkew = time.Minute
)

// Application of a node that was invited.
type Application struct {
	Invitation string    `json:"invitation"`
	Secret     []byte    `json:"secret"`
	Node       string    `json:"node"`
	Name       string    `json:"name,omitempty"`
	Address    string    `json:"address"`
	Request    []byte    `json:"request"`  // to have its key certified
	Receiver   []byte    `json:"receiver"` // public key that the keys are sealed to
	Release    string    `json:"release"`
	Commands   uint32    `json:"commands"` // newest version that it knows
	Clock      time.Time `json:"clock"`
}

// Welcome is what a node needs to be a member.
type Welcome struct {
	Certificate []byte   `json:"certificate"`
	Authority   []byte   `json:"authority"` // that has certified it
	Keys        []byte   `json:"keys"`      // sealed to the receiver
	Index       uint64   `json:"index"`     // of the entry as of which it holds
	Members     []Known  `json:"members"`
	Trusted     [][]byte `json:"trusted,omitempty"` // authorities
}

// Paths of the members' planes.
const (
	joinPath        = "/member/join"
	statusPath      = "/member/status"
	certificatePath = "/member/certificate"
)

// Handle adds what members ask; HandleJoin what a node asks that was invited.
func (s *Service) Handle(mux *http.ServeMux) {
	mux.HandleFunc("POST "+joinPath, s.serveJoin)
	mux.HandleFunc("GET "+statusPath, func(w http.ResponseWriter, r *http.Request) {
		report := s.report()
		if since, err := strconv.ParseUint(r.FormValue("directory"), 10, 64); err == nil { // an earlier release does not ask
			report.Directory = s.Directory.news(since)
		}
		reply(w, report, nil)
	})
	mux.HandleFunc("POST "+certificatePath, s.serveCertificate)
	mux.HandleFunc("POST "+transferPath, s.serveTransfer)
	mux.HandleFunc("POST "+addressPath, s.serveAddress)
}

// HandleJoin is for a plane that anybody reaches.
func (s *Service) HandleJoin(mux *http.ServeMux) { mux.HandleFunc("POST "+joinPath, s.serveJoin) }

// serveJoin lets a node in where this one leads; else it asks the leader.
func (s *Service) serveJoin(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), joinTime)
	defer cancel()
	b, err := body(w, r)
	if err != nil {
		reply(w, nil, problem.New(problem.Malformed, "%v", err))
		return
	}
	if leader := s.Raft.Status().Leader; !s.Raft.Leading() && leader != "" && peer.From(r) == "" {
		s.pass(ctx, w, leader, b)
		return
	}
	var a Application
	if err := json.Unmarshal(b, &a); err != nil {
		reply(w, nil, problem.New(problem.Malformed, "%v", err))
		return
	}
	welcome, err := s.admit(ctx, &a)
	if err != nil {
		s.Log.Warn("a node was not let in", "node", cut(a.Node), "address", cut(a.Address), "error", err)
	}
	reply(w, welcome, err)
}

// body of a request that anybody may send: those that send none keep no place for long.
func body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	c := http.NewResponseController(w)
	if err := c.SetReadDeadline(time.Now().Add(bodyTime)); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxJoin))
	if err != nil {
		return nil, err
	}
	return b, c.SetReadDeadline(time.Time{}) // else it would end the answer too
}

// cut what anybody may have sent, for the log.
func cut(s string) string { return s[:min(len(s), 64)] }

// pass an application to the leader.
func (s *Service) pass(ctx context.Context, w http.ResponseWriter, leader string, b []byte) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, joinPath, bytes.NewReader(b))
	if err != nil {
		reply(w, nil, err)
		return
	}
	answer, err := s.Port.Do(peer.RPC, leader, r)
	if err != nil {
		reply(w, nil, problem.New(problem.Unavailable, "the leader cannot be reached").Because(err))
		return
	}
	defer answer.Body.Close()
	w.WriteHeader(answer.StatusCode)
	_, _ = io.Copy(w, io.LimitReader(answer.Body, maxWelcome))
}

func reply(w http.ResponseWriter, v any, err error) {
	if err != nil {
		problem.Tell(w, err)
		return
	}
	_ = json.NewEncoder(w).Encode(v) // who asked has left, or has it
}

// admit a node with an invitation: it gets a certificate and the keys, and is a
// member from then on.
func (s *Service) admit(ctx context.Context, a *Application) (*Welcome, error) {
	if err := s.Raft.Read(ctx); err != nil {
		return nil, err
	}
	if err := s.invited(a); err != nil { // first: who was not holds up nobody
		return nil, err
	}
	s.joining.Lock()
	defer s.joining.Unlock()
	if !s.Raft.Leading() { // the lock is for the leader's own steps
		return nil, problem.New(problem.Unavailable, "the leader is changing")
	}
	now := s.Now()
	host, port, bad := net.SplitHostPort(a.Address)
	switch skew := a.Clock.Sub(now).Abs(); {
	case id.Check(id.Node, a.Node) != nil:
		return nil, problem.New(problem.Malformed, "the node has no id")
	case bad != nil || host == "" || port == "":
		return nil, problem.New(problem.Malformed, "the node gives no address HOST:PORT")
	case skew > maxSkew:
		return nil, problem.New(problem.ClusterState, "the clock of the new node and that of the leader differ by %v, %v is allowed: set them by the bank's time server", skew.Round(time.Second), maxSkew)
	case s.Keys.Sealed():
		return nil, problem.New(problem.Sealed, "the leader is sealed and cannot give the keys away")
	}
	a.Secret = nil
	cert, by, err := s.issue(a.Request, a.Node)
	if err != nil {
		return nil, err
	}
	w := &Welcome{Certificate: cert.Raw, Authority: by.Raw}
	if w.Keys, err = s.Keys.HandOver(a.Receiver, a.Node); err != nil {
		return nil, err
	}
	key := pki.Fingerprint(cert)
	e := &command.Event{Action: string(audit.NodeMemberJoin), ObjectType: "node", ObjectId: a.Node, Result: string(audit.OK),
		Facts: map[string]string{"address": a.Address, "invitation": a.Invitation, "release": a.Release}}
	issued := &command.Event{Action: string(audit.KeyCertificateIssue), ObjectType: "node", ObjectId: a.Node, ObjectSha256: key[:], Result: string(audit.OK)}
	_, err = s.Propose(ctx, access.Caller{}, command.Type_JOIN, &command.Join{Invitation: a.Invitation, Member: &command.Member{
		Id: a.Node, Name: a.Name, Address: a.Address, Key: key[:], Release: a.Release, Commands: a.Commands}}, nil, e, issued)
	if err != nil {
		return nil, err
	}
	s.Directory.Follow(s.State)
	return w, s.view(func(v *state.View) error {
		rows, err := v.Members()
		if err != nil {
			return err
		}
		row, err := v.Authority()
		w.Index, w.Members, w.Trusted = v.Index(), knownOf(rows), trustedOf(row)
		return err
	})
}

// invited compares the secret; the state has the last word on its use.
func (s *Service) invited(a *Application) error {
	var i *command.Invitation
	err := s.view(func(v *state.View) (err error) { i, err = v.Invitation(a.Invitation); return err })
	sum := sha256.Sum256(a.Secret)
	switch {
	case errors.Is(err, state.ErrNotFound):
		return act.Refusal(state.NoInvitation)
	case err != nil:
		return err
	case subtle.ConstantTimeCompare(i.Secret, sum[:]) != 1, i.ExpiresNs <= s.Now().UnixNano():
		return act.Refusal(state.NoInvitation)
	}
	return nil
}

// Apply to the cluster of a token, at one of its addresses after the other.
// Errors: ErrRefused, ErrUnreached.
func Apply(ctx context.Context, t *Token, a Application) (*Welcome, error) {
	var tried []error
	unknown := ""
	for i, address := range t.Addresses {
		w, sent, err := applyAt(ctx, t, a, i)
		switch {
		case err == nil:
			return w, nil
		case errors.Is(err, ErrRefused):
			return nil, fmt.Errorf("%w%s", err, unknown)
		case sent:
			unknown = fmt.Sprintf("; it may have been let in before an answer was lost: where 'gatehouse cluster status' knows %s, remove it ('gatehouse cluster remove %s'), and invite anew", a.Node, a.Node)
		}
		tried = append(tried, fmt.Errorf("%s: %w", address, err))
	}
	return nil, fmt.Errorf("%w: %w%s", ErrUnreached, errors.Join(tried...), unknown)
}

// applyAt the i-th address; sent: it got the application, whatever came back.
func applyAt(ctx context.Context, t *Token, a Application, i int) (w *Welcome, sent bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, joinTime)
	defer cancel()
	var wrote atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { wrote.Store(true) }})
	a.Invitation, a.Secret = t.Invitation, t.Secret
	b, err := json.Marshal(a)
	if err != nil {
		return nil, false, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+t.Addresses[i]+joinPath, bytes.NewReader(b))
	if err != nil {
		return nil, false, err
	}
	answer, err := peer.Stranger(t.Cluster, t.key(i), t.pinned()...).RoundTrip(r)
	if err != nil {
		return nil, wrote.Load(), err
	}
	defer answer.Body.Close()
	b, err = io.ReadAll(io.LimitReader(answer.Body, maxWelcome))
	if err != nil {
		return nil, true, err
	}
	if answer.StatusCode != http.StatusOK {
		switch why := problem.Told(b); {
		case why == nil:
			return nil, true, fmt.Errorf("status %d: %.200s", answer.StatusCode, b)
		case why.Kind == problem.Unavailable:
			return nil, true, fmt.Errorf("it cannot answer now: %s", why.Detail)
		default:
			return nil, true, fmt.Errorf("%w: %s", ErrRefused, why.Detail)
		}
	}
	w = &Welcome{}
	return w, true, json.Unmarshal(b, w)
}

// serveCertificate renews a member's certificate, for the key that it has.
func (s *Service) serveCertificate(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxJoin))
	if err != nil {
		reply(w, nil, problem.New(problem.Malformed, "%v", err))
		return
	}
	c, err := s.renew(r.Context(), b, peer.From(r))
	reply(w, c, err)
}

func (s *Service) renew(ctx context.Context, request []byte, node string) (*Welcome, error) {
	cert, by, err := s.issue(request, node)
	if errors.Is(err, keys.ErrSealed) {
		return nil, problem.New(problem.Sealed, "the node that was asked is sealed")
	}
	if err != nil {
		return nil, err
	}
	key := pki.Fingerprint(cert)
	if err := s.Directory.Admit(node, key); err != nil {
		return nil, err
	}
	issued := &command.Event{Action: string(audit.KeyCertificateIssue), ObjectType: "node", ObjectId: node, ObjectSha256: key[:], Result: string(audit.OK)}
	if err := s.Record(ctx, access.Caller{}, issued); err != nil {
		return nil, err
	}
	return &Welcome{Certificate: cert.Raw, Authority: by.Raw}, nil
}
