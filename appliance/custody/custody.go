// Package custody changes the key-ring that all members of a cluster share:
// what a change holds is kept by another member before it is agreed on, and in
// force on a member when it has the agreed one.
//
// The key-ring never goes through the log, or what was destroyed in it would be
// there for ever: the log has its SHA-256. The package must never let a member
// without the agreed key-ring use an older one for personal data.
package custody

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"gatehouse/appliance/access"
	"gatehouse/appliance/act"
	"gatehouse/appliance/problem"
	"gatehouse/store/audit"
	"gatehouse/store/command"
	"gatehouse/store/disk"
	"gatehouse/store/disk/killpoint"
	"gatehouse/store/keys"
	"gatehouse/store/state"
)

const (
	maxRing    = 64 << 20 // store/keys
	maxRequest = 1 << 10
	sendTime   = 20 * time.Second
	changeTime = time.Minute
	// laterTime after the first of the others has a change nobody waits for the rest,
	// who ask for it when it is in force: with the agreement it is within the five
	// seconds in which an answer is promised (design of the cluster).
	laterTime = 2 * time.Second
	// followEvery so often a key-ring that could not be had is asked for again.
	followEvery = time.Second

	ringPath   = "/keyring/"
	changePath = "/keyring-change"
)

// Members of the cluster, as the custody asks for them.
type Members interface {
	Others() []string
	Do(node string, r *http.Request) (*http.Response, error)
}

// Raft is asked who leads.
type Raft interface {
	Read(context.Context) error
	Leading() bool
	Leader() string
}

// Config of the custody.
type Config struct {
	*act.Proposer
	Keys    *keys.Store
	State   *state.State
	Raft    Raft
	Members Members
	// Stop is told of disk.ErrSync where no caller waits for it: the process must end.
	Stop func(error)
	Log  *slog.Logger
}

// Custody is safe for concurrent use.
type Custody struct {
	Config
	changing  sync.Mutex // on the leader: one change at a time
	following sync.Mutex
	wake      chan struct{}
}

// New makes the custody; Run follows what is agreed on.
func New(c Config) *Custody {
	return &Custody{Config: c, wake: make(chan struct{}, 1)}
}

// Current says whether the node has the key-ring that is in force, as of the
// last entry that was applied: what Follow knows may be older.
func (c *Custody) Current() bool {
	ring, err := c.agreed()
	return err == nil && (ring == nil || c.Keys.RingSum() == [32]byte(ring.Sum))
}

// Wake is called when another key-ring came into force.
func (c *Custody) Wake() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// agreed key-ring; nil: there is none but this node's own.
func (c *Custody) agreed() (ring *command.Ring, err error) {
	err = c.State.View(func(v *state.View) (err error) { ring, err = v.Ring(); return err })
	if errors.Is(err, state.ErrNotFound) {
		return nil, nil
	}
	return ring, err
}

// Run has the key-ring that is in force, until ctx ends.
func (c *Custody) Run(ctx context.Context) {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		if err := c.kept(c.Follow(ctx)); err != nil && ctx.Err() == nil {
			c.Log.Error("the key-ring that is in force is not here: personal data wait", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
		case <-tick.C:
		}
	}
}

// kept tells Stop where the disk did not keep a key-ring.
func (c *Custody) kept(err error) error {
	if errors.Is(err, disk.ErrSync) && c.Stop != nil {
		c.Stop(err)
	}
	return err
}

// Follow takes the key-ring that is in force: from what was staged here, or from
// a member that has it.
func (c *Custody) Follow(ctx context.Context) error {
	c.following.Lock()
	defer c.following.Unlock()
	ring, err := c.agreed()
	if err != nil {
		return err
	}
	if ring == nil || c.Keys.RingSum() == [32]byte(ring.Sum) {
		return nil
	}
	sum := [32]byte(ring.Sum)
	file, err := c.Keys.Staged(sum)
	if err != nil {
		if file, err = c.pull(ctx, sum); err != nil {
			return err
		}
	}
	if err := c.Keys.Adopt(file, sum); err != nil {
		return err
	}
	c.Log.Info("another key-ring is in force", "serial", ring.Serial)
	return nil
}

