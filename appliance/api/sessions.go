package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strconv"
	"time"
	"unicode/utf8"

	"gatehouse/appliance/access"
	"gatehouse/appliance/act"
	"gatehouse/appliance/problem"
	"gatehouse/appliance/session"
	"gatehouse/appliance/verify"
	"gatehouse/engine/picture"
	"gatehouse/store/blob"
	"gatehouse/store/command"
	"gatehouse/store/disk"
	"gatehouse/store/state"
)

// handle runs a handler's body and turns its error into a problem.
func (s *server) handle(w http.ResponseWriter, r *http.Request, do func(c access.Caller) error) {
	c := caller(r)
	if err := do(c); err != nil {
		p := problemOf(err)
		if errors.Is(err, disk.ErrSync) || errors.Is(err, blob.ErrSync) {
			s.Fatal(err)
		}
		if p.Kind.Status() >= 500 && !errors.Is(err, context.Canceled) { // who is gone has no answer
			s.Log.Error("a request failed", "request", c.Request, "route", c.Route, "error", err)
		}
		if p.Kind == problem.Forbidden {
			s.denials.role(c)
		}
		fail(w, c.Request, err)
	}
}

func (s *server) badParameter(w http.ResponseWriter, r *http.Request, err error) {
	p := problem.New(problem.BadValue, "a parameter is missing or cannot be read")
	var missing *RequiredParamError
	var header *RequiredHeaderError
	var format *InvalidParamFormatError
	var many *TooManyValuesForParamError
	switch {
	case errors.As(err, &missing):
		p = problem.New(problem.BadValue, "the parameter %s is missing", missing.ParamName).In(missing.ParamName)
	case errors.As(err, &header):
		p = problem.New(problem.BadValue, "the header %s is missing", header.ParamName).In(header.ParamName)
	case errors.As(err, &format):
		p = problem.New(problem.BadValue, "the parameter %s cannot be read", format.ParamName).In(format.ParamName)
	case errors.As(err, &many):
		p = problem.New(problem.BadValue, "the parameter %s stands more than once", many.ParamName).In(many.ParamName)
	}
	fail(w, caller(r).Request, p)
}

// identify a request by the key that its client chose; nil where it chose none.
func (s *server) identify(c access.Caller, key *IdempotencyKey, request [32]byte) (*act.Idempotency, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	return s.Sessions.Identify(c, key, request)
}

func checkKey(key *IdempotencyKey) error {
	if key != nil && (len(*key) == 0 || len(*key) > 255) {
		return problem.New(problem.BadValue, "Idempotency-Key has 1 to 255 characters").In("Idempotency-Key")
	}
	return nil
}

func purpose(p Purpose) error {
	if !p.Valid() {
		return problem.New(problem.BadValue, "Purpose is one of verification, review, compliance, audit, support, subject_request, legal").In("Purpose")
	}
	return nil
}

func (s *server) CreateSession(w http.ResponseWriter, r *http.Request, params CreateSessionParams) {
	s.handle(w, r, func(c access.Caller) error {
		var in SessionRequest
		hash, err := body(r, &in)
		if err != nil {
			return err
		}
		req, err := request(in, s.Now())
		if err != nil {
			return err
		}
		idem, err := s.identify(c, params.IdempotencyKey, hash)
		if err != nil {
			return err
		}
		made, err := s.Sessions.Create(r.Context(), c, req, idem)
		if err != nil {
			return err
		}
		w.Header().Set("Location", "/v1/sessions/"+made.Id)
		return show(w, http.StatusCreated, shown(made))
	})
}

var textVersions = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// request checks what was asked for.
func request(in SessionRequest, now time.Time) (session.Request, error) {
	out := session.Request{Kind: string(in.Kind), Batch: in.Priority != nil && *in.Priority == SessionRequestPriorityBatch}
	bad := func(field, format string, args ...any) (session.Request, error) {
		return out, problem.New(problem.BadValue, format, args...).In(field)
	}
	switch {
	case !in.Kind.Valid():
		return bad("kind", "kind is identity")
	case in.Priority != nil && !in.Priority.Valid():
		return bad("priority", "priority is interactive or batch")
	case !textVersions.MatchString(in.Consent.TextVersion):
		return bad("consent.text_version", "text_version has 1 to 64 letters, digits, '.', '_' or '-'")
	case !in.Consent.Channel.Valid():
		return bad("consent.channel", "channel is branch, web, app, phone or paper")
	case in.Consent.GivenAt.After(now.Add(5 * time.Minute)):
		return bad("consent.given_at", "given_at lies in the future")
	case in.Consent.GivenAt.Year() < 2000:
		return bad("consent.given_at", "given_at lies too far in the past")
	}
	if in.SubjectRef != nil {
		if n := utf8.RuneCountInString(*in.SubjectRef); n == 0 || n > 256 {
			return bad("subject_ref", "subject_ref has 1 to 256 characters")
		}
		out.Reference = *in.SubjectRef
	}
	out.Consent = &command.Consent{TextVersion: in.Consent.TextVersion, GivenAtNs: in.Consent.GivenAt.UnixNano(), Channel: string(in.Consent.Channel)}
	return out, nil
}

