package appliance

import (
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"gatehouse/appliance/member"
	"gatehouse/store/command"
	"gatehouse/store/disk"
	"gatehouse/store/keys"
	"gatehouse/store/state"
)

// stopped opens the directory of a node that does not run.
func stopped(dir string) (*nodeFile, string, func() error, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, "", nil, err
	}
	f, err := readNode(dir)
	if err != nil {
		return nil, "", nil, err
	}
	if f == nil {
		return nil, "", nil, fmt.Errorf("%w: there is no node in %s", ErrData, dir)
	}
	lock, err := disk.Lock(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, "", nil, err
	}
	return f, dir, lock.Close, nil
}

// MoveMember tells a stopped node another member's address, for a cluster whose
// nodes have all moved and cannot tell each other. The cluster's own word counts
// again once it has one.
func MoveMember(dir, node, address string) (err error) {
	_, dir, done, err := stopped(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	d, err := member.OpenDirectory(filepath.Join(dir, "peer"), nil)
	if err != nil {
		return err
	}
	return d.Move(node, address)
}

// RenewCertificate certifies a stopped node again, with the cluster's authority
// from its own state: for one whose certificate has ended, so that no other node
// lets it in to renew it. It needs the node's key file. Where the authority was
// rotated since without the node, the certificate is of one that nobody trusts.
func RenewCertificate(dir string) (cert, authority *x509.Certificate, err error) {
	f, dir, done, err := stopped(dir)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, done()) }()
	k, err := keys.Open(dir, f.Cluster)
	if err != nil {
		return nil, nil, err
	}
	if err := k.UnsealFile(); err != nil {
		return nil, nil, fmt.Errorf("the authority's key stays sealed: %w", err)
	}
	defer k.Seal()
	s, err := state.Open(filepath.Join(dir, "state.db"), false)
	if err != nil {
		return nil, nil, err
	}
	defer s.Close()
	var row *command.Authority
	if err := s.View(func(v *state.View) (err error) { row, err = v.Authority(); return err }); errors.Is(err, state.ErrNotFound) {
		return nil, nil, fmt.Errorf("%w: the node is alone and has no certificate for other nodes", ErrData)
	} else if err != nil {
		return nil, nil, err
	}
	a, err := member.Latest(k, row)
	if err != nil {
		return nil, nil, err
	}
	identity, err := member.OpenIdentity(filepath.Join(dir, "peer"))
	if err != nil {
		return nil, nil, err
	}
	request, err := identity.Request()
	if err != nil {
		return nil, nil, err
	}
	if cert, err = a.Issue(request, f.Cluster, f.Node, time.Now(), rand.Reader); err != nil {
		return nil, nil, err
	}
	return cert, a.Certificate, identity.Certify(cert.Raw, a.Certificate.Raw)
}
