package api

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"gatehouse/appliance/access"
	"gatehouse/appliance/act"
	"gatehouse/appliance/problem"
	"gatehouse/appliance/session"
	"gatehouse/engine/picture"
	"gatehouse/store/state"
)

// formRoom is what the parts' headers of a form may take beside the pictures.
const formRoom = 256 << 10

// Verify is a whole verification in one call. It is repeated by going on where
// it stopped: each step is one command that has its effect once.
func (s *server) Verify(w http.ResponseWriter, r *http.Request, params VerifyParams) {
	s.handle(w, r, func(c access.Caller) error {
		d, err := wait(params.Wait, defaultWait)
		if err != nil {
			return err
		}
		r.Body = http.MaxBytesReader(w, r.Body, 3*int64(picture.DefaultLimits().Bytes)+formRoom)
		parts, err := newForm(r)
		if err != nil {
			return err
		}
		id, repeated, err := s.begin(r, c, params.IdempotencyKey, parts)
		if err != nil {
			return err
		}
		if err := s.collect(r, c, id, repeated, parts); err != nil {
			return err
		}
		if err := s.submit(r, c, id, repeated); err != nil {
			return err
		}
		return s.decided(w, r, c, id, d)
	})
}

// submit the session, unless an earlier call has: then it is as it is.
func (s *server) submit(r *http.Request, c access.Caller, id string, repeated bool) error {
	if repeated {
		found, err := s.Sessions.Get(r.Context(), c, id)
		if err != nil || found.Attempt > 0 {
			return err
		}
	}
	err := s.Sessions.Submit(r.Context(), c, id, nil)
	if repeated && errors.Is(err, problem.New(problem.SessionClosed, "")) {
		return nil // the other call was first
	}
	return err
}

// begin reads the first part and creates the session.
func (s *server) begin(r *http.Request, c access.Caller, key *IdempotencyKey, parts *form) (id string, repeated bool, err error) {
	p, err := parts.next()
	if errors.Is(err, io.EOF) {
		err = problem.New(problem.BadValue, "the part session is missing").In("session")
	}
	if err != nil {
		return "", false, err
	}
	if p.FormName() != "session" {
		return "", false, problem.New(problem.BadValue, "the first part must be session").In("session")
	}
	b, err := io.ReadAll(io.LimitReader(p, maxJSON+1))
	if err != nil {
		return "", false, malformedForm(err)
	}
	if len(b) > maxJSON {
		return "", false, problem.New(problem.TooLarge, "the part session is too large").In("session").Of("65536 bytes")
	}
	var in SessionRequest
	if err := decode(b, &in); err != nil {
		return "", false, err
	}
	req, err := request(in, s.Now())
	if err != nil {
		return "", false, err
	}
	idem, err := s.identify(c, key, requestHash(r, b))
	if err != nil {
		return "", false, err
	}
	again, err := act.Replayed(s.Sources.State, c.Client, idem)
	if err != nil {
		return "", false, err
	}
	if again != nil {
		return again.Id, true, nil
	}
	if err := s.Sessions.Room(req.Batch); err != nil {
		return "", false, err
	}
	// The same request twice at once: the second finds the first one's session.
	made, err := s.Sessions.Create(r.Context(), c, req, idem)
	if err != nil {
		return "", false, err
	}
	return made.Id, idem != nil, nil
}

