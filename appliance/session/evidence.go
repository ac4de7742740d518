package session

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"gatehouse/appliance/access"
	"gatehouse/appliance/act"
	"gatehouse/appliance/problem"
	"gatehouse/cluster/replica"
	"gatehouse/engine/picture"
	"gatehouse/store/audit"
	"gatehouse/store/blob"
	"gatehouse/store/command"
	"gatehouse/store/id"
	"gatehouse/store/keys"
	"gatehouse/store/state"
)

// Upload is a picture on its way in.
type Upload struct {
	Session, Slot string
	Type          string // as the client says; empty: unsaid
	Digest        []byte // SHA-256 as the client says; nil: unsaid
	Body          io.Reader
	// Repeated: the request may have been made before. What is in the slot
	// already must then be the same.
	Repeated bool
}

// sniffed bytes tell the media type (http.DetectContentType needs 512).
const sniffed = 512

// Picture says whether the engine reads this media type.
func Picture(mediaType string) bool {
	return mediaType == "image/jpeg" || mediaType == "image/png" || mediaType == "image/webp"
}

// Put keeps a picture in a slot: encrypted and on the disk before the command
// that names it is proposed. It holds no more of it than the store's buffers.
func (s *Service) Put(ctx context.Context, c access.Caller, up Upload) (kept *command.Evidence, err error) {
	row, err := s.session(c.Tenant, up.Session)
	if err != nil {
		return nil, err
	}
	u, _, err := s.subject(c.Tenant, row.Subject)
	if err != nil {
		return nil, err
	}
	t, err := s.tenant(c.Tenant)
	if err != nil {
		return nil, err
	}
	head := make([]byte, sniffed)
	n, err := io.ReadFull(up.Body, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	class := http.DetectContentType(head[:n])
	switch {
	case n == 0:
		return nil, problem.New(problem.NotAPicture, "the body is empty").In(up.Slot)
	case !Picture(class):
		return nil, problem.New(problem.NotAPicture, "the body is no JPEG, PNG or WebP picture").In(up.Slot)
	case up.Type != "" && up.Type != class:
		return nil, problem.New(problem.BadMediaType, "the body is %s, Content-Type says %s", class, up.Type).In(up.Slot)
	}
	now := s.Now()
	e := &command.Evidence{Id: id.New(id.Evidence, now, s.Rand), Slot: up.Slot, Class: class, AddedNs: now.UnixNano()}
	sum := sha256.New()
	body := io.TeeReader(io.MultiReader(bytes.NewReader(head[:n]), up.Body), sum)
	ref, err := s.Copies.Put(ctx, u, s.header(row, e), body, int64(picture.DefaultLimits().Bytes))
	if err != nil {
		return nil, s.stored(err, up.Slot)
	}
	e.Blob, e.Stored, e.Size = ref.Name, ref.Stored, ref.Size
	keep := false
	defer func() {
		if keep {
			return
		}
		// An orphan, which the sweep collects where even this fails.
		if left := s.Blobs.Remove(ref.Name); errors.Is(left, blob.ErrSync) {
			err = errors.Join(err, left)
		}
	}()
	digest := sum.Sum(nil)
	if up.Digest != nil && !bytes.Equal(up.Digest, digest) {
		return nil, problem.New(problem.DigestMismatch, "the SHA-256 of the body is not that of the Digest").In("Digest")
	}
	// Under the tenant's key: the state tells nobody whether two pictures are
	// the same.
	if e.Request, err = t.Index("evidence", append(append([]byte(up.Session), up.Slot...), digest...)); err != nil {
		return nil, err
	}
	stored, err := hex.DecodeString(ref.Name)
	if err != nil {
		return nil, err
	}
	added := act.Event(c, audit.SessionEvidenceAdd, "evidence", e.Id)
	added.ObjectSha256, added.Subject = stored, row.Subject
	added.Facts = map[string]string{"session": row.Id, "slot": up.Slot, "media_type": class}
	a, err := s.Propose(ctx, c, command.Type_ADD_EVIDENCE, &command.AddEvidence{Session: row.Id, Evidence: e, Repeated: up.Repeated}, nil, added)
	if err != nil {
		var p *problem.Problem
		keep = !errors.As(err, &p) // the outcome is unknown: the command may yet name it
		return nil, err
	}
	keep = a.Id == e.Id
	s.Jobs.Changed(row.Id)
	if _, err := s.Discard(a.Blobs); err != nil {
		return nil, err
	}
	if row, err = s.session(c.Tenant, row.Id); err != nil {
		return nil, err
	}
	for _, kept := range row.Evidence {
		if kept.Id == a.Id {
			return kept, nil
		}
	}
	return nil, problem.New(problem.SessionClosed, "the evidence was replaced meanwhile")
}

// header of evidence's blob; the subject's key is not versioned yet.
func (s *Service) header(row *command.Session, e *command.Evidence) blob.Header {
	return blob.Header{Tenant: row.Tenant, Subject: row.Subject, Object: e.Id, KeyID: row.Subject, KeyVersion: 1, Class: e.Class}
}

// stored turns the blob store's errors into problems.
func (s *Service) stored(err error, slot string) error {
	switch {
	case errors.Is(err, blob.ErrSync): // who answers the request ends the process
		return problem.New(problem.Unavailable, "the disk failed").Because(err)
	case errors.Is(err, replica.ErrOneCopy):
		p := problem.New(problem.Unavailable, "no other node of the cluster keeps the picture").Because(err)
		p.After = time.Second
		return p
	case errors.Is(err, replica.ErrUnreached): // also for want of room
		p := problem.New(problem.Unavailable, "the picture in %s is not on this node and cannot be had from another one now", slot).Because(err)
		p.After = time.Second
		return p
	case errors.Is(err, blob.ErrTooLarge):
		return problem.New(problem.TooLarge, "the picture is too large").In(slot).Of(fmt.Sprintf("%d bytes", picture.DefaultLimits().Bytes))
	case errors.Is(err, blob.ErrFull):
		return problem.New(problem.DiskFull, "there is no room for new evidence").Because(err)
	case errors.Is(err, blob.ErrNotFound), errors.Is(err, blob.ErrDamaged), errors.Is(err, blob.ErrHeader), errors.Is(err, blob.ErrVersion):
		return problem.New(problem.Damaged, "the evidence in %s cannot be read back", slot).Because(err)
	}
	return err
}

// damaged says that something sealed did not open, unless it is the seal.
func damaged(err error, what string) error {
	if errors.Is(err, keys.ErrSealed) || errors.Is(err, keys.ErrErased) {
		return err
	}
	return problem.New(problem.Damaged, "%s cannot be read", what).Because(err)
}

// Evidence opens a picture for reading; that is in the audit log before it
// returns.
func (s *Service) Evidence(ctx context.Context, c access.Caller, session, slot string) (*command.Evidence, *replica.Reader, error) {
	if err := s.Cluster.Read(ctx); err != nil {
		return nil, nil, err
	}
	row, err := s.session(c.Tenant, session)
	if err != nil {
		return nil, nil, err
	}
	i := slices.IndexFunc(row.Evidence, func(e *command.Evidence) bool { return e.Slot == slot })
	if row.State == state.Erased {
		return nil, nil, problem.New(problem.SubjectErased, "the person was erased")
	}
	if i < 0 {
		return nil, nil, problem.New(problem.NotFound, "the session has no %s", slot).In("slot")
	}
	e := row.Evidence[i]
	r, err := s.open(ctx, row, e)
	if err != nil {
		return nil, nil, err
	}
	seen := act.Event(c, audit.AccessEvidence, "evidence", e.Id)
	seen.Facts = map[string]string{"session": row.Id, "slot": slot}
	if seen.ObjectSha256, err = hex.DecodeString(e.Blob); err == nil {
		err = s.seen(ctx, c, row.Subject, seen)
	}
	if err != nil {
		r.Close()
		return nil, nil, err
	}
	return e, r, nil
}

func (s *Service) open(ctx context.Context, row *command.Session, e *command.Evidence) (*replica.Reader, error) {
	u, _, err := s.subject(row.Tenant, row.Subject)
	if err != nil {
		return nil, err
	}
	r, err := s.Copies.Open(ctx, u, s.header(row, e), e.Blob)
	if err != nil {
		return nil, s.stored(err, e.Slot)
	}
	return r, nil
}
