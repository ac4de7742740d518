package api

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"

	"gatehouse/appliance/access"
	"gatehouse/appliance/act"
	"gatehouse/appliance/admin"
	"gatehouse/appliance/problem"
	"gatehouse/store/command"
	"gatehouse/store/keys"
)

// cursor is the id of the last one shown, not for the client to read.
func next(id string) string { return base64.RawURLEncoding.EncodeToString([]byte(id)) }

func cursor(text *Cursor) (string, error) {
	if text == nil {
		return "", nil
	}
	b, err := base64.RawURLEncoding.DecodeString(*text)
	if err != nil || len(b) == 0 || len(b) > 64 || strings.ContainsRune(string(b), 0) {
		return "", problem.New(problem.BadValue, "the cursor is not one that an earlier page gave").In("cursor")
	}
	return string(b), nil
}

// named checks a name: 1 to 128 bytes of text that can be printed.
func named(field, value string) error {
	if strings.TrimSpace(value) == "" || len(value) > 128 || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd }) {
		return problem.New(problem.BadValue, "%s has 1 to 128 characters", field).In(field)
	}
	return nil
}

func enrolled(e *admin.Enrolled) Enrolled {
	return Enrolled{Tenant: e.Client.Tenant, Client: client(e.Client), Key: some(e.Key)}
}

func client(c *command.Client) Client {
	out := Client{Id: c.Id, Name: c.Name, Roles: []Role{}, Credential: ClientCredentialKey, CreatedAt: at(c.CreatedNs), RevokedAt: someTime(c.RevokedNs)}
	if len(c.Certificate) > 0 {
		out.Credential = ClientCredentialCertificate
	}
	for _, r := range c.Roles {
		out.Roles = append(out.Roles, Role(r))
	}
	return out
}

func (s *server) Setup(w http.ResponseWriter, r *http.Request, params SetupParams) {
	s.handle(w, r, func(c access.Caller) error {
		var in SetupRequest
		hash, err := body(r, &in)
		if err != nil {
			return err
		}
		if err := checkKey(params.IdempotencyKey); err != nil {
			return err
		}
		var idem *act.Idempotency
		if params.IdempotencyKey != nil { // there is no tenant yet; the code in the body keeps its hash from being guessed
			key := sha256.Sum256([]byte(*params.IdempotencyKey))
			idem = &act.Idempotency{Key: key[:], Request: hash[:]}
		}
		if err := named("organisation", in.Organisation); err != nil {
			return err
		}
		if err := named("name", in.Name); err != nil {
			return err
		}
		made, err := s.Admin.Setup(r.Context(), c, in.Code, in.Organisation, in.Name, idem)
		if err != nil {
			return err
		}
		return show(w, http.StatusCreated, enrolled(made))
	})
}

func (s *server) ListTenants(w http.ResponseWriter, r *http.Request) {
	s.handle(w, r, func(access.Caller) error {
		rows, err := s.Admin.Tenants(r.Context())
		if err != nil {
			return err
		}
		out := Tenants{Tenants: []Tenant{}}
		for _, t := range rows {
			out.Tenants = append(out.Tenants, Tenant{Id: t.Id, Organisation: t.Name, CreatedAt: at(t.CreatedNs)})
		}
		return show(w, http.StatusOK, out)
	})
}

func (s *server) CreateTenant(w http.ResponseWriter, r *http.Request, params CreateTenantParams) {
	s.handle(w, r, func(c access.Caller) error {
		var in TenantRequest
		hash, err := body(r, &in)
		if err != nil {
			return err
		}
		if err := named("organisation", in.Organisation); err != nil {
			return err
		}
		if err := named("name", in.Name); err != nil {
			return err
		}
		idem, err := s.identify(c, params.IdempotencyKey, hash)
		if err != nil {
			return err
		}
		made, err := s.Admin.CreateTenant(r.Context(), c, in.Organisation, in.Name, idem)
		if err != nil {
			return err
		}
		return show(w, http.StatusCreated, enrolled(made))
	})
}

func (s *server) ListClients(w http.ResponseWriter, r *http.Request, params ListClientsParams) {
	s.handle(w, r, func(c access.Caller) error {
		n, err := limit(params.Limit)
		if err != nil {
			return err
		}
		after, err := cursor(params.Cursor)
		if err != nil {
			return err
		}
		rows, err := s.Admin.Clients(r.Context(), c, after, n)
		if err != nil {
			return err
		}
		out := Clients{Clients: []Client{}}
		for _, row := range rows {
			out.Clients = append(out.Clients, client(row))
		}
		if len(rows) == n {
			out.Next = some(next(rows[n-1].Id))
		}
		return show(w, http.StatusOK, out)
	})
}

func (s *server) CreateClient(w http.ResponseWriter, r *http.Request, params CreateClientParams) {
	s.handle(w, r, func(c access.Caller) error {
		var in ClientRequest
		hash, err := body(r, &in)
		if err != nil {
			return err
		}
		if err := named("name", in.Name); err != nil {
			return err
		}
		var roles []access.Role
		for _, role := range in.Roles {
			if !role.Valid() {
				return problem.New(problem.BadValue, "there is no role %.40q", role).In("roles")
			}
			roles = append(roles, access.Role(role))
		}
		if len(roles) == 0 || len(roles) > len(access.Roles()) {
			return problem.New(problem.BadValue, "a client has 1 to %d roles", len(access.Roles())).In("roles")
		}
		certificate := ""
		if in.Certificate != nil {
			if certificate = *in.Certificate; certificate == "" || len(certificate) > 16384 {
				return problem.New(problem.BadValue, "a certificate is PEM text of at most 16384 bytes").In("certificate")
			}
		}
		idem, err := s.identify(c, params.IdempotencyKey, hash)
		if err != nil {
			return err
		}
		made, err := s.Admin.CreateClient(r.Context(), c, in.Name, roles, certificate, idem)
		if err != nil {
			return err
		}
		return show(w, http.StatusCreated, enrolled(made))
	})
}

