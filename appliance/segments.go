package appliance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"gatehouse/cluster/peer"
	"gatehouse/store/state"
)

const (
	segmentsPath = "/segments/"
	// segmentTime bounds the fetching of one: about 10 MB.
	segmentTime = 2 * time.Minute
	// fetchAgain after this, where no other node has one that is missing.
	fetchAgain = 5 * time.Second
)

// fetchSegments takes the sealed segments of the audit logs that this node lacks
// from the others, as a node does that joins: without them no log is whole. It
// returns when none is missing.
func (n *Node) fetchSegments(ctx context.Context) error {
	if n.port == nil || len(n.directory.Others(n.acts.Node)) == 0 {
		return nil // nobody has them: the ledger says what is missing
	}
	for {
		missing, err := n.fetchOnce(ctx)
		if err == nil && missing == 0 {
			return nil
		}
		n.Log.Warn("segments of the audit logs are missing here and could not be had from another node yet", "missing", missing, "error", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(fetchAgain):
		}
	}
}

func (n *Node) fetchOnce(ctx context.Context) (missing int, err error) {
	var logs []string
	if err := n.state.View(func(v *state.View) (err error) { logs, err = v.EveryLog(); return err }); err != nil {
		return 0, err
	}
	var errs []error
	for _, name := range logs {
		log := n.state.Log(name)
		all, err := log.Missing()
		if errors.Is(err, state.ErrNotFound) {
			continue // it has no event yet
		}
		if err != nil {
			return missing, err
		}
		if len(all) > 0 {
			n.Log.Info("segments of an audit log are fetched from other nodes", "log", name, "missing", len(all))
		}
		for _, segment := range all {
			if err := n.fetchSegment(ctx, name, segment); err != nil {
				missing++
				errs = append(errs, err)
			}
			if err := ctx.Err(); err != nil {
				return missing, err
			}
		}
	}
	return missing, errors.Join(errs...)
}

func (n *Node) fetchSegment(ctx context.Context, log string, segment int64) error {
	var tried []error
	for _, node := range n.directory.Others(n.acts.Node) {
		err := n.fetchFrom(ctx, node, log, segment)
		if err == nil {
			return nil
		}
		tried = append(tried, fmt.Errorf("node %s: %w", node, err))
	}
	return fmt.Errorf("segment %d of %s: %w", segment, log, errors.Join(tried...))
}

func (n *Node) fetchFrom(ctx context.Context, node, log string, segment int64) error {
	ctx, cancel := context.WithTimeout(ctx, segmentTime)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, segmentsPath+url.PathEscape(log)+"/"+strconv.FormatInt(segment, 10), nil)
	if err != nil {
		return err
	}
	answer, err := n.port.Do(peer.Blob, node, r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", answer.StatusCode)
	}
	return n.state.Log(log).ImportSegment(segment, answer.Body)
}

// serveSegment gives another node a segment's file.
func (n *Node) serveSegment(w http.ResponseWriter, r *http.Request) {
	segment, err := strconv.ParseInt(r.PathValue("segment"), 10, 64)
	if err != nil || segment < 0 {
		http.Error(w, "no number", http.StatusBadRequest)
		return
	}
	f, err := n.state.Log(r.PathValue("log")).Segment(segment)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, state.ErrNotFound):
		http.Error(w, "it is not here", http.StatusNotFound)
		return
	case err != nil:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer f.Close()
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(segmentTime)); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = io.Copy(w, f) // who asked looks at what came
}
