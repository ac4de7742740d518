package api

import (
	"mime"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"gatehouse/appliance/access"
	"gatehouse/appliance/ledger"
	"gatehouse/appliance/problem"
	"gatehouse/store/audit"
	"gatehouse/store/audit/bundle"
)

func (s *server) SearchAudit(w http.ResponseWriter, r *http.Request) {
	s.handle(w, r, func(c access.Caller) error {
		var in AuditQuery
		if _, err := body(r, &in); err != nil {
			return err
		}
		log, err := s.log(c, (*string)(in.Log))
		if err != nil {
			return err
		}
		if in.Epoch != nil {
			if log, err = s.Ledger.InEpoch(log, *in.Epoch); err != nil {
				return err
			}
		}
		q, err := auditQuery(&in)
		if err != nil {
			return err
		}
		found, err := s.Ledger.Search(r.Context(), c, log, q)
		if err != nil {
			return err
		}
		out := AuditFound{Origin: found.Origin, Size: found.Size, Root: found.Root.String(), Total: found.Total}
		if out.Events, err = events(found.Leaves); err != nil {
			return err
		}
		if found.Next > 0 {
			out.Next = some(next(strconv.FormatInt(found.Next, 10)))
		}
		return show(w, http.StatusOK, out)
	})
}

// auditQuery checks what is searched for.
func auditQuery(in *AuditQuery) (q ledger.Query, err error) {
	for _, f := range []struct {
		name string
		in   *string
		out  *string
		most int
	}{
		{"session", in.Session, &q.Session, 256}, {"subject", in.Subject, &q.Subject, 256}, {"reference", in.Reference, &q.Reference, 256},
		{"actor", in.Actor, &q.Actor, 256}, {"object", in.Object, &q.Object, 256}, {"action", in.Action, &q.Action, 128},
	} {
		if f.in == nil {
			continue
		}
		if *f.out = *f.in; *f.out == "" || len(*f.out) > f.most {
			return q, problem.New(problem.BadValue, "%s has 1 to %d characters", f.name, f.most).In(f.name)
		}
	}
	if q.Action != "" && !audit.Action(q.Action).Valid() {
		return q, problem.New(problem.BadValue, "there is no action %.40q", q.Action).In("action")
	}
	if q.After, q.Before, err = times(in.After, in.Before); err != nil {
		return q, err
	}
	if q.Limit, err = limit(in.Limit); err != nil {
		return q, err
	}
	text, err := cursor(in.Cursor)
	if err != nil || text == "" {
		return q, err
	}
	if q.Below, err = strconv.ParseInt(text, 10, 64); err != nil || q.Below < 1 {
		return q, problem.New(problem.BadValue, "the cursor is not one that an earlier page gave").In("cursor")
	}
	return q, nil
}

// times that bound a search or a range; zero where they are absent.
func times(after, before *time.Time) (from, to time.Time, err error) {
	for _, t := range []struct {
		name string
		in   *time.Time
		out  *time.Time
	}{{"after", after, &from}, {"before", before, &to}} {
		if t.in == nil {
			continue
		}
		// What fits into the nanoseconds of a leaf's time.
		if y := t.in.UTC().Year(); y < 1970 || y > 2261 {
			return from, to, problem.New(problem.BadValue, "%s is a time between 1970 and 2261", t.name).In(t.name)
		}
		*t.out = *t.in
	}
	return from, to, nil
}

// An export's bytes must be taken within this: a million events are 700 MB,
// which a line of 20 Mbit/s carries in five minutes.
const exportTime = time.Hour

// nonces are codes, since they stand in the log in the clear.
var nonces = regexp.MustCompile(`^[A-Za-z0-9_.+/=:-]{8,128}$`)

func (s *server) ExportAudit(w http.ResponseWriter, r *http.Request, params ExportAuditParams) {
	s.handle(w, r, func(c access.Caller) error {
		var in AuditRange
		if _, err := body(r, &in); err != nil {
			return err
		}
		log, err := s.log(c, (*string)(in.Log))
		if err != nil {
			return err
		}
		want, err := auditRange(&in)
		if err != nil {
			return err
		}
		if want.Recipient != nil {
			if params.Purpose == nil {
				return problem.New(problem.BadValue, "a Purpose is needed where personal data are disclosed").In("Purpose")
			}
			if err := purpose(*params.Purpose); err != nil {
				return err
			}
			if !c.Has(access.Compliance) {
				return problem.New(problem.Forbidden, "disclosures are for compliance").In("recipient")
			}
		}
		return s.exporting(c.Tenant, func() error {
			if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(exportTime)); err != nil {
				return err
			}
			made, err := s.Ledger.Export(r.Context(), c, log, want)
			if err != nil {
				return err
			}
			w.Header().Set("Content-Type", "application/x-tar")
			w.Header().Set("Content-Length", strconv.FormatInt(made.Size(), 10))
			w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": log + ".ekab"}))
			w.WriteHeader(http.StatusOK)
			if err := made.Write(r.Context(), w); err != nil {
				s.Log.Warn("an export was cut off", "request", c.Request, "error", err)
				panic(http.ErrAbortHandler) // the client must not take it for whole
			}
			return nil
		})
	})
}

