package trust

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// Policy is what an auditor pins: keys of logs, keys of witnesses, and how many
// of these must have cosigned (C2SP tlog-policy). One key may be pinned for many
// logs, which tlog-policy does not foresee: all logs of a cluster are signed by
// one key, and what is signed names its log. A line of our own bounds the sizes
// at which a key counts, for its rotation:
//
//	valid KEYNAME+HASH FROM TO
type Policy struct {
	logs  []*logKey
	rules []*rule // witnesses and groups, in the order of the file
	// quorum is nil where none is asked for.
	quorum *rule
}

// logKey counts for trees of from to below to leaves.
type logKey struct {
	publicKey
	url      string
	from, to int64
}

// open end of a logKey's sizes.
const open = math.MaxInt64

// rule is a witness (with a key) or a group: need of its members.
type rule struct {
	name    string
	key     *publicKey
	url     string
	need    int
	members []*rule
}

// Logs gives the origins of the pinned logs, in the order of the file.
func (p *Policy) Logs() []string {
	var origins []string
	for _, k := range p.logs {
		if !slices.Contains(origins, k.name) {
			origins = append(origins, k.name)
		}
	}
	return origins
}

// Known are the pinned keys of the log origin that count at a size.
func (p *Policy) Known(origin string, size int64) note.Verifiers {
	var all []note.Verifier
	for _, k := range p.logs {
		if k.name == origin && k.counts(size) {
			all = append(all, k.publicKey)
		}
	}
	return note.VerifierList(all...)
}

// String gives the policy as text that ParsePolicy reads.
func (p *Policy) String() string {
	var b strings.Builder
	for _, k := range p.logs {
		fmt.Fprintln(&b, withURL("log "+k.vkey(), k.url))
	}
	for _, k := range p.logs {
		if k.from > 0 || k.to != open {
			fmt.Fprintf(&b, "valid %s %s\n", k.id(), k.sizes())
		}
	}
	for _, r := range p.rules {
		if r.key != nil {
			fmt.Fprintln(&b, withURL("witness "+r.name+" "+r.key.vkey(), r.url))
			continue
		}
		fmt.Fprintf(&b, "group %s %d", r.name, r.need)
		for _, m := range r.members {
			b.WriteString(" " + m.name)
		}
		b.WriteByte('\n')
	}
	quorum := "none"
	if p.quorum != nil {
		quorum = p.quorum.name
	}
	fmt.Fprintf(&b, "quorum %s\n", quorum)
	return b.String()
}

func withURL(line, url string) string {
	return strings.TrimRight(line+" "+url, " ")
}

// sizes as a valid line has them.
func (k *logKey) sizes() string {
	from, to := "-", "-"
	if k.from > 0 {
		from = strconv.FormatInt(k.from, 10)
	}
	if k.to != open {
		to = strconv.FormatInt(k.to, 10)
	}
	return from + " " + to
}

func (k *logKey) counts(size int64) bool { return k.from <= size && size < k.to }

// holds says whether the rule's witnesses are among those that cosigned.
func (r *rule) holds(cosigned map[*rule]bool) bool {
	if r.key != nil {
		return cosigned[r]
	}
	n := 0
	for _, m := range r.members {
		if m.holds(cosigned) {
			n++
		}
	}
	return n >= r.need
}

// String tells a person what the rule asks for.
func (r *rule) String() string {
	if r.key != nil {
		return r.name
	}
	names := make([]string, len(r.members))
	for i, m := range r.members {
		names[i] = m.name
	}
	return fmt.Sprintf("%s: %d of %s", r.name, r.need, strings.Join(names, ", "))
}
