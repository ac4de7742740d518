package api

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	"gatehouse/appliance/access"
	"gatehouse/appliance/problem"
	"gatehouse/store/command"
	"gatehouse/store/id"
	"gatehouse/store/state"
)

// gate stands before all routes: it names the request, finds the route, knows
// the caller, and keeps what is too much outside.
type gate struct {
	Config
	mux     *http.ServeMux
	routes  map[string]access.Route // by the mux' pattern
	clients *meter
	tenants *meter
	denials *denials
}

func newGate(c Config, mux *http.ServeMux, d *denials) (*gate, error) {
	g := &gate{Config: c, mux: mux, routes: map[string]access.Route{}, clients: d.meter, tenants: newMeter("tenant", tenantShare*c.Rate, tenantShare*c.Concurrent), denials: d}
	for _, r := range access.Routes() {
		pattern := r.Method + " " + r.Path
		req, err := http.NewRequest(r.Method, r.Path, nil)
		if err != nil {
			return nil, err
		}
		if _, found := mux.Handler(req); found != pattern {
			return nil, fmt.Errorf("the table has %s, the description has not", pattern)
		}
		g.routes[pattern] = r
	}
	return g, nil
}

// tenantShare is how many clients' worth a tenant may ask for, however many
// clients it has.
const tenantShare = 4

// callerKey keeps the caller in a request's context.
type callerKey struct{}

func caller(r *http.Request) access.Caller {
	c, _ := r.Context().Value(callerKey{}).(access.Caller)
	return c
}

var requestIDs = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	out := &answer{ResponseWriter: w}
	c := access.Caller{Authn: access.ByNothing, Request: r.Header.Get("X-Request-Id"), Purpose: r.Header.Get("Purpose")}
	if !Purpose(c.Purpose).Valid() { // free text must not get into the log
		c.Purpose = ""
	}
	if !requestIDs.MatchString(c.Request) {
		c.Request = id.New(id.Request, g.Now(), rand.Reader)
	}
	out.Header().Set("X-Request-Id", c.Request)
	out.Header().Set("Cache-Control", "no-store")
	out.Header().Set("X-Content-Type-Options", "nosniff")
	out.Header().Set("Strict-Transport-Security", "max-age=31536000")
	route := "none"
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			g.Log.Error("a handler panicked", "request", c.Request, "route", route, "panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			if out.code == 0 {
				fail(out, c.Request, problem.New(problem.Internal, "the request could not be answered"))
			}
		}
		took := time.Since(start)
		g.Metrics.Request(route, out.code, took)
		g.Log.Log(context.Background(), level(out.code), "request", "request", c.Request, "route", route, "status", out.code,
			"client", c.Client, "ms", took.Milliseconds(), "bytes", out.bytes)
	}()
	control := http.NewResponseController(out)
	err := errors.Join(control.SetReadDeadline(start.Add(strangerTime)), control.SetWriteDeadline(start.Add(bodyTime+maxWait)))
	if err == nil {
		err = g.pass(out, r, &c, &route)
	}
	if err != nil {
		g.report(c, route, err)
		fail(out, c.Request, err)
	}
}

func level(code int) slog.Level {
	if code >= 500 {
		return slog.LevelWarn
	}
	return slog.LevelDebug
}

// pass lets a request through, or says why not.
func (g *gate) pass(w http.ResponseWriter, r *http.Request, c *access.Caller, name *string) error {
	_, pattern := g.mux.Handler(r)
	route, known := g.routes[pattern]
	if known = known && clean(r); known {
		*name, c.Route = pattern, pattern
	}
	if !known || !local(route.Operation) {
		// Who may call, as of now: another node may just have let somebody in, or
		// shut somebody out. Who has closed the sending side of the connection, and
		// so ends the request's context, still waits for the answer.
		if err := g.Sources.Node.Read(context.WithoutCancel(r.Context())); err != nil {
			return err
		}
	}
	if err := g.identify(r, c); err != nil {
		g.denials.unknown(*c)
		return err
	}
	if !known {
		return g.unknown(w, r)
	}
	if len(route.Roles) > 0 {
		if c.Client == "" {
			return problem.New(problem.Unauthorized, "%s needs a credential", pattern)
		}
		if !c.May(route) {
			g.denials.role(*c)
			return problem.New(problem.Forbidden, "%s is for %s", pattern, roles(route.Roles))
		}
		release, err := g.enter(*c)
		if err != nil {
			g.Metrics.Denied("rate")
			return err
		}
		defer release()
	}
	if !route.Sealed && g.Sources.Keys.Sealed() {
		return problem.New(problem.Sealed, "the node is sealed")
	}
	if !route.Sealed && !local(route.Operation) && !g.ring(r.Context()) {
		return problem.New(problem.Unavailable, "the cluster has agreed on another key-ring, which this node does not have yet")
	}
	if bulk(route.Operation) && g.Sources.Disk.Full() {
		return problem.New(problem.DiskFull, "there is no room for new evidence")
	}
	if err := parameters(route, r); err != nil {
		return err
	}
	r = r.WithContext(context.WithValue(r.Context(), callerKey{}, *c))
	body := &arriving{ReadCloser: r.Body, control: http.NewResponseController(w)}
	if err := body.begin(r); err != nil {
		return err
	}
	r.Body = body
	g.mux.ServeHTTP(w, r)
	return nil
}

