package ledger_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"gatehouse/appliance/access"
	"gatehouse/store/audit"
	"gatehouse/store/audit/trust"
	"gatehouse/store/command"
)

// What a log has signed last before a recovery closed it verifies by the policy
// that is handed out afterwards, also once its key was rotated, and nothing larger
// does. A key that is newer than the closed log is not pinned for it.
func TestPolicyOfAClosedLog(t *testing.T) {
	w := found(t, t.TempDir())
	l := w.ledger(t)
	ctx := context.Background()
	last, err := l.Checkpoint(ctx, bank)
	must(t, err)
	cp, err := audit.ParseCheckpoint(last)
	must(t, err)
	w.now = time.Now().UnixNano() // the world's clock is behind, that of its keys is not
	w.do(t, "", command.Type_START_EPOCH, &command.StartEpoch{Epoch: 2, Reason: "quorum_lost"}, event(audit.ClusterRecover, "cluster", "clu_a"))
	verifies := func(what string, keys int) {
		t.Helper()
		text, err := l.Trust(ctx, bank)
		must(t, err)
		p, err := trust.ParsePolicy([]byte(text))
		must(t, err)
		if _, err := p.Verify(last, cp.Origin); err != nil {
			t.Errorf("%s: %v\n%s", what, err, text)
		}
		if n := strings.Count(text, "log "+cp.Origin+"+"); n != 1 {
			t.Errorf("%s: %d keys of the closed log", what, n)
		}
		if n := strings.Count(text, "log "); n != keys {
			t.Errorf("%s: %d keys, want %d\n%s", what, n, keys, text)
		}
		if !strings.Contains(text, "valid "+cp.Origin+"+") {
			t.Errorf("%s: the key of the closed log has no end\n%s", what, text)
		}
	}
	verifies("after the epoch", 4)
	time.Sleep(1100 * time.Millisecond) // keys know the second in which they were made
	c := access.Caller{Tenant: bank}
	must(t, l.Rotate(ctx, c))
	must(t, l.Retire(ctx, c, true))
	verifies("after a rotation", 6)
}
