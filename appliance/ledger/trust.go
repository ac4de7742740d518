package ledger

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"golang.org/x/mod/sumdb/note"

	"gatehouse/store/audit"
	"gatehouse/store/state"
)

// pinnedRetired keys of a log are in a policy, those that ended last: it has 256
// lines at most, and each takes two for either log. One a year is usual.
const pinnedRetired = 48

// pinnedEpochs that were closed, the last ones, are in a policy: a cluster is not
// recovered often, and each takes four lines.
const pinnedEpochs = 8

// Trust is the policy that pins the keys of a tenant's log and of the system's:
// those that sign now, and those that have ended up to the size where they did.
func (l *Ledger) Trust(ctx context.Context, tenant string) (string, error) {
	p := pinned{}
	for _, name := range []string{tenant, audit.System} {
		h, err := l.State.Log(name).Head()
		if err != nil {
			return "", err
		}
		ended, err := l.retired(ctx, name, h)
		if err != nil {
			return "", damaged(err, h.Origin)
		}
		signing, err := l.Keys.Verifiers(h.Origin)
		if err != nil {
			return "", err
		}
		for _, key := range signing {
			p.keys += "log " + key + "\n"
			delete(ended, key) // it was announced, and failed
		}
		if err := p.bound(ended); err != nil {
			return "", damaged(err, h.Origin)
		}
	}
	if err := l.closed(ctx, tenant, &p); err != nil {
		return "", err
	}
	nodes, err := l.nodes()
	if err != nil {
		return "", err
	}
	return p.keys + p.bounds + nodes + "quorum none\n", nil
}

// pinned lines of a policy.
type pinned struct{ keys, bounds string }

// bound keys to the sizes of the log at which they signed for the last time.
func (p *pinned) bound(ended map[string]int64) error {
	last := slices.SortedFunc(maps.Keys(ended), func(a, b string) int { return cmp.Or(cmp.Compare(ended[b], ended[a]), cmp.Compare(a, b)) })
	for _, key := range last[:min(len(last), pinnedRetired)] {
		v, err := note.NewVerifier(key)
		if err != nil {
			return err
		}
		p.keys += "log " + key + "\n"
		p.bounds += fmt.Sprintf("valid %s+%08x - %d\n", v.Name(), v.KeyHash(), ended[key]+1)
	}
	return nil
}

// closed pins the keys of closed epochs: all that there were until then, each to
// the size where it was retired or the log closed.
func (l *Ledger) closed(ctx context.Context, tenant string, p *pinned) error {
	var epoch uint64
	if err := l.State.View(func(v *state.View) error { epoch = v.Epoch(); return nil }); err != nil {
		return err
	}
	for e := max(epoch, pinnedEpochs+1) - pinnedEpochs; e < epoch; e++ {
		for _, name := range []string{tenant, audit.System} {
			h, err := l.State.Log(state.InEpoch(name, e)).Head()
			if err != nil {
				return err
			}
			if h.Size == 0 {
				continue
			}
			ended, err := l.retired(ctx, state.InEpoch(name, e), h)
			if err != nil {
				return damaged(err, h.Origin)
			}
			follows, err := l.leaf(state.InEpoch(name, e+1), 0)
			if err != nil {
				return damaged(err, h.Origin)
			}
			for _, k := range l.Keys.SigningKeys() {
				key, err := note.NewEd25519VerifierKey(h.Origin, k.Public[:])
				if err != nil {
					return err
				}
				if _, retired := ended[key]; !retired && audit.Time(k.Created.UnixNano()) <= follows.TS {
					ended[key] = h.Size
				}
			}
			if err := p.bound(ended); err != nil {
				return damaged(err, h.Origin)
			}
		}
	}
	return nil
}

// retired keys of a log, and its size when it was written that each ends.
func (l *Ledger) retired(ctx context.Context, name string, h state.LogHead) (map[string]int64, error) {
	log := l.State.Log(name)
	root, err := audit.Root(h.Size, log)
	if err != nil {
		return nil, err
	}
	q := Query{Action: string(audit.KeyDestroy)}
	found, err := l.finder.all(ctx, name, h, q.terms()...)
	if err != nil {
		return nil, err
	}
	ended := map[string]int64{}
	for _, seq := range found {
		b, matches, err := l.verified(log, h.Size, root, seq, &q)
		if err != nil {
			return nil, err
		}
		if !matches {
			continue
		}
		leaf, err := audit.DecodeLeaf(b)
		if err != nil {
			return nil, err
		}
		if leaf.Object.Type != signingKey {
			continue
		}
		key, _ := leaf.Data["key"].(string)
		size, _ := leaf.Data["log_size"].(string)
		if ended[key], err = strconv.ParseInt(size, 10, 64); err != nil {
			return nil, err
		}
	}
	return ended, nil
}
