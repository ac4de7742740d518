package bundle

import (
	"encoding/json"
	"fmt"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/store/audit"
)

// maxAnchorLine: the leaf, whose text doubles at worst in JSON, a proof of 53
// hashes with quotes and commas, and the words.
const maxAnchorLine = 2*audit.MaxLeaf + 53*(hashLine+2) + 64

// Anchor is a leaf of the system's log that says how far a tenant's log was, and
// the proof that it is there.
type Anchor struct {
	Leaf   []byte      // as it is in the system's log
	Seq    int64       // its place there
	Hashes []tlog.Hash // its inclusion in the tree of system/checkpoint-end
}

// anchorLine is a line of system/anchors.jsonl.
type anchorLine struct {
	Hashes []tlog.Hash `json:"hashes"`
	Leaf   string      `json:"leaf"`
	Seq    int64       `json:"seq"`
}

func (l *anchorLine) encode() []byte {
	b := []byte(`{"hashes":[`)
	for i, h := range l.Hashes {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, '"'), h.String()...), '"')
	}
	b = appendText(append(b, `],"leaf":`...), l.Leaf)
	return append(strconv.AppendInt(append(b, `,"seq":`...), l.Seq, 10), '}')
}

func (a *Anchor) encode() []byte {
	return append((&anchorLine{a.Hashes, string(a.Leaf), a.Seq}).encode(), '\n')
}

func parseAnchor(b []byte) (*Anchor, error) {
	if len(b) > maxAnchorLine {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", errForm, len(b), maxAnchorLine)
	}
	l, err := parseLine(b, (*anchorLine).encode)
	if err != nil {
		return nil, err
	}
	return &Anchor{[]byte(l.Leaf), l.Seq, l.Hashes}, nil
}

// anchored is what an anchor says: the log had this root at this size.
type anchored struct {
	size int64
	root tlog.Hash
}

// verify that the leaf is in the system's log and is an anchor of the log origin.
func (a *Anchor) verify(system *audit.Checkpoint, origin string) (anchored, error) {
	if err := audit.VerifyInclusion(a.Leaf, a.Seq, system.Size, a.Hashes, system.Root); err != nil {
		return anchored{}, err
	}
	l, err := audit.DecodeLeaf(a.Leaf)
	if err != nil {
		return anchored{}, err
	}
	_, tenant, _, err := audit.ParseOrigin(origin)
	if err != nil {
		return anchored{}, err
	}
	if l.Log != system.Origin || l.Seq != a.Seq || l.Action != audit.AuditAnchor || l.Object.Type != "log" || l.Object.ID != tenant || l.Data["origin"] != origin {
		return anchored{}, fmt.Errorf("%w: leaf %d of %s is no anchor of %s", errForm, a.Seq, system.Origin, origin)
	}
	size, _ := l.Data["size"].(string)
	n, err := strconv.ParseInt(size, 10, 64)
	if err != nil || n < 0 || n > audit.MaxSize || strconv.FormatInt(n, 10) != size {
		return anchored{}, fmt.Errorf("%w: %.40q is not a size", errForm, size)
	}
	text, _ := l.Data["root"].(string)
	root, err := tlog.ParseHash(text)
	if err != nil || root.String() != text {
		return anchored{}, fmt.Errorf("%w: %.60q is not a root", errForm, text)
	}
	return anchored{n, root}, nil
}

// Key of the log, for keys.jsonl. It tells a person what to look for; nobody
// trusts it.
type Key struct {
	VKey string `json:"vkey"` // as in a policy
}

func (k Key) encode() ([]byte, error) {
	b, err := json.Marshal(k)
	return append(b, '\n'), err
}

// erasureLine is a line of erasures.jsonl.
func erasureLine(l *audit.Leaf) []byte {
	b := appendText([]byte(`{"action":`), string(l.Action))
	b = strconv.AppendInt(append(b, `,"seq":`...), l.Seq, 10)
	b = appendText(append(b, `,"subject_ref":`...), l.SubjectRef)
	return append(appendText(append(b, `,"ts":`...), l.TS.String()), '}', '\n')
}

func erasure(a audit.Action) bool {
	return a == audit.SubjectEraseRequest || a == audit.SubjectEraseRestrict || a == audit.SubjectEraseFinalise
}
