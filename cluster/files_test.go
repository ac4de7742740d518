package cluster_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// What a kill leaves of a snapshot in the making goes: Raft would warn of it for
// ever.
func TestUnfinishedSnapshotsGo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open(t, dir, true).close(t)
	left := filepath.Join(dir, "raft", "snapshots", "2-7-1795938927083.tmp")
	must(t, os.Mkdir(left, 0o700))
	must(t, os.WriteFile(filepath.Join(left, "state.bin"), []byte("half"), 0o600))
	m := open(t, dir, false)
	defer m.close(t)
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s: %v", left, err)
	}
}
