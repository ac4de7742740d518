package api

import (
	"net/http"
	"strconv"

	"gatehouse/appliance/access"
	"gatehouse/appliance/act"
	"gatehouse/appliance/problem"
	"gatehouse/appliance/session"
	"gatehouse/appliance/verify"
	"gatehouse/engine/gallery"
	"gatehouse/engine/pack"
	"gatehouse/engine/picture"
	"gatehouse/store/state"
)

// Limits of a search, as the description has them.
const (
	defaultCandidates = 5
	maxCandidates     = 100
	maxFPIR           = 0.5
	// maxText bytes of a part that is a word, a number or an id: ids have 30.
	maxText = 64
)

func (s *server) SearchFaces(w http.ResponseWriter, r *http.Request, params SearchFacesParams) {
	s.handle(w, r, func(c access.Caller) error {
		if err := purpose(params.Purpose); err != nil {
			return err
		}
		return s.one(c, func() error {
			r.Body = http.MaxBytesReader(w, r.Body, int64(picture.DefaultLimits().Bytes)+formRoom)
			in, err := fields(r, map[string]int{"face": picture.DefaultLimits().Bytes, "session": maxText, "k": maxText, "fpir": maxText, "list": maxText, "engine": maxText})
			if err != nil {
				return err
			}
			q, err := faceQuery(in)
			if err != nil {
				return err
			}
			idem, err := s.identify(c, params.IdempotencyKey, requestHash(r, in["face"], in["session"], in["k"], in["fpir"], in["list"], in["engine"]))
			if err != nil {
				return err
			}
			if _, err := act.Replayed(s.Sources.State, c.Client, idem); err != nil {
				return err
			}
			found, err := s.Sessions.SearchFaces(r.Context(), c, q, idem)
			if err != nil {
				return err
			}
			out := FaceSearch{Model: &found.Model}
			if q.Subjects {
				out.Subjects = matches(&found.Subjects, state.InSubjects)
				out.Subjects.Recall = some(found.Recall)
			}
			if q.Blocklist {
				out.Blocklist = matches(&found.Blocklist, state.InBlocklist)
			}
			return show(w, http.StatusOK, out)
		})
	})
}

// probe of a form: one of session and face.
func probe(in map[string][]byte) (p session.Probe, err error) {
	if (in["session"] == nil) == (in["face"] == nil) {
		return p, problem.New(problem.BadValue, "give exactly one of face and session").In("face")
	}
	for _, name := range []string{"session", "face"} {
		if in[name] != nil && len(in[name]) == 0 {
			return p, problem.New(problem.BadValue, "the part %s is empty", name).In(name)
		}
	}
	return session.Probe{Session: string(in["session"]), Picture: in["face"]}, nil
}

// faceQuery checks what is searched for.
func faceQuery(in map[string][]byte) (q session.FaceQuery, err error) {
	if q.Probe, err = probe(in); err != nil {
		return q, err
	}
	q.K, q.FPIR, q.Engine, q.Subjects, q.Blocklist = defaultCandidates, pack.DefaultFPIR, gallery.Exact, true, true
	if in["k"] != nil {
		if q.K, err = strconv.Atoi(string(in["k"])); err != nil || q.K < 1 || q.K > maxCandidates {
			return q, problem.New(problem.BadValue, "k is between 1 and %d", maxCandidates).In("k")
		}
	}
	if in["fpir"] != nil {
		if q.FPIR, err = strconv.ParseFloat(string(in["fpir"]), 64); err != nil || !(q.FPIR > 0 && q.FPIR <= maxFPIR) {
			return q, problem.New(problem.BadValue, "fpir is above 0 and at most %g", maxFPIR).In("fpir")
		}
	}
	if in["list"] != nil {
		switch list := SearchFormList(in["list"]); list {
		case SearchFormListBoth:
		case SearchFormListSubjects, SearchFormListBlocklist:
			q.Subjects, q.Blocklist = list == SearchFormListSubjects, list == SearchFormListBlocklist
		default:
			return q, problem.New(problem.BadValue, "list is subjects, blocklist or both").In("list")
		}
	}
	if in["engine"] != nil {
		if q.Engine = gallery.Engine(in["engine"]); !SearchFormEngine(q.Engine).Valid() {
			return q, problem.New(problem.BadValue, "engine is exact or graph").In("engine")
		}
	}
	return q, nil
}

// matches of one list in the contract's form.
func matches(g *verify.Search, list string) *FaceMatches {
	out := &FaceMatches{Outcome: FaceMatchesOutcomeUnknown, Compared: g.Compared, OtherModels: g.Others, Engine: FaceMatchesEngine(g.Engine),
		Threshold: g.Threshold, ThresholdFmr: g.ThresholdFMR, Fpir: g.FPIR, BeyondCalibration: g.Beyond, Candidates: []FaceCandidate{}}
	for _, one := range g.Candidates {
		c := FaceCandidate{Subject: one.Subject, Similarity: one.Similarity, Fmr: one.FMR, Fpir: one.FPIR}
		if list == state.InBlocklist {
			c.Entry = &one.ID
		} else {
			c.Session = &one.ID
		}
		out.Candidates = append(out.Candidates, c)
		out.Outcome = FaceMatchesOutcomeFound
	}
	return out
}
