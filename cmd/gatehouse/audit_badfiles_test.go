package main_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"math"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// archives that are no bundles, and manifests that contradict themselves.
func (l *lie) archives() []badCase {
	honest := l.bank.write(l.bank.forge(12, 29))
	var small bytes.Buffer
	z := gzip.NewWriter(&small)
	z.Write(honest)
	z.Close()
	squeezed, err := zstd.NewWriter(nil)
	if err != nil {
		l.t.Fatal(err)
	}
	all := []badCase{
		{name: "an empty file", bundle: nil},
		{name: "not a tar", bundle: bytes.Repeat([]byte("gatehouse"), 1000)},
		{name: "cut in the first header", bundle: honest[:511]},
		{name: "cut in the middle", bundle: honest[:len(honest)/2]},
		{name: "cut by a byte", bundle: honest[:len(honest)-1]},
		{name: "cut before the end of the tar", bundle: honest[:len(honest)-1024]},
		{name: "a byte after the end", bundle: append(bytes.Clone(honest), 0)},
		{name: "two bundles in one file", bundle: append(bytes.Clone(honest), honest...)},
		{name: "compressed by gzip", bundle: small.Bytes()},
		{name: "compressed by zstd", bundle: squeezed.EncodeAll(honest, nil)},
		{name: "compressed by zstd, a bomb", bundle: squeezed.EncodeAll(make([]byte, 64<<20), nil)},
		{name: "a header that declares 8 GiB of manifest", bundle: l.header("bundle.json", 1<<33-1)},
		{name: "a header that declares more than the manifest", bundle: l.unsigned(func(all []stored) []stored {
			b := body(l.t, all, entries12)
			*b = append(bytes.Clone(*b), make([]byte, 1<<20)...)
			return all
		})},
		{name: "a missing member", bundle: l.unsigned(func(all []stored) []stored { return slices.Delete(all, 3, 4) })},
		{name: "members in another order", bundle: l.unsigned(func(all []stored) []stored { all[2], all[3] = all[3], all[2]; return all })},
		{name: "a member twice", bundle: l.unsigned(func(all []stored) []stored { return slices.Insert(all, 4, all[3]) })},
		{name: "the manifest twice", bundle: l.unsigned(func(all []stored) []stored { return slices.Insert(all, 1, all[0]) })},
	}
	for _, name := range []string{"extra.txt", "../../etc/cron.d/x", "/etc/passwd", "entries/../x", `..\x`, "report.html/x", "bundle.json", "entries/000000000012.jsonl"} {
		all = append(all,
			badCase{name: "a member too many, " + name, bundle: l.unsigned(func(all []stored) []stored { return append(all, stored{name, []byte("x")}) })},
			badCase{name: "a member too many, listed and signed, " + name, bundle: l.signed(func(f *forgery) { f.adding = name })})
	}
	for name, kind := range map[string]byte{"a symbolic link": tar.TypeSymlink, "a hard link": tar.TypeLink, "a directory": tar.TypeDir, "a device": tar.TypeChar} {
		all = append(all, badCase{name: name + " instead of a file", bundle: l.spelled(func(h *tar.Header) {
			if h.Name == "checkpoint-end" {
				h.Typeflag, h.Linkname = kind, "/etc/passwd"
			}
		})})
	}
	for name, format := range map[string]tar.Format{"PAX": tar.FormatPAX, "GNU": tar.FormatGNU} {
		all = append(all, badCase{name: "a tar as " + name + " writes it", bundle: l.spelled(func(h *tar.Header) {
			if h.Format = format; format == tar.FormatPAX {
				h.PAXRecords = map[string]string{"path": h.Name, "comment": "x"}
			}
		})})
	}
	all = append(all, badCase{name: "a file with an owner", bundle: l.spelled(func(h *tar.Header) { h.Uname = "root" })})
	for name, change := range map[string]func(m map[string]any){
		"to is before from":            func(m map[string]any) { m["from"], m["to"] = 29, 12 },
		"from is negative":             func(m map[string]any) { m["from"] = -1 },
		"to is 2^53":                   func(m map[string]any) { m["to"] = 1 << 53 },
		"to is 2^63-1":                 func(m map[string]any) { m["to"] = math.MaxInt64 },
		"to is 2^64":                   func(m map[string]any) { m["to"] = uint64(math.MaxUint64) },
		"to is 2^32 more":              func(m map[string]any) { m["to"] = 29 + 1<<32 },
		"another format":               func(m map[string]any) { m["format"] = 2 },
		"another tenant":               func(m map[string]any) { m["tenant"] = "ten_c" },
		"another cluster":              func(m map[string]any) { m["cluster"] = "clu_x" },
		"a member that is not known":   func(m map[string]any) { m["comment"] = "x" },
		"no slice of the system's log": func(m map[string]any) { delete(m, "system") },
		"no files":                     func(m map[string]any) { m["files"] = []any{} },
		"a nonce without its record":   func(m map[string]any) { m["nonce"] = "12345678" },
		"a record without its nonce":   func(m map[string]any) { m["challenge"] = 13 },
		"a size that lies":             func(m map[string]any) { m["files"].([]map[string]any)[8]["size"] = int64(1) << 60 },
		"a size that is negative":      func(m map[string]any) { m["files"].([]map[string]any)[8]["size"] = -1 },
		"a hash that lies":             func(m map[string]any) { m["files"].([]map[string]any)[8]["sha256"] = strings.Repeat("0", 64) },
	} {
		all = append(all, badCase{name: "manifest: " + name, bundle: l.signed(func(f *forgery) { f.manifest = change })})
	}
	for name, r := range map[string][2]string{
		"another order of keys": {`"format":1,"from":12`, `"from":12,"format":1`}, "1.0": {`"format":1`, `"format":1.0`}, "1e0": {`"format":1`, `"format":1e0`},
		"a key twice": {`"format":1`, `"format":1,"format":1`}, "another case": {`"format":1`, `"Format":1`}, "white space": {`"format":1`, `"format": 1`},
		"a BOM": {`{"cluster"`, "\uFEFF" + `{"cluster"`}, "NaN": {`"from":12`, `"from":NaN`},
	} {
		all = append(all, badCase{name: "manifest: " + name, bundle: l.unsigned(func(all []stored) []stored {
			m := bytes.Replace(all[0].body, []byte(r[0]), []byte(r[1]), 1)
			if bytes.Equal(m, all[0].body) {
				l.t.Fatalf("there is no %s in %s", r[0], m)
			}
			all[0].body, all[1].body = m, l.bank.vouch(l.bank.log.origin, m)
			return all
		})})
	}
	for i := range all {
		all[i].code = 10
	}
	return all
}

