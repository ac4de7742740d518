package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/appliance/api"
	"gatehouse/appliance/client"
	"gatehouse/store/audit"
)

// errNotProved: what the node showed does not hold.
var errNotProved = errors.New("not proved")

// maxTrust bytes of a file with one verifier key.
const maxTrust = 4 << 10

// trustedKey verifies a log's checkpoints.
type trustedKey struct {
	verifier note.Verifier
	pinned   bool // by the user, not given by the node itself
}

func logKey(ctx context.Context, n *client.Client, log api.Log, trust string) (*trustedKey, error) {
	if trust != "" {
		b, err := readSmall(trust, maxTrust)
		if err != nil {
			return nil, err
		}
		v, err := note.NewVerifier(strings.TrimSpace(string(b)))
		if err != nil {
			return nil, &inputError{trust, fmt.Errorf("it holds no key of a log: %w; it is one line, <origin>+<hash>+<key>", err)}
		}
		return &trustedKey{v, true}, nil
	}
	text, err := n.AuditKey(ctx, log)
	if err != nil {
		return nil, err
	}
	v, err := note.NewVerifier(strings.TrimSpace(text))
	if err != nil {
		return nil, fmt.Errorf("%w: the node gave no key of a log: %w", errNotProved, err)
	}
	return &trustedKey{v, false}, nil
}

// origin of the log whose key it is: an origin is its key's name.
func (k *trustedKey) origin() string { return k.verifier.Name() }

func (k *trustedKey) name() string {
	return fmt.Sprintf("%s+%08x", oneLine(k.verifier.Name()), k.verifier.KeyHash())
}

// doubt says what is not shown where the key is the node's own word.
func (k *trustedKey) doubt() string {
	if k.pinned {
		return ""
	}
	return "The key is the one that this node gave: that the node keeps no other history under another\nkey is not shown. Get the key by another way and give it with --trust FILE.\n"
}

// head fetches the log's checkpoint and verifies it.
func (k *trustedKey) head(ctx context.Context, n *client.Client, log api.Log) (*audit.Checkpoint, []byte, error) {
	text, err := n.Checkpoint(ctx, log)
	if err != nil {
		return nil, nil, err
	}
	head, err := audit.VerifyCheckpoint(text, k.origin(), note.VerifierList(k.verifier))
	if err != nil {
		return nil, nil, fmt.Errorf("%w: the log's head: %w", errNotProved, err)
	}
	return head, text, nil
}

// proved is an event that is in the log, with all that shows it.
type proved struct {
	Proved bool   `json:"proved"`
	Pinned bool   `json:"key_pinned"`
	Origin string `json:"origin"`
	Seq    int64  `json:"seq"`
	Size   int64  `json:"size"`
	Root   string `json:"root"`
	Key    string `json:"key"`
	Leaf   string `json:"leaf"`
	Proof  string `json:"proof"`

	leaf *audit.Leaf
	key  *trustedKey
}

// prove fetches an event with its proof and verifies both here.
func prove(ctx context.Context, n *client.Client, log api.Log, seq int64, trust string) (*proved, error) {
	k, err := logKey(ctx, n, log, trust)
	if err != nil {
		return nil, err
	}
	shown, err := n.AuditProof(ctx, log, seq)
	if err != nil {
		return nil, err
	}
	p, err := audit.ParseProof([]byte(shown.Proof))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotProved, err)
	}
	head, err := p.Verify([]byte(shown.Leaf), k.origin(), note.VerifierList(k.verifier))
	if err != nil {
		return nil, fmt.Errorf("%w: event %d: %w", errNotProved, seq, err)
	}
	leaf, err := audit.DecodeLeaf([]byte(shown.Leaf))
	if err != nil {
		return nil, fmt.Errorf("%w: event %d: %w", errNotProved, seq, err)
	}
	if p.Index != seq || leaf.Seq != seq || leaf.Log != k.origin() {
		return nil, fmt.Errorf("%w: the node showed event %d of %s in place %d, not event %d of %s", errNotProved, leaf.Seq, leaf.Log, p.Index, seq, k.origin())
	}
	return &proved{Proved: true, Pinned: k.pinned, Origin: head.Origin, Seq: seq, Size: head.Size, Root: head.Root.String(), Key: k.name(),
		Leaf: shown.Leaf, Proof: shown.Proof, leaf: leaf, key: k}, nil
}

