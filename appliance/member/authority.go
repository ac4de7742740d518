package member

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"

	"gatehouse/appliance/problem"
	"gatehouse/cluster/pki"
	"gatehouse/store/audit"
	"gatehouse/store/command"
	"gatehouse/store/keys"
	"gatehouse/store/state"
)

// authorityPlace is where the key of every authority is sealed for, the next one's
// as well: it comes into force as it is.
var authorityPlace = keys.Place{Table: "meta", Field: "authority_key", Row: "authority", Version: 1}

// fresh authority, whose key is sealed. Error: keys.ErrSealed.
func (s *Service) fresh() (*command.Authority, error) {
	a, err := pki.NewAuthority(s.Cluster, s.Now(), rand.Reader)
	if err != nil {
		return nil, err
	}
	key, err := a.Key()
	if err != nil {
		return nil, err
	}
	defer clear(key)
	sealed, err := s.Keys.SealField(authorityPlace, key)
	if err != nil {
		return nil, err
	}
	return &command.Authority{Certificate: a.Certificate.Raw, Key: sealed}, nil
}

func (s *Service) makeAuthority(ctx context.Context) error {
	a, err := s.fresh()
	if err != nil {
		return err
	}
	return s.own(ctx, command.Type_SET_AUTHORITY, &command.SetAuthority{Authority: a}, audit.KeyCreate, "authority", s.Cluster)
}

// authority of the cluster; a *problem.Problem where there is none yet.
func (s *Service) authority() (*command.Authority, error) {
	var row *command.Authority
	err := s.view(func(v *state.View) (err error) { row, err = v.Authority(); return err })
	switch {
	case errors.Is(err, state.ErrNotFound) && s.Address == "":
		return nil, problem.New(problem.ClusterState, "the node has no peer port: start it with 'gatehouse run --peer HOST:PORT'")
	case errors.Is(err, state.ErrNotFound):
		return nil, problem.New(problem.ClusterState, "the active version has no clusters yet: 'gatehouse cluster finalise', then start the node again")
	}
	return row, err
}

// issue a certificate for a request, and say by which authority. Errors:
// state.ErrNotFound, keys.ErrSealed.
func (s *Service) issue(request []byte, node string) (cert, by *x509.Certificate, err error) {
	var row *command.Authority
	if err := s.view(func(v *state.View) (err error) { row, err = v.Authority(); return err }); err != nil {
		return nil, nil, err
	}
	a, err := opened(s.Keys, row.Certificate, row.Key)
	if err != nil {
		return nil, nil, err
	}
	cert, err = a.Issue(request, s.Cluster, node, s.Now(), rand.Reader)
	return cert, a.Certificate, err
}

// Latest opens the newest authority that a row has: the next one, while it is
// introduced. Whoever knows the row trusts both, and may be without the other one
// by the time that a node which was away is back. Error: keys.ErrSealed.
func Latest(k *keys.Store, row *command.Authority) (*pki.Authority, error) {
	if len(row.NextCertificate) > 0 {
		return opened(k, row.NextCertificate, row.NextKey)
	}
	return opened(k, row.Certificate, row.Key)
}

func opened(k *keys.Store, certificate, sealed []byte) (*pki.Authority, error) {
	key, err := k.OpenField(authorityPlace, sealed)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return pki.ParseAuthority(certificate, key)
}

// trustedOf are the certificates of the authorities that count, that of the one
// in force first; none where there is no row.
func trustedOf(row *command.Authority) (all [][]byte) {
	for _, der := range [][]byte{row.GetCertificate(), row.GetNextCertificate(), row.GetEarlier()} {
		if len(der) > 0 {
			all = append(all, der)
		}
	}
	return all
}

// nameOf an authority between nodes: SHA-256 of its certificate, hex.
func nameOf(certificate []byte) string {
	sum := sha256.Sum256(certificate)
	return hex.EncodeToString(sum[:])
}