// header of a member and nothing of it.
func (l *lie) header(name string, size int64) []byte {
	l.t.Helper()
	var b bytes.Buffer
	if err := tar.NewWriter(&b).WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: size, Format: tar.FormatUSTAR}); err != nil {
		l.t.Fatal(err)
	}
	return b.Bytes()
}

// spelled is the bundle with other headers.
func (l *lie) spelled(change func(*tar.Header)) []byte {
	l.t.Helper()
	return packed(l.t, func(w *tar.Writer) {
		for _, s := range l.bank.members(l.bank.forge(12, 29)) {
			h := &tar.Header{Name: s.name}
			change(h)
			put(l.t, w, h, s.body)
		}
	})
}

// bits that flip, in each kind of content.
func (l *lie) bits() []badCase {
	flip := func(name string, at int) []byte {
		return l.unsigned(func(all []stored) []stored {
			b := body(l.t, all, name)
			*b = flipped(*b, at)
			return all
		})
	}
	// The last but one sign of a signature's base64: no bit of it is unused.
	sig := func(all []stored, name string) int { return len(*body(l.t, all, name)) - 4 }
	honest := l.bank.members(l.bank.forge(12, 29))
	leaf := func(b []byte) []byte { return bytes.Replace(b, []byte("cli_1"), []byte("cli_0"), 1) }
	return []badCase{
		{name: "a bit of a record", code: 10, bundle: flip(entries12, 100)},
		{name: "a bit of a hash", code: 10, bundle: flip("consistency", 3)},
		{name: "a bit of the manifest", code: 10, bundle: flip("bundle.json", 30)},
		{name: "a bit of a checkpoint's signature", code: 10, bundle: flip("checkpoint-end", sig(honest, "checkpoint-end"))},
		{name: "a bit of the manifest's signature", code: 20, bundle: flip("bundle.sig", sig(honest, "bundle.sig"))},
		{name: "a bit of the report", code: 10, bundle: l.unsigned(func(all []stored) []stored { return append(all, stored{"report.html", []byte("<p>")}) })},
		{name: "a bit of a record, manifest signed again", code: 41, bundle: l.signed(func(f *forgery) { f.leaves[5] = leaf(f.leaves[5]) })},
		{name: "a bit of the consistency proof, signed again", code: 31, bundle: l.signed(func(f *forgery) { f.consistency[0][7] ^= 1 })},
		{name: "a bit of the range's beginning, signed again", code: 41, bundle: l.signed(func(f *forgery) { f.subtrees[0][7] ^= 1 })},
		{name: "a bit of an anchor's proof, signed again", code: 31, bundle: l.signed(func(f *forgery) {
			f.anchors[0] = bytes.Replace(f.anchors[0], []byte(`["`), []byte(`["A`), 1)
			f.anchors[0] = slices.Delete(f.anchors[0], len(`{"hashes":["A`), len(`{"hashes":["A`)+1)
		})},
		{name: "a bit of the head's signature, signed again", code: 20, bundle: l.signed(func(f *forgery) { f.end = flipped(f.end, len(f.end)-4) })},
		{name: "a bit of the first head's signature, signed again", code: 20, bundle: l.signed(func(f *forgery) { f.start = flipped(f.start, len(f.start)-4) })},
		{name: "a bit of the system head's signature, signed again", code: 20, bundle: l.signed(func(f *forgery) { f.sysEnd = flipped(f.sysEnd, len(f.sysEnd)-4) })},
		{name: "the head of another size, signed again", code: 10, bundle: l.signed(func(f *forgery) { f.end = l.bank.checkpoint(l.bank.log, 30) })},
		{name: "a head that is none, signed again", code: 20, bundle: l.signed(func(f *forgery) { f.end = []byte("x\n") })},
	}
}
