package state

import (
	"encoding/binary"

	"gatehouse/store/command"
)

// Enrolled is an enrolment, by the index of the entry that made it.
type Enrolled struct {
	Index uint64
	*command.Enrolment
}

// Removed says that the entry Index removed what the entry Enrolled had
// enrolled, in which list, of which session or blocklist entry.
type Removed struct {
	Index, Enrolled uint64
	List, ID, Model string
}

// Enrolments of a tenant that there are, up to limit, in the order in which
// they were made: those of entries beyond after, 0 for all.
func (v *View) Enrolments(tenant string, after uint64, limit int) ([]Enrolled, error) {
	var all []Enrolled
	var err error
	v.beyond(enrolments, tenant, after, func(k []byte, index uint64) bool {
		if _, ok := sequence(k, len(tenant)+1); !ok {
			err = corrupt(enrolments, k, errNoNumber)
			return false
		}
		var e *command.Enrolment
		if e, err = load[command.Enrolment](v, enrolments, k); err != nil {
			return false
		}
		all = append(all, Enrolled{index, e})
		return len(all) < limit
	})
	return all, err
}

// Removals of a tenant ever made, in order: those of entries beyond after, 0
// for all. One entry may remove many; it is never cut in two, so these may be
// more than limit.
func (v *View) Removals(tenant string, after uint64, limit int) ([]Removed, error) {
	var all []Removed
	var err error
	v.beyond(removals, tenant, after, func(k []byte, index uint64) bool {
		if n := len(all); n >= limit && n > 0 && all[n-1].Index != index {
			return false
		}
		enrolment, ok := sequence(k, len(tenant)+1+8)
		if !ok {
			err = corrupt(removals, k, errNoNumber)
			return false
		}
		var e *command.Enrolment
		if e, err = load[command.Enrolment](v, removals, k); err != nil {
			return false
		}
		all = append(all, Removed{index, enrolment, e.List, e.Id, e.Model})
		return true
	})
	return all, err
}

// beyond walks a tenant's rows whose keys begin with the index of an entry
// after the given one. A key that is too short for one has index 0.
func (v *View) beyond(t table, tenant string, after uint64, do func(k []byte, index uint64) bool) {
	if after+1 == 0 {
		return
	}
	prefix := under(tenant)
	from := append(under(tenant), number(after+1)...)
	v.scan(t, prefix, from, func(k, _ []byte) bool {
		var index uint64
		if at := k[len(prefix):]; len(at) >= 8 {
			index = binary.BigEndian.Uint64(at)
		}
		return do(k, index)
	})
}

// Enrolment that the entry of this index made, while it stands.
func (v *View) Enrolment(tenant string, index uint64) (*command.Enrolment, error) {
	return load[command.Enrolment](v, enrolments, key(tenant, number(index)))
}

// NewestEnrolment of a tenant that there is: the index of its entry; 0: none.
func (v *View) NewestEnrolment(tenant string) uint64 {
	n, _ := newest(v, enrolments, tenant)
	return n
}

// NewestRemoval of a tenant: the index of its entry; 0: none.
func (v *View) NewestRemoval(tenant string) uint64 {
	n, _ := newest(v, removals, tenant)
	return n
}

// Template of a session or blocklist entry.
func (v *View) Template(tenant, id string) (*command.Template, error) {
	return load[command.Template](v, templates, key(tenant, id))
}

// Blocked is an entry of the blocklist.
func (v *View) Blocked(tenant, id string) (*command.Blocked, error) {
	return load[command.Blocked](v, blocked, key(tenant, id))
}

// Blocklist lists up to limit entries after the given one, in the order of
// their ids.
func (v *View) Blocklist(tenant, after string, limit int) ([]*command.Blocked, error) {
	return page[command.Blocked](v, blocked, tenant, after, limit)
}
