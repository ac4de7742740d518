package identify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"gatehouse/engine/gallery"
	"gatehouse/store/disk"
	"gatehouse/store/keys"
	"gatehouse/store/state"
)

const (
	// A snapshot is written again once a twentieth of it, and a thousand, are
	// not in it: to open a thousand templates takes some 20 ms
	// (BenchmarkRebuild).
	dueChanges = 1000
	duePart    = 20
	// worthChanges at a stop.
	worthChanges = 256
	// saveEvery is the least time between two snapshots of one tenant.
	saveEvery = 5 * time.Minute
)

func (k *Keeper) path(tenant string, list int) string {
	return filepath.Join(k.Dir, tenant+"."+nameOf(list))
}

const temporary = ".new"

// due says whether it is time for a snapshot, worth whether a stop should write
// one.
func (k *Keeper) due(t *tenant) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.lists[subjects].Len() + t.lists[blocklist].Len()
	return time.Since(t.saved) >= saveEvery && (t.changes >= max(dueChanges, n/duePart) || t.stale && n >= dueChanges)
}

func (k *Keeper) worth(t *tenant) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.lists[subjects].Len() + t.lists[blocklist].Len()
	return t.changes >= worthChanges || t.stale && n >= worthChanges
}

// forget removes a tenant's snapshots: they hold what was removed.
func (k *Keeper) forget(t *tenant) error {
	found := false
	for list := range t.lists {
		for _, name := range []string{k.path(t.id, list), k.path(t.id, list) + temporary} {
			err := os.Remove(name)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
			found = found || err == nil
		}
	}
	if !found {
		return nil
	}
	return k.synced(disk.SyncDir(k.Dir))
}

// synced tells of a broken promise of the disk.
func (k *Keeper) synced(err error) error {
	if errors.Is(err, disk.ErrSync) {
		k.Fatal(err)
	}
	return err
}

// save writes both lists. Where something was removed meanwhile nothing is kept.
func (k *Keeper) save(ctx context.Context, t *tenant) error {
	t.mu.Lock()
	t.saved = time.Now() // also where it fails: it is tried again, not at once
	rows := 0
	for _, g := range t.lists {
		rows += g.Len()
	}
	if !k.Room(uint64(rows) * uint64(8+4*k.Dimension)) {
		t.mu.Unlock()
		return nil
	}
	if _, err := k.advance(t); err != nil {
		t.mu.Unlock()
		return err
	}
	// What is applied now holds no more of this tenant than the galleries have.
	index, changes, removed, lists := t.enrolledAll(), t.changes, t.removed, t.lists
	t.mu.Unlock()
	digest, _, err := k.digest(ctx, t.id, index)
	if err != nil {
		return err
	}
	for list, g := range lists {
		if err := k.write(ctx, g, &header{Format: fileFormat, Tenant: t.id, List: nameOf(list), Index: index, Digest: digest}, k.path(t.id, list)+temporary); err != nil {
			return errors.Join(err, k.forgetParts(t.id)) // the one before still holds
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, err := k.advance(t); err != nil {
		return err
	}
	if t.removed != removed || t.lists != lists {
		return k.forget(t)
	}
	for list := range lists {
		if err := os.Rename(k.path(t.id, list)+temporary, k.path(t.id, list)); err != nil {
			return err
		}
	}
	if err := k.synced(disk.SyncDir(k.Dir)); err != nil {
		return err
	}
	t.changes -= changes
	t.stale = false
	return nil
}

// enrolledAll is the newest entry whose enrolment or removal the galleries have.
func (t *tenant) enrolledAll() uint64 { return max(t.enrolled, t.removed) }

func (k *Keeper) write(ctx context.Context, g *gallery.Gallery, h *header, path string) (err error) {
	of, err := k.key(h.Tenant)
	if err != nil {
		return err
	}
	key := make([]byte, 32)
	defer clear(key)
	if _, err := io.ReadFull(k.Rand, key); err != nil {
		return err
	}
	if h.Key, err = of.Seal(h.place(), key); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if closed := f.Close(); err == nil {
			err = closed
		}
	}()
	front, err := h.encode()
	if err != nil {
		return err
	}
	p, err := newPackages(key, front)
	if err != nil {
		return err
	}
	if _, err := f.Write(front); err != nil {
		return err
	}
	w := &writer{packages: p, to: f, buffer: make([]byte, 0, packageSize+tagSize)}
	defer func() { clear(w.buffer[:cap(w.buffer)]) }()
	if err := errors.Join(g.WriteSnapshot(ctx, w, h.Index), w.Close()); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return k.synced(fmt.Errorf("%w: fsync of %s: %w", disk.ErrSync, path, err))
	}
	return nil
}

// key opens a tenant's.
func (k *Keeper) key(tenant string) (*keys.Tenant, error) {
	var wrapped []byte
	if err := k.State.View(func(v *state.View) error {
		row, err := v.Tenant(tenant)
		if err == nil {
			wrapped = row.Key
		}
		return err
	}); err != nil {
		return nil, err
	}
	return k.Keys.Tenant(tenant, wrapped)
}

// snapshot is the entry that a tenant's newest one holds; 0 where there is none.
func (k *Keeper) snapshot(id string) uint64 {
	f, err := os.Open(k.path(id, subjects))
	if err != nil {
		return 0
	}
	defer f.Close()
	h, _, err := readHeader(f)
	if err != nil {
		return 0
	}
	return h.Index
}
