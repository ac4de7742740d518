package siege

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"gatehouse/appliance/api"
	"gatehouse/appliance/client"
	"gatehouse/cmd/chaos/history"
)

const (
	// orderTime that the search for orders may take: it takes milliseconds
	// unless there is none.
	orderTime = 30 * time.Second
	// quietTime until all nodes have applied the same, with nobody asking.
	quietTime = 30 * time.Second
	checkTime = 90 * time.Second
	// shown sessions of a round, whose pictures each node must show.
	shown = 4
)

// judge holds the nodes of one cluster against what was answered.
type judge struct {
	*Siege
	*stand
	logs   []*log
	hashes map[uint64]string // of the state, by index
	result *Result           // of the present round

	mu sync.Mutex
}

func (j *judge) found(w What, format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	v := Violation{w, fmt.Sprintf(format, args...)}
	if !slices.Contains(j.result.Violations, v) {
		j.result.Violations = append(j.result.Violations, v)
		j.Tell("VIOLATION %v", v)
	}
}

// judge a round: ops are those of its traffic, which has ended.
func (j *judge) judge(ctx context.Context, t *traffic, ops []history.Op) {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	failed := func(what string, err error) {
		if err != nil {
			j.found(Trouble, "%s: %v", what, err)
		}
	}
	for _, f := range history.Twice(ops) {
		j.found(Twice, "%v", f)
	}
	r, err := history.Check(ctx, ops, orderTime, filepath.Join(j.dir, fmt.Sprintf("round-%d", j.result.Number)))
	failed("the search for an order", err)
	if r != nil && len(r.Illegal) > 0 {
		j.found(Order, "%v", r.Err())
	} else if r != nil && len(r.Undecided) > 0 {
		j.found(Undecided, "%v", r.Err())
	}
	errs := make([]error, len(j.nodes))
	var all sync.WaitGroup
	for i := range j.nodes {
		all.Go(func() { errs[i] = errors.Join(j.kept(ctx, i, ops), j.shows(ctx, i, t)) })
	}
	all.Wait()
	failed("what the nodes keep", errors.Join(errs...))
	failed("the state", j.equal(ctx))
	read := true
	for _, l := range j.logs {
		err := l.follow(ctx, j)
		failed("the audit log", err)
		read = read && err == nil
	}
	if read { // else every change would be told as missing
		j.logged(ops)
	}
}

// kept tells of what was acknowledged and a node has not.
func (j *judge) kept(ctx context.Context, i int, ops []history.Op) error {
	checked := 0
	lost, err := history.Lost(ctx, ops, func(ctx context.Context, _, id string) (history.Answer, error) {
		checked++
		a, err := answer(j.branch[i].Session(ctx, id, 0))
		if p := (*client.Problem)(nil); errors.As(err, &p) && p.Status == http.StatusNotFound {
			return history.Answer{Missing: true}, nil
		}
		return a, err
	})
	for _, f := range lost {
		j.found(Lost, "on %s: %v", j.nodes[i].Name, f)
	}
	j.mu.Lock()
	j.report.Checked += checked
	j.mu.Unlock()
	if err != nil {
		err = fmt.Errorf("%s: %w", j.nodes[i].Name, err)
	}
	return err
}

// shows tells of pictures that a node cannot show.
func (j *judge) shows(ctx context.Context, i int, t *traffic) error {
	n := 0
	for _, v := range t.sent {
		if v.id == "" || v.erased || !settled(v.state) || v.state == "erased" {
			continue
		}
		if n++; n > shown {
			break
		}
		for slot, sent := range v.pictures {
			var got bytes.Buffer
			_, err := j.branch[i].Evidence(ctx, v.id, slot, api.PurposeReview, &got)
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case err != nil:
				j.found(Picture, "%s cannot show %s of %s: %v", j.nodes[i].Name, slot, v.id, err)
			case sha256.Sum256(got.Bytes()) != sha256.Sum256(sent):
				j.found(Picture, "%s shows %d other bytes as %s of %s", j.nodes[i].Name, got.Len(), slot, v.id)
			}
			j.mu.Lock()
			j.report.Shown++
			j.mu.Unlock()
		}
	}
	return nil
}

// equal waits until all have applied the same and compares what came of it.
func (j *judge) equal(ctx context.Context) error {
	for end := time.Now().Add(quietTime); ; {
		var at []uint64
		for i, c := range j.admins {
			s, err := c.Status(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", j.nodes[i].Name, err)
			}
			index := uint64(s.AppliedIndex)
			if known, there := j.hashes[index]; there && known != s.StateHash {
				j.found(Hash, "at %d it is %s on %s and was %s on another", index, s.StateHash, j.nodes[i].Name, known)
			}
			j.hashes[index] = s.StateHash
			at = append(at, index)
		}
		if slices.Min(at) == slices.Max(at) {
			j.report.Indexes++
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("after %v without traffic the nodes are at %v", quietTime, at)
		}
		if !pause(ctx, look) {
			return ctx.Err()
		}
	}
}

// Exit codes of a node whose disk is full, or has failed or hangs
// (gatehouse run --help).
const (
	exitFull = 10
	exitDisk = 11
)

// exits are explained by a full, frozen or slow disk: the node is made to end
// then, with code 10 or 11.
func (j *judge) exits(met []struck) {
	disk := map[string]bool{}
	for _, f := range met {
		for _, name := range f.Nodes {
			disk[name] = disk[name] || f.Kind.disk()
		}
	}
	for _, n := range j.nodes {
		for _, e := range n.left() {
			j.result.Exits = append(j.result.Exits, e)
			if !disk[e.Node] || e.Code != exitFull && e.Code != exitDisk {
				j.found(Ended, "%v", e)
			}
		}
	}
}
