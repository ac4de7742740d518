package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"gatehouse/appliance/access"
	"gatehouse/store/audit"
	"gatehouse/store/command"
	"gatehouse/store/state"
)

// Others are the other nodes of the cluster.
type Others interface {
	Others() []string
	Do(node string, r *http.Request) (*http.Response, error)
}

const (
	// cosignEvery so often the other nodes cosign the logs that have grown.
	cosignEvery = time.Hour
	firstCosign = time.Minute // after a start
	// grown by so many events a log is cosigned again: what a round of cosigning
	// adds itself is less.
	grown = 64

	// CosignPath is where a node cosigns for the one that leads.
	CosignPath = "/audit/cosign"
	vkeyHeader = "Gatehouse-Witness"
	cosignTime = 10 * time.Second
)

// errNotOurs: a checkpoint that this node does not see in its own state.
var errNotOurs = errors.New("the checkpoint is not of this cluster's log")

// RunCosigning has the other nodes cosign what has grown, until ctx ends, while
// this one leads.
func (l *Ledger) RunCosigning(ctx context.Context) {
	next := time.NewTimer(firstCosign)
	defer next.Stop()
	last := map[string]int64{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		}
		next.Reset(cosignEvery)
		if !l.Leading() || len(l.Others.Others()) == 0 || l.Keys.Sealed() {
			continue
		}
		if err := l.cosigned(ctx, last); err != nil && ctx.Err() == nil {
			l.Log.Warn("not every node has cosigned every audit log", "error", err)
		}
	}
}

// cosigned by the other nodes: each has compared the root with its own log.
func (l *Ledger) cosigned(ctx context.Context, last map[string]int64) error {
	logs, err := l.Logs()
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range logs {
		h, err := l.State.Log(name).Head()
		if err != nil {
			return err
		}
		if h.Size < last[h.Origin]+grown {
			continue
		}
		checkpoint, err := l.Checkpoint(ctx, name)
		if err != nil {
			return err
		}
		all := true
		for _, node := range l.Others.Others() {
			if err := l.cosignedBy(ctx, node, name, checkpoint); err != nil {
				all = false
				errs = append(errs, fmt.Errorf("node %s, log %s: %w", node, h.Origin, err))
			}
		}
		if all {
			last[h.Origin] = h.Size
		}
	}
	return errors.Join(errs...)
}

func (l *Ledger) cosignedBy(ctx context.Context, node, name string, checkpoint []byte) error {
	within, cancel := context.WithTimeout(ctx, cosignTime)
	defer cancel()
	r, err := http.NewRequestWithContext(within, http.MethodPost, CosignPath, bytes.NewReader(checkpoint))
	if err != nil {
		return err
	}
	answer, err := l.Others.Do(node, r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(io.LimitReader(answer.Body, audit.MaxCheckpoint))
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d: %.200s", answer.StatusCode, b)
	}
	cp, err := audit.ParseCheckpoint(b)
	if err != nil {
		return err
	}
	own, err := audit.ParseCheckpoint(checkpoint)
	if err != nil {
		return err
	}
	if cp.Origin != own.Origin || cp.Size != own.Size || cp.Root != own.Root {
		return errNotOurs
	}
	vkey := answer.Header.Get(vkeyHeader)
	if known, err := l.witnessOf(node); err != nil || known != vkey {
		return fmt.Errorf("%w: it cosigns with a key that is not its own: %v", errNotOurs, err)
	}
	tenant := name
	if name == audit.System {
		tenant = ""
	}
	_, err = l.keep(ctx, access.Caller{Tenant: tenant}, name, cp, vkey, b)
	return err
}

// witnessOf a member is the key that it cosigns with.
func (l *Ledger) witnessOf(node string) (string, error) {
	var m *command.Member
	err := l.State.View(func(v *state.View) (err error) { m, err = v.Member(node); return err })
	return m.GetWitness(), err
}

// nodes of the cluster as witnesses of a policy.
func (l *Ledger) nodes() (string, error) {
	var rows []*command.Member
	if err := l.State.View(func(v *state.View) (err error) { rows, err = v.Members(); return err }); err != nil {
		return "", err
	}
	var lines strings.Builder
	for _, m := range rows {
		if m.Witness != "" {
			fmt.Fprintf(&lines, "witness %s %s\n", m.Id, m.Witness)
		}
	}
	return lines.String(), nil
}

// ServeCosign answers another node that leads, at CosignPath.
func (l *Ledger) ServeCosign(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, audit.MaxCheckpoint))
	var vkey string
	if err == nil {
		b, vkey, err = l.cosign(r.Context(), b)
	}
	if err != nil {
		l.Log.Warn("another node's checkpoint was not cosigned", "error", err)
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	w.Header().Set(vkeyHeader, vkey)
	_, _ = w.Write(b) // who asked has left, or has it
}

// cosign a checkpoint that this cluster has signed, of a log that this node has
// with this very root.
func (l *Ledger) cosign(ctx context.Context, checkpoint []byte) (cosigned []byte, vkey string, err error) {
	if err := l.Cluster.Read(ctx); err != nil {
		return nil, "", err
	}
	cp, err := audit.ParseCheckpoint(checkpoint)
	if err != nil {
		return nil, "", err
	}
	keys, err := l.Keys.Verifiers(cp.Origin)
	if err != nil {
		return nil, "", err
	}
	var known []note.Verifier
	for _, k := range keys {
		v, err := note.NewVerifier(k)
		if err != nil {
			return nil, "", err
		}
		known = append(known, v)
	}
	if _, err := audit.VerifyCheckpoint(checkpoint, cp.Origin, note.VerifierList(known...)); err != nil {
		return nil, "", err
	}
	_, name, _, err := audit.ParseOrigin(cp.Origin)
	if err != nil {
		return nil, "", err
	}
	log := l.State.Log(name)
	h, err := log.Head()
	if err != nil {
		return nil, "", err
	}
	if h.Origin != cp.Origin || cp.Size == 0 || cp.Size > h.Size {
		return nil, "", fmt.Errorf("%w: %s has %d events here, not %d", errNotOurs, h.Origin, h.Size, cp.Size)
	}
	root, err := audit.Root(cp.Size, log)
	if err != nil {
		return nil, "", err
	}
	if root != cp.Root {
		return nil, "", fmt.Errorf("%w: %s has another root at %d events here", errNotOurs, h.Origin, cp.Size)
	}
	w, err := l.Witness()
	if err != nil {
		return nil, "", err
	}
	cosigned, err = w.Cosign(checkpoint, l.Now())
	return cosigned, w.Vkey(), err
}
