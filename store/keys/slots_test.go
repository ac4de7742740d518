package keys_test

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/store/keys"
)

var ctx = context.Background()

const phrase = "correct horse battery staple"

func TestEverySlotOpens(t *testing.T) {
	h := create(t)
	_, err := h.AddPassphrase([]byte(phrase))
	must(t, err)
	slot, shares, err := h.AddShamir(3, 5)
	must(t, err)
	if len(shares) != 5 || slot.Threshold != 3 || slot.Shares != 5 {
		t.Fatalf("%+v with %d shares", slot, len(shares))
	}
	tenant, wrapped := h.tenant(t, "ten_a")
	before, err := tenant.Index("name", []byte("x"))
	must(t, err)

	for name, open := range map[string]func() error{
		"file":       func() error { return h.UnsealFile() },
		"passphrase": func() error { return h.UnsealPassphrase(ctx, []byte(phrase)) },
		"shares": func() error {
			for i, n := range []int{4, 0, 2} {
				if given, needed := share(t, h.Store, shares[n]); given != i+1 || needed != 3 {
					t.Errorf("share %d: %d of %d", i, given, needed)
				}
			}
			return nil
		},
	} {
		h.restart(t)
		if err := open(); err != nil || h.Sealed() {
			t.Fatalf("%s: %v", name, err)
		}
		again, err := h.Tenant("ten_a", wrapped)
		must(t, err)
		if after, err := again.Index("name", []byte("x")); err != nil || !bytes.Equal(before, after) {
			t.Errorf("%s: other keys came back (%v)", name, err)
		}
		want(t, name+" when open", h.UnsealFile(), keys.ErrNotSealed)
	}
}

func TestAnyThresholdOfSharesOpens(t *testing.T) {
	h := create(t)
	_, shares, err := h.AddShamir(2, 4)
	must(t, err)
	for i := range shares {
		for j := range i {
			h.restart(t)
			share(t, h.Store, shares[i])
			if !h.Sealed() {
				t.Fatal("one of two shares opened it")
			}
			// As a person types it: upper case, broken in lines, without dashes.
			typed := "\t" + strings.ToUpper(strings.ReplaceAll(shares[j][:30], "-", "")) + "\r\n " + shares[j][30:] + "\n"
			typed = strings.Replace(typed, "GHS1", "GHS1-", 1)
			share(t, h.Store, typed)
			if h.Sealed() {
				t.Errorf("shares %d and %d did not open it", i, j)
			}
		}
	}
}

func TestSharesThatDoNotFit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := create(t)
		_, shares, err := h.AddShamir(3, 5)
		must(t, err)
		_, others, err := h.AddShamir(2, 2)
		must(t, err)
		must(t, h.RemoveSlot(h.Status().Slots[2].ID))
		h.restart(t)
		try := func(text string) (int, error) {
			given, _, err := h.UnsealShare(ctx, text)
			return given, err
		}

		_, err = try(shares[0][:20] + "7777" + shares[0][24:])
		want(t, "mistyped", err, keys.ErrDamagedShare)
		for _, text := range []string{"", "ghs1-", shares[0][:40], "ghf1-" + shares[0][5:], shares[0] + "a", strings.Repeat("a", 1<<20)} {
			_, err = try(text)
			want(t, "no share", err, keys.ErrDamagedShare)
		}
		_, err = try(others[0])
		want(t, "of a removed slot", err, keys.ErrOtherSlot)
		_, err = try(forge(t, shares[0], func(b []byte) { b[8] = 2 }))
		want(t, "of another threshold", err, keys.ErrOtherSlot)
		_, err = try(forge(t, shares[0], func(b []byte) { b[9] = 0 }))
		want(t, "of index 0", err, keys.ErrOtherSlot)

		share(t, h.Store, shares[0])
		given, err := try(shares[0])
		want(t, "twice", err, keys.ErrSameShare)
		if given != 1 {
			t.Errorf("%d given", given)
		}
		if st := h.Status(); st.Failures != 0 || st.Slots[1].Given != 1 {
			t.Errorf("mistakes without a guess were counted: %+v", st)
		}
		share(t, h.Store, shares[1])
		given, err = try(forge(t, shares[2], func(b []byte) { b[20] ^= 1 }))
		want(t, "a wrong secret", err, keys.ErrWrongShare)
		if st := h.Status(); given != 0 || st.Failures != 1 || st.Slots[1].Given != 0 || !st.Sealed {
			t.Errorf("given %d, %+v", given, st)
		}

		time.Sleep(time.Second)
		for _, s := range shares[1:4] {
			share(t, h.Store, s)
		}
		if st := h.Status(); st.Sealed || st.Failures != 0 || !st.NextTry.IsZero() {
			t.Errorf("after the right shares: %+v", st)
		}
	})
}

