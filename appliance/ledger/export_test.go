package ledger

import "context"

// Cosigned is a round of RunCosigning.
func (l *Ledger) Cosigned(ctx context.Context, last map[string]int64) error {
	return l.cosigned(ctx, last)
}
