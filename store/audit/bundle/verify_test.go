package bundle_test

import (
	"archive/tar"
	"bytes"
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"gatehouse/store/audit"
	"gatehouse/store/audit/bundle"
	"gatehouse/store/audit/trust"
)

// small is the bundle that the tests below forge: leaves 12 to 28 of a log.
func small(t testing.TB) (*world, []byte, bundle.Options) {
	t.Helper()
	w := newWorld(t).grow(t, 30, 10, 20, 30)
	o := w.options()
	o.FirstUse, o.Secret = true, w.secret
	b := write(t, everything(t, w, 12, 29))
	good(t, b, o)
	return w, b, o
}

// wants a verdict with this code; leaf -1: about none.
func wants(t *testing.T, b []byte, o bundle.Options, code int, leaf int64) *bundle.Verdict {
	t.Helper()
	v := verify(t, b, o)
	if v.Code != code {
		t.Errorf("code %d instead of %d: %+v", v.Code, code, v.Finding)
	} else if v.Finding != nil && (v.Finding.Leaf == nil) != (leaf < 0) || leaf >= 0 && *v.Finding.Leaf != leaf {
		t.Errorf("leaf %d: %+v", leaf, v.Finding)
	}
	return v
}

// only changes the member of that name.
func only(member string, change func([]byte) []byte) func(string, []byte) []byte {
	return func(name string, b []byte) []byte {
		if name == member {
			return change(b)
		}
		return b
	}
}

func replace(old, new string) func([]byte) []byte {
	return func(b []byte) []byte { return bytes.Replace(b, []byte(old), []byte(new), 1) }
}

const entries12 = "entries/000000000012.jsonl"

// lines edits the leaves of the small bundle.
func lines(change func([][]byte) [][]byte) func(string, []byte) []byte {
	return only(entries12, func(b []byte) []byte {
		return bytes.Join(change(bytes.SplitAfter(b, []byte("\n"))), nil)
	})
}

// Nobody without the log's key changes a byte unseen.
func TestEveryByteCounts(t *testing.T) {
	t.Parallel()
	_, b, o := small(t)
	for i := 0; i < len(b); i += 61 {
		forged := bytes.Clone(b)
		forged[i] ^= 1 << (i % 7)
		if v := verify(t, forged, o); v.Good || v.Code > bundle.CodeUnknownKey {
			t.Fatalf("byte %d: %d, %+v", i, v.Code, v.Finding)
		}
	}
	for _, n := range []int{0, 1, 511, 512, 600, 4096, len(b) / 2, len(b) - 1024, len(b) - 1} {
		wants(t, b[:n], o, bundle.CodeManifest, -1)
	}
	wants(t, append(bytes.Clone(b), 0), o, bundle.CodeManifest, -1)
}

