// Package api is the product's HTTPS API. openapi.yaml is the contract,
// written first; the types and the routing are generated from it.
//
// Nobody passes the gate but by the table of package access, and a handler
// only translates: what is done, the use cases do. It must never put personal
// data or a key into a log or a problem.
package api

import (
	"context"
	_ "embed"
	"log/slog"
	"net/http"
	"time"

	"gatehouse/appliance/act"
	"gatehouse/appliance/admin"
	"gatehouse/appliance/health"
	"gatehouse/appliance/ledger"
	"gatehouse/appliance/member"
	"gatehouse/appliance/session"
	"gatehouse/engine"
)

//go:embed openapi.yaml
var openapiYAML []byte

//go:embed api.html
var documentationHTML []byte

// Limits of the API.
const (
	// Of a JSON body: the largest, a certificate, has 16 KiB.
	maxJSON = 64 << 10
	// Who has not shown a credential yet must send its request within this.
	strangerTime = 10 * time.Second
	// A body must arrive within this: 20 MB at about 3 Mbit/s.
	bodyTime    = 60 * time.Second
	maxWait     = 30 * time.Second // for a decision
	defaultWait = 10 * time.Second
	// A stream of events ends after this, so that no connection is for ever.
	streamTime = 10 * time.Minute
	heartbeat  = 15 * time.Second
	// A gallery that is loaded is asked for again after this: a million templates
	// are to be ready within five seconds of a start.
	galleryPause = 5 * time.Second
	// Lists.
	defaultLimit = 50
	maxLimit     = 200
)

// Config of the API.
type Config struct {
	Version  string
	Sessions *session.Service
	Admin    *admin.Service
	Ledger   *ledger.Ledger
	Members  *member.Service
	Engine   *engine.Engine
	Sources  health.Sources
	Metrics  *health.Metrics
	Log      *slog.Logger
	Now      func() time.Time
	Acts     *act.Proposer
	// Stopping ends when the node begins to stop: who waits then is answered.
	Stopping context.Context
	// Fatal ends the process: the disk broke its promise.
	Fatal func(error)
	// Single capabilities that run at one time; more are answered 429.
	Single int
	// Requests a second of one client, and at one time.
	Rate, Concurrent int
}

// server implements the generated interface.
type server struct {
	Config
	denials *denials
	singles *places // by client
	exports *places // by tenant
}

var _ ServerInterface = (*server)(nil)

// New makes the handler of all routes.
func New(c Config) (http.Handler, error) {
	d := &denials{acts: c.Acts, metrics: c.Metrics, log: c.Log, now: c.Now, meter: newMeter("credential", c.Rate, c.Concurrent)}
	s := &server{Config: c, denials: d, singles: newPlaces(max(1, c.Single)), exports: newPlaces(exportsAtOnce)}
	mux := http.NewServeMux()
	HandlerWithOptions(s, StdHTTPServerOptions{BaseRouter: mux, ErrorHandlerFunc: s.badParameter})
	return newGate(c, mux, d)
}
