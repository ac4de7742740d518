package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// DecodeLeaf reads the bytes of a leaf. Encode of the result gives exactly b:
// anything that it would not (another order, white space, a member twice or in
// another case, bytes after the end) is refused.
func DecodeLeaf(b []byte) (*Leaf, error) {
	if len(b) > MaxLeaf {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrLeafTooLarge, len(b), MaxLeaf)
	}
	if l, ok := parseLeaf(b); ok {
		return l, nil
	}
	return patient(b)
}

// patient reads what parseLeaf does not, ten times as slowly, and says what is
// wrong with it.
func patient(b []byte) (*Leaf, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	d.UseNumber() // integers of data stay exact
	var l Leaf
	if err := d.Decode(&l); err != nil {
		if errors.Is(err, ErrLeaf) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %w", ErrLeaf, err)
	}
	if err := narrow(l.Data, 0); err != nil {
		return nil, err
	}
	again, err := l.Encode()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, b) {
		return nil, fmt.Errorf("%w: it differs at byte %d", ErrNotCanonical, firstDifference(again, b))
	}
	return &l, nil
}

// narrow turns what encoding/json makes of data into the types of Leaf.Data.
func narrow(m map[string]any, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%w: data is nested deeper than %d", ErrLeaf, maxDepth)
	}
	for k, v := range m {
		switch v := v.(type) {
		case json.Number:
			n, err := strconv.ParseInt(v.String(), 10, 64)
			if err != nil {
				return fmt.Errorf("%w: %.40q is not an integer: fractions are written as strings", ErrLeaf, v.String())
			}
			m[k] = n
		case []any:
			list := make([]string, len(v))
			for i, e := range v {
				s, ok := e.(string)
				if !ok {
					return fmt.Errorf("%w: lists in data hold strings, not %T", ErrLeaf, e)
				}
				list[i] = s
			}
			m[k] = list
		case map[string]any:
			if err := narrow(v, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

func firstDifference(a, b []byte) int {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	return i
}
