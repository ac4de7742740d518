package bundle_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/store/audit"
	"gatehouse/store/audit/bundle"
	"gatehouse/store/audit/trust"
)

// Of every range of a small log, whatever the anchors are, a good bundle.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	w := newWorld(t).grow(t, 20, 3, 4, 9, 16, 20)
	for from := int64(0); from <= 17; from++ {
		for to := from; to <= 18; to++ {
			o := w.options()
			o.FirstUse = true
			v := good(t, write(t, w.export(t, from, to)), o)
			if v.Leaves != to-from || v.Root != w.log.root(t, to) || v.End.Root != v.Root || v.SystemEnd.Size != w.covering(t, to).seq+1 || v.Origin != tenantLog || v.Tenant != tenant {
				t.Fatalf("%d to %d: %+v", from, to, v)
			}
		}
	}
}

func TestSystemsOwnLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t).grow(t, 9, 3, 4, 9)
	for to := range w.system.size() + 1 {
		v := good(t, write(t, w.system.export(t, 0, to)), w.options())
		if v.SystemEnd != nil || v.End.Origin != systemLog || v.Leaves != to {
			t.Fatalf("%+v", v)
		}
	}
}

// A log that nobody has written to was never anchored.
func TestEmptyLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.log.export(t, 0, 0)
	e.System = &bundle.System{End: w.system.checkpoint(t, 1)}
	o := w.options()
	o.Secret = w.secret
	v := good(t, write(t, e), o)
	if v.Leaves != 0 || v.To != 0 {
		t.Fatalf("%+v", v)
	}
	// Who expects records, or values, is told that there are none.
	for _, note := range []string{"it has no records: the range is empty", "nothing is disclosed in it, although you gave a key"} {
		if !slices.Contains(v.Notes, note) {
			t.Errorf("%q lacks %q", v.Notes, note)
		}
	}
}

// An auditor who verifies one bundle after the other.
func TestRemember(t *testing.T) {
	t.Parallel()
	w := newWorld(t).grow(t, 40, 5, 13, 14, 30, 40)
	o := w.options()
	o.Memory = &trust.Memory{}
	from := int64(0)
	for _, to := range []int64{0, 7, 7, 14, 29, 40} {
		v := good(t, write(t, w.export(t, from, to)), o)
		if err := v.Remember(o.Memory, o.Now); err != nil {
			t.Fatal(err)
		}
		from = to
	}
	h, _ := o.Memory.Last(tenantLog)
	s, _ := o.Memory.Last(systemLog)
	if h.Size != 40 || s.Size != w.system.size() || s.Root != w.system.root(t, s.Size) {
		t.Fatalf("%+v, %+v", h, s)
	}
	v := verify(t, write(t, w.export(t, 29, 40)), o)
	if err := v.Remember(o.Memory, o.Now); v.Code != bundle.CodeStart || !errors.Is(err, bundle.ErrNotGood) {
		t.Fatalf("%d, %v", v.Code, err)
	}
}

func everything(t testing.TB, w *world, from, to int64) *bundle.Export {
	t.Helper()
	e := w.export(t, from, to)
	e.Report = &page{}
	e.Recipient = w.secret.Recipient()
	e.Openings = func(l *audit.Leaf) ([]audit.Opening, error) {
		if l.Seq%3 == 0 { // as if erased
			return nil, nil
		}
		return openings(l.Seq), nil
	}
	return e
}

func TestDeterministic(t *testing.T) {
	t.Parallel()
	w := newWorld(t).grow(t, 30, 10, 30)
	e := everything(t, w, 10, 30)
	e.Openings = nil
	first := write(t, e)
	e.Report = &page{}
	if !bytes.Equal(first, write(t, e)) {
		t.Error("two exports of one range at one time differ")
	}
	e.Report = &page{}
	e.Now = func() time.Time { return began.Add(25 * time.Hour) }
	later := members(t, write(t, e))
	for i, m := range members(t, first) {
		if differs := !reflect.DeepEqual(m, later[i]); differs != (m.name == "bundle.sig") {
			t.Errorf("%s: differs is %t", m.name, differs)
		}
	}
}