// Members that do not belong, even if the log's key has signed for them.
func TestMembers(t *testing.T) {
	t.Parallel()
	w, b, o := small(t)
	swap := members(t, b)
	swap[2], swap[3] = swap[3], swap[2]
	twice := members(t, b)
	twice = append(twice[:4:4], twice[3:]...)
	escape := members(t, b)
	escape[len(escape)-1].name = "../report.html"
	for _, all := range [][]part{swap, twice, escape, append(members(t, b), part{"more", nil}), members(t, b)[1:], nil} {
		wants(t, pack(t, all), o, bundle.CodeManifest, -1)
	}
	for name, change := range map[string]func(*tar.Header){
		"link":  func(h *tar.Header) { h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, "/etc/passwd", 0 },
		"mode":  func(h *tar.Header) { h.Mode = 0o755 },
		"owner": func(h *tar.Header) { h.Uname = "root" },
		"time":  func(h *tar.Header) { h.ModTime = began },
		"pax":   func(h *tar.Header) { h.Format, h.PAXRecords = tar.FormatPAX, map[string]string{"G.x": "y"} },
	} {
		var out bytes.Buffer
		tw := tar.NewWriter(&out)
		for i, p := range members(t, b) {
			h := &tar.Header{Typeflag: tar.TypeReg, Name: p.name, Size: int64(len(p.body)), Mode: 0o644, Format: tar.FormatUSTAR}
			if i == 3 {
				change(h)
			}
			if err := tw.WriteHeader(h); err != nil {
				t.Fatal(err)
			}
			if h.Size > 0 {
				tw.Write(p.body)
			}
		}
		if tw.Close(); verify(t, out.Bytes(), o).Code != bundle.CodeManifest {
			t.Errorf("a member with another %s is taken", name)
		}
	}
	for _, name := range []string{"checkpoint-start", "checkpoint-end", "consistency", "range-start", "system/checkpoint-start", "system/checkpoint-end", "system/consistency", "system/anchors.jsonl", "system/beyond", "keys.jsonl", "erasures.jsonl"} {
		wants(t, edit(t, b, only(name, func([]byte) []byte { return nil }), w.log), o, bundle.CodeManifest, -1)
	}
	for _, name := range []string{"disclosures.jsonl", "report.html"} {
		good(t, edit(t, b, only(name, func([]byte) []byte { return nil }), w.log), o)
	}
	for _, name := range []string{"consistency", "range-start", "system/consistency", "system/beyond", "system/anchors.jsonl"} {
		for _, change := range []func([]byte) []byte{
			func(b []byte) []byte { return b[:len(b)-1] },
			func(b []byte) []byte { return append(bytes.Clone(b), "x\n"...) },
		} {
			wants(t, edit(t, b, only(name, change), w.log), o, bundle.CodeManifest, -1)
		}
	}
}

func TestManifest(t *testing.T) {
	t.Parallel()
	w, b, o := small(t)
	for old, new := range map[string]string{
		`"format":1`:        `"format":2`,
		`"from":12`:         `"from":11`,
		`"to":29`:           `"to":28`,
		`"cluster":"clu_a"`: `"cluster":"clu_b"`,
		`"tenant":"ten_b"`:  `"tenant":"ten_c"`,
		`"from":12,`:        `"from":12,"more":1,`,
		`"from":12, `:       `"from":-1,`,
		`"size":`:           `"size":9`,
	} {
		all := members(t, b)
		all[0].body = replace(strings.TrimSpace(old), new)(all[0].body)
		all[1].body = seal(t, all[0].body, w.log)
		wants(t, pack(t, all), o, bundle.CodeManifest, -1)
	}
	all := members(t, b)
	all[0].body = append(all[0].body, '\n')
	all[1].body = seal(t, all[0].body, w.log)
	wants(t, pack(t, all), o, bundle.CodeManifest, -1)
	// A range whose list of members would not fit in memory.
	wants(t, edit(t, b, only("bundle.json", replace(`"to":29`, `"to":9007199254740991`)), w.log), o, bundle.CodeManifest, -1)
}

