package api

import (
	"net/http"
	"strings"
	"unicode/utf8"

	"gatehouse/appliance/access"
	"gatehouse/appliance/problem"
	"gatehouse/engine/picture"
	"gatehouse/store/command"
)

// maxReason characters of why a face was blocked.
const maxReason = 1000

func (s *server) AddBlocked(w http.ResponseWriter, r *http.Request, params AddBlockedParams) {
	s.handle(w, r, func(c access.Caller) error {
		return s.one(c, func() error {
			r.Body = http.MaxBytesReader(w, r.Body, int64(picture.DefaultLimits().Bytes)+formRoom)
			in, err := fields(r, map[string]int{"face": picture.DefaultLimits().Bytes, "session": maxText, "reason": maxReason * utf8.UTFMax})
			if err != nil {
				return err
			}
			from, err := probe(in)
			if err != nil {
				return err
			}
			reason := string(in["reason"])
			if strings.TrimSpace(reason) == "" || !utf8.ValidString(reason) || utf8.RuneCountInString(reason) > maxReason {
				return problem.New(problem.BadValue, "reason is a text of 1 to %d characters", maxReason).In("reason")
			}
			idem, err := s.identify(c, params.IdempotencyKey, requestHash(r, in["face"], in["session"], in["reason"]))
			if err != nil {
				return err
			}
			row, err := s.Sessions.Block(r.Context(), c, from, reason, idem)
			if err != nil {
				return err
			}
			w.Header().Set("Location", "/v1/blocklist/"+row.Id)
			return show(w, http.StatusCreated, blocked(row))
		})
	})
}

func blocked(row *command.Blocked) BlocklistEntry {
	return BlocklistEntry{Id: row.Id, Session: some(row.Session), CreatedAt: at(row.CreatedNs), CreatedBy: row.CreatedBy}
}

func (s *server) ListBlocked(w http.ResponseWriter, r *http.Request, params ListBlockedParams) {
	s.handle(w, r, func(c access.Caller) error {
		n, err := limit(params.Limit)
		if err != nil {
			return err
		}
		after, err := cursor(params.Cursor)
		if err != nil {
			return err
		}
		rows, err := s.Sessions.Blocklist(r.Context(), c, after, n)
		if err != nil {
			return err
		}
		out := Blocklist{Entries: []BlocklistEntry{}}
		for _, row := range rows {
			out.Entries = append(out.Entries, blocked(row))
		}
		if len(rows) == n {
			out.Next = some(next(rows[n-1].Id))
		}
		return show(w, http.StatusOK, out)
	})
}

func (s *server) GetBlocked(w http.ResponseWriter, r *http.Request, entry string, params GetBlockedParams) {
	s.handle(w, r, func(c access.Caller) error {
		if err := purpose(params.Purpose); err != nil {
			return err
		}
		row, reason, err := s.Sessions.Blocked(r.Context(), c, entry)
		if err != nil {
			return err
		}
		out := blocked(row)
		out.Reason = &reason
		return show(w, http.StatusOK, out)
	})
}

func (s *server) RemoveBlocked(w http.ResponseWriter, r *http.Request, entry string, params RemoveBlockedParams) {
	s.handle(w, r, func(c access.Caller) error {
		if err := erasureReason(params.Reason); err != nil {
			return err
		}
		gone, err := s.Sessions.Unblock(r.Context(), c, entry, string(params.Reason))
		if err != nil {
			return err
		}
		return show(w, http.StatusOK, BlocklistRemoval{Id: entry, RemovedAt: at(gone.ErasedNs), Pending: []string{pendingErasure}})
	})
}
