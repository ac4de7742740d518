package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"syscall"
	"time"
)

const (
	// tries: with the pauses below, a node that is being restarted is given
	// one and a half seconds.
	tries      = 4
	firstPause = 200 * time.Millisecond // doubled each time
	// longestPause that a node may ask for and get; it is told to the caller
	// where it asks for more.
	longestPause = 30 * time.Second
)

// send sends a request until it is answered, at most tries times and for as
// long as ctx lets it.
func (c *Client) send(ctx context.Context, r request) (*http.Response, error) {
	backoff := firstPause
	others := len(c.servers) - 1 // that may be asked at once
	for try := 1; ; try++ {
		_, at := c.server()
		resp, err := c.once(ctx, r)
		if err == nil {
			return resp, nil
		}
		if away(err, r.safe()) && ctx.Err() == nil && c.turn(at) && others > 0 {
			others--
			try--
			continue
		}
		others = len(c.servers) - 1
		pause, again := r.again(err, backoff)
		if deadline, ok := ctx.Deadline(); !again || try == tries || ok && time.Until(deadline) < pause {
			return nil, err
		}
		if err := sleep(ctx, pause); err != nil {
			return nil, err
		}
		backoff *= 2
	}
}

// again tells whether the request may be sent again, and after which pause.
func (r request) again(err error, backoff time.Duration) (time.Duration, bool) {
	if p := (*Problem)(nil); errors.As(err, &p) {
		switch p.Status {
		case http.StatusTooManyRequests: // refused before anything was done
		case http.StatusServiceUnavailable:
			if !r.safe() {
				return 0, false
			}
		default:
			return 0, false
		}
		return p.RetryAfter, 0 < p.RetryAfter && p.RetryAfter <= longestPause
	}
	return backoff, r.safe() && broken(err)
}

// unsent is of a request of which nothing has left: there was no connection.
type unsent struct{ error }

func (u unsent) Unwrap() error { return u.error }

// away tells whether another node of the cluster may answer: this one was not
// reached, or did not, and to ask again is safe.
func away(err error, safe bool) bool {
	nothing, p := unsent{}, (*Problem)(nil)
	switch {
	case errors.Is(err, ErrUntrusted):
		return false // to go on elsewhere would hide it
	case errors.As(err, &p):
		return safe && p.Status == http.StatusServiceUnavailable
	}
	return errors.Is(err, ErrUnreachable) && (safe || errors.As(err, &nothing))
}

// broken tells whether err is of a connection that was refused or cut.
func broken(err error) bool {
	for _, cause := range []error{syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EPIPE, io.EOF, io.ErrUnexpectedEOF} {
		if errors.Is(err, cause) {
			return true
		}
	}
	return false
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
