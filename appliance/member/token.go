package member

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"gatehouse/cluster/pki"
	"gatehouse/store/command"
	"gatehouse/store/id"
)

const (
	tokenPrefix = "ghj1." // gatehouse join, form 1
	maxToken    = 4 << 10
	secretSize  = 32
	keySize     = 16
	// InviteFor is how long an invitation is good (design of the cluster).
	InviteFor = 10 * time.Minute
)

// Token is an invitation, as it is handed to the new node: whoever has it within
// its time becomes a member.
type Token struct {
	Cluster    string    `json:"c"`
	Invitation string    `json:"i"`
	Secret     []byte    `json:"s"`
	Authority  []byte    `json:"a"`           // SHA-256 of its public key
	Next       []byte    `json:"n,omitempty"` // likewise, of the one that takes its place
	Addresses  []string  `json:"p"`
	Keys       [][]byte  `json:"k,omitempty"` // of the members there, each as keyOf gives it
	Expires    time.Time `json:"e"`
}

// pin the authority in force and the next one, and never an earlier one: its key
// may be why it is replaced.
func (t *Token) pin(row *command.Authority) (err error) {
	if t.Authority, err = pinOf(row.Certificate); err == nil && len(row.NextCertificate) > 0 {
		t.Next, err = pinOf(row.NextCertificate)
	}
	return err
}

func pinOf(certificate []byte) ([]byte, error) {
	a, err := pki.Parse(certificate)
	if err != nil {
		return nil, err
	}
	of := pki.Fingerprint(a)
	return of[:], nil
}

// pinned are the public keys of the authorities that may have certified whoever
// answers.
func (t *Token) pinned() [][32]byte {
	all := [][32]byte{[32]byte(t.Authority)}
	if len(t.Next) > 0 {
		all = append(all, [32]byte(t.Next))
	}
	return all
}

// keyOf a member, as a token has it: the first 16 bytes of the SHA-256 of its public
// key, of which nobody makes another one that begins so. A node that was removed, and
// whose disk was stolen, has a certificate too.
func keyOf(m *Known) ([]byte, error) {
	b, err := hex.DecodeString(m.Key)
	if err != nil || len(b) < keySize {
		return nil, fmt.Errorf("the key of node %s is not known", m.Node)
	}
	return b[:keySize], nil
}

// key of the member at an address; nil: an earlier release did not say it.
func (t *Token) key(i int) []byte {
	if len(t.Keys) == 0 {
		return nil
	}
	return t.Keys[i]
}

func (t *Token) String() string {
	b, err := json.Marshal(t)
	if err != nil { // of strings, bytes and a time
		return ""
	}
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(b)
}

// ParseToken reads one. Error: ErrToken.
func ParseToken(text string) (*Token, error) {
	text = strings.TrimSpace(text)
	rest, ok := strings.CutPrefix(text, tokenPrefix)
	if !ok || len(text) > maxToken {
		return nil, fmt.Errorf("%w: it begins with %s", ErrToken, tokenPrefix)
	}
	b, err := base64.RawURLEncoding.DecodeString(rest)
	if err != nil {
		return nil, fmt.Errorf("%w: a part of it is missing or changed", ErrToken)
	}
	t := &Token{}
	if err := json.Unmarshal(b, t); err != nil {
		return nil, fmt.Errorf("%w: a part of it is missing or changed", ErrToken)
	}
	if id.Check(id.Cluster, t.Cluster) != nil || id.Check(id.Invitation, t.Invitation) != nil ||
		len(t.Secret) != secretSize || len(t.Authority) != sha256.Size || len(t.Next) != 0 && len(t.Next) != sha256.Size || len(t.Addresses) == 0 ||
		len(t.Keys) != 0 && len(t.Keys) != len(t.Addresses) || slices.ContainsFunc(t.Keys, func(k []byte) bool { return len(k) != keySize }) {
		return nil, fmt.Errorf("%w: a part of it is missing or changed", ErrToken)
	}
	return t, nil
}