// ringTime bounds how long a request waits for a key-ring that was agreed on: it
// is on this node's disk already, or comes from another one.
const ringTime = 2 * time.Second

// ring waits for the key-ring that is in force: what a client was told by one node
// it may ask of another at once.
func (g *gate) ring(ctx context.Context) bool {
	for end := time.Now().Add(ringTime); !g.Sources.Ring(); time.Sleep(5 * time.Millisecond) {
		if ctx.Err() != nil || time.Now().After(end) {
			return false
		}
	}
	return true
}

// enter counts a request of a client and of its tenant.
func (g *gate) enter(c access.Caller) (release func(), err error) {
	one, err := g.clients.enter(c.Client, g.Now())
	if err != nil {
		return nil, err
	}
	all, err := g.tenants.enter(c.Tenant, g.Now())
	if err != nil {
		one()
		return nil, err
	}
	return func() { all(); one() }, nil
}

// local operations tell how this node stands, also where no majority answers:
// then who may call is what it knew last.
func local(operation string) bool {
	switch operation {
	case "livez", "readyz", "metrics", "status", "clusterStatus", "sealStatus", "unseal", "description", "documentation":
		return true
	}
	return false
}

// bulk operations bring evidence in.
func bulk(operation string) bool {
	return operation == "createSession" || operation == "putEvidence" || operation == "verify"
}

func roles(all []access.Role) string {
	var names []string
	for _, r := range all {
		names = append(names, string(r))
	}
	return strings.Join(names, ", ")
}

// clean says whether the path is in its one spelling: the mux would redirect
// another one, which is not in the contract.
func clean(r *http.Request) bool {
	p := r.URL.EscapedPath()
	return path.Clean(p) == p
}

// unknown route or method.
func (g *gate) unknown(w http.ResponseWriter, r *http.Request) error {
	var allowed []string
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE"} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := g.mux.Handler(other); g.routes[pattern].Path != "" && clean(r) {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 {
		return problem.New(problem.NoRoute, "there is no such route")
	}
	w.Header().Set("Allow", strings.Join(allowed, ", ")) // RFC 9110, 15.5.6
	return problem.New(problem.NoMethod, "the route has no %.20q", r.Method)
}

// identify the caller by the request's credential; without one it is nobody.
func (g *gate) identify(r *http.Request, c *access.Caller) error {
	wrong := problem.New(problem.Unauthorized, "the credential is not known, or was revoked")
	var row *command.Client
	var err error
	header := r.Header.Values("Authorization")
	switch {
	case len(header) > 1:
		return wrong
	case len(header) == 1:
		text, ok := strings.CutPrefix(header[0], "Bearer ")
		hash, bad := access.HashKey(text)
		if !ok || bad != nil {
			return problem.New(problem.Unauthorized, "%v", access.ErrKey)
		}
		c.Authn = access.ByKey
		err = g.Sources.State.View(func(v *state.View) (err error) { row, err = v.ClientByKey(hash); return err })
	case r.TLS != nil && len(r.TLS.PeerCertificates) > 0:
		cert := r.TLS.PeerCertificates[0]
		if now := g.Now(); now.After(cert.NotAfter) || now.Before(cert.NotBefore) {
			return problem.New(problem.Unauthorized, "the client certificate is not valid now")
		}
		c.Authn = access.ByCertificate
		hash := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
		err = g.Sources.State.View(func(v *state.View) (err error) { row, err = v.ClientByCertificate(hash); return err })
	default:
		return nil
	}
	if errors.Is(err, state.ErrNotFound) {
		return wrong
	}
	if err != nil {
		return err
	}
	c.Client, c.Tenant = row.Id, row.Tenant
	for _, role := range row.Roles {
		c.Roles = append(c.Roles, access.Role(role))
	}
	return nil
}

// report what is the node's fault.
func (g *gate) report(c access.Caller, route string, err error) {
	var p *problem.Problem
	if errors.As(err, &p) && p.Kind.Status() < 500 {
		return
	}
	g.Log.Error("a request failed", "request", c.Request, "route", route, "error", err)
}

// answer notes the status and the size of what is written.
type answer struct {
	http.ResponseWriter
	code  int
	bytes int64
}

func (a *answer) WriteHeader(code int) {
	if a.code == 0 {
		a.code = code
	}
	a.ResponseWriter.WriteHeader(code)
}

func (a *answer) Write(b []byte) (int, error) {
	if a.code == 0 {
		a.code = http.StatusOK
	}
	n, err := a.ResponseWriter.Write(b)
	a.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