func (p *proved) describe() string {
	var w strings.Builder
	fmt.Fprintf(&w, "Proved: event %d is in the log, byte for byte\n", p.Seq)
	line(&w, "log", p.Origin)
	line(&w, "size", plural(int(p.Size), "event"))
	line(&w, "root", p.Root)
	line(&w, "signed by", p.Key)
	l := p.leaf
	w.WriteString("\nEvent:\n")
	line(&w, "id", l.ID)
	line(&w, "time", l.TS.String())
	line(&w, "action", string(l.Action)+": "+l.Action.Meaning())
	line(&w, "result", strings.TrimSpace(string(l.Result)+" "+l.Reason))
	line(&w, "actor", strings.TrimSpace(l.Actor.Type+" "+l.Actor.ID))
	if l.Object.Type != "" {
		line(&w, "object", strings.TrimSpace(l.Object.Type+" "+l.Object.ID))
	}
	if l.SubjectRef != "" {
		line(&w, "subject", l.SubjectRef)
	}
	if doubt := p.key.doubt(); doubt != "" {
		w.WriteString("\n" + doubt)
	}
	return w.String()
}

// extended is a log that begins with an earlier one.
type extended struct {
	Consistent bool   `json:"consistent"`
	Pinned     bool   `json:"key_pinned"`
	Origin     string `json:"origin"`
	From       int64  `json:"from"`
	To         int64  `json:"to"`
	Root       string `json:"root"`
	Key        string `json:"key"`

	key *trustedKey
}

// extends verifies that the present log begins with that of a checkpoint in a
// file.
func extends(ctx context.Context, n *client.Client, log api.Log, file, trust string) (*extended, error) {
	b, err := readSmall(file, audit.MaxCheckpoint)
	if err != nil {
		return nil, err
	}
	if _, err := audit.ParseCheckpoint(b); err != nil {
		return nil, &inputError{file, fmt.Errorf("%w; give a file that 'gatehouse audit checkpoint --out' wrote", err)}
	}
	k, err := logKey(ctx, n, log, trust)
	if err != nil {
		return nil, err
	}
	old, err := audit.VerifyCheckpoint(b, k.origin(), note.VerifierList(k.verifier))
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errNotProved, file, err)
	}
	head, _, err := k.head(ctx, n, log)
	if err != nil {
		return nil, err
	}
	if head.Size < old.Size {
		return nil, fmt.Errorf("%w: the log has %s now and had %d: it was cut, or the node was restored from an old copy; keep %s and find out why", errNotProved, plural(int(head.Size), "event"), old.Size, file)
	}
	shown, err := n.Consistency(ctx, log, old.Size, head.Size)
	if err != nil {
		return nil, err
	}
	var hashes []tlog.Hash
	for _, text := range shown.Hashes {
		h, err := tlog.ParseHash(text)
		if err != nil {
			return nil, fmt.Errorf("%w: a hash of the proof cannot be read", errNotProved)
		}
		hashes = append(hashes, h)
	}
	if err := audit.VerifyConsistency(old.Size, head.Size, hashes, old.Root, head.Root); err != nil {
		return nil, fmt.Errorf("%w: the log does not begin with that of %s: %w; keep that file and find out why", errNotProved, file, err)
	}
	return &extended{Consistent: true, Pinned: k.pinned, Origin: head.Origin, From: old.Size, To: head.Size, Root: head.Root.String(), Key: k.name(), key: k}, nil
}

func (e *extended) describe() string {
	var w strings.Builder
	fmt.Fprintf(&w, "Consistent: the log of %s begins with the earlier one of %d\n", plural(int(e.To), "event"), e.From)
	line(&w, "log", e.Origin)
	line(&w, "root", e.Root)
	line(&w, "signed by", e.Key)
	if doubt := e.key.doubt(); doubt != "" {
		w.WriteString("\n" + doubt)
	}
	return w.String()
}
