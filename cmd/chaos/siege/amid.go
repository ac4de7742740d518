package siege

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"

	"gatehouse/appliance/api"
	"gatehouse/appliance/client"
	"gatehouse/cmd/chaos/lab"
)

const (
	// reachTime until a node passes a point: two clients bring pictures to one of
	// three each second or two, and all else comes more often.
	reachTime = 45 * time.Second
	// leaves is how many entries stay in the log where points are built in (cluster,
	// killpoint.On), and half as many that a node may have had and not yet applied.
	leaves = 128 + 64
	// forgetTime until the others have no more: they write thirty a second.
	forgetTime = time.Minute
	// sendTime that the state takes on the way, about: longer than an election, and
	// than some harm takes to begin.
	sendTime = 8 * time.Second
	// changeTime of the keys, from the first try on. Faults last 12 s, and a
	// member that does not answer is waited for 20 s (appliance/custody).
	changeTime = 90 * time.Second
)

// errMissed: what was to be in the middle of something came too late for it.
var errMissed = errors.New("missed")

// dies has a node end itself at a point, and start again after a time. armed is
// called when it will.
func (t *stand) dies(ctx context.Context, f Fault, n *node, armed func()) error {
	return t.away(ctx, f.For, []*node{n}, func(p *lab.Process) error {
		point, err := n.host.KillAt(f.At)
		if errors.Is(err, lab.ErrActive) { // of the round's other fault
			return p.Kill()
		}
		if err != nil {
			return err
		}
		armed()
		late := time.NewTimer(reachTime)
		defer late.Stop()
		select {
		case <-p.Ended():
		case <-late.C:
		case <-ctx.Done():
		}
		passed := !n.host.Armed()
		if err = point.End(); !passed && ctx.Err() == nil {
			err = errors.Join(err, p.Kill(), fmt.Errorf("%s did not come to %q: %w", n.Name, f.At, errMissed))
		}
		return err
	})
}

// whileKeysChange something happens to a node.
func (t *stand) whileKeysChange(ctx context.Context, f Fault, n *node) (err error) {
	var change sync.WaitGroup
	var failed error
	begin := func() { change.Go(func() { failed = t.changeKeys(ctx) }) }
	if f.At != "" {
		err = t.dies(ctx, f, n, begin)
	} else {
		begin()
		pause(ctx, f.Into)
		err = t.harm(ctx, f, []*node{n})
	}
	change.Wait()
	return errors.Join(err, failed)
}

// changeKeys of the audit logs, as an administrator who asks again until it is
// done: where one signs, another does from then on; where two do, the earlier
// one ends.
func (t *stand) changeKeys(ctx context.Context) error {
	change, want := (*client.Client).RotateAuditKey, 2
	if t.signers == want {
		want = 1
		change = func(c *client.Client, ctx context.Context) (*api.AuditKeys, error) {
			return c.RetireAuditKey(ctx, true)
		}
	}
	first, end := rand.IntN(len(t.admins)), time.Now().Add(changeTime)
	for try := 0; ; try++ {
		c := t.admins[(first+try)%len(t.admins)]
		call, cancel := context.WithTimeout(ctx, 2*askTime) // a member that is away is waited for
		_, err := change(c, call)
		if err != nil { // an earlier try may have had an effect
			if signed, unread := c.Checkpoint(call, api.LogSystem); unread == nil && len(signatures(signed)) == want {
				err = nil
			}
		}
		cancel()
		switch {
		case err == nil:
			t.signers = want
			return nil
		case time.Now().After(end):
			return fmt.Errorf("%d keys should sign after %v: %w", want, changeTime, err)
		case !pause(ctx, look):
			return ctx.Err()
		}
	}
}

// signatures of a log itself under a head, verified or not.
func signatures(signed []byte) (all []note.Signature) {
	_, err := note.Open(signed, nil)
	if n := (*note.UnverifiedNoteError)(nil); errors.As(err, &n) {
		log, _, _ := strings.Cut(n.Note.Text, "\n")
		for _, s := range n.Note.UnverifiedSigs {
			if s.Name == log {
				all = append(all, s)
			}
		}
	}
	return all
}

// whileInstalling the state on a follower something happens to it, or to the
// leader.
func (t *stand) whileInstalling(ctx context.Context, f Fault, n *node) (err error) {
	behind := n
	if f.On == Leader {
		behind = t.nodes[(t.leader+1+f.Which)%len(t.nodes)]
	}
	old := behind.host.running()
	if err := t.lag(ctx, behind); err != nil {
		behind.up()
		return err
	}
	if f.At == "" {
		link, err := t.lab.Slow(ctx, behind.host.Machine, lab.Link{BytesPerSecond: t.slow(n)})
		if err != nil {
			behind.up()
			return err
		}
		defer func() { err = errors.Join(err, link.End()) }()
	}
	behind.up()
	for behind.host.running() == old {
		if !pause(ctx, 10*time.Millisecond) {
			return ctx.Err()
		}
	}
	if f.At != "" {
		return t.dies(ctx, f, behind, func() {})
	}
	if err := coming(ctx, behind); err != nil {
		return err
	}
	pause(ctx, f.Into)
	return t.harm(ctx, f, []*node{n})
}

// lag keeps a node away until the others have forgotten what it needs.
func (t *stand) lag(ctx context.Context, n *node) error {
	has, err := t.admins[t.index(n)].Status(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", n.Name, err)
	}
	if err := n.down((*lab.Process).Kill); err != nil {
		return err
	}
	for end := time.Now().Add(forgetTime); ; {
		behind := true
		for _, o := range t.nodes {
			behind = behind && (o == n || snapshot(o) > uint64(has.AppliedIndex)+leaves)
		}
		switch {
		case behind:
			return nil
		case time.Now().After(end):
			return fmt.Errorf("%s, at entry %d, would be sent entries still: %w", n.Name, has.AppliedIndex, errMissed)
		case !pause(ctx, look):
			return ctx.Err()
		}
	}
}

func (t *stand) index(n *node) int {
	for i, o := range t.nodes {
		if o == n {
			return i
		}
	}
	return -1
}

// snapshot is where a node's newest ends: its folder is TERM-INDEX-TIME.
func snapshot(n *node) (newest uint64) {
	names, _ := filepath.Glob(filepath.Join(n.host.Data(), "raft", "snapshots", "*-*-*"))
	for _, name := range names {
		var term, index, at uint64
		if k, _ := fmt.Sscanf(filepath.Base(name), "%d-%d-%d", &term, &index, &at); k == 3 {
			newest = max(newest, index)
		}
	}
	return newest
}

// slow is the rate at which the state of a node takes sendTime.
func (t *stand) slow(n *node) int64 {
	size := int64(1 << 20)
	if i, err := os.Stat(filepath.Join(n.host.Data(), "state.db")); err == nil {
		size = i.Size()
	}
	return max(16<<10, size/int64(sendTime/time.Second))
}

// coming waits until a node has a part of the state that it is sent.
func coming(ctx context.Context, n *node) error {
	for end := time.Now().Add(reachTime); ; {
		i, err := os.Stat(filepath.Join(n.host.Data(), "state.db.coming"))
		switch {
		case err == nil && i.Size() > 0:
			return nil
		case time.Now().After(end):
			return fmt.Errorf("%s is not sent the state: %w", n.Name, errMissed)
		case !pause(ctx, 10*time.Millisecond):
			return ctx.Err()
		}
	}
}