func TestWrongPassphrase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := create(t)
		for _, p := range []string{"", "fourteen chars", strings.Repeat("p", 1025)} {
			_, err := h.AddPassphrase([]byte(p))
			want(t, "a weak or endless one", err, keys.ErrWeakPassphrase)
		}
		h.restart(t)
		want(t, "without such a slot", h.UnsealPassphrase(ctx, []byte(phrase)), keys.ErrNoSlot)
		must(t, h.UnsealFile())
		_, err := h.AddPassphrase([]byte(phrase))
		must(t, err)
		h.restart(t)
		err = h.UnsealPassphrase(ctx, []byte(phrase+" "))
		want(t, "wrong", err, keys.ErrWrongPassphrase)
		if strings.Contains(err.Error(), phrase) {
			t.Errorf("the error tells it: %v", err)
		}
		want(t, "right, at once", h.UnsealPassphrase(ctx, []byte(phrase)), keys.ErrTooSoon)
		time.Sleep(time.Second)
		gone, cancel := context.WithCancel(ctx)
		cancel()
		want(t, "given up", h.UnsealPassphrase(gone, []byte(phrase)), context.Canceled)
		must(t, h.UnsealPassphrase(ctx, []byte(phrase)))
	})
}

func TestFailuresWaitLongerEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := create(t)
		right, err := os.ReadFile(h.keyFile)
		must(t, err)
		h.restart(t)
		rewrite(t, h.keyFile, flip(30))
		for i, seconds := range []int{1, 2, 4, 8, 16, 32, 60, 60} {
			want(t, "a damaged key file", h.UnsealFile(), keys.ErrDamagedFile)
			delay := time.Duration(seconds) * time.Second
			if st := h.Status(); st.Failures != i+1 || !st.NextTry.Equal(time.Now().Add(delay)) {
				t.Errorf("failure %d: %+v at %v", i+1, st, time.Now())
			}
			time.Sleep(delay - time.Nanosecond)
			want(t, "too soon", h.UnsealFile(), keys.ErrTooSoon)
			time.Sleep(time.Nanosecond)
		}
		must(t, os.WriteFile(h.keyFile, right, 0o600))
		must(t, h.UnsealFile())
		if st := h.Status(); st.Failures != 0 || !st.NextTry.IsZero() {
			t.Errorf("%+v", st)
		}
	})
}

