package crash

import (
	"context"
	"errors"
	"net/http"
	"time"

	"gatehouse/appliance/api"
	"gatehouse/appliance/client"
	"gatehouse/store/audit"
)

// face follows who has a face on file. All selfies of a run show one person, and
// each session is of another name: while the face is on file under one, nobody
// else is approved with it, whatever was killed and started meanwhile, and
// however close two decisions are.
func (l *log) face(leaf *audit.Leaf) {
	switch leaf.Action {
	case audit.DecisionMake:
		others := len(l.faces)
		if l.faces[leaf.SubjectRef] {
			others--
		}
		switch outcome := leaf.Data["outcome"]; {
		case others == 0:
		case outcome == string(api.SessionStateApproved):
			l.report.broken(Missed, "session %s was approved, and the face was on file under %d other names", leaf.Object.ID, others)
		default:
			l.report.duplicate()
		}
	case audit.TemplateEnrol:
		l.faces[leaf.SubjectRef] = true
	case audit.SubjectEraseRestrict:
		delete(l.faces, leaf.SubjectRef)
	}
}

// gallery has the node compare its galleries with the templates that it keeps,
// as soon as they are loaded.
func (r *run) gallery(ctx context.Context) error {
	for {
		found, err := r.workers[0].client.VerifyGallery(ctx, "")
		if p := (*client.Problem)(nil); errors.As(err, &p) && p.Status == http.StatusServiceUnavailable && ctx.Err() == nil {
			pause(ctx, max(p.RetryAfter, 10*time.Millisecond))
			continue
		}
		if err == nil && !found.Ok {
			r.report.broken(Damage, "of %d templates %d are missing in the gallery, %d differ, and it has %d more", found.Templates, found.Missing, found.Different, found.Extra)
		}
		return err
	}
}
