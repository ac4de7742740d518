// Package problem is what can be wrong with a request: one closed list of
// kinds, each with its status and title, that the API shows as problem
// documents (RFC 9457).
//
// A problem must never hold personal data, a key, or what another tenant has.
package problem

import (
	"fmt"
	"time"
)

// Kind of problem; the last part of its type.
type Kind string

const (
	Malformed       Kind = "malformed"
	UnknownMember   Kind = "unknown-member"
	BadValue        Kind = "bad-value"
	BadMediaType    Kind = "media-type"
	NotAPicture     Kind = "not-a-picture"
	TooLarge        Kind = "too-large"
	TooSlow         Kind = "too-slow"
	DigestMismatch  Kind = "digest-mismatch"
	Unauthorized    Kind = "unauthorized"
	Forbidden       Kind = "forbidden"
	NotFound        Kind = "not-found"
	NoRoute         Kind = "no-such-route"
	NoMethod        Kind = "no-such-method"
	Exists          Kind = "exists"
	SessionClosed   Kind = "session-closed"
	SessionExpired  Kind = "session-expired"
	EvidenceMissing Kind = "evidence-missing"
	TriesUsedUp     Kind = "tries-used-up"
	SubjectErased   Kind = "subject-erased"
	KeyReused       Kind = "idempotency-key-reused"
	SetUpAlready    Kind = "set-up-already"
	WrongCode       Kind = "wrong-setup-code"
	WrongSecret     Kind = "wrong-secret"
	LastOne         Kind = "last-one"
	TooMany         Kind = "too-many-requests"
	Overloaded      Kind = "overloaded"
	Sealed          Kind = "sealed"
	NotSealed       Kind = "not-sealed"
	DiskFull        Kind = "disk-full"
	Unavailable     Kind = "unavailable"
	GalleryLoading  Kind = "gallery-loading"
	NoGraph         Kind = "no-graph"
	Busy            Kind = "busy"
	ClusterState    Kind = "cluster-state"
	Damaged         Kind = "damaged"
	Internal        Kind = "internal"
)

var kinds = map[Kind]struct {
	status int
	title  string
	next   string
}{
	Malformed:       {400, "The request cannot be read", "correct the request; /v1/openapi.yaml describes it"},
	UnknownMember:   {400, "The request has a part that is not known", "leave it out; /v1/openapi.yaml lists what is known"},
	BadValue:        {400, "A value is not allowed", "correct the value; /v1/openapi.yaml describes it"},
	BadMediaType:    {415, "The media type is not supported", "send one of the types that /v1/openapi.yaml gives"},
	NotAPicture:     {422, "The picture cannot be used", "send a whole JPEG, PNG or WebP picture"},
	TooLarge:        {413, "The request is too large", "send less"},
	TooSlow:         {408, "The request did not arrive in time", "send it again over a faster connection"},
	DigestMismatch:  {422, "The bytes are not those of the digest", "send them again"},
	Unauthorized:    {401, "A credential is needed", "send 'Authorization: Bearer gh_…' or a registered client certificate"},
	Forbidden:       {403, "The credential's roles do not allow it", "use a credential with one of the roles, or ask your administrator"},
	NotFound:        {404, "There is no such thing", "check the id"},
	NoRoute:         {404, "There is no such route", "see /v1/openapi.yaml"},
	NoMethod:        {405, "The route does not have this method", "see /v1/openapi.yaml"},
	Exists:          {409, "It exists already", "use the one that exists"},
	SessionClosed:   {409, "The session no longer takes this", "read the session's state; begin a new one if need be"},
	SessionExpired:  {409, "The session has expired", "begin a new session"},
	EvidenceMissing: {409, "Evidence is missing", "put the missing evidence and submit again"},
	TriesUsedUp:     {409, "No tries are left for this evidence", "begin a new session"},
	SubjectErased:   {410, "The person was erased", "nothing is held any more"},
	KeyReused:       {422, "The idempotency key was used for another request", "use a new key for a new request"},
	SetUpAlready:    {409, "The cluster was set up already", "use an administrator's credential"},
	WrongCode:       {401, "The setup code is wrong", "copy it from the first start's output"},
	WrongSecret:     {422, "What was given does not open the seal", "see the detail"},
	LastOne:         {409, "The last one cannot be removed", "add another one first"},
	TooMany:         {429, "Too many requests", "wait as Retry-After says"},
	Overloaded:      {429, "The node has all the work that it can take", "wait as Retry-After says"},
	Sealed:          {503, "The node is sealed", "unseal it: gatehouse unseal"},
	NotSealed:       {409, "The node is not sealed", "nothing to do"},
	DiskFull:        {507, "The disk is full", "free space or add a disk; what is kept can be read"},
	Unavailable:     {503, "The cluster cannot answer now", "repeat the request, with the same idempotency key"},
	GalleryLoading:  {503, "The face gallery is being loaded", "wait as Retry-After says; /readyz tells how far it is"},
	NoGraph:         {409, "The face gallery has no graph", "build it with 'gatehouse gallery rebuild --graph', or search with the exact engine"},
	Busy:            {409, "Other work of this kind is under way, or not over yet", "wait for it, as the detail says"},
	ClusterState:    {409, "The cluster does not allow it now", "see the detail; 'gatehouse cluster status' shows how it stands"},
	Damaged:         {500, "What is stored is damaged", "run 'gatehouse data check' and restore from a backup"},
	Internal:        {500, "Something is wrong with the node", "look into its log for the request id"},
}

// Kinds lists all.
func Kinds() []Kind {
	all := make([]Kind, 0, len(kinds))
	for k := range kinds {
		all = append(all, k)
	}
	return all
}

// Problem is an error that the caller is told.
type Problem struct {
	Kind   Kind
	Detail string
	Field  string
	Limit  string
	Next   string        // in place of the kind's own advice
	After  time.Duration // Retry-After
	Cause  error         // for the log; never shown
}

// New makes a problem of a kind.
func New(k Kind, format string, args ...any) *Problem {
	return &Problem{Kind: k, Detail: fmt.Sprintf(format, args...)}
}

// In names the part of the request.
func (p *Problem) In(field string) *Problem { p.Field = field; return p }

// Of names the limit that was passed.
func (p *Problem) Of(limit string) *Problem { p.Limit = limit; return p }

// Because keeps the cause for the log.
func (p *Problem) Because(err error) *Problem { p.Cause = err; return p }

func (p *Problem) Error() string {
	if p.Cause != nil {
		return fmt.Sprintf("%s: %s: %v", p.Kind, p.Detail, p.Cause)
	}
	return fmt.Sprintf("%s: %s", p.Kind, p.Detail)
}

func (p *Problem) Unwrap() error { return p.Cause }

// Is compares kinds, for errors.Is with New(kind, "").
func (p *Problem) Is(target error) bool {
	t, ok := target.(*Problem)
	return ok && t.Kind == p.Kind
}

// Status is the HTTP status of the kind.
func (k Kind) Status() int { return kinds[k].status }

// Title says in one sentence what the kind means.
func (k Kind) Title() string { return kinds[k].title }

// Advice says what to do.
func (p *Problem) Advice() string {
	if p.Next != "" {
		return p.Next
	}
	return kinds[p.Kind].next
}