func (c *Custody) pull(ctx context.Context, sum [32]byte) ([]byte, error) {
	var tried []error
	for _, node := range c.Members.Others() {
		b, err := c.call(ctx, node, http.MethodGet, ringPath+hex.EncodeToString(sum[:]), nil, maxRing)
		if err == nil {
			return b, nil
		}
		tried = append(tried, fmt.Errorf("node %s: %w", node, err))
	}
	return nil, fmt.Errorf("no member has the key-ring %x: %w", sum[:4], errors.Join(tried...))
}

// call a member. A problem that it answers with is the error.
func (c *Custody) call(ctx context.Context, node, method, path string, body []byte, limit int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, changeTime)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	answer, err := c.Members.Do(node, r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(io.LimitReader(answer.Body, limit+1))
	switch {
	case err != nil:
		return nil, err
	case answer.StatusCode != http.StatusOK:
		if p := problem.Told(b); p != nil {
			return nil, p
		}
		return nil, fmt.Errorf("status %d: %.200s", answer.StatusCode, b)
	case int64(len(b)) > limit:
		return nil, fmt.Errorf("more than %d bytes", limit)
	}
	return b, nil
}

// Request for a change, made where the leader is.
type request struct {
	Tenant string `json:"tenant,omitempty"` // make its keys
	Rotate bool   `json:"rotate,omitempty"` // the signing key
	Retire uint32 `json:"retire,omitempty"` // a signing key
}

// result of a change.
type result struct {
	Wrapped []byte          `json:"wrapped,omitempty"`
	Old     keys.SigningKey `json:"old"`
	Fresh   keys.SigningKey `json:"fresh"`
}

// NewTenant makes a tenant's keys; they are on this member and another when it
// returns, and on the rest as soon as they can be had.
func (c *Custody) NewTenant(ctx context.Context, tenant string) (wrapped []byte, err error) {
	out, err := c.change(ctx, request{Tenant: tenant})
	return out.Wrapped, err
}

// RotateSigning makes a new signing key the active one.
func (c *Custody) RotateSigning(ctx context.Context) (old, fresh keys.SigningKey, err error) {
	out, err := c.change(ctx, request{Rotate: true})
	return out.Old, out.Fresh, err
}

// RetireSigning ends a signing key.
func (c *Custody) RetireSigning(ctx context.Context, id uint32) error {
	_, err := c.change(ctx, request{Retire: id})
	return err
}

// change the key-ring where the leader is, and follow it here.
func (c *Custody) change(ctx context.Context, r request) (out result, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), changeTime)
	defer cancel()
	if err := c.Raft.Read(ctx); err != nil {
		return out, err
	}
	if c.Raft.Leading() {
		return c.lead(ctx, r)
	}
	b, err := json.Marshal(r)
	if err != nil {
		return out, err
	}
	answer, err := c.call(ctx, c.Raft.Leader(), http.MethodPost, changePath, b, maxRequest*4)
	if err != nil {
		return out, err
	}
	if err := json.Unmarshal(answer, &out); err != nil {
		return out, err
	}
	if err := c.Raft.Read(ctx); err != nil {
		return out, err
	}
	return out, c.Follow(ctx)
}

// lead a change: another member keeps it, it is agreed on, it is in force.
func (c *Custody) lead(ctx context.Context, r request) (out result, err error) {
	c.changing.Lock()
	defer c.changing.Unlock()
	if err := c.Follow(ctx); err != nil {
		return out, problem.New(problem.Unavailable, "the key-ring that is in force is not on the leader").Because(err)
	}
	ring, err := c.agreed()
	if err != nil {
		return out, err
	}
	var next *keys.Change
	switch {
	case r.Tenant != "":
		out.Wrapped, next, err = c.Keys.PrepareTenant(r.Tenant)
	case r.Rotate:
		out.Old, out.Fresh, next, err = c.Keys.PrepareRotation(c.Now())
	default:
		next, err = c.Keys.PrepareRetirement(r.Retire)
	}
	if err != nil || next == nil {
		return out, err
	}
	if ring != nil {
		if err := c.agree(ctx, ring, next); err != nil {
			return out, err
		}
	}
	killpoint.At(killpoint.RingAgreed)
	return out, c.Keys.Adopt(next.File, next.Sum)
}

