package ledger

import (
	"context"
	"fmt"
	"time"

	"gatehouse/appliance/access"
	"gatehouse/store/audit/segment"
	"gatehouse/store/command"
	"gatehouse/store/state"
)

// sealEvery so often the logs are looked at. At a hundred events a second a
// segment is full after eleven minutes.
const sealEvery = 10 * time.Second

// Run puts full segments of the logs away until ctx ends, and keeps what is not in
// one indexed, so that no search waits for that.
func (l *Ledger) Run(ctx context.Context) {
	look := time.NewTicker(sealEvery)
	defer look.Stop()
	for {
		if err := l.Seal(ctx); err != nil && ctx.Err() == nil {
			l.Log.Warn("a full segment of an audit log stays in the state", "error", err)
		}
		if err := l.index(ctx); err != nil && ctx.Err() == nil {
			l.Log.Warn("the newest events of an audit log cannot be indexed", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
	}
}

// index the recent events of as many logs as are kept so.
func (l *Ledger) index(ctx context.Context) error {
	logs, err := l.Logs()
	if err != nil {
		return err
	}
	for _, name := range logs[:min(len(logs), keptTails)] {
		h, err := l.State.Log(name).Head()
		if err != nil {
			return err
		}
		if _, err := l.finder.recent(ctx, name, h, h.Parts()); err != nil {
			return err
		}
	}
	return nil
}

// Seal puts away all segments that are full. What is interrupted goes on where
// it was: the file is whole or is not there, and the state says which leaves
// have left it.
func (l *Ledger) Seal(ctx context.Context) error {
	logs, err := l.everyLog()
	if err != nil {
		return err
	}
	for _, name := range logs {
		log := l.State.Log(name)
		for {
			h, err := log.Head()
			if err != nil {
				return err
			}
			n, full := h.Full()
			if !full {
				break
			}
			if err := l.seal(ctx, name, h, n); err != nil {
				return fmt.Errorf("segment %d of %s: %w", n, h.Origin, err)
			}
			if !l.Leading() {
				break // its file waits for the leader's word
			}
		}
	}
	return nil
}

// seal makes the segment's file and its index durable, on each node for itself;
// then the leader lets the leaves leave the state.
func (l *Ledger) seal(ctx context.Context, name string, h state.LogHead, n int64) error {
	if err := l.State.Log(name).WriteSegment(ctx, n); err != nil {
		return err
	}
	if _, err := l.finder.segment(ctx, name, h.Origin, n); err != nil {
		return err
	}
	for until := h.Sealed; l.Leading() && until < (n+1)<<segment.Height; {
		if err := ctx.Err(); err != nil {
			return err
		}
		until = min(until+state.DropAtOnce, (n+1)<<segment.Height)
		if _, err := l.Propose(ctx, access.Caller{}, command.Type_SEAL_SEGMENT, &command.SealSegment{Log: name, Until: uint64(until)}, nil); err != nil {
			return err
		}
	}
	return nil
}
