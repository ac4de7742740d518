package crash

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/appliance/api"
	"gatehouse/appliance/client"
	"gatehouse/store/audit"
)

// log is an outsider's copy of an audit log: every leaf that was read, hashed
// here, and every checkpoint that was ever received.
type log struct {
	name   api.Log
	report *Report

	key    note.Verifier // as the node gave it first
	size   int64
	hashes hashes
	heads  []*audit.Checkpoint
	mono   audit.Time
	events map[event]int
	faces  map[string]bool // subjects who have one on file
	random *rand.Rand
}

// event is what was done to which object.
type event struct {
	action audit.Action
	object string
}

type hashes []tlog.Hash

func (h hashes) Hash(index int64) (tlog.Hash, error) {
	if index < 0 || index >= int64(len(h)) {
		return tlog.Hash{}, fmt.Errorf("hash %d of %d", index, len(h))
	}
	return h[index], nil
}

// pageSize is the API's longest page.
const pageSize = 200

// follow reads what is new, and holds it against everything seen before: the
// checkpoints given are those received meanwhile.
func (l *log) follow(ctx context.Context, n *client.Client, received [][]byte, all bool) error {
	if l.key == nil {
		text, err := n.AuditKey(ctx, l.name)
		if err != nil {
			return err
		}
		if l.key, err = note.NewVerifier(strings.TrimSpace(text)); err != nil {
			return err
		}
	}
	last, err := n.Checkpoint(ctx, l.name)
	if err != nil {
		return err
	}
	head := l.verified(last)
	if head == nil {
		return nil
	}
	if head.Size < l.size {
		l.report.broken(Fork, "log %s had %d events and has %d", l.key.Name(), l.size, head.Size)
		return nil
	}
	for l.size < head.Size {
		if err := l.page(ctx, n, head.Size); err != nil {
			return err
		}
	}
	for _, b := range append(received, last) {
		if c := l.verified(b); c != nil {
			l.own(c)
			l.heads = append(l.heads, c)
		}
	}
	return l.consistent(ctx, n, head, all)
}

func (l *log) verified(b []byte) *audit.Checkpoint {
	c, err := audit.VerifyCheckpoint(b, l.key.Name(), note.VerifierList(l.key))
	if err != nil {
		l.report.broken(Fork, "log %s: %v", l.key.Name(), err)
		return nil
	}
	return c
}

// page reads the next leaves.
func (l *log) page(ctx context.Context, n *client.Client, to int64) error {
	page, err := n.AuditEvents(ctx, l.name, l.size, int(min(pageSize, to-l.size)))
	if err != nil {
		return err
	}
	if len(page.Events) == 0 {
		return fmt.Errorf("%w: log %s has %d events by its checkpoint and shows none from %d on", ErrNode, l.key.Name(), to, l.size)
	}
	for _, e := range page.Events {
		b, err := encode(e)
		if err != nil {
			return err
		}
		leaf, err := audit.DecodeLeaf(b)
		if err != nil {
			return fmt.Errorf("%w: event %d of %s: %w", ErrNode, l.size, l.key.Name(), err)
		}
		if leaf.Seq != l.size || leaf.Log != l.key.Name() || leaf.TSMono < l.mono {
			l.report.broken(Fork, "event %d of %s is %d of %s, at %v after %v", l.size, l.key.Name(), leaf.Seq, leaf.Log, leaf.TSMono, l.mono)
		}
		more, first, err := audit.Append(l.size, b, l.hashes)
		if err != nil {
			return err
		}
		if first != int64(len(l.hashes)) {
			return fmt.Errorf("%w: hash %d comes after %d", ErrNode, first, len(l.hashes))
		}
		l.hashes = append(l.hashes, more...)
		l.size, l.mono = l.size+1, leaf.TSMono
		l.events[event{leaf.Action, leaf.Object.ID}]++
		l.face(leaf)
	}
	return nil
}

// encode gives the bytes of a leaf again: RFC 8785, which DecodeLeaf checks.
// Its names are ASCII, so that Go's order is the standard's.
func encode(e map[string]any) ([]byte, error) {
	var b bytes.Buffer
	j := json.NewEncoder(&b)
	j.SetEscapeHTML(false)
	err := j.Encode(e)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// own holds a checkpoint against the leaves that were read.
func (l *log) own(c *audit.Checkpoint) {
	if c.Size > l.size {
		l.report.broken(Fork, "log %s: a checkpoint of %d events was signed, now there are %d", c.Origin, c.Size, l.size)
		return
	}
	root, err := audit.Root(c.Size, l.hashes)
	if err != nil || root != c.Root {
		l.report.broken(Fork, "log %s: the leaves of size %d give the root %v, signed was %v (%v)", c.Origin, c.Size, root, c.Root, err)
	}
}

// proofs asked for after each kill; all of them now and then.
const proofs = 8

// consistent asks for proofs that earlier heads are beginnings of the present
// one, and has them verified twice: by ours and by an independent
// implementation.
func (l *log) consistent(ctx context.Context, n *client.Client, head *audit.Checkpoint, all bool) error {
	heads := slices.Clone(l.heads)
	if !all && len(heads) > proofs {
		l.random.Shuffle(len(heads), func(i, j int) { heads[i], heads[j] = heads[j], heads[i] })
		heads = heads[:proofs]
	}
	for _, old := range heads {
		shown, err := n.Consistency(ctx, l.name, old.Size, head.Size)
		if err != nil {
			return err
		}
		var ours []tlog.Hash
		var theirs [][]byte
		for _, text := range shown.Hashes {
			h, err := tlog.ParseHash(text)
			if err != nil {
				return err
			}
			ours, theirs = append(ours, h), append(theirs, h[:])
		}
		err = audit.VerifyConsistency(old.Size, head.Size, ours, old.Root, head.Root)
		if err == nil {
			err = proof.VerifyConsistency(rfc6962.DefaultHasher, uint64(old.Size), uint64(head.Size), theirs, old.Root[:], head.Root[:])
		}
		if err != nil {
			l.report.broken(Fork, "log %s: from %d to %d: %v", head.Origin, old.Size, head.Size, err)
		}
	}
	return nil
}

// count of events of an action upon an object.
func (l *log) count(a audit.Action, object string) int { return l.events[event{a, object}] }

// total of an action, and on how many objects.
func (l *log) total(a audit.Action) (events, objects int) {
	for e, n := range l.events {
		if e.action == a {
			events, objects = events+n, objects+1
		}
	}
	return events, objects
}
