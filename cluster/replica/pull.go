package replica

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"time"

	"golang.org/x/time/rate"

	"gatehouse/store/blob"
)

// Open is blob.Store.Open, and fetches what is absent or damaged here from another
// node: before it returns, or while the Reader is read. ErrUnreached: one that may have
// it cannot be asked now, or there is no room for it here. ErrNoCopy comes with
// blob.ErrNotFound or what else is wrong here.
func (r *Replica) Open(ctx context.Context, key blob.Key, h blob.Header, name string) (*Reader, error) {
	mend := func(err error) (*blob.Reader, error) {
		healed := r.Heal(ctx, name)
		switch {
		case healed == nil:
			return r.config.Blobs.Open(ctx, key, h, name)
		case errors.Is(healed, ErrNoCopy):
			return nil, fmt.Errorf("%w: %w", err, healed)
		}
		return nil, healed
	}
	b, err := r.config.Blobs.Open(ctx, key, h, name)
	if curable(err) {
		b, err = mend(err)
	}
	if err != nil {
		return nil, err
	}
	return &Reader{blob: b, mend: mend}, nil
}

// curable are the errors that other bytes may cure. A flipped bit can look like
// another's header or a later format, and a bad sector is an error of the system.
func curable(err error) bool {
	var system *fs.PathError
	return errors.Is(err, blob.ErrNotFound) || errors.Is(err, blob.ErrDamaged) || errors.Is(err, blob.ErrHeader) ||
		errors.Is(err, blob.ErrVersion) || errors.As(err, &system)
}

// Heal makes sure that the blob is here and whole, by its hash: a damaged one is
// put into quarantine and fetched from another node. However many ask for one
// blob at a time, it is fetched once. Errors: ErrNoCopy, ErrUnreached,
// blob.ErrNotFound for what is no name, blob.ErrSync, ctx's.
func (r *Replica) Heal(ctx context.Context, name string) error {
	return r.heal(ctx, name, r.others(), true)
}

func (r *Replica) heal(ctx context.Context, name string, from []string, urgent bool) error {
	if _, _, err := r.config.Blobs.Exists(name); errors.Is(err, blob.ErrNotFound) {
		return err
	}
	return r.once(ctx, name, from, urgent)
}

// mend is what a flight does.
func (r *Replica) mend(ctx context.Context, f *flight, name string, from []string) error {
	err := r.config.Blobs.Check(ctx, name)
	rotten := errors.Is(err, blob.ErrRotten)
	switch {
	case err == nil:
		return nil
	case rotten:
		r.config.Log.Warn("a blob is damaged and goes into quarantine", "error", err)
		if err := r.config.Blobs.Quarantine(name); err != nil && !errors.Is(err, blob.ErrNotFound) {
			return err
		}
		r.ills.rotten(name)
		r.count(func(s *Stats) { s.Rotten++ })
	case !errors.Is(err, blob.ErrNotFound):
		return err
	}
	if err := r.pull(ctx, f, name, from); err != nil {
		return err
	}
	if r.ills.cured(name) || rotten {
		r.count(func(s *Stats) { s.Repaired++ })
		r.tell(event{repaired: true, name: name})
	}
	return nil
}

// pull takes a blob from the first of the nodes that has it whole.
func (r *Replica) pull(ctx context.Context, f *flight, name string, from []string) error {
	var errs []error
	asked := true // all of them, and they do not have it
	for _, node := range from {
		n, err := r.fetch(ctx, f, node, name)
		switch {
		case err == nil:
			r.nodes.good(node)
			r.count(func(s *Stats) { s.Healed, s.Bytes = s.Healed+1, s.Bytes+n })
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, blob.ErrSync):
			return err
		case errors.Is(err, errAbsent):
		case errors.Is(err, blob.ErrForeign):
			r.config.Log.Warn("another node's blob is damaged", "node", node, "error", err)
		case errors.Is(err, blob.ErrFull):
			asked = false
		default:
			r.nodes.bad(node)
			asked = false
		}
		errs = append(errs, fmt.Errorf("%s: %w", node, err))
	}
	if asked {
		return fmt.Errorf("%w: %s: %w", ErrNoCopy, name, errors.Join(errs...))
	}
	return fmt.Errorf("%w: %s: %w", ErrUnreached, name, errors.Join(errs...))
}

// slowest a transfer may be in all, in bytes a second: ours, an eighth of what
// one of the pulls has at the least rate.
const slowest = leastRate / pulls / 8

// span is how long a transfer may take that nobody waits for.
func span(size int64) time.Duration {
	return time.Minute + time.Duration(min(size, largest)/slowest)*time.Second
}

// fetch takes a blob from one node.
func (r *Replica) fetch(ctx context.Context, f *flight, node, name string) (int64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	idle := time.AfterFunc(r.limits.idle, func() { cancel(errIdle) })
	defer idle.Stop()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "/blobs/"+name, nil)
	if err != nil {
		return 0, err
	}
	a, err := r.config.Peers.Do(node, q)
	if err != nil {
		return 0, because(ctx, err)
	}
	defer a.Body.Close()
	switch {
	case a.StatusCode == http.StatusNotFound:
		io.CopyN(io.Discard, a.Body, 1<<10) // the connection can be used again
		return 0, errAbsent
	case a.StatusCode != http.StatusOK:
		return 0, because(ctx, refused(a))
	case a.ContentLength <= 0:
		return 0, errors.New("it does not say how many bytes come")
	}
	idle.Stop() // until the body is read
	slow := time.AfterFunc(span(a.ContentLength), func() { cancel(errSlow) })
	defer slow.Stop()
	body := &incoming{ctx: ctx, from: a.Body, timer: idle, idle: r.limits.idle, rate: r.rate, flight: f}
	if err := r.config.Blobs.Import(ctx, name, body, a.ContentLength); err != nil {
		return 0, because(ctx, err)
	}
	return a.ContentLength, nil
}

// because puts our own reason in the place of a context's error.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, errIdle) || errors.Is(cause, errSlow) {
		return cause
	}
	return err
}

// incoming is a body that must not stand still, at the rate of healing unless
// somebody waits for it.
type incoming struct {
	ctx    context.Context
	from   io.Reader
	timer  *time.Timer // runs while a byte is awaited, and not while others are
	idle   time.Duration
	rate   *rate.Limiter
	flight *flight
}

func (b *incoming) Read(p []byte) (int, error) {
	b.timer.Reset(b.idle)
	n, err := b.from.Read(p[:min(len(p), piece)])
	b.timer.Stop()
	if err == nil && !b.flight.urgent.Load() {
		err = b.rate.WaitN(b.ctx, n)
	}
	return n, err
}