func (s *server) ListSessions(w http.ResponseWriter, r *http.Request, params ListSessionsParams) {
	s.handle(w, r, func(c access.Caller) error {
		n, err := limit(params.Limit)
		if err != nil {
			return err
		}
		after, err := cursor(params.Cursor)
		if err != nil {
			return err
		}
		rows, err := s.Sessions.List(r.Context(), c, after, n)
		if err != nil {
			return err
		}
		out := Sessions{Sessions: []Session{}}
		for _, row := range rows {
			out.Sessions = append(out.Sessions, shown(&session.Session{Session: row}))
		}
		if len(rows) == n {
			out.Next = some(next(rows[n-1].Id))
		}
		return show(w, http.StatusOK, out)
	})
}

func (s *server) GetSession(w http.ResponseWriter, r *http.Request, id SessionID, params GetSessionParams) {
	s.handle(w, r, func(c access.Caller) error {
		d, err := wait(params.Wait, 0)
		if err != nil {
			return err
		}
		found, err := s.Sessions.Get(r.Context(), c, id)
		if err == nil && d > 0 && !session.Settled(found.State) {
			found, err = s.await(r, c, id, d)
		}
		if err != nil {
			return err
		}
		tag := etag(found)
		w.Header().Set("ETag", tag)
		if params.IfNoneMatch != nil && *params.IfNoneMatch == tag {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
		return show(w, http.StatusOK, s.placed(c, shown(found)))
	})
}

func etag(x *session.Session) string {
	return `W/"` + strconv.FormatUint(x.Revision, 36) + map[bool]string{true: "p", false: ""}[x.Processing] + `"`
}

func (s *server) PutEvidence(w http.ResponseWriter, r *http.Request, id SessionID, slot SlotName, params PutEvidenceParams) {
	s.handle(w, r, func(c access.Caller) error {
		if !slot.Valid() {
			return problem.New(problem.BadValue, "there is no slot %.40q", slot).In("slot")
		}
		kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || !session.Picture(kind) {
			return problem.New(problem.BadMediaType, "evidence is image/jpeg, image/png or image/webp").In("Content-Type")
		}
		sum, err := digest(params.Digest)
		if err != nil {
			return err
		}
		if most := int64(picture.DefaultLimits().Bytes); r.ContentLength > most {
			return problem.New(problem.TooLarge, "the picture is too large").In("Content-Length").Of(strconv.FormatInt(most, 10) + " bytes")
		}
		e, err := s.Sessions.Put(r.Context(), c, session.Upload{Session: id, Slot: string(slot), Type: kind, Digest: sum, Body: r.Body})
		if err != nil {
			return err
		}
		return show(w, http.StatusOK, evidence(e))
	})
}

func (s *server) GetEvidence(w http.ResponseWriter, r *http.Request, id SessionID, slot SlotName, params GetEvidenceParams) {
	s.handle(w, r, func(c access.Caller) error {
		if err := purpose(params.Purpose); err != nil {
			return err
		}
		e, picture, err := s.Sessions.Evidence(r.Context(), c, id, string(slot))
		if err != nil {
			return err
		}
		defer picture.Close()
		w.Header().Set("Content-Type", e.Class)
		w.Header().Set("Content-Length", strconv.FormatInt(picture.Size(), 10))
		w.WriteHeader(http.StatusOK)
		if _, err := io.Copy(w, picture); err != nil {
			s.Log.Error("evidence could not be read to its end", "request", c.Request, "error", err)
			panic(http.ErrAbortHandler) // so that the caller does not take a part for the whole
		}
		return nil
	})
}

func (s *server) SubmitSession(w http.ResponseWriter, r *http.Request, id SessionID, params SubmitSessionParams) {
	s.handle(w, r, func(c access.Caller) error {
		d, err := wait(params.Wait, 0)
		if err != nil {
			return err
		}
		if err := noBody(r); err != nil {
			return err
		}
		idem, err := s.identify(c, params.IdempotencyKey, requestHash(r))
		if err != nil {
			return err
		}
		again, err := act.Replayed(s.Sources.State, c.Client, idem)
		if err != nil {
			return err
		}
		if again == nil {
			if err := s.Sessions.Submit(r.Context(), c, id, idem); err != nil {
				return err
			}
		}
		return s.decided(w, r, c, id, d)
	})
}

// noBody: the operation takes none.
func noBody(r *http.Request) error {
	if n, err := io.CopyN(io.Discard, r.Body, 1); n > 0 {
		return problem.New(problem.Malformed, "the operation takes no body")
	} else if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// decided waits and shows a session: 200 once it is settled, else 202.
func (s *server) decided(w http.ResponseWriter, r *http.Request, c access.Caller, id string, d time.Duration) error {
	found, err := s.await(r, c, id, d)
	if err != nil {
		return err
	}
	code := http.StatusAccepted
	if session.Settled(found.State) || found.Failure != "" {
		code = http.StatusOK
	}
	w.Header().Set("ETag", etag(found))
	w.Header().Set("Location", "/v1/sessions/"+id)
	return show(w, code, s.placed(c, shown(found)))
}

// known says whether the caller's credential is still good.
func (s *server) known(c access.Caller) bool {
	known := false
	err := s.Sources.State.View(func(v *state.View) error {
		row, err := v.Client(c.Tenant, c.Client)
		known = err == nil && row.RevokedNs == 0
		return err
	})
	return err == nil && known
}

// await the decision for at most d, or until the node stops.
func (s *server) await(r *http.Request, c access.Caller, id string, d time.Duration) (*session.Session, error) {
	if s.Stopping.Err() != nil {
		d = 0
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.Stopping, cancel)()
	found, err := s.Sessions.Wait(ctx, c, id, d)
	if err == nil && !s.known(c) {
		return nil, problem.New(problem.Unauthorized, "the credential was revoked")
	}
	return found, err
}

func (s *server) SessionEvents(w http.ResponseWriter, r *http.Request, id SessionID) {
	s.handle(w, r, func(c access.Caller) error {
		changed, stop := s.Sessions.Jobs.Watch(id)
		defer stop()
		found, err := s.Sessions.Get(r.Context(), c, id)
		if err != nil {
			return err
		}
		control := http.NewResponseController(w)
		if err := control.SetWriteDeadline(time.Now().Add(streamTime + maxWait)); err != nil {
			return err
		}
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusOK)
		end, beat := time.NewTimer(streamTime), time.NewTicker(heartbeat)
		defer end.Stop()
		defer beat.Stop()
		sent := ""
		for {
			if tag := etag(found); tag != sent {
				b, err := json.Marshal(shown(found))
				if err != nil {
					return err
				}
				fmt.Fprintf(w, "id: %s\nevent: session\ndata: %s\n\n", tag, b)
				sent = tag
			}
			if control.Flush() != nil || session.Settled(found.State) {
				return nil
			}
			select {
			case <-r.Context().Done():
				return nil
			case <-s.Stopping.Done():
				return nil
			case <-end.C:
				return nil
			case <-beat.C: // also for what nobody was told of, as time that passes
				fmt.Fprint(w, ": still there\n\n")
			case <-changed:
			}
			if !s.known(c) {
				return nil // revoked meanwhile
			}
			if found, err = s.Sessions.Get(r.Context(), c, id); err != nil {
				return nil // erased or sealed meanwhile: the stream ends
			}
		}
	})
}

func (s *server) GetResult(w http.ResponseWriter, r *http.Request, id SessionID, params GetResultParams) {
	s.handle(w, r, func(c access.Caller) error {
		if err := purpose(params.Purpose); err != nil {
			return err
		}
		b, err := s.Sessions.Result(r.Context(), c, id)
		if err != nil {
			return err
		}
		kept := struct {
			Document, Face map[string]any
			Likeness       *verify.Likeness
		}{}
		if err := json.Unmarshal(b, &kept); err != nil {
			return problem.New(problem.Damaged, "the result cannot be read").Because(err)
		}
		out := Result{Session: id, Document: kept.Document, Face: kept.Face}
		if l := kept.Likeness; l != nil {
			out.Likeness = &FaceSearch{Subjects: matches(&l.Subjects, state.InSubjects), Blocklist: matches(&l.Blocklist, state.InBlocklist)}
		}
		return show(w, http.StatusOK, out)
	})
}
