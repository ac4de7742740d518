package member

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"gatehouse/store/id"
)

const (
	tokenPrefix = "ghj1." // gatehouse join, form 1
	maxToken    = 4 << 10
	secretSize  = 32
	// InviteFor is how long an invitation is good (design of the cluster).
	InviteFor = 10 * time.Minute
)

// Token is an invitation, as it is handed to the new node: whoever has it within
// its time becomes a member.
type Token struct {
	Cluster    string    `json:"c"`
	Invitation string    `json:"i"`
	Secret     []byte    `json:"s"`
	Authority  []byte    `json:"a"` // SHA-256 of its public key
	Addresses  []string  `json:"p"`
	Expires    time.Time `json:"e"`
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
		len(t.Secret) != secretSize || len(t.Authority) != 32 || len(t.Addresses) == 0 {
		return nil, fmt.Errorf("%w: a part of it is missing or changed", ErrToken)
	}
	return t, nil
}
