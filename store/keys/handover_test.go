package keys_test

import (
	"bytes"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/store/keys"
)

// rootKey is the first of the fixed randomness.
func rootKey(t testing.TB) []byte {
	t.Helper()
	root := make([]byte, 32)
	_, err := io.ReadFull(fixed(), root)
	must(t, err)
	return root
}

func TestHandOver(t *testing.T) {
	a := create(t)
	_, wrapped := a.tenant(t, "ten_a")
	_, person, field := a.person(t, "ten_a", wrapped)
	a.rotate(t)
	r := receiver(t, "nod_b")
	bundle, err := a.HandOver(r.Public(), "nod_b")
	must(t, err)
	root := rootKey(t)
	if !bytes.Contains(a.Page(), root) || bytes.Contains(bundle, root) {
		t.Fatal("the root key is not in the page, or it is in the bundle")
	}
	b := join(t, a, "nod_b")
	check := func(when string) {
		t.Helper()
		b.onDisk(t, when, a.RingSum())
		if b.serial(t) != a.serial(t) || b.files(t) != "keyring" {
			t.Errorf("%s: serial %d, files %s", when, b.serial(t), b.files(t))
		}
		b.reads(t, "ten_a", wrapped, person, field)
		b.bothSign(t, origin)
	}
	check("received")
	b.restart(t)
	must(t, b.UnsealFile())
	check("restarted")
	b.restart(t)
	must(t, os.Rename(b.keyFile, b.keyFile+".away"))
	text, err := os.ReadFile(a.keyFile)
	must(t, err)
	must(t, os.WriteFile(b.keyFile, text, 0o600))
	want(t, "the giver's key file", b.UnsealFile(), keys.ErrOtherSlot)
	c := join(t, a, "nod_c")
	newTenant(t, "ten_b", c, a)
}

// goldenHandOver has the golden root key and key-ring, for the key that receiver
// makes of "nod_b".
const goldenHandOver = goldenDir + "/hand-over"

func TestGoldenHandOver(t *testing.T) {
	r := receiver(t, "nod_b")
	g, a := openGolden(t, "keyring")
	if *update {
		must(t, a.UnsealFile())
		bundle, err := a.HandOver(r.Public(), "nod_b")
		must(t, err)
		must(t, os.WriteFile(goldenHandOver, bundle, 0o644))
	}
	bundle, err := os.ReadFile(goldenHandOver)
	must(t, err)
	b := &home{dir: t.TempDir(), keyFile: filepath.Join(t.TempDir(), "key")}
	b.Store, err = b.receive(r, bundle, "nod_b")
	must(t, err)
	defer b.Seal()
	b.onDisk(t, "received", a.RingSum())
	g.check(t, b.Store)
}

func TestHandOverRefuses(t *testing.T) {
	h := create(t)
	public := receiver(t, "nod_b").Public()
	for _, info := range []string{"", strings.Repeat("n", 129)} {
		_, err := h.HandOver(public, info)
		want(t, "info", err, keys.ErrName)
	}
	for _, bad := range [][]byte{nil, public[1:], append(bytes.Clone(public), 0), bytes.Repeat([]byte{0xff}, len(public))} {
		_, err := h.HandOver(bad, "nod_b")
		want(t, "no public key", err, keys.ErrFormat)
	}
	rewrite(t, h.file("keyring"), flip(-1))
	_, err := h.HandOver(public, "nod_b")
	want(t, "a rotten key-ring", err, keys.ErrSum)
	h.Seal()
	bundle, err := h.HandOver(public, "nod_b")
	want(t, "sealed", err, keys.ErrSealed)
	if bundle != nil {
		t.Errorf("%d bytes", len(bundle))
	}
	_, err = keys.NewReceiver(strings.NewReader("short"))
	want(t, "without randomness", err, io.ErrUnexpectedEOF)
}

