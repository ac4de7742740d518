package keys

import (
	"encoding/binary"
	"fmt"
)

// maxName bounds ids and the parts of a Place. Ours are below 64 bytes; more
// is a mistake of the caller.
const maxName = 128

// Place is where a sealed value is stored. What is moved elsewhere does not
// open there.
type Place struct {
	Table, Field, Row string
	Version           uint32 // of the field's meaning
}

func (p Place) parts() []string {
	return []string{p.Table, p.Field, p.Row, number(p.Version)}
}

func (p Place) check() error {
	if err := checkName("table", p.Table); err != nil {
		return err
	}
	if err := checkName("field", p.Field); err != nil {
		return err
	}
	return checkName("row", p.Row)
}

func checkName(what, name string) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("%s of %d bytes %w: 1 to %d are needed", what, len(name), ErrName, maxName)
	}
	return nil
}

// number is a part of additional data.
func number(n uint32) string {
	return string(binary.BigEndian.AppendUint32(nil, n))
}
