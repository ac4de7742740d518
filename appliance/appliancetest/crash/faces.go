package crash

import (
	"gatehouse/appliance/api"
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