func (s *server) RevokeClient(w http.ResponseWriter, r *http.Request, id string) {
	s.handle(w, r, func(c access.Caller) error {
		row, err := s.Admin.Revoke(r.Context(), c, id)
		if err != nil {
			return err
		}
		return show(w, http.StatusOK, client(row))
	})
}

func (s *server) showSeal(w http.ResponseWriter) error {
	st := s.Admin.SealStatus()
	out := Seal{Sealed: st.Sealed, Slots: []SealSlot{}}
	for _, slot := range st.Slots {
		out.Slots = append(out.Slots, sealSlot(slot))
		if slot.Given > 0 {
			out.SharesGiven, out.SharesNeeded = some(slot.Given), some(slot.Threshold)
		}
	}
	if len(st.Slots) < 2 {
		out.Warning = some("there is one slot only: add another way to unseal")
	}
	return show(w, http.StatusOK, out)
}

func sealSlot(slot keys.Slot) SealSlot {
	return SealSlot{Id: slot.ID, Kind: SealSlotKind(slot.Kind), CreatedAt: slot.Created.UTC(), Path: some(slot.Path), Threshold: some(slot.Threshold), Shares: some(slot.Shares)}
}

func (s *server) SealStatus(w http.ResponseWriter, r *http.Request) {
	s.handle(w, r, func(access.Caller) error { return s.showSeal(w) })
}

func (s *server) Seal(w http.ResponseWriter, r *http.Request) {
	s.handle(w, r, func(c access.Caller) error {
		if err := noBody(r); err != nil {
			return err
		}
		if err := s.Admin.Seal(r.Context(), c); err != nil {
			return err
		}
		return s.showSeal(w)
	})
}

func (s *server) Unseal(w http.ResponseWriter, r *http.Request) {
	s.handle(w, r, func(c access.Caller) error {
		var in UnsealRequest
		if _, err := body(r, &in); err != nil {
			return err
		}
		secret, given := admin.Secret{}, 0
		if in.File != nil && *in.File {
			secret.File, given = true, given+1
		}
		if in.Passphrase != nil {
			secret.Passphrase, given = []byte(*in.Passphrase), given+1
		}
		if in.Share != nil {
			secret.Share, given = *in.Share, given+1
		}
		if given != 1 || in.Passphrase != nil && *in.Passphrase == "" || in.Share != nil && *in.Share == "" || len(secret.Share) > 512 || len(secret.Passphrase) > 1024 {
			return problem.New(problem.BadValue, "give exactly one of file, passphrase and share")
		}
		if err := s.Admin.Unseal(r.Context(), c, secret); err != nil {
			return err
		}
		return s.showSeal(w)
	})
}

func (s *server) AddSlot(w http.ResponseWriter, r *http.Request) {
	s.handle(w, r, func(c access.Caller) error {
		var in SlotRequest
		if _, err := body(r, &in); err != nil {
			return err
		}
		if !in.Kind.Valid() {
			return problem.New(problem.BadValue, "kind is file, passphrase or shamir").In("kind")
		}
		var path, passphrase string
		var threshold, shares int
		for _, m := range []struct {
			name, kind string
			given      bool
		}{{"path", "file", in.Path != nil}, {"passphrase", "passphrase", in.Passphrase != nil}, {"threshold", "shamir", in.Threshold != nil}, {"shares", "shamir", in.Shares != nil}} {
			if m.given != (m.kind == string(in.Kind)) {
				return problem.New(problem.BadValue, "%s goes with kind %s, and only with it", m.name, m.kind).In(m.name)
			}
		}
		switch in.Kind {
		case SlotRequestKindFile:
			if path = *in.Path; !strings.HasPrefix(path, "/") || len(path) > 4096 || strings.ContainsRune(path, 0) {
				return problem.New(problem.BadValue, "path is an absolute path on the server").In("path")
			}
		case SlotRequestKindPassphrase:
			passphrase = *in.Passphrase
		case SlotRequestKindShamir:
			if threshold, shares = *in.Threshold, *in.Shares; threshold < 2 || shares < threshold || shares > 16 {
				return problem.New(problem.BadValue, "2 ≤ threshold ≤ shares ≤ 16").In("shares")
			}
		}
		slot, texts, err := s.Admin.AddSlot(r.Context(), c, keys.Kind(in.Kind), path, []byte(passphrase), threshold, shares)
		if err != nil {
			return err
		}
		out := SlotAdded{Slot: sealSlot(slot)}
		if len(texts) > 0 {
			out.Shares = &texts
		}
		return show(w, http.StatusCreated, out)
	})
}

func (s *server) RemoveSlot(w http.ResponseWriter, r *http.Request, slot string) {
	s.handle(w, r, func(c access.Caller) error {
		if err := s.Admin.RemoveSlot(r.Context(), c, slot); err != nil {
			return err
		}
		return s.showSeal(w)
	})
}