// agree on a change that another member has.
func (c *Custody) agree(ctx context.Context, ring *command.Ring, next *keys.Change) error {
	if err := c.Keys.Stage(next.File, next.Sum); err != nil {
		return err
	}
	others := c.Members.Others()
	sent := make(chan error, len(others))
	for _, node := range others {
		go func() {
			ctx, cancel := context.WithTimeout(ctx, sendTime)
			defer cancel()
			_, err := c.call(ctx, node, http.MethodPut, ringPath+hex.EncodeToString(next.Sum[:]), next.File, maxRequest)
			if err != nil {
				err = fmt.Errorf("node %s: %w", node, err)
			}
			sent <- err
		}()
	}
	var failed []error
	var late <-chan time.Time
	for waits := len(others); waits > 0; waits-- {
		select {
		case err := <-sent:
			if err != nil {
				failed = append(failed, err)
			} else if late == nil {
				late = time.After(laterTime)
			}
		case <-late:
			waits = 1 // it was the last
		}
	}
	if len(others) > 0 && len(failed) == len(others) {
		return errors.Join(problem.New(problem.Unavailable, "no other member keeps the new key-ring").Because(errors.Join(failed...)), c.Keys.Unstage(next.Sum))
	}
	killpoint.At(killpoint.RingStaged)
	e := &command.Event{Action: string(audit.KeyRotate), ObjectType: "keyring", ObjectId: fmt.Sprint(next.Serial), ObjectSha256: next.Sum[:], Result: string(audit.OK)}
	_, err := c.Propose(ctx, access.Caller{}, command.Type_SET_RING, &command.SetRing{Ring: &command.Ring{Serial: next.Serial, Sum: next.Sum[:]}, Before: ring.Sum}, nil, e)
	var refused *problem.Problem
	if errors.As(err, &refused) { // else it may yet come into force
		return errors.Join(err, c.Keys.Unstage(next.Sum))
	}
	return err
}

// Handle adds what the other members ask.
func (c *Custody) Handle(mux *http.ServeMux) {
	mux.HandleFunc("GET "+ringPath+"{sum}", func(w http.ResponseWriter, r *http.Request) {
		sum, err := sumOf(r)
		if err == nil && c.Keys.RingSum() != sum {
			err = problem.New(problem.NotFound, "another key-ring is here")
		}
		var file []byte
		if err == nil {
			file, err = c.Keys.RingFile()
		}
		reply(w, file, err)
	})
	mux.HandleFunc("PUT "+ringPath+"{sum}", func(w http.ResponseWriter, r *http.Request) {
		sum, err := sumOf(r)
		var file []byte
		if err == nil {
			file, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxRing))
		}
		if err == nil {
			err = c.kept(c.Keys.Stage(file, sum))
		}
		reply(w, nil, err)
	})
	mux.HandleFunc("POST "+changePath, func(w http.ResponseWriter, r *http.Request) {
		var in request
		b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
		if err == nil {
			err = json.Unmarshal(b, &in)
		}
		if err == nil && !c.Raft.Leading() {
			err = problem.New(problem.Unavailable, "this node does not lead")
		}
		var out result
		if err == nil {
			out, err = c.lead(r.Context(), in)
			err = c.kept(err)
		}
		if err == nil {
			b, err = json.Marshal(out)
		}
		reply(w, b, err)
	})
}

func sumOf(r *http.Request) (sum [32]byte, err error) {
	b, err := hex.DecodeString(r.PathValue("sum"))
	if err != nil || len(b) != len(sum) {
		return sum, problem.New(problem.Malformed, "not a SHA-256")
	}
	return [32]byte(b), nil
}

func reply(w http.ResponseWriter, b []byte, err error) {
	if err != nil {
		problem.Tell(w, err)
		return
	}
	_, _ = w.Write(b) // who asked has left, or has it
}
