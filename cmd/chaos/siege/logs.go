package siege

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"

	"gatehouse/appliance/api"
	"gatehouse/appliance/client"
	"gatehouse/cmd/chaos/history"
)

const (
	pageSize = 200 // the API's longest page
	// earlier heads that a consistency proof is asked for, of each node and
	// round.
	earlier = 3
)

// log is an outsider's copy of an audit log: every leaf that was read, and
// every head that was signed. Nothing of the product's own is used to verify.
type log struct {
	name   api.Log
	nodes  []*client.Client
	key    note.Verifier // as it was at first, or by its word since
	leaves [][]byte      // hashes
	tree   *compact.Range
	heads  []head
	counts map[string]int // of events, by action and object
}

// head of a log, as it was signed.
type head struct {
	signed []byte
	keys   []uint32 // that did, by their hashes
	text   string
	size   uint64
	root   []byte
}

func (t *stand) logs(ctx context.Context) (all []*log, err error) {
	for name, nodes := range map[api.Log][]*client.Client{api.LogTenant: t.branch, api.LogSystem: t.admins} {
		l := &log{name: name, nodes: nodes, counts: map[string]int{}, tree: (&compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}).NewEmptyRange(0)}
		text, err := nodes[0].AuditKey(ctx, name)
		if err != nil {
			return nil, err
		}
		if l.key, err = note.NewVerifier(strings.TrimSpace(text)); err != nil {
			return nil, err
		}
		all = append(all, l)
	}
	return all, nil
}

// head that a node shows. A signature by the known key is needed.
func (l *log) head(ctx context.Context, from *client.Client) (h head, err error) {
	signed, err := from.Checkpoint(ctx, l.name)
	if err != nil {
		return h, err
	}
	n, err := note.Open(signed, note.VerifierList(l.key))
	if err != nil {
		return h, fmt.Errorf("a head of %s: %w", l.key.Name(), err)
	}
	lines := strings.Split(n.Text, "\n") // C2SP tlog-checkpoint
	if len(lines) < 4 || lines[0] != l.key.Name() {
		return h, fmt.Errorf("a head of %s cannot be read: %.100q", l.key.Name(), n.Text)
	}
	h.signed, h.text = signed, n.Text
	for _, s := range signatures(signed) {
		h.keys = append(h.keys, s.Hash)
	}
	slices.Sort(h.keys)
	if h.size, err = strconv.ParseUint(lines[1], 10, 63); err == nil {
		h.root, err = base64.StdEncoding.DecodeString(lines[2])
	}
	return h, err
}

// follow reads what is new at one node, and holds the others against it.
func (l *log) follow(ctx context.Context, j *judge) error {
	heads, err := l.same(ctx, j.signers)
	if err != nil {
		return err
	}
	at := rand.IntN(len(l.nodes))
	h := heads[at]
	for i, other := range heads {
		if len(other.keys) != j.signers || !slices.Equal(other.keys, h.keys) {
			j.found(Keys, "%s: %d should sign, on %s those of %08x do, on %s those of %08x", l.key.Name(), j.signers, j.nodes[at].Name, h.keys, j.nodes[i].Name, other.keys)
		}
	}
	if err := l.learn(ctx, at, h); err != nil {
		j.found(Keys, "%s: %v", j.nodes[at].Name, err)
	}
	if h.size < uint64(len(l.leaves)) {
		j.found(Fork, "%s had %d events and %s shows %d", l.key.Name(), len(l.leaves), j.nodes[at].Name, h.size)
		return nil
	}
	from := len(l.leaves)
	for uint64(len(l.leaves)) < h.size {
		page, err := l.page(ctx, at, len(l.leaves), h.size)
		if err != nil {
			return err
		}
		for _, b := range page {
			if err := l.add(b, j); err != nil {
				return err
			}
		}
	}
	root := rfc6962.DefaultHasher.EmptyRoot()
	if h.size > 0 {
		if root, err = l.tree.GetRootHash(nil); err != nil {
			return err
		}
	}
	for i, other := range heads {
		if other.text != h.text {
			j.found(Fork, "%s signs %q and %s signs %q", j.nodes[at].Name, h.text, j.nodes[i].Name, other.text)
		}
	}
	if !bytes.Equal(root, h.root) {
		j.found(Fork, "%s: the %d events have the root %x, signed is %x", l.key.Name(), h.size, root, h.root)
		return nil
	}
	j.report.Events += int64(len(l.leaves) - from)
	for i := range l.nodes {
		if err := l.beside(ctx, i, from, h, j); err != nil {
			return fmt.Errorf("%s: %w", j.nodes[i].Name, err)
		}
	}
	l.heads = append(l.heads, h)
	return nil
}

