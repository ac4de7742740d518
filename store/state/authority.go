package state

import (
	"crypto/sha256"
	"errors"

	"gatehouse/store/command"
)

var metaAuthority = []byte("authority")

// AuthorityID is the id in the answer to a step of the authority's rotation.
const AuthorityID = "authority"

// maxNext of the next authority's certificate, and of its sealed key: package
// cluster/pki reads no longer ones.
const maxNext = 8 << 10

// setAuthority names who certifies the members, once.
func (a *apply) setAuthority(p *command.SetAuthority) error {
	if a.get(meta, metaAuthority) != nil {
		return refuse(Exists)
	}
	if len(p.Authority.GetCertificate()) == 0 || len(p.Authority.Key) == 0 {
		return refuse(Malformed)
	}
	return a.store(meta, metaAuthority, p.Authority)
}

// changeAuthority takes the rotation of the authority one step on: the next one is
// trusted, then certifies, then is trusted alone. The key of the one before goes
// with the second step. A step that does not follow the last one is refused, so
// that two leaders, or two administrators, cannot each take their own.
func (a *apply) changeAuthority(p *command.ChangeAuthority) error {
	next := len(p.NextCertificate)+len(p.NextKey) > 0
	steps := 0
	for _, is := range []bool{next, p.Switch, p.Drop} {
		if is {
			steps++
		}
	}
	if steps != 1 || next && (len(p.NextCertificate) == 0 || len(p.NextKey) == 0) || max(len(p.NextCertificate), len(p.NextKey)) > maxNext {
		return refuse(Malformed)
	}
	row, err := load[command.Authority](a, meta, metaAuthority)
	switch {
	case errors.Is(err, ErrNotFound):
		return refuse(AuthorityChanged)
	case err != nil:
		return err
	}
	sum := sha256.Sum256(row.Certificate)
	begun, switched := len(row.NextCertificate) > 0, len(row.Earlier) > 0
	if string(p.Before) != string(sum[:]) || next && (begun || switched) || p.Switch && !begun || p.Drop && !switched {
		return refuse(AuthorityChanged)
	}
	switch {
	case next:
		if string(p.NextCertificate) == string(row.Certificate) {
			return refuse(Malformed)
		}
		row.NextCertificate, row.NextKey = p.NextCertificate, p.NextKey
	case p.Switch:
		row = &command.Authority{Certificate: row.NextCertificate, Key: row.NextKey, Earlier: row.Certificate}
	case p.Drop:
		row.Earlier = nil
	}
	a.answer.Id = AuthorityID
	return a.store(meta, metaAuthority, row)
}

// Authority that certifies the members, and, while it is rotated, the next or the
// earlier one; ErrNotFound where there was never a second node.
func (v *View) Authority() (*command.Authority, error) {
	return load[command.Authority](v, meta, metaAuthority)
}
