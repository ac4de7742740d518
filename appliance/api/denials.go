package api

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"gatehouse/appliance/access"
	"gatehouse/appliance/act"
	"gatehouse/appliance/health"
	"gatehouse/store/audit"
)

// denials counts who is not let in, and puts it into the audit log, within
// bounds: whoever may do nothing must not fill it.
type denials struct {
	acts    *act.Proposer
	metrics *health.Metrics
	log     *slog.Logger
	now     func() time.Time
	meter   *meter

	mu   sync.Mutex
	last time.Time // that an unknown caller was put into the log
}

// unknown credential: one in ten seconds for all of them.
func (d *denials) unknown(c access.Caller) {
	d.metrics.Denied("credential")
	if d.due(d.now()) {
		d.put(c, audit.AuthDeny, "unknown_credential")
	}
}

func (d *denials) due(now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now.Sub(d.last) < 10*time.Second {
		return false
	}
	d.last = now
	return true
}

// role that the caller does not have: five of a client, then one a second.
func (d *denials) role(c access.Caller) {
	d.metrics.Denied("role")
	if d.meter.mayDeny(c.Client, d.now()) {
		d.put(c, audit.AuthzDeny, "role")
	}
}

// put a denial into the audit log. The request is denied in any case.
func (d *denials) put(c access.Caller, action audit.Action, reason string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	e := act.Event(c, action, "", "")
	e.Result, e.Reason = string(audit.Denied), reason
	if err := d.acts.Record(ctx, c, e); err != nil {
		d.log.Warn("a denial could not be put into the audit log", "request", c.Request, "error", err)
	}
}