// exportsAtOnce of a node, and half of them of a tenant, whose reader may be slow:
// each reads its range twice, at a processor's speed.
const exportsAtOnce = 2

// exporting runs one of few.
func (s *server) exporting(tenant string, do func() error) error {
	if !s.exports.enter(tenant) {
		return problem.New(problem.Busy, "another export is under way: a node makes %d at a time, one of each tenant", exportsAtOnce)
	}
	defer s.exports.leave(tenant)
	return do()
}

// auditRange checks which part of a log is wanted.
func auditRange(in *AuditRange) (out ledger.Range, err error) {
	if in.From != nil && in.After != nil || in.To != nil && in.Before != nil {
		return out, problem.New(problem.BadValue, "give a size or a time, not both").In("from")
	}
	for _, f := range []struct {
		name string
		in   *int64
	}{{"from", in.From}, {"to", in.To}} {
		if f.in != nil && (*f.in < 0 || *f.in > audit.MaxSize) {
			return out, problem.New(problem.BadValue, "%s is a size of the log", f.name).In(f.name)
		}
	}
	out.From, out.To = in.From, in.To
	if out.After, out.Before, err = times(in.After, in.Before); err != nil {
		return out, err
	}
	if in.Nonce != nil {
		if out.Nonce = *in.Nonce; !nonces.MatchString(out.Nonce) {
			return out, problem.New(problem.BadValue, "a nonce has 8 to 128 letters, digits or any of _.+/=:-").In("nonce")
		}
	}
	if in.Recipient != nil {
		if out.Recipient, err = bundle.ParseRecipient(*in.Recipient); err != nil {
			return out, problem.New(problem.BadValue, "%v", err).In("recipient")
		}
	}
	return out, nil
}

func (s *server) CosignAudit(w http.ResponseWriter, r *http.Request) {
	s.handle(w, r, func(c access.Caller) error {
		var in CosignRequest
		if _, err := body(r, &in); err != nil {
			return err
		}
		done, err := s.Ledger.Cosign(r.Context(), c, strings.TrimSpace(in.Witness), []byte(in.Checkpoint))
		if err != nil {
			return err
		}
		return show(w, http.StatusCreated, Cosigned{Origin: done.Origin, Size: done.Size, Witness: done.Witness, SignedAt: done.At})
	})
}

func (s *server) AuditTrust(w http.ResponseWriter, r *http.Request) {
	s.handle(w, r, func(c access.Caller) error {
		policy, err := s.Ledger.Trust(r.Context(), c.Tenant)
		if err != nil {
			return err
		}
		text(w, "text/plain; charset=utf-8", []byte(policy))
		return nil
	})
}

func (s *server) RotateAuditKey(w http.ResponseWriter, r *http.Request) {
	s.handle(w, r, func(c access.Caller) error {
		if err := noBody(r); err != nil {
			return err
		}
		if err := s.Ledger.Rotate(r.Context(), c); err != nil {
			return err
		}
		return s.showKeys(w)
	})
}

func (s *server) RetireAuditKey(w http.ResponseWriter, r *http.Request, params RetireAuditKeyParams) {
	s.handle(w, r, func(c access.Caller) error {
		if err := noBody(r); err != nil {
			return err
		}
		if err := s.Ledger.Retire(r.Context(), c, params.Early != nil && *params.Early); err != nil {
			return err
		}
		return s.showKeys(w)
	})
}

func (s *server) showKeys(w http.ResponseWriter) error {
	all, err := s.Ledger.SigningKeys()
	if err != nil {
		return err
	}
	out := AuditKeys{}
	for _, k := range all {
		state := AuditKeysKeysStateActive
		if !k.Active {
			state = AuditKeysKeysStateOverlap
		}
		out.Keys = append(out.Keys, struct {
			CreatedAt time.Time          `json:"created_at"`
			Key       string             `json:"key"`
			State     AuditKeysKeysState `json:"state"`
		}{k.Created, k.Key, state})
	}
	return show(w, http.StatusOK, out)
}
