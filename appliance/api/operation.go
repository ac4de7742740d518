package api

import (
	"encoding/hex"
	"encoding/json"
	"net/http"

	"gatehouse/appliance/access"
	"gatehouse/appliance/health"
	"gatehouse/appliance/problem"
	"gatehouse/store/audit"
	"gatehouse/store/state"
)

func (s *server) Livez(w http.ResponseWriter, _ *http.Request) {
	text(w, "text/plain; charset=utf-8", []byte("ok\n"))
}

func text(w http.ResponseWriter, kind string, b []byte) {
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(b) // who does not read it has no answer
}

func (s *server) Readyz(w http.ResponseWriter, r *http.Request) {
	s.handle(w, r, func(access.Caller) error {
		ready, checks := health.Ready(r.Context(), s.Sources, s.Engine)
		out := Readiness{Ready: ready}
		for _, c := range checks {
			out.Checks = append(out.Checks, struct {
				Detail *string `json:"detail,omitempty"`
				Name   string  `json:"name"`
				Ok     bool    `json:"ok"`
			}{some(c.Detail), c.Name, c.OK})
		}
		code := http.StatusOK
		if !ready {
			code = http.StatusServiceUnavailable
		}
		return show(w, code, out)
	})
}

func (s *server) Metrics(w http.ResponseWriter, r *http.Request) {
	s.Config.Metrics.Handler().ServeHTTP(w, r)
}

func (s *server) Description(w http.ResponseWriter, _ *http.Request) {
	text(w, "application/yaml", openapiYAML)
}

func (s *server) Documentation(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	text(w, "text/html; charset=utf-8", documentationHTML)
}

// head of an audit log.
func (s *server) head(log string) (out LogHead, err error) {
	h, err := s.Sources.State.Log(log).Head()
	return LogHead{Origin: h.Origin, Size: h.Size}, err
}

func (s *server) Status(w http.ResponseWriter, r *http.Request) {
	s.handle(w, r, func(c access.Caller) error {
		node, pool := s.Sources.Node.Status(), s.Sources.Jobs.Stats()
		index, hash := s.Sources.State.Applied()
		out := Status{Version: s.Version, Role: node.Role, Node: s.Sessions.Node, Sealed: s.Sources.Keys.Sealed(),
			AppliedIndex: int64(index), StateHash: hex.EncodeToString(hash[:]), Audit: []LogHead{}}
		err := s.Sources.State.View(func(v *state.View) error {
			f, err := v.Founded()
			if err != nil {
				return err
			}
			out.Cluster, out.SetUp = f.Cluster, v.SetUp()
			return nil
		})
		if err != nil {
			return err
		}
		logs := []string{c.Tenant}
		if c.Has(access.PlatformAdmin) {
			logs = append(logs, audit.System)
		}
		for _, log := range logs {
			h, err := s.head(log)
			if err != nil {
				return err
			}
			out.Audit = append(out.Audit, h)
		}
		out.Jobs.Waiting, out.Jobs.Running, out.Jobs.Workers = pool.Waiting+pool.Batch, pool.Running, pool.Workers
		out.Jobs.ServiceMs = float64(pool.Service.Milliseconds())
		free, total := s.Sources.Disk.Space()
		size, _ := s.Sources.State.Size()
		out.Disk.FreeBytes, out.Disk.TotalBytes, out.Disk.StateBytes = int64(free), int64(total), size
		out.Forwarding = []Forwarding{}
		for _, f := range s.Sources.Forward.Status() {
			out.Forwarding = append(out.Forwarding, Forwarding{Sink: f.Name, LagEvents: f.Lag, LagSeconds: f.LagSeconds, Alarm: f.Alarm, Error: some(f.LastError)})
		}
		return show(w, http.StatusOK, out)
	})
}

func (s *server) GetSubject(w http.ResponseWriter, r *http.Request, id string, params GetSubjectParams) {
	s.handle(w, r, func(c access.Caller) error {
		if err := purpose(params.Purpose); err != nil {
			return err
		}
		u, err := s.Sessions.Subject(r.Context(), c, id)
		if err != nil {
			return err
		}
		out := Subject{Id: u.Id, CreatedAt: at(u.CreatedNs), ErasedAt: someTime(u.ErasedNs), SubjectRef: some(u.Reference), Sessions: u.Sessions}
		if out.Sessions == nil {
			out.Sessions = []string{}
		}
		return show(w, http.StatusOK, out)
	})
}