func TestReceiveRefuses(t *testing.T) {
	a := create(t)
	r := receiver(t, "nod_b")
	bundle, err := a.HandOver(r.Public(), "nod_b")
	must(t, err)
	dir := t.TempDir()
	receive := func(cluster string, r *keys.Receiver, bundle []byte, info string, random io.Reader) error {
		t.Helper()
		s, err := keys.Receive(dir, cluster, r, bundle, info, random, func(*keys.Store) error { t.Error("asked for a slot"); return nil })
		if s != nil {
			t.Error("received")
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
			t.Errorf("left: %v, %v", left, err)
		}
		return err
	}
	want(t, "another cluster", receive("clu_else", r, bundle, "nod_b", fixed()), keys.ErrCluster)
	want(t, "no cluster", receive("", r, bundle, "nod_b", fixed()), keys.ErrName)
	want(t, "another node", receive(cluster, r, bundle, "nod_c", fixed()), keys.ErrAltered)
	want(t, "no node", receive(cluster, r, bundle, "", fixed()), keys.ErrName)
	want(t, "another receiver", receive(cluster, receiver(t, "nod_c"), bundle, "nod_b", fixed()), keys.ErrAltered)
	want(t, "no randomness", receive(cluster, r, bundle, "nod_b", strings.NewReader("short")), io.ErrUnexpectedEOF)
	at := len("GHHANDOV") + 2 + len(cluster)
	for name, bad := range map[string]struct {
		bundle []byte
		err    error
	}{
		"empty":                       {nil, keys.ErrFormat},
		"of another magic":            {flip(0)(bundle), keys.ErrFormat},
		"of another format":           {flip(8)(bundle), keys.ErrFormat},
		"with another cluster's name": {flip(10)(bundle), keys.ErrCluster},
		"cut in its head":             {bundle[:at-1], keys.ErrFormat},
		"cut in the encapsulated key": {bundle[:at+1119], keys.ErrFormat},
		"without a ciphertext":        {bundle[:at+1120], keys.ErrAltered},
		"cut":                         {bundle[:len(bundle)-1], keys.ErrAltered},
		"appended":                    {append(bytes.Clone(bundle), 0), keys.ErrAltered},
		"with another ML-KEM":         {flip(at)(bundle), keys.ErrAltered},
		"with another X25519":         {flip(at + 1119)(bundle), keys.ErrAltered},
		"with X25519 of low order":    {append(append(bytes.Clone(bundle[:at+1088]), make([]byte, 32)...), bundle[at+1120:]...), keys.ErrAltered},
		"with another root key":       {flip(at + 1120)(bundle), keys.ErrAltered},
		"with another key-ring":       {flip(at + 1200)(bundle), keys.ErrAltered},
		"with another tag":            {flip(-1)(bundle), keys.ErrAltered},
		"large":                       {make([]byte, 64<<20+4096), keys.ErrLimit},
		"a key-ring":                  {func() []byte { f, _ := a.RingFile(); return f }(), keys.ErrFormat},
	} {
		want(t, name, receive(cluster, r, bad.bundle, "nod_b", fixed()), bad.err)
	}
}

// seal makes a hand-over from the description of its format alone.
func seal(t testing.TB, r *keys.Receiver, plaintext []byte) []byte {
	t.Helper()
	k, err := hpke.MLKEM768X25519().NewPublicKey(r.Public())
	must(t, err)
	info := []byte("gatehouse/keys/hand-over/1")
	for _, part := range []string{cluster, "nod_b"} {
		info = append(binary.BigEndian.AppendUint32(info, uint32(len(part))), part...)
	}
	sealed, err := hpke.Seal(k, hpke.HKDFSHA256(), hpke.AES256GCM(), info, plaintext)
	must(t, err)
	return append(append([]byte("GHHANDOV\x01"), byte(len(cluster))), append([]byte(cluster), sealed...)...)
}