func TestKeyFileRefused(t *testing.T) {
	other := create(t)
	for name, c := range map[string]struct {
		spoil   func(t *testing.T, h *home)
		err     error
		counted int
	}{
		"missing":    {func(t *testing.T, h *home) { must(t, os.Remove(h.keyFile)) }, fs.ErrNotExist, 0},
		"empty":      {func(t *testing.T, h *home) { must(t, os.Truncate(h.keyFile, 0)) }, keys.ErrDamagedFile, 1},
		"large":      {func(t *testing.T, h *home) { must(t, os.Truncate(h.keyFile, 1<<30)) }, keys.ErrDamagedFile, 1},
		"open":       {func(t *testing.T, h *home) { must(t, os.Chmod(h.keyFile, 0o640)) }, keys.ErrPermissions, 0},
		"a folder":   {func(t *testing.T, h *home) { must(t, os.Remove(h.keyFile)); must(t, os.Mkdir(h.keyFile, 0o700)) }, keys.ErrDamagedFile, 1},
		"of another": {func(t *testing.T, h *home) { must(t, os.Remove(h.keyFile)); must(t, os.Link(other.keyFile, h.keyFile)) }, keys.ErrOtherSlot, 1},
		"forged": {func(t *testing.T, h *home) {
			rewrite(t, h.keyFile, func(b []byte) []byte { return []byte(forge(t, string(b), func(b []byte) { b[30] ^= 1 })) })
		}, keys.ErrOtherKey, 1},
	} {
		t.Run(name, func(t *testing.T) {
			h := create(t)
			if name == "of another" { // fixed randomness: the same slot id, too
				must(t, h.add(t))
			}
			h.restart(t)
			c.spoil(t, h)
			err := h.UnsealFile()
			want(t, name, err, c.err)
			if st := h.Status(); !st.Sealed || st.Failures != c.counted || !strings.Contains(err.Error(), h.keyFile) {
				t.Errorf("%+v, %v", st, err)
			}
		})
	}
}

// add replaces the first slot by a second one.
func (h *home) add(t testing.TB) error {
	h.keyFile = filepath.Join(t.TempDir(), "second")
	if _, err := h.AddFile(h.keyFile); err != nil {
		return err
	}
	return h.RemoveSlot(h.slot.ID)
}

func TestSlotsComeAndGo(t *testing.T) {
	h := create(t)
	want(t, "the only slot", h.RemoveSlot(h.slot.ID), keys.ErrLastSlot)
	want(t, "no slot", h.RemoveSlot("slt_none"), keys.ErrNoSlot)
	_, err := h.AddFile(h.keyFile)
	want(t, "a file that is there", err, keys.ErrExists)
	for _, path := range []string{"/\xff", "/" + strings.Repeat("p", 4096)} {
		_, err = h.AddFile(path)
		want(t, "a path that seal.json cannot hold", err, keys.ErrName)
	}
	_, _, err = h.AddShamir(1, 5)
	want(t, "1 of 5", err, keys.ErrShares)
	_, _, err = h.AddShamir(6, 5)
	want(t, "6 of 5", err, keys.ErrShares)

	second, shares, err := h.AddShamir(2, 2)
	must(t, err)
	must(t, h.RemoveSlot(h.slot.ID))
	if _, err := os.Stat(h.keyFile); !os.IsNotExist(err) {
		t.Errorf("the removed slot's file: %v", err)
	}
	h.restart(t)
	if all := h.Status().Slots; len(all) != 1 || all[0] != second {
		t.Errorf("%+v; want %+v", all, second)
	}
	want(t, "sealed", h.RemoveSlot(second.ID), keys.ErrSealed)
	file := filepath.Join(t.TempDir(), "late")
	_, err = h.AddFile(file)
	want(t, "sealed", err, keys.ErrSealed)
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("a refused slot left its file: %v", err)
	}
	want(t, "removed", h.UnsealFile(), keys.ErrNoSlot)
	share(t, h.Store, shares[0])
	share(t, h.Store, shares[1])
	for range 15 {
		_, _, err = h.AddShamir(2, 2)
		must(t, err)
	}
	_, _, err = h.AddShamir(2, 2)
	want(t, "a 17th slot", err, keys.ErrLimit)
	h.restart(t)
}

func TestSealForgetsShares(t *testing.T) {
	h := create(t)
	_, shares, err := h.AddShamir(2, 2)
	must(t, err)
	h.restart(t)
	share(t, h.Store, shares[0])
	h.Seal()
	if given, _ := share(t, h.Store, shares[1]); given != 1 || !h.Sealed() {
		t.Errorf("%d given", given)
	}
}
