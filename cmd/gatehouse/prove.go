package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/appliance/api"
	"gatehouse/appliance/client"
	"gatehouse/store/audit"
	"gatehouse/store/audit/trust"
)

// errNotProved: what the node showed does not hold.
var errNotProved = errors.New("not proved")

// maxTrust bytes of a file with one key.
const maxTrust = 4 << 10

// trusted are the keys that verify one log's checkpoints.
type trusted struct {
	policy *trust.Policy
	origin string
	pinned bool // by the user, not given by the node itself
}

// trustIn reads the policy, or the one key, that the user has pinned; without a
// file it takes the node's word.
func trustIn(ctx context.Context, n *client.Client, log api.Log, file string) (*trusted, error) {
	if file == "" {
		text, err := n.AuditKey(ctx, log)
		if err != nil {
			return nil, err
		}
		p, err := trust.ParsePolicy([]byte(text))
		if err != nil || len(p.Logs()) != 1 {
			return nil, fmt.Errorf("%w: the node gave no key of a log: %w", errNotProved, err)
		}
		return &trusted{p, p.Logs()[0], false}, nil
	}
	b, err := readSmall(file, maxPolicy)
	if err != nil {
		return nil, err
	}
	p, err := trust.ParsePolicy(b)
	if err != nil {
		return nil, &inputError{file, fmt.Errorf("it holds no key of a log: %w; it is one line, <origin>+<hash>+<key>, or what 'audit trust' prints", err)}
	}
	origins := p.Logs()
	if len(origins) > 1 {
		origins = slices.DeleteFunc(origins, func(origin string) bool {
			_, name, _, err := audit.ParseOrigin(origin)
			return err != nil || (name == audit.System) != (log == api.LogSystem)
		})
	}
	if len(origins) != 1 {
		return nil, &inputError{file, fmt.Errorf("it pins %d logs that may be meant: leave the keys of one", len(origins))}
	}
	return &trusted{p, origins[0], true}, nil
}

// keys that count under a checkpoint.
func (k *trusted) keys(checkpoint []byte) note.Verifiers {
	c, err := audit.ParseCheckpoint(checkpoint)
	if err != nil {
		return note.VerifierList()
	}
	return k.policy.Known(k.origin, c.Size)
}

// verified reads a checkpoint that one of the keys has signed.
func (k *trusted) verified(checkpoint []byte) (*audit.Checkpoint, error) {
	c, err := audit.VerifyCheckpoint(checkpoint, k.origin, k.keys(checkpoint))
	if errors.Is(err, audit.ErrSignature) {
		err = fmt.Errorf("%w; where the log's key was replaced, give --trust a policy that has the earlier one too", err)
	}
	return c, err
}

// signers of a checkpoint that was verified.
func signers(c *audit.Checkpoint) string {
	var all []string
	for _, s := range c.Signatures {
		all = append(all, fmt.Sprintf("%s+%08x", oneLine(s.Name), s.Hash))
	}
	return strings.Join(all, ", ")
}

// doubt says what is not shown where the key is the node's own word.
func (k *trusted) doubt() string {
	if k.pinned {
		return ""
	}
	return "The key is the one that this node gave: that the node keeps no other history under another\nkey is not shown. Get the key by another way and give it with --trust FILE.\n"
}

// head fetches the log's checkpoint and verifies it.
func (k *trusted) head(ctx context.Context, n *client.Client, log api.Log) (*audit.Checkpoint, []byte, error) {
	text, err := n.Checkpoint(ctx, log)
	if err != nil {
		return nil, nil, err
	}
	head, err := k.verified(text)
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
	key  *trusted
}

// prove fetches an event with its proof and verifies both here.
func prove(ctx context.Context, n *client.Client, log api.Log, seq int64, file string) (*proved, error) {
	k, err := trustIn(ctx, n, log, file)
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
	head, err := p.Verify([]byte(shown.Leaf), k.origin, k.keys(p.Checkpoint))
	if err != nil {
		return nil, fmt.Errorf("%w: event %d: %w", errNotProved, seq, err)
	}
	leaf, err := audit.DecodeLeaf([]byte(shown.Leaf))
	if err != nil {
		return nil, fmt.Errorf("%w: event %d: %w", errNotProved, seq, err)
	}
	if p.Index != seq || leaf.Seq != seq || leaf.Log != k.origin {
		return nil, fmt.Errorf("%w: the node showed event %d of %s in place %d, not event %d of %s", errNotProved, leaf.Seq, leaf.Log, p.Index, seq, k.origin)
	}
	return &proved{Proved: true, Pinned: k.pinned, Origin: head.Origin, Seq: seq, Size: head.Size, Root: head.Root.String(), Key: signers(head),
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

	key *trusted
}

// extends verifies that the present log begins with that of a checkpoint in a
// file.
func extends(ctx context.Context, n *client.Client, log api.Log, file, policy string) (*extended, error) {
	b, err := readSmall(file, audit.MaxCheckpoint)
	if err != nil {
		return nil, err
	}
	if _, err := audit.ParseCheckpoint(b); err != nil {
		return nil, &inputError{file, fmt.Errorf("%w; give a file that 'gatehouse audit checkpoint --out' wrote", err)}
	}
	k, err := trustIn(ctx, n, log, policy)
	if err != nil {
		return nil, err
	}
	old, err := k.verified(b)
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
	return &extended{Consistent: true, Pinned: k.pinned, Origin: head.Origin, From: old.Size, To: head.Size, Root: head.Root.String(), Key: signers(head), key: k}, nil
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