// learn a new key, which must sign beside the known one.
func (l *log) learn(ctx context.Context, at int, h head) error {
	text, err := l.nodes[at].AuditKey(ctx, l.name)
	if err != nil {
		return err
	}
	fresh, err := note.NewVerifier(strings.TrimSpace(text))
	if err != nil || fresh.KeyHash() == l.key.KeyHash() {
		return err
	}
	n, err := note.Open(h.signed, note.VerifierList(l.key, fresh))
	if err != nil {
		return err
	}
	if len(n.Sigs) != 2 {
		return fmt.Errorf("the key %08x of %s does not sign beside %08x", fresh.KeyHash(), l.key.Name(), l.key.KeyHash())
	}
	l.key = fresh
	return nil
}

// same waits until all nodes show heads of one size, signed by so many keys.
func (l *log) same(ctx context.Context, signers int) ([]head, error) {
	for end := time.Now().Add(quietTime); ; {
		heads := make([]head, len(l.nodes))
		equal := true
		for i, c := range l.nodes {
			var err error
			if heads[i], err = l.head(ctx, c); err != nil {
				return nil, err
			}
			equal = equal && heads[i].size == heads[0].size && len(heads[i].keys) == signers
		}
		if equal || time.Now().After(end) { // unequal, they are told as a fork, or of other keys
			return heads, nil
		}
		if !pause(ctx, look) {
			return nil, ctx.Err()
		}
	}
}

// page of leaves as they were hashed.
func (l *log) page(ctx context.Context, at, from int, to uint64) (leaves [][]byte, err error) {
	page, err := l.nodes[at].AuditEvents(ctx, l.name, int64(from), int(min(pageSize, to-uint64(from))))
	if err != nil {
		return nil, err
	}
	if len(page.Events) == 0 {
		return nil, fmt.Errorf("log %s has %d events by its head and shows none from %d on", l.key.Name(), to, from)
	}
	for _, e := range page.Events {
		// RFC 8785: the names are ASCII, so that Go's order is the standard's.
		var b bytes.Buffer
		j := json.NewEncoder(&b)
		j.SetEscapeHTML(false)
		if err := j.Encode(e); err != nil {
			return nil, err
		}
		leaves = append(leaves, bytes.TrimSuffix(b.Bytes(), []byte("\n")))
	}
	return leaves, nil
}

func (l *log) add(leaf []byte, j *judge) error {
	var e struct {
		Seq    int64
		Log    string
		Action string
		Object struct{ ID string }
	}
	if err := json.Unmarshal(leaf, &e); err != nil {
		return err
	}
	if e.Seq != int64(len(l.leaves)) || e.Log != l.key.Name() {
		j.found(Fork, "event %d of %s says that it is %d of %s", len(l.leaves), l.key.Name(), e.Seq, e.Log)
	}
	hash := rfc6962.DefaultHasher.HashLeaf(leaf)
	l.leaves = append(l.leaves, hash)
	l.counts[e.Action+" "+e.Object.ID]++
	return l.tree.Append(hash, nil)
}

// beside the copy, a node must show the same last events, and prove that heads
// seen earlier are beginnings of the present one.
func (l *log) beside(ctx context.Context, i, from int, h head, j *judge) error {
	if from = max(from, len(l.leaves)-pageSize); from < len(l.leaves) {
		page, err := l.page(ctx, i, from, h.size)
		if err != nil {
			return err
		}
		for k, leaf := range page {
			if !bytes.Equal(rfc6962.DefaultHasher.HashLeaf(leaf), l.leaves[from+k]) {
				j.found(Fork, "%s shows another event %d of %s", j.nodes[i].Name, from+k, l.key.Name())
				break
			}
		}
	}
	for range min(earlier, len(l.heads)) {
		old := l.heads[rand.IntN(len(l.heads))]
		shown, err := l.nodes[i].Consistency(ctx, l.name, int64(old.size), int64(h.size))
		if err != nil {
			return err
		}
		var hashes [][]byte
		for _, text := range shown.Hashes {
			b, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				return err
			}
			hashes = append(hashes, b)
		}
		if err := proof.VerifyConsistency(rfc6962.DefaultHasher, old.size, h.size, hashes, old.root, h.root); err != nil {
			j.found(Fork, "%s: %s from %d to %d: %v", j.nodes[i].Name, l.key.Name(), old.size, h.size, err)
		}
	}
	return nil
}

// logged tells of acknowledged changes that the tenant's log has not, or has
// twice.
func (j *judge) logged(ops []history.Op) {
	for _, l := range j.logs {
		if l.name != api.LogTenant {
			continue
		}
		once := func(action, object string) {
			if n := l.counts[action+" "+object]; n != 1 {
				j.found(Fork, "%s of %s is in the log %d times", action, object, n)
			}
		}
		for _, o := range ops {
			if o.Outcome != history.OK || o.Answer.Missing {
				continue
			}
			switch {
			case o.Kind == history.Create || o.Kind == history.Verify:
				once("session.create", o.Answer.ID)
			case o.Kind == history.Evidence:
				for _, id := range o.Answer.Evidence {
					once("session.evidence.add", id)
				}
			case o.Answer.Decision != "":
				once("decision.make", o.Answer.ID)
			}
		}
	}
}
