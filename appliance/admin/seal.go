package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"gatehouse/appliance/access"
	"gatehouse/appliance/act"
	"gatehouse/appliance/problem"
	"gatehouse/store/audit"
	"gatehouse/store/keys"
)

// SealStatus says whether the node is sealed, and by what it is opened.
func (s *Service) SealStatus() keys.Status { return s.Keys.Status() }

// Seal wipes every key from memory, once that is in the audit log.
func (s *Service) Seal(ctx context.Context, c access.Caller) error {
	s.seal.Lock()
	defer s.seal.Unlock()
	if err := s.recordSystem(ctx, c, audit.SealSeal, "node", s.Node, audit.OK, nil); err != nil {
		return err
	}
	s.Closing()
	s.Keys.Seal()
	s.Closed()
	return nil
}

// Secret is what opens the seal: exactly one of its members.
type Secret struct {
	File       bool
	Passphrase []byte
	Share      string
}

// Unseal gives a secret to the seal.
func (s *Service) Unseal(ctx context.Context, c access.Caller, secret Secret) error {
	s.seal.Lock()
	defer s.seal.Unlock()
	kind, err := "file", error(nil)
	switch {
	case secret.Share != "":
		kind = "share"
		_, _, err = s.Keys.UnsealShare(ctx, secret.Share)
	case len(secret.Passphrase) > 0:
		kind = "passphrase"
		err = s.Keys.UnsealPassphrase(ctx, secret.Passphrase)
	default:
		err = s.Keys.UnsealFile()
	}
	facts := map[string]string{"kind": kind}
	if err != nil {
		if p := sealProblem(err); p != nil {
			if p.Kind == problem.WrongSecret {
				if err := s.recordSystem(ctx, c, audit.SealUnsealFailed, "node", s.Node, audit.Failed, facts); err != nil {
					return err
				}
			}
			return p
		}
		return err
	}
	// Where it cannot be written, the seal is closed again.
	if err := s.recordSystem(ctx, c, audit.SealUnseal, "node", s.Node, audit.OK, facts); err != nil {
		s.Keys.Seal()
		s.Closed()
		return err
	}
	if !s.Keys.Sealed() {
		s.Opened()
	}
	return nil
}

// sealProblem tells the caller what was wrong; nil where it was the node.
func sealProblem(err error) *problem.Problem {
	switch {
	case errors.Is(err, keys.ErrTooSoon):
		p := problem.New(problem.TooMany, "%v", keys.ErrTooSoon).Because(err)
		p.After = time.Second
		return p
	case errors.Is(err, keys.ErrNotSealed):
		return problem.New(problem.NotSealed, "the node is not sealed")
	case errors.Is(err, keys.ErrLastSlot):
		return problem.New(problem.LastOne, "the only slot cannot be removed")
	case errors.Is(err, keys.ErrWeakPassphrase):
		return problem.New(problem.BadValue, "%v", keys.ErrWeakPassphrase).In("passphrase")
	case errors.Is(err, keys.ErrShares):
		return problem.New(problem.BadValue, "%v", keys.ErrShares).In("shares")
	case errors.Is(err, keys.ErrExists):
		return problem.New(problem.Exists, "the key file exists already").In("path")
	case errors.Is(err, keys.ErrLimit), errors.Is(err, keys.ErrName):
		return problem.New(problem.BadValue, "the seal takes no more of these")
	case errors.Is(err, keys.ErrSealed):
		return problem.New(problem.Sealed, "the node is sealed")
	}
	for _, wrong := range []error{keys.ErrWrongPassphrase, keys.ErrWrongShare, keys.ErrDamagedShare, keys.ErrSameShare, keys.ErrOtherSlot, keys.ErrDamagedFile, keys.ErrNoSlot, keys.ErrOtherKey, keys.ErrPermissions, fs.ErrNotExist} {
		if errors.Is(err, wrong) {
			if wrong == fs.ErrNotExist {
				return problem.New(problem.WrongSecret, "the key file is not where it was").Because(err)
			}
			return problem.New(problem.WrongSecret, "%v", wrong).Because(err)
		}
	}
	return nil
}

// AddSlot adds another way to unseal; shares are shown this once. That it is
// begun is in the log before, that it is done, and as which slot, after.
func (s *Service) AddSlot(ctx context.Context, c access.Caller, kind keys.Kind, path string, passphrase []byte, threshold, shares int) (slot keys.Slot, texts []string, err error) {
	facts := map[string]string{"kind": string(kind), "step": "begun"}
	if kind == keys.Shamir {
		facts["threshold"], facts["shares"] = strconv.Itoa(threshold), strconv.Itoa(shares)
	}
	if err := s.recordSystem(ctx, c, audit.SealSlotAdd, "slot", "", audit.OK, facts); err != nil {
		return keys.Slot{}, nil, err
	}
	switch kind {
	case keys.File:
		if slot, err = s.Keys.AddFile(path); isPath(err) {
			err = problem.New(problem.BadValue, "the key file cannot be made there").In("path").Because(err)
		}
	case keys.Passphrase:
		slot, err = s.Keys.AddPassphrase(passphrase)
	case keys.Shamir:
		slot, texts, err = s.Keys.AddShamir(threshold, shares)
	default:
		err = fmt.Errorf("slot of kind %q", kind)
	}
	facts["step"] = "done"
	return slot, texts, s.done(ctx, c, err, audit.SealSlotAdd, slot.ID, facts)
}

// RemoveSlot removes a slot, never the last.
func (s *Service) RemoveSlot(ctx context.Context, c access.Caller, slot string) error {
	known := false
	for _, have := range s.Keys.Status().Slots {
		known = known || have.ID == slot
	}
	if !known {
		return problem.New(problem.NotFound, "there is no such slot")
	}
	facts := map[string]string{"step": "begun"}
	if err := s.recordSystem(ctx, c, audit.SealSlotRemove, "slot", slot, audit.OK, facts); err != nil {
		return err
	}
	facts["step"] = "done"
	return s.done(ctx, c, s.Keys.RemoveSlot(slot), audit.SealSlotRemove, slot, facts)
}

// isPath: the path is at fault, not the disk.
func isPath(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.EROFS)
}

// done puts into the log what an act came to that was begun there.
func (s *Service) done(ctx context.Context, c access.Caller, failed error, action audit.Action, slot string, facts map[string]string) error {
	result := audit.OK
	if failed != nil {
		result = audit.Failed
	}
	if err := s.recordSystem(ctx, c, action, "slot", slot, result, facts); err != nil {
		return err
	}
	var told *problem.Problem
	if errors.As(failed, &told) {
		return failed
	}
	if p := sealProblem(failed); p != nil {
		return p
	}
	return failed
}

// recordSystem writes one event into the cluster's own log.
func (s *Service) recordSystem(ctx context.Context, c access.Caller, action audit.Action, kind, object string, result audit.Result, facts map[string]string) error {
	e := act.Event(c, action, kind, object)
	e.Result, e.Facts = string(result), facts
	c.Tenant = ""
	return s.Record(ctx, c, e)
}
