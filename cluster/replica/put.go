package replica

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"gatehouse/store/blob"
	"gatehouse/store/disk/killpoint"
)

// Put is blob.Store.Put, and has the blob durable on one more node as well,
// where the cluster has others. ErrOneCopy: none took it in time (5 s, and a
// second more for each 10 MiB); like any other error it leaves no blob here.
func (r *Replica) Put(ctx context.Context, key blob.Key, h blob.Header, body io.Reader, limit int64) (blob.Ref, error) {
	ref, err := r.config.Blobs.Put(ctx, key, h, body, limit)
	if err != nil {
		return blob.Ref{}, err
	}
	others := r.others()
	if len(others) == 0 {
		return ref, nil
	}
	if err := r.send(ctx, ref, others); err != nil {
		// An orphan, should even this fail.
		if left := r.config.Blobs.Remove(ref.Name); errors.Is(left, blob.ErrSync) {
			err = errors.Join(err, left)
		}
		return blob.Ref{}, err
	}
	killpoint.At(killpoint.BlobCopied)
	return ref, nil
}

// largest is beyond any blob, and short of where a duration overflows.
const largest = 1 << 48

// inTime is how long size bytes take at the least that is put up with where
// somebody waits: ours, 10 MiB a second is a tenth of a link of 1 Gbit/s.
func inTime(size int64) time.Duration {
	return time.Duration(min(size, largest)/(10<<20)) * time.Second
}

// send has one of the nodes take the blob. Where one fails or keeps it waiting
// the next is tried as well; the first that has it ends the others' transfers.
func (r *Replica) send(ctx context.Context, ref blob.Ref, to []string) error {
	bound, patience := r.limits.send+inTime(ref.Stored), r.limits.hedge+inTime(ref.Stored)
	bounded, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	type result struct {
		node string
		err  error
	}
	results := make(chan result, len(to))
	next, running := 0, 0
	hedge := time.NewTimer(patience)
	defer hedge.Stop()
	begin := func() {
		if next == len(to) {
			return
		}
		node := to[next]
		next, running = next+1, running+1
		go func() { results <- result{node, r.give(bounded, node, ref)} }()
		hedge.Reset(patience)
	}
	begin()
	var errs []error
	for running > 0 && bounded.Err() == nil {
		select {
		case <-bounded.Done():
		case <-hedge.C:
			r.nodes.bad(to[next-1])
			begin()
		case one := <-results:
			if one.err == nil {
				r.nodes.good(one.node)
				return nil
			}
			running--
			if bounded.Err() == nil {
				r.nodes.bad(one.node)
			}
			errs = append(errs, fmt.Errorf("%s: %w", one.node, one.err))
			begin()
		}
	}
	if err := ctx.Err(); err != nil { // the caller's own end
		return err
	}
	if running > 0 {
		errs = append(errs, fmt.Errorf("%d did not answer in %v", running, bound))
	}
	return fmt.Errorf("%w: %w", ErrOneCopy, errors.Join(errs...))
}

// give sends a blob to one node, which has it durably when it says so.
func (r *Replica) give(ctx context.Context, node string, ref blob.Ref) error {
	f, size, err := r.config.Blobs.Raw(ref.Name)
	if err != nil {
		return err
	}
	defer f.Close() // who never begins to send does not close it
	q, err := http.NewRequestWithContext(ctx, http.MethodPut, "/blobs/"+ref.Name, f)
	if err != nil {
		return err
	}
	q.ContentLength = size
	// On a connection that the other node has closed since (it was started again)
	// the request is sent once more: the same bytes under the same name.
	q.GetBody = func() (io.ReadCloser, error) {
		f, _, err := r.config.Blobs.Raw(ref.Name)
		return f, err
	}
	q.Header["Idempotency-Key"] = nil // net/http: may be repeated; is not sent
	q.Header.Set("Expect", "100-continue")
	a, err := r.config.Peers.Do(node, q)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	if a.StatusCode != http.StatusNoContent {
		return refused(a)
	}
	return nil
}

// refused is what a node says in place of what was asked for.
func refused(a *http.Response) error {
	b, _ := io.ReadAll(io.LimitReader(a.Body, 1<<10))
	return fmt.Errorf("it answers %d: %q", a.StatusCode, b)
}