// collect keeps the pictures as they come.
func (s *server) collect(r *http.Request, c access.Caller, id string, repeated bool, parts *form) error {
	slots := []string{"document_front", "document_back", "selfie"}
	seen := map[string]bool{}
	for {
		p, err := parts.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		slot := p.FormName()
		if !slices.Contains(slots, slot) {
			return problem.New(problem.UnknownMember, "there is no part %.80q", slot).In(strings.ToValidUTF8(slot, "?"))
		}
		if seen[slot] {
			return problem.New(problem.Malformed, "the part %s stands twice", slot).In(slot)
		}
		seen[slot] = true
		kind := ""
		if text := p.Header.Get("Content-Type"); text != "" && text != "application/octet-stream" {
			if kind, _, err = mime.ParseMediaType(text); err != nil {
				return problem.New(problem.BadMediaType, "the part's Content-Type cannot be read").In(slot)
			}
		}
		body := &part{Reader: p}
		_, err = s.Sessions.Put(r.Context(), c, session.Upload{Session: id, Slot: slot, Type: kind, Body: body, Repeated: repeated})
		if body.err != nil {
			return malformedForm(body.err)
		}
		if err != nil {
			return err
		}
	}
	if err := parts.rest(); err != nil {
		return malformedForm(err)
	}
	for _, slot := range state.Required() {
		if !seen[slot] {
			return problem.New(problem.EvidenceMissing, "the part %s is missing", slot).In(slot)
		}
	}
	if !repeated {
		return nil
	}
	found, err := s.Sessions.Get(r.Context(), c, id)
	if err != nil {
		return err
	}
	for _, e := range found.Evidence {
		if !seen[e.Slot] { // the request before had it
			return act.Refusal(state.KeyReused)
		}
	}
	return nil
}

// part of a form, which tells its own failures from those of the store.
type part struct {
	io.Reader
	err error
}

func (p *part) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		p.err = err
	}
	return n, err
}

// one runs a single capability, where there is room for it.
func (s *server) one(c access.Caller, do func() error) error {
	if !s.singles.enter(c.Client) {
		p := problem.New(problem.Overloaded, "too many single capabilities run already")
		p.After = max(time.Second, s.Sources.Jobs.RetryAfter(false))
		return p
	}
	defer s.singles.leave(c.Client)
	return do()
}

func (s *server) CompareFaces(w http.ResponseWriter, r *http.Request, params CompareFacesParams) {
	s.handle(w, r, func(c access.Caller) error {
		return s.one(c, func() error {
			r.Body = http.MaxBytesReader(w, r.Body, 2*int64(picture.DefaultLimits().Bytes)+formRoom)
			in, err := pictures(r, "a", "b")
			if err != nil {
				return err
			}
			idem, err := s.identify(c, params.IdempotencyKey, requestHash(r, in["a"], in["b"]))
			if err != nil {
				return err
			}
			if _, err := act.Replayed(s.Sources.State, c.Client, idem); err != nil {
				return err
			}
			found, err := s.Sessions.Compare(r.Context(), c, in["a"], in["b"], idem)
			if err != nil {
				return err
			}
			return show(w, http.StatusOK, Comparison{Similarity: found.Similarity, Fmr: found.FMR, Threshold: found.Threshold,
				ThresholdFmr: &found.ThresholdFMR, Match: found.Similarity >= found.Threshold, Model: found.Model})
		})
	})
}

func (s *server) ReadDocument(w http.ResponseWriter, r *http.Request, params ReadDocumentParams) {
	s.handle(w, r, func(c access.Caller) error {
		if err := purpose(params.Purpose); err != nil {
			return err
		}
		return s.one(c, func() error {
			r.Body = http.MaxBytesReader(w, r.Body, int64(picture.DefaultLimits().Bytes)+formRoom)
			in, err := pictures(r, "document_front")
			if err != nil {
				return err
			}
			idem, err := s.identify(c, params.IdempotencyKey, requestHash(r, in["document_front"]))
			if err != nil {
				return err
			}
			if _, err := act.Replayed(s.Sources.State, c.Client, idem); err != nil {
				return err
			}
			found, err := s.Sessions.ReadDocument(r.Context(), c, in["document_front"], idem)
			if err != nil {
				return err
			}
			b, err := json.Marshal(found)
			if err != nil {
				return err
			}
			var out Document
			if err := json.Unmarshal(b, &out.Document); err != nil {
				return err
			}
			return show(w, http.StatusOK, out)
		})
	})
}