// Well sealed, and wrong inside.
func TestReceiveChecksWhatIsInside(t *testing.T) {
	a := create(t)
	ring, err := a.RingFile()
	must(t, err)
	root := rootKey(t)
	plaintext := func(root []byte, version byte, ring []byte) []byte {
		return append(append(bytes.Clone(root), 0, 0, 0, version), ring...)
	}
	r := receiver(t, "nod_b")
	for name, bad := range map[string]struct {
		plaintext []byte
		err       error
	}{
		"empty":                 {nil, keys.ErrFormat},
		"cut":                   {plaintext(root, 1, nil)[:35], keys.ErrFormat},
		"no key-ring":           {plaintext(root, 1, nil), keys.ErrFormat},
		"no version":            {plaintext(root, 0, ring), keys.ErrFormat},
		"another version":       {plaintext(root, 2, ring), keys.ErrOtherKey},
		"another root key":      {plaintext(flip(0)(root), 1, ring), keys.ErrOtherKey},
		"an altered key-ring":   {plaintext(root, 1, flip(-1)(ring)), keys.ErrAltered},
		"another cluster's":     {plaintext(root, 1, flip(10)(ring)), keys.ErrCluster},
		"a key-ring over limit": {plaintext(root, 1, append(bytes.Clone(ring), make([]byte, 64<<20+1-len(ring))...)), keys.ErrLimit},
	} {
		h := &home{dir: t.TempDir(), keyFile: filepath.Join(t.TempDir(), "key")}
		_, err := h.receive(r, seal(t, r, bad.plaintext), "nod_b")
		want(t, name, err, bad.err)
		if left, err := os.ReadDir(h.dir); err != nil || len(left) != 0 {
			t.Errorf("%s: left: %v, %v", name, left, err)
		}
	}
	h := &home{dir: t.TempDir(), keyFile: filepath.Join(t.TempDir(), "key")}
	h.Store, err = h.receive(r, seal(t, r, plaintext(root, 1, ring)), "nod_b")
	must(t, err)
	defer h.Seal()
	h.onDisk(t, "good", sha256.Sum256(ring))
}

func TestReceiveNeedsASlot(t *testing.T) {
	a := create(t)
	r := receiver(t, "nod_b")
	bundle, err := a.HandOver(r.Public(), "nod_b")
	must(t, err)
	dir := t.TempDir()
	receive := func(first func(*keys.Store) error) error {
		_, err := keys.Receive(dir, cluster, r, bundle, "nod_b", fixed(), first)
		if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
			t.Errorf("left: %v, %v", left, err)
		}
		return err
	}
	want(t, "without a slot", receive(func(*keys.Store) error { return nil }), keys.ErrNoSlot)
	boom := errors.New("boom")
	want(t, "that fails after a slot", receive(func(s *keys.Store) error {
		if _, _, err := s.AddShamir(2, 3); err != nil {
			return err
		}
		return boom
	}), boom)
	for _, kept := range []string{"seal.json", "keyring"} {
		must(t, os.WriteFile(filepath.Join(dir, kept), []byte("kept"), 0o600))
		_, err := keys.Receive(dir, cluster, r, bundle, "nod_b", fixed(), func(*keys.Store) error { t.Error("asked for a slot"); return nil })
		want(t, kept, err, keys.ErrExists)
		must(t, os.Remove(filepath.Join(dir, kept)))
	}
}

// A change before the first slot is not lost to the file that came.
func TestChangeBeforeTheFirstSlot(t *testing.T) {
	dir, keyFile := t.TempDir(), filepath.Join(t.TempDir(), "key")
	var wrapped []byte
	s, err := keys.Create(dir, cluster, fixed(), func(s *keys.Store) (err error) {
		if wrapped, err = s.NewTenant("ten_a"); err != nil {
			return err
		}
		_, err = s.AddFile(keyFile)
		return err
	})
	must(t, err)
	s.Seal()
	s, err = keys.Open(dir, cluster)
	must(t, err)
	must(t, s.UnsealFile())
	defer s.Seal()
	_, err = s.Tenant("ten_a", wrapped)
	must(t, err)
}

func TestReceiverPrintsNothing(t *testing.T) {
	r := receiver(t, "nod_b")
	again := receiver(t, "nod_b")
	if len(r.Public()) != 1216 || !bytes.Equal(r.Public(), again.Public()) || bytes.Equal(r.Public(), receiver(t, "nod_c").Public()) {
		t.Error("the public key is not that of the randomness")
	}
	seed := sha256.Sum256([]byte("nod_b"))
	secret := make([]byte, 32)
	_, err := io.ReadFull(rand.NewChaCha8(seed), secret)
	must(t, err)
	decimal := strings.Trim(fmt.Sprint(secret[:4]), "[]")
	for _, v := range []any{r, *r, struct{ r *keys.Receiver }{r}, struct{ r keys.Receiver }{*r}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
			out := fmt.Sprintf(verb, v)
			for _, form := range []string{string(secret[:4]), fmt.Sprintf("%x", secret[:4]), decimal, strings.ReplaceAll(decimal, " ", ", ")} {
				if strings.Contains(out, form) {
					t.Errorf("%s prints the key: %.200s", verb, out)
				}
			}
		}
	}
}