func TestSignatures(t *testing.T) {
	t.Parallel()
	w, b, o := small(t)
	stranger := newLedger(t, "clu_x/ten_b/e1") // another key, under the log's name
	stranger.origin, stranger.signer = tenantLog, renamed{stranger.signer, tenantLog}

	wants(t, edit(t, b, func(_ string, b []byte) []byte { return b }, stranger), o, bundle.CodeUnknownKey, -1)
	for name, of := range map[string]*ledger{"checkpoint-start": w.log, "checkpoint-end": w.log, "system/checkpoint-start": w.system, "system/checkpoint-end": w.system} {
		broken := func(b []byte) []byte {
			line := b[bytes.LastIndexByte(b[:len(b)-1], ' ')+1 : len(b)-1]
			sig, err := base64.StdEncoding.DecodeString(string(line))
			if err != nil {
				t.Fatal(err)
			}
			sig[40] ^= 1
			return append(bytes.Clone(b[:len(b)-len(line)-1]), base64.StdEncoding.EncodeToString(sig)+"\n"...)
		}
		wants(t, edit(t, b, only(name, broken), w.log), o, bundle.CodeSignature, -1)
		wants(t, edit(t, b, only(name, replace("\n\n", "\n")), w.log), o, bundle.CodeSignature, -1)
		other := func(b []byte) []byte {
			c, err := audit.ParseCheckpoint(b)
			if err != nil {
				t.Fatal(err)
			}
			signed, err := note.Sign(&note.Note{Text: c.Text()}, renamed{stranger.signer, of.origin})
			if err != nil {
				t.Fatal(err)
			}
			return signed
		}
		wants(t, edit(t, b, only(name, other), w.log), o, bundle.CodeUnknownKey, -1)
	}
	// Signed, but for another purpose.
	all := members(t, b)
	all[1].body = w.log.sign(t, "gatehouse/bundle/2\n"+tenantLog+"\n")
	wants(t, pack(t, all), o, bundle.CodeSignature, -1)
	// A signed manifest in place of another: what was signed is another file.
	all[1].body = seal(t, []byte("another"), w.log)
	wants(t, pack(t, all), o, bundle.CodeManifest, -1)
}

type renamed struct {
	note.Signer
	name string
}

func (r renamed) Name() string { return r.name }

func TestQuorum(t *testing.T) {
	t.Parallel()
	w, b, o := small(t)
	o.Policy = parsePolicy(t, strings.Replace(w.policyText, "quorum none", "quorum auditor", 1))
	wants(t, b, o, bundle.CodeQuorum, -1)
	cosigned := func(at time.Time) []byte {
		return edit(t, b, func(name string, b []byte) []byte {
			if !strings.Contains(name, "checkpoint") {
				return b
			}
			c, err := w.witness.Cosign(b, at)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}, w.log)
	}
	v := good(t, cosigned(began.Add(time.Hour)), o)
	if len(v.End.Cosigned) != 1 {
		t.Errorf("%+v", v.End)
	}
	wants(t, cosigned(began.Add(-time.Hour)), o, bundle.CodeTime, -1)
}

func remembering(t *testing.T, checkpoints ...[]byte) *trust.Memory {
	t.Helper()
	m := &trust.Memory{}
	for _, b := range checkpoints {
		c, err := audit.ParseCheckpoint(b)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Remember(c, b, 0, began); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func TestStart(t *testing.T) {
	t.Parallel()
	w, b, o := small(t)
	s := w.slice(t, 12, 29)
	o.Memory = remembering(t, w.log.checkpoint(t, 12), s.Start)
	if v := good(t, b, o); !slices.Equal(v.Notes, []string{"6 of the 8 personal values of its records are disclosed: the others were erased, or kept back"}) {
		t.Errorf("%q", v.Notes)
	}
	for _, m := range []*trust.Memory{
		remembering(t, w.log.checkpoint(t, 11), s.Start), // a leaf is kept back
		remembering(t, w.log.checkpoint(t, 13), s.Start),
		remembering(t, w.log.checkpoint(t, 29), s.End), // seen before
		remembering(t, w.log.checkpoint(t, 30), s.End), // an older one
		remembering(t, w.log.checkpoint(t, 12), w.system.checkpoint(t, 2)),
		remembering(t, w.log.checkpoint(t, 12), w.system.checkpoint(t, w.system.size())),
	} {
		o.Memory = m
		wants(t, b, o, bundle.CodeStart, -1)
	}
	o.FirstUse = false
	for _, m := range []*trust.Memory{nil, {}, remembering(t, w.log.checkpoint(t, 12))} {
		o.Memory = m
		wants(t, b, o, bundle.CodeStart, -1)
	}
	o.Memory = remembering(t)
	good(t, write(t, w.export(t, 0, 29)), o) // from the start, nothing is left out
}

func member(t testing.TB, b []byte, name string) []byte {
	t.Helper()
	for _, p := range members(t, b) {
		if p.name == name {
			return p.body
		}
	}
	t.Fatalf("%s is missing", name)
	return nil
}