// What other programs see in the tar.
func TestTar(t *testing.T) {
	t.Parallel()
	w := newWorld(t).grow(t, 30, 10, 20, 30)
	r := tar.NewReader(bytes.NewReader(write(t, everything(t, w, 12, 29))))
	var names []string
	for {
		h, err := r.Next()
		if err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if h.Mode != 0o644 || h.ModTime.Unix() != 0 || h.Uid != 0 || h.Uname != "" || h.Typeflag != tar.TypeReg {
			t.Errorf("%+v", h)
		}
		names = append(names, h.Name)
	}
	want := "bundle.json bundle.sig checkpoint-start checkpoint-end consistency range-start system/checkpoint-start system/checkpoint-end system/consistency system/anchors.jsonl system/beyond keys.jsonl entries/000000000012.jsonl erasures.jsonl disclosures.jsonl report.html"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("%s\ninstead of\n%s", got, want)
	}
}

func TestDisclosures(t *testing.T) {
	t.Parallel()
	w := newWorld(t).grow(t, 30, 10, 20, 30)
	b := write(t, everything(t, w, 12, 29))
	if bytes.Contains(b, []byte("1988-02-29")) {
		t.Fatal("a value stands in the clear")
	}
	o := w.options()
	o.FirstUse, o.Secret = true, w.secret
	var seen []string
	o.Opened = func(seq int64, o audit.Opening) {
		if o.Field == "document.number" {
			seen = append(seen, o.Value)
		}
	}
	v := good(t, b, o)
	var want []string
	for _, seq := range []int64{13, 17, 25} { // 21 was erased
		want = append(want, openings(seq)[1].Value)
	}
	if !reflect.DeepEqual(seen, want) || v.Disclosed != 2*len(want) {
		t.Errorf("%q, %d", seen, v.Disclosed)
	}
	o.Secret, o.Opened = nil, nil
	if v := good(t, b, o); v.Disclosed != 0 || len(v.Notes) != 3 {
		t.Errorf("%d, %q", v.Disclosed, v.Notes)
	}
}

func TestKeysAsText(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	text, err := w.secret.Text()
	if err != nil {
		t.Fatal(err)
	}
	s, err := bundle.ParseSecret(text + "\n")
	if err != nil || s.Recipient().String() != w.secret.Recipient().String() {
		t.Fatal(err)
	}
	public := s.Recipient().String()
	if r, err := bundle.ParseRecipient(public); err != nil || r.String() != public {
		t.Fatal(err)
	}
	for _, bad := range []string{"", text[:40], public, text + "AA==", strings.Replace(text, "secret-1", "secret-2", 1)} {
		if _, err := bundle.ParseSecret(bad); !errors.Is(err, bundle.ErrKey) || bad != "" && strings.Contains(err.Error(), strings.TrimPrefix(text, "gatehouse-hpke-secret-1:")[:20]) {
			t.Errorf("%.60q: %v", bad, err)
		}
	}
	for _, bad := range []string{"", text, public[:100], public + "A", strings.Repeat(public, 2)} {
		if _, err := bundle.ParseRecipient(bad); !errors.Is(err, bundle.ErrKey) {
			t.Errorf("%.60q: %v", bad, err)
		}
	}
}

func TestStopped(t *testing.T) {
	t.Parallel()
	w := newWorld(t).grow(t, 30, 10, 20, 30)
	b := write(t, w.export(t, 0, 30))
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := bundle.Verify(ctx, bytes.NewReader(b), w.options()); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := w.export(t, 0, 30).Prepare(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	broken := io.MultiReader(bytes.NewReader(b[:len(b)/2]), errReader{})
	if _, err := bundle.Verify(t.Context(), broken, w.options()); !errors.Is(err, errBroken) {
		t.Error(err)
	}
	for _, o := range []bundle.Options{{Now: began}, {Policy: w.policy}} {
		if _, err := bundle.Verify(t.Context(), bytes.NewReader(b), o); !errors.Is(err, bundle.ErrOptions) {
			t.Error(err)
		}
	}
}

var errBroken = errors.New("the stick was pulled out")

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errBroken }

// sparse has the hashes of a log whose first leaves were never made.
type sparse map[int64]tlog.Hash

