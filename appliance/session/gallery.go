package session

import (
	"context"
	"strconv"

	"gatehouse/appliance/access"
	"gatehouse/appliance/act"
	"gatehouse/appliance/identify"
	"gatehouse/store/audit"
	"gatehouse/store/command"
)

// Gallery tells the size and the work of the caller's galleries.
func (s *Service) Gallery(ctx context.Context, c access.Caller) (*identify.Stats, error) {
	if err := s.Cluster.Read(ctx); err != nil {
		return nil, err
	}
	return s.Faces.Stats(c.Tenant)
}

// RebuildGallery begins a rebuild, or the building of the graph. The same
// request again begins none.
func (s *Service) RebuildGallery(ctx context.Context, c access.Caller, graph bool, idem *act.Idempotency) (*identify.Stats, error) {
	again, err := act.Replayed(s.State, c.Client, idem)
	if err != nil {
		return nil, err
	}
	now, err := s.Gallery(ctx, c)
	if err != nil || again != nil {
		return now, err
	}
	if now.Task.Busy { // Start tells of one that begins in between
		return nil, identify.ErrBusy
	}
	e := act.Event(c, audit.GalleryRebuild, "gallery", c.Tenant)
	e.Facts = map[string]string{"task": map[bool]string{true: "graph", false: "rebuild"}[graph]}
	a, err := s.Propose(ctx, c, command.Type_RECORD, nil, idem, e)
	if err != nil {
		return nil, err
	}
	if a.Replay == nil {
		if err := s.Faces.Start(c.Tenant, graph); err != nil {
			return nil, err
		}
	}
	return s.Faces.Stats(c.Tenant)
}

// VerifyGallery compares the caller's galleries with the templates. What it
// came to is in the audit log before it returns.
func (s *Service) VerifyGallery(ctx context.Context, c access.Caller, idem *act.Idempotency) (*identify.Report, error) {
	if err := s.Cluster.Read(ctx); err != nil {
		return nil, err
	}
	r, err := s.Faces.Verify(ctx, c.Tenant)
	if err != nil {
		return nil, err
	}
	e := act.Event(c, audit.GalleryVerify, "gallery", c.Tenant)
	e.Facts = map[string]string{"templates": strconv.Itoa(r.Templates), "other_models": strconv.Itoa(r.Others),
		"damaged": strconv.Itoa(r.Damaged), "missing": strconv.Itoa(r.Missing), "different": strconv.Itoa(r.Different), "extra": strconv.Itoa(r.Extra)}
	if !r.OK() {
		e.Result = string(audit.Failed)
	}
	return r, s.noted(ctx, c, idem, e)
}
