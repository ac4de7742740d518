package bundle

import "fmt"

// anchorOrder checks that the anchors of a slice are those that the format asks
// for: in order, one of each 65,536 leaves, and one that covers all of them.
type anchorOrder struct {
	m         *manifest
	any       bool
	seq, size int64 // of the last
}

func newAnchorOrder(m *manifest) anchorOrder { return anchorOrder{m: m} }

func (o *anchorOrder) next(seq, size int64) error {
	m := o.m
	wrong := ""
	switch {
	case o.any && (seq <= o.seq || size <= o.size):
		wrong = "it does not follow the one before"
	case o.any && o.size >= m.To:
		wrong = "it follows one that covers the range"
	case o.any && size <= m.To && (size-1)/chunk == (o.size-1)/chunk:
		wrong = "it is the second of the same 65,536 leaves"
	case size < m.From || size == m.From && m.To > m.From || seq+1 < m.System.From:
		wrong = "it lies before the range"
	}
	if wrong != "" {
		return fmt.Errorf("%w: anchor of size %d: %s", errForm, size, wrong)
	}
	o.any, o.seq, o.size = true, seq, size
	return nil
}

// end after the last: the error says what is missing.
func (o *anchorOrder) end() error {
	switch {
	case !o.any && o.m.To == 0: // a log without leaves was never anchored
		return nil
	case !o.any || o.size < o.m.To:
		return fmt.Errorf("%w: no anchor covers the %d leaves: the last is of size %d", errForm, o.m.To, o.size)
	case o.seq+1 != o.m.System.To:
		return fmt.Errorf("%w: the system's checkpoint is of size %d, the last anchor is its leaf %d", errForm, o.m.System.To, o.seq)
	}
	return nil
}
