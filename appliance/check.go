package appliance

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"gatehouse/store/audit"
	"gatehouse/store/blob"
	"gatehouse/store/disk"
	"gatehouse/store/keys"
	"gatehouse/store/state"
)

// Report of what is kept in a data directory.
type Report struct {
	Cluster  string          `json:"cluster"`
	Node     string          `json:"node"`
	Index    uint64          `json:"applied_index"`
	Hash     string          `json:"state_hash"`
	Logs     []LogSize       `json:"logs"`
	Blobs    int             `json:"blobs"`
	Orphans  int             `json:"orphans"` // blobs that nothing names; the node removes them by itself
	Findings []state.Finding `json:"findings"`
	Notes    []string        `json:"notes,omitempty"`
}

// LogSize is how far an audit log has come.
type LogSize struct {
	Origin string `json:"origin"`
	Size   uint64 `json:"size"`
	Root   string `json:"root"`
}

// Check replays what must hold in the data directory of a stopped node: rows
// against each other, audit trees against their leaves and against what was
// signed, blobs against their names. It needs no key.
func Check(ctx context.Context, dir string, progress func(what string, done, total int)) (*Report, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	f, err := readNode(dir)
	if err != nil {
		return nil, err
	}
	if f == nil {
		return nil, fmt.Errorf("%w: there is no node in %s", ErrData, dir)
	}
	lock, err := disk.Lock(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	s, err := state.Open(filepath.Join(dir, "state.db"), false)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	blobs, err := blob.Open(dir, blob.Config{})
	if err != nil {
		return nil, err
	}
	k, err := keys.Open(dir, f.Cluster)
	if err != nil {
		return nil, err
	}
	r := &Report{Cluster: f.Cluster, Node: f.Node, Findings: []state.Finding{}}
	index, hash := s.Applied()
	r.Index, r.Hash = index, fmt.Sprintf("%x", hash)
	found, err := s.Check(ctx, func(name string) error { return blobs.Check(ctx, name) }, func(done, total int) { progress("state", done, total) })
	if err != nil {
		return nil, err
	}
	r.Findings = append(r.Findings, found...)
	if err := r.orphans(ctx, s, blobs); err != nil {
		return nil, err
	}
	kept, err := filepath.Glob(filepath.Join(dir, keptBefore+"*"))
	if err != nil {
		return nil, err
	}
	for _, folder := range kept {
		r.Notes = append(r.Notes, fmt.Sprintf("%s has the node's files from before a recovery, and who was erased since is in them: remove it once nobody needs it", folder))
	}
	return r, r.logs(s, k, filepath.Join(dir, "audit", "last-signed"))
}

func (r *Report) orphans(ctx context.Context, s *state.State, blobs *blob.Store) error {
	return blobs.Walk(ctx, func(name string, _ int64) error {
		r.Blobs++
		return s.View(func(v *state.View) error {
			if !v.Named(name) {
				r.Orphans++
			}
			return nil
		})
	})
}

// logs compares the audit logs with what was signed of them.
func (r *Report) logs(s *state.State, k *keys.Store, signed string) error {
	signer, err := audit.OpenSigner(signed, k.Signers)
	if err != nil {
		return err
	}
	var names []string
	if err := s.View(func(v *state.View) (err error) { names, err = v.EveryLog(); return err }); err != nil {
		return err
	}
	for _, name := range names {
		log := s.Log(name)
		h, err := log.Head()
		if err != nil {
			return err
		}
		root, err := audit.Root(h.Size, log)
		if err != nil { // the state's own check has said why
			continue
		}
		r.Logs = append(r.Logs, LogSize{h.Origin, uint64(h.Size), root.String()})
		if strings.Contains(name, "/") { // closed: nothing is signed of it any more
			continue
		}
		err = signer.Check(h.Origin, h.Size, log)
		switch {
		case errors.Is(err, audit.ErrRollback):
			// After a crash the newest entries are in the Raft log alone, until the
			// next start.
			r.Notes = append(r.Notes, fmt.Sprintf("%v; if the node was killed, start it once and check again", err))
		case err != nil:
			r.Findings = append(r.Findings, state.Finding{Kind: "signed", Where: h.Origin, What: err.Error()})
		}
	}
	return nil
}
