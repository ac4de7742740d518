package bundle

import (
	"fmt"

	"gatehouse/store/audit"
)

// Names of the members, in their order.
const (
	manifestName    = "bundle.json"
	signatureName   = "bundle.sig"
	startName       = "checkpoint-start"
	endName         = "checkpoint-end"
	consistencyName = "consistency"
	rangeName       = "range-start"

	systemStartName       = "system/checkpoint-start"
	systemEndName         = "system/checkpoint-end"
	systemConsistencyName = "system/consistency"
	anchorsName           = "system/anchors.jsonl"
	beyondName            = "system/beyond"

	keysName        = "keys.jsonl"
	erasuresName    = "erasures.jsonl"
	disclosuresName = "disclosures.jsonl"
	reportName      = "report.html"
)

const (
	// maxHashes in a proof or a compact range: two for each bit of MaxSize.
	maxHashes = 2 * 53
	hashLine  = 45 // base64 of 32 bytes, and the line's end
	maxKeys   = 1 << 20
	// maxSide bytes in each member that is kept in memory while a bundle is made.
	// An erasure has about 150 bytes, a disclosed value 250.
	maxSide = 64 << 20
	// maxReport bytes: a page that a browser still opens.
	maxReport = 16 << 20
)

// slot is a place for a member.
type slot struct {
	name     string
	max      int64
	optional bool
	first    int64 // of entries: the seq of the first leaf
	leaves   int64 // of entries: how many there must be
}

// layout gives the members that the bundle has after its signature.
func (m *manifest) layout() []slot {
	var all []slot
	add := func(name string, max int64) { all = append(all, slot{name: name, max: max}) }
	if m.From > 0 {
		add(startName, audit.MaxCheckpoint)
	}
	add(endName, audit.MaxCheckpoint)
	if m.From > 0 {
		add(consistencyName, maxHashes*hashLine)
		add(rangeName, maxHashes*hashLine)
	}
	if s := m.System; s != nil {
		if s.From > 0 {
			add(systemStartName, audit.MaxCheckpoint)
		}
		add(systemEndName, audit.MaxCheckpoint)
		if s.From > 0 {
			add(systemConsistencyName, maxHashes*hashLine)
		}
		add(anchorsName, maxAnchorLine*((m.To-m.From)/chunk+3))
		all = append(all, slot{name: beyondName, max: maxHashes * hashLine, optional: true})
	}
	add(keysName, maxKeys)
	for first := m.From; first < m.To; {
		end := min(m.To, (first/chunk+1)*chunk)
		// Whether leaves are missing is not for the manifest to say: that is told
		// with which ones.
		all = append(all, slot{name: entriesName(first), max: (end - first) * (audit.MaxLeaf + 1), optional: true, first: first, leaves: end - first})
		first = end
	}
	add(erasuresName, maxSide)
	return append(all, slot{name: disclosuresName, max: maxSide, optional: true}, slot{name: reportName, max: maxReport, optional: true})
}

func entriesName(first int64) string { return fmt.Sprintf("entries/%012d.jsonl", first) }

// match gives the slot of each file.
func (m *manifest) match() ([]slot, error) {
	slots := m.layout()
	used := make([]slot, 0, len(m.Files))
	for _, f := range m.Files {
		for len(slots) > 0 && slots[0].name != f.Name {
			if !slots[0].optional {
				return nil, fmt.Errorf("%w: %s is missing, or %.60q stands before it", errForm, slots[0].name, f.Name)
			}
			slots = slots[1:]
		}
		if len(slots) == 0 {
			return nil, fmt.Errorf("%w: %.60q does not belong here", errForm, f.Name)
		}
		if f.Size < 0 || f.Size > slots[0].max {
			return nil, fmt.Errorf("%w: %s has %d bytes, at most %d", errForm, f.Name, f.Size, slots[0].max)
		}
		if !digits(f.SHA256) {
			return nil, fmt.Errorf("%w: the SHA-256 of %s cannot be read", errForm, f.Name)
		}
		used, slots = append(used, slots[0]), slots[1:]
	}
	for _, s := range slots {
		if !s.optional {
			return nil, fmt.Errorf("%w: %s is missing", errForm, s.name)
		}
	}
	return used, nil
}
