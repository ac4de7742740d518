package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"time"
)

// Errors of this package, besides *Problem. Each is wrapped with the cause and
// the next step.
var (
	ErrConfig      = errors.New("wrong configuration of the client")
	ErrUnreachable = errors.New("the node cannot be reached")
	ErrUntrusted   = errors.New("the node's certificate is not trusted")
	ErrAnswer      = errors.New("the node's answer cannot be read")
	ErrPicture     = errors.New("not a picture that can be sent")
	ErrName        = errors.New("not an identifier")
)

// Problem is the node's refusal (RFC 9457).
type Problem struct {
	Status      int
	Type, Title string // Type is stable, for programs
	Detail      string
	Field       string // the part of the request, where it is one
	Limit       string // that was passed, where it is one
	Next        string // what to do
	RequestID   string // to be found in the audit log
	RetryAfter  time.Duration
}

func (p *Problem) Error() string {
	s := p.Detail
	if p.Limit != "" {
		s += " (limit: " + p.Limit + ")"
	}
	if p.Next != "" {
		s += "; " + p.Next
	}
	if p.RequestID != "" {
		s += " (" + p.RequestID + ")"
	}
	return s
}

// unreachable says why no answer came.
func (c *Client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if where := (*url.Error)(nil); errors.As(err, &where) {
		err = where.Err // without the whole address
	}
	var (
		untrusted *tls.CertificateVerificationError
		unknown   x509.UnknownAuthorityError
		alert     tls.AlertError
		plain     tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &untrusted), errors.As(err, &unknown):
		return fmt.Errorf("%w: %s: %w; check the address, and that the CA is the one that this node wrote", ErrUntrusted, c.host(), err)
	case errors.As(err, &plain), errors.As(err, &alert):
		return fmt.Errorf("%w: %s: %w; check that the address is of a node, which speaks TLS 1.3", ErrUnreachable, c.host(), err)
	}
	return fmt.Errorf("%w: %s: %w; check the address and that the node runs", ErrUnreachable, c.host(), err)
}
