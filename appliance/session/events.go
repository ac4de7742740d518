package session

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"gatehouse/appliance/access"
	"gatehouse/appliance/act"
	"gatehouse/appliance/decide"
	"gatehouse/appliance/verify"
	"gatehouse/engine"
	"gatehouse/engine/document"
	"gatehouse/store/audit"
	"gatehouse/store/command"
	"gatehouse/store/keys"
)

// Detail is what was read and seen: personal data, kept sealed.
type Detail struct {
	Document *document.Document `json:"document"`
	Face     *verify.Face       `json:"face"`
	// Likeness is whom the face was like when it was decided.
	Likeness *verify.Likeness `json:"likeness,omitempty"`
}

// decided makes the events of a verification (requirement 10.1): what was
// processed, with its scores, and the decision with its rules. Personal values
// are commitments; what opens them is sealed under the person's key.
func (s *Service) decided(c access.Caller, u *keys.Subject, row *command.Session, r *verify.Result, outcome string, reasons []string) ([]*command.Event, error) {
	models := make([]string, len(r.Models))
	for i, m := range r.Models {
		models[i] = m.Name + "@" + m.SHA256[:16]
	}
	make := func(action audit.Action) *command.Event {
		e := act.Event(c, action, "session", row.Id)
		e.Subject, e.Facts = row.Subject, map[string]string{}
		return e
	}
	doc := make(audit.DocumentProcess)
	doc.Facts["type"] = r.Document.Type
	signals(doc, r.Signals, decide.Zone, decide.ZoneValid, decide.ZoneTrusted, decide.Dates, decide.Unexpired, decide.Portrait)
	if err := s.commit(doc, u, row, r.Document); err != nil {
		return nil, err
	}
	face := make(audit.FaceProcess)
	face.Models = models
	signals(face, r.Signals, decide.SelfieFace, decide.SingleFace, decide.EyeDistance, decide.SamePerson, decide.PossibleFace, decide.Match)
	live := make(audit.LivenessProcess)
	signals(live, r.Signals, decide.NoAttack, decide.Liveness)
	looked := make(audit.DuplicateSearch)
	signals(looked, r.Signals, decide.Unique, decide.NotListed)
	if l := r.Likeness; l != nil {
		for list, g := range map[string]*verify.Search{"subjects": &l.Subjects, "blocklist": &l.Blocklist} {
			looked.Facts[list] = searched(g)
		}
	}
	made := make(audit.DecisionMake)
	made.PolicyVersion, made.Models = r.Rules, models
	made.Facts["outcome"] = outcome
	if r.Score != nil {
		made.Facts["score"] = number(*r.Score)
	}
	for i, code := range reasons {
		made.Facts["reason_"+strconv.Itoa(i+1)] = code
	}
	all := []*command.Event{doc, face, live, looked, made}
	if len(r.Template.Vector) > 0 {
		enrolled := make(audit.TemplateEnrol)
		enrolled.Models = []string{r.Template.Model}
		all = append(all, enrolled)
	}
	return all, nil
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }

// signals puts what was measured into an event: status, value, threshold and
// false match rate.
func signals(e *command.Event, all []engine.Signal, names ...string) {
	for _, g := range all {
		for _, name := range names {
			if g.Name != name {
				continue
			}
			text := string(g.Status)
			if g.Value != nil {
				text += " " + number(*g.Value)
			}
			if g.Threshold != nil {
				text += " threshold " + number(*g.Threshold)
			}
			if g.FMR != nil {
				text += " fmr " + number(*g.FMR)
			}
			e.Facts[name] = text
		}
	}
}

// commit binds an event to the values of the document.
func (s *Service) commit(e *command.Event, u *keys.Subject, row *command.Session, d *document.Document) error {
	if d.MRZ == nil {
		return nil
	}
	f := &d.MRZ.Fields
	e.Commitments = map[string][]byte{}
	var opened []audit.Opening
	for _, v := range []struct{ field, value string }{
		{"birth", f.Birth.ISO}, {"expiry", f.Expiry.ISO}, {"given_names", f.GivenNames}, {"issuer", f.Issuer},
		{"nationality", f.Nationality}, {"number", f.Number}, {"sex", f.Sex}, {"surname", f.Surname},
	} {
		if v.value == "" {
			continue
		}
		o := audit.Opening{Field: v.field, Value: v.value}
		if _, err := io.ReadFull(s.Rand, o.R[:]); err != nil {
			return err
		}
		sum, err := o.Commit(row.Tenant)
		if err != nil {
			return fmt.Errorf("commitment to %s: %w", v.field, err)
		}
		e.Commitments[v.field] = sum[:]
		opened = append(opened, o)
	}
	b, err := json.Marshal(opened)
	if err != nil {
		return err
	}
	e.Openings, err = u.Seal(place("openings", string(audit.DocumentProcess), row.Id), b)
	return err
}
