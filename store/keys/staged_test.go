package keys_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"gatehouse/store/keys"
)

// rivals prepares changes of which one at most can be adopted.
func (h *home) rivals(t testing.TB, n int) []*keys.Change {
	t.Helper()
	all := make([]*keys.Change, n)
	for i := range all {
		var err error
		if _, all[i], err = h.PrepareTenant("ten_rival"); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// stage also makes sure that it comes after what was staged before.
func (h *home) stage(t testing.TB, c *keys.Change, age int) {
	t.Helper()
	must(t, h.Stage(c.File, c.Sum))
	at := newYear.Add(-time.Duration(age) * time.Hour)
	must(t, os.Chtimes(h.file(stagedName(c)), at, at))
}

func stagedName(c *keys.Change) string { return fmt.Sprintf("keyring.%x", c.Sum) }

func (h *home) holdsStaged(t testing.TB, when string, c *keys.Change) {
	t.Helper()
	if file, err := h.Staged(c.Sum); err != nil || !bytes.Equal(file, c.File) {
		t.Errorf("%s: %d bytes, %v", when, len(file), err)
	}
}

func TestStagedOutlivesAKill(t *testing.T) {
	a, b := pair(t)
	wrapped, c, err := a.PrepareTenant("ten_a")
	must(t, err)
	must(t, b.Stage(c.File, c.Sum))
	b.restart(t)
	b.holdsStaged(t, "restarted", c)
	must(t, b.UnsealFile())
	b.holdsStaged(t, "unsealed", c)
	_, err = b.Tenant("ten_a", wrapped)
	want(t, "only staged", err, keys.ErrUnknownKey)
	b.restart(t)
	file, err := b.Staged(c.Sum)
	must(t, err)
	must(t, b.Adopt(file, c.Sum))
	must(t, b.UnsealFile())
	_, err = b.Tenant("ten_a", wrapped)
	must(t, err)
}

// Killed after the file was written and before the staged ones were removed:
// unsealing removes those that are not newer, and what was cut off.
func TestKilledBeforeStagedFilesWent(t *testing.T) {
	a, b := pair(t)
	rivals := a.rivals(t, 2)
	c := rivals[0]
	must(t, a.Adopt(c.File, c.Sum))
	_, newer, err := a.PrepareTenant("ten_b")
	must(t, err)
	for _, c := range []*keys.Change{c, rivals[1], newer} {
		must(t, b.Stage(c.File, c.Sum))
	}
	must(t, os.WriteFile(b.file("."+stagedName(rivals[1])+".tmp"), rivals[1].File[:5000], 0o600))
	others := []string{"keyring.left", "keyring." + strings.Repeat("A", 64)} // not ours
	for _, name := range others {
		must(t, os.WriteFile(b.file(name), rivals[1].File, 0o600))
	}
	must(t, os.WriteFile(b.file("keyring"), c.File, 0o600))
	b.restart(t)
	b.onDisk(t, "restarted", c.Sum)
	if files := strings.Fields(b.files(t)); len(files) != 7 {
		t.Errorf("opening removed something: %v", files)
	}
	must(t, b.UnsealFile())
	for _, name := range others {
		must(t, os.Remove(b.file(name)))
	}
	if files := b.files(t); files != "keyring "+stagedName(newer) {
		t.Errorf("unsealed: %s", files)
	}
	must(t, b.Adopt(newer.File, newer.Sum))
	if files := b.files(t); files != "keyring" {
		t.Errorf("adopted: %s", files)
	}
}

// Its caller does not know that it has adopted it already: asked again, it
// removes what it had no time to.
func TestAdoptedOnceMore(t *testing.T) {
	a, b := pair(t)
	rivals := a.rivals(t, 2)
	c, old := rivals[0], rivals[1]
	must(t, a.Adopt(c.File, c.Sum))
	_, newer, err := a.PrepareTenant("ten_b")
	must(t, err)
	must(t, b.Adopt(c.File, c.Sum))
	for _, sealed := range []bool{false, true} {
		if sealed {
			b.Seal()
		}
		must(t, b.Stage(old.File, old.Sum))
		must(t, b.Stage(newer.File, newer.Sum))
		must(t, b.Adopt(c.File, c.Sum))
		b.onDisk(t, "once more", c.Sum)
		left := "keyring"
		if !sealed {
			left += " " + stagedName(newer)
		}
		if files := b.files(t); files != left {
			t.Errorf("sealed %v: %s", sealed, files)
		}
	}
}

// A node that lags behind keeps what comes next; sealed, it cannot tell.
func TestAdoptionRemovesWhatIsNotNewer(t *testing.T) {
	a, b := pair(t)
	rivals := a.rivals(t, 3)
	must(t, a.Adopt(rivals[0].File, rivals[0].Sum))
	_, next, err := a.PrepareTenant("ten_b")
	must(t, err)
	must(t, a.Adopt(next.File, next.Sum))
	_, last, err := a.PrepareTenant("ten_c")
	must(t, err)
	for _, c := range []*keys.Change{rivals[0], rivals[1], next, last} {
		must(t, b.Stage(c.File, c.Sum))
	}
	must(t, b.Adopt(rivals[0].File, rivals[0].Sum))
	b.holdsStaged(t, "the next", next)
	b.holdsStaged(t, "the last", last)
	if n := len(strings.Fields(b.files(t))); n != 3 {
		t.Errorf("%d files: %s", n, b.files(t))
	}
	b.Seal()
	must(t, b.Adopt(next.File, next.Sum))
	if files := b.files(t); files != "keyring" {
		t.Errorf("sealed: %s", files)
	}
	_, err = b.Staged(last.Sum)
	want(t, "the last", err, keys.ErrNotStaged)
	must(t, b.Adopt(last.File, last.Sum)) // fetched
	must(t, b.UnsealFile())
	b.onDisk(t, "unsealed", last.Sum)
}

func TestStagedAreFew(t *testing.T) {
	a, b := pair(t)
	all := a.rivals(t, 6)
	for i, c := range all[:4] {
		b.stage(t, c, 10-i)
	}
	b.stage(t, all[3], 7) // again
	for _, c := range all[:4] {
		b.holdsStaged(t, "at the limit", c)
	}
	b.stage(t, all[0], 1) // again: now the newest
	b.stage(t, all[4], 0)
	for i, c := range all {
		_, err := b.Staged(c.Sum)
		if i == 1 || i == 5 {
			want(t, "over the limit", err, keys.ErrNotStaged)
		} else if err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
	must(t, b.Unstage(all[2].Sum))
	must(t, b.Unstage(all[2].Sum))
	_, err := b.Staged(all[2].Sum)
	want(t, "removed", err, keys.ErrNotStaged)
	must(t, a.Adopt(all[5].File, all[5].Sum))
	must(t, a.Stage(all[5].File, all[5].Sum))
	if files := a.files(t); files != "keyring" {
		t.Errorf("the one in use was kept again: %s", files)
	}
}

func TestStagedThatRotted(t *testing.T) {
	a, b := pair(t)
	c := a.rivals(t, 1)[0]
	b.stage(t, c, 0)
	rewrite(t, b.file(stagedName(c)), flip(-1))
	_, err := b.Staged(c.Sum)
	want(t, "rotted", err, keys.ErrSum)
	b.stage(t, c, 0) // mends it
	b.holdsStaged(t, "mended", c)
	must(t, os.Chmod(b.file(stagedName(c)), 0o644))
	_, err = b.Staged(c.Sum)
	want(t, "open to others", err, keys.ErrPermissions)
	must(t, b.Adopt(c.File, c.Sum))
	if files := b.files(t); files != "keyring" {
		t.Errorf("left: %s", files)
	}
}
