package api

import (
	"context"
	"net/http"
	"time"

	"gatehouse/appliance/access"
	"gatehouse/appliance/identify"
)

func (s *server) GalleryStats(w http.ResponseWriter, r *http.Request) {
	s.handle(w, r, func(c access.Caller) error {
		stats, err := s.Sessions.Gallery(r.Context(), c)
		if err != nil {
			return err
		}
		return show(w, http.StatusOK, galleryOf(stats))
	})
}

func (s *server) RebuildGallery(w http.ResponseWriter, r *http.Request, params RebuildGalleryParams) {
	s.handle(w, r, func(c access.Caller) error {
		var in RebuildRequest
		hash, err := body(r, &in)
		if err != nil {
			return err
		}
		idem, err := s.identify(c, params.IdempotencyKey, hash)
		if err != nil {
			return err
		}
		stats, err := s.Sessions.RebuildGallery(r.Context(), c, in.Graph != nil && *in.Graph, idem)
		if err != nil {
			return err
		}
		return show(w, http.StatusAccepted, galleryOf(stats))
	})
}

// VerifyGallery may take as long as a stream of events; it ends with the caller
// and with the node.
func (s *server) VerifyGallery(w http.ResponseWriter, r *http.Request, params VerifyGalleryParams) {
	s.handle(w, r, func(c access.Caller) error {
		return s.one(c, func() error {
			if err := noBody(r); err != nil {
				return err
			}
			idem, err := s.identify(c, params.IdempotencyKey, requestHash(r))
			if err != nil {
				return err
			}
			if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(streamTime + maxWait)); err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(r.Context(), streamTime)
			defer cancel()
			defer context.AfterFunc(s.Stopping, cancel)()
			report, err := s.Sessions.VerifyGallery(ctx, c, idem)
			if err != nil {
				return err
			}
			return show(w, http.StatusOK, GalleryReport{Ok: report.OK(), Templates: report.Templates, OtherModels: report.Others,
				Damaged: report.Damaged, Missing: report.Missing, Different: report.Different, Extra: report.Extra, First: some(report.First)})
		})
	})
}

func galleryOf(s *identify.Stats) Gallery {
	out := Gallery{Model: s.Model, Subjects: galleryList(&s.Subjects), Blocklist: galleryList(&s.Blocklist), SnapshotIndex: some(int64(s.Snapshot))}
	if t := s.Task; t.Name != "" {
		out.Task = &GalleryTask{Name: GalleryTaskName(t.Name), Busy: t.Busy, Done: t.Done, Of: t.Of, Error: some(t.Error)}
	}
	return out
}

func galleryList(l *identify.List) GalleryList {
	out := GalleryList{Templates: l.Templates, OtherModels: l.Others, Removed: l.Removed, Segments: l.Segments, Bytes: l.Bytes,
		Locked: l.Locked, Kernel: l.Kernel, Threshold: l.Threshold}
	if l.Graph > 0 {
		out.Graph = &GalleryGraph{Templates: l.Graph, Bytes: l.GraphSize, Recall: l.Recall}
	}
	return out
}