func (s sparse) Hash(i int64) (tlog.Hash, error) {
	h, ok := s[i]
	if !ok {
		return h, fmt.Errorf("hash %d is not stored", i)
	}
	return h, nil
}

// A log of more leaves than 32 bits count.
func TestBeyond32Bits(t *testing.T) {
	t.Parallel()
	const before = 1<<33 + 1<<16 + 5
	h := sparse{}
	for level, n := 33, int64(0); level >= 0; level-- {
		if before>>level&1 == 1 {
			h[tlog.StoredHashIndex(level, n<<1>>1)] = tlog.Hash{byte(level)}
			n++
		}
		n <<= 1
	}
	l := newLedger(t, systemLog) // which needs no anchors
	for seq := int64(before); seq < before+20; seq++ {
		b := encode(t, event(systemLog, seq))
		hashes, first, err := audit.Append(seq, b, h)
		if err != nil {
			t.Fatal(err)
		}
		for i, hash := range hashes {
			h[first+int64(i)] = hash
		}
		l.leaves = append(l.leaves, b)
	}
	head := func(size int64) []byte {
		root, err := audit.Root(size, h)
		if err != nil {
			t.Fatal(err)
		}
		return l.sign(t, (&audit.Checkpoint{Origin: systemLog, Size: size, Root: root}).Text())
	}
	e := &bundle.Export{
		Origin: systemLog, From: before, To: before + 20, Challenge: -1, Start: head(before), End: head(before + 20), Hashes: h,
		Leaves: func(_ context.Context, from, to int64, do func(int64, []byte) error) error {
			for i, b := range l.leaves {
				if err := do(from+int64(i), b); err != nil {
					return err
				}
			}
			return nil
		},
		Sign: func(text string) ([]byte, error) { return l.sign(t, text), nil },
		Now:  func() time.Time { return began },
	}
	b := write(t, e)
	o := bundle.Options{Policy: parsePolicy(t, l.vkey+"\n"), FirstUse: true, Now: began.AddDate(1, 0, 0)}
	if v := good(t, b, o); v.To != before+20 || v.Leaves != 20 {
		t.Errorf("%+v", v)
	}
	l.leaves[7] = encode(t, event(systemLog, before+9))
	forged := edit(t, b, func(name string, body []byte) []byte {
		if !strings.HasPrefix(name, "entries/") {
			return body
		}
		return append(bytes.Join(l.leaves, []byte("\n")), '\n')
	}, l)
	if v := verify(t, forged, o); v.Code != bundle.CodeOrder || *v.Finding.Leaf != before+7 {
		t.Errorf("%+v", v.Finding)
	}
}

// Segments end where seq is a multiple of 65,536, and each has its anchor.
func TestChunks(t *testing.T) {
	if testing.Short() {
		t.Skip("150,000 leaves")
	}
	t.Parallel()
	w := newWorld(t).grow(t, 140_000, 5, 60_000, 65_536, 70_000, 131_000, 132_000, 140_000)
	o := w.options()
	o.FirstUse = true
	b := write(t, w.export(t, 65_000, 139_000))
	v := good(t, b, o)
	var entries []string
	for _, m := range members(t, b) {
		if strings.HasPrefix(m.name, "entries/") {
			entries = append(entries, m.name)
		}
		if m.name == "system/anchors.jsonl" && bytes.Count(m.body, []byte("\n")) != 4 {
			t.Errorf("%s", m.body)
		}
	}
	if got := strings.Join(entries, " "); got != "entries/000000065000.jsonl entries/000000065536.jsonl entries/000000131072.jsonl" || v.Leaves != 74_000 {
		t.Errorf("%s, %d", got, v.Leaves)
	}
	// A chunk that is kept back, with a manifest that does not name it.
	b = write(t, w.export(t, 0, 139_000))
	for first, name := range map[int64]string{0: "entries/000000000000.jsonl", 65_536: "entries/000000065536.jsonl"} {
		forged := edit(t, b, only(name, func([]byte) []byte { return nil }), w.log)
		if v := verify(t, forged, o); v.Code != bundle.CodeOrder || *v.Finding.Leaf != first {
			t.Errorf("%+v", v.Finding)
		}
	}
}
