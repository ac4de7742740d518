package crash

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"gatehouse/appliance/api"
	"gatehouse/appliance/client"
	"gatehouse/store/audit/bundle"
	"gatehouse/store/audit/trust"
)

// auditor comes after each kill: he takes a bundle of what is new, and verifies
// that it continues what he has seen before.
type auditor struct {
	report *Report
	policy *trust.Policy // as the node gave it first
	memory *trust.Memory
	from   int64
	visits int
}

func (a *auditor) visit(ctx context.Context, n *client.Client) error {
	if a.policy == nil {
		b, err := n.AuditTrust(ctx)
		if err != nil {
			return err
		}
		if a.policy, err = trust.ParsePolicy(b); err != nil {
			return err
		}
		a.memory = &trust.Memory{}
	}
	a.visits++
	nonce := fmt.Sprintf("after-kill-%d-%d", a.report.Kills, a.visits)
	var b bytes.Buffer
	if err := n.ExportAudit(ctx, api.AuditRange{From: &a.from, Nonce: &nonce}, "", &b, nil); err != nil {
		return err
	}
	now := time.Now()
	v, err := bundle.Verify(ctx, &b, bundle.Options{Policy: a.policy, Memory: a.memory, Nonce: nonce, Now: now})
	if err != nil {
		return err
	}
	if !v.Good {
		a.report.broken(Fork, "a bundle from event %d on: %d %s: %s", a.from, v.Code, v.Finding.Step, v.Finding.Detail)
		return nil
	}
	if err := v.Remember(a.memory, now); err != nil {
		return err
	}
	a.from = v.To
	a.report.Bundles++
	return nil
}