func (s *server) EraseSubject(w http.ResponseWriter, r *http.Request, id string, params EraseSubjectParams) {
	s.handle(w, r, func(c access.Caller) error {
		if err := erasureReason(params.Reason); err != nil {
			return err
		}
		u, removed, err := s.Sessions.Erase(r.Context(), c, id, string(params.Reason))
		if err != nil {
			return err
		}
		return show(w, http.StatusOK, Erasure{Subject: u.Id, ErasedAt: at(u.ErasedNs), EvidenceRemoved: &removed, Pending: []string{pendingErasure}})
	})
}

// pendingErasure is what every erasure leaves to be done.
const pendingErasure = "the erasure key of the person's shard is not yet destroyed: what was deleted can be read again from old copies of the data directory together with its key-ring"

func erasureReason(r ErasureReason) error {
	if !r.Valid() {
		return problem.New(problem.BadValue, "reason is subject_request, retention, error or legal").In("reason")
	}
	return nil
}

func (s *server) log(c access.Caller, log *string) (string, error) {
	if log != nil && *log != "tenant" && *log != "system" {
		return "", problem.New(problem.BadValue, "log is tenant or system").In("log")
	}
	return s.Ledger.Which(c, log != nil && *log == "system")
}

func (s *server) Checkpoint(w http.ResponseWriter, r *http.Request, params CheckpointParams) {
	s.handle(w, r, func(c access.Caller) error {
		log, err := s.log(c, (*string)(params.Log))
		if err != nil {
			return err
		}
		b, err := s.Ledger.Checkpoint(r.Context(), log)
		if err != nil {
			return err
		}
		text(w, "text/plain; charset=utf-8", b)
		return nil
	})
}

func (s *server) AuditKey(w http.ResponseWriter, r *http.Request, params AuditKeyParams) {
	s.handle(w, r, func(c access.Caller) error {
		log, err := s.log(c, (*string)(params.Log))
		if err != nil {
			return err
		}
		key, err := s.Ledger.Key(log)
		if err != nil {
			return err
		}
		text(w, "text/plain; charset=utf-8", []byte(key+"\n"))
		return nil
	})
}

func (s *server) AuditEvents(w http.ResponseWriter, r *http.Request, params AuditEventsParams) {
	s.handle(w, r, func(c access.Caller) error {
		log, err := s.log(c, (*string)(params.Log))
		if err != nil {
			return err
		}
		n, err := limit(params.Limit)
		if err != nil {
			return err
		}
		from := int64(0)
		if params.From != nil {
			if from = *params.From; from < -1000 || from > audit.MaxSize {
				return problem.New(problem.BadValue, "from is a sequence number, or -1 to -1000 from the end").In("from")
			}
		}
		if params.Epoch != nil {
			if log, err = s.Ledger.InEpoch(log, *params.Epoch); err != nil {
				return err
			}
		}
		page, err := s.Ledger.Events(r.Context(), c, log, from, n)
		if err != nil {
			return err
		}
		out := AuditEvents{Origin: page.Origin, Size: page.Size}
		if out.Events, err = events(page.Leaves); err != nil {
			return err
		}
		if end := page.First + int64(len(page.Leaves)); end < page.Size {
			out.Next = &end
		}
		return show(w, http.StatusOK, out)
	})
}

// events of leaves, as they stand in the log.
func events(leaves [][]byte) ([]map[string]any, error) {
	all := []map[string]any{}
	for _, b := range leaves {
		var e map[string]any
		if err := json.Unmarshal(b, &e); err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, nil
}

func (s *server) AuditProof(w http.ResponseWriter, r *http.Request, seq int64, params AuditProofParams) {
	s.handle(w, r, func(c access.Caller) error {
		log, err := s.log(c, (*string)(params.Log))
		if err != nil {
			return err
		}
		if seq < 0 || seq > audit.MaxSize {
			return problem.New(problem.BadValue, "seq is a sequence number").In("seq")
		}
		leaf, proof, err := s.Ledger.Proof(r.Context(), c, log, seq)
		if err != nil {
			return err
		}
		return show(w, http.StatusOK, AuditProof{Leaf: string(leaf), Proof: string(proof)})
	})
}

func (s *server) AuditConsistency(w http.ResponseWriter, r *http.Request, params AuditConsistencyParams) {
	s.handle(w, r, func(c access.Caller) error {
		log, err := s.log(c, (*string)(params.Log))
		if err != nil {
			return err
		}
		to := int64(0)
		if params.To != nil {
			to = *params.To
		}
		origin, size, hashes, err := s.Ledger.Consistency(r.Context(), log, params.From, to)
		if err != nil {
			return err
		}
		if hashes == nil {
			hashes = []string{}
		}
		return show(w, http.StatusOK, Consistency{Origin: origin, From: params.From, To: size, Hashes: hashes})
	})
}
