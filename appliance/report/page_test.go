package report_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gatehouse/appliance/report"
	"gatehouse/store/audit"
)

func TestNothingIsLoadedOrRun(t *testing.T) {
	t.Parallel()
	all := bank()
	page := rendered(t, made(t, meta(int64(len(all))), all))
	d := read(t, page)
	for _, banned := range []string{"<script", "http:", "https:", "url(", "@import", "src=", " style=", "javascript"} {
		if strings.Contains(strings.ToLower(page), banned) {
			t.Errorf("the page has %q", banned)
		}
	}
	for _, l := range d.links {
		if !strings.HasPrefix(l, "#") || !d.ids[l[1:]] {
			t.Errorf("link to %q", l)
		}
	}
	sum := sha256.Sum256([]byte(d.style))
	if want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'"; d.policy != want {
		t.Errorf("policy is %q, for this style it must be %q", d.policy, want)
	}
}

func TestEverybodyCanReadIt(t *testing.T) {
	t.Parallel()
	all := bank()
	d := read(t, rendered(t, made(t, meta(int64(len(all))), all)))
	if d.lang != "en" || d.tags["main"] != 1 || d.tags["h1"] != 1 {
		t.Errorf("lang %q, %d main, %d h1", d.lang, d.tags["main"], d.tags["h1"])
	}
	last := 0
	for _, h := range d.heads {
		n := int(h[1] - '0')
		if n > last+1 {
			t.Errorf("h%d after h%d", n, last)
		}
		last = n
	}
	if d.plots == 0 || d.titled != d.plots {
		t.Errorf("%d of %d plots have a title and a description", d.titled, d.plots)
	}
	if d.tags["figure"] != d.tags["details"] {
		t.Errorf("%d figures, %d tables of their numbers", d.tags["figure"], d.tags["details"])
	}
	for _, a := range d.attrs {
		if a.Name.Local == "aria-labelledby" {
			for _, id := range strings.Fields(a.Value) {
				if !d.ids[id] {
					t.Errorf("nothing has the id %q", id)
				}
			}
		}
	}
	for id, rows := range d.tables {
		for _, r := range rows {
			if n := len(d.columns[id]); n > 0 && len(r) != n {
				t.Errorf("table %s has %d columns, a row %d cells", id, n, len(r))
			}
		}
	}
}

// WCAG 2.2: 1.4.3 asks 4.5 of text, 1.4.11 asks 3 of what must be seen.
func TestContrast(t *testing.T) {
	t.Parallel()
	d := read(t, rendered(t, report.New(meta(0))))
	palettes := regexp.MustCompile(`:root \{[^}]*\}`).FindAllString(d.style, -1)
	if len(palettes) != 3 {
		t.Fatalf("%d palettes, expected light, dark and print", len(palettes))
	}
	for _, p := range palettes {
		colours := map[string]float64{}
		for _, m := range regexp.MustCompile(`--(\w+): #([0-9a-f]+);`).FindAllStringSubmatch(p, -1) {
			colours[m[1]] = luminance(t, m[2])
		}
		for _, c := range []struct {
			front, back string
			least       float64
		}{{"text", "page", 4.5}, {"text", "soft", 4.5}, {"note", "page", 4.5}, {"link", "page", 4.5}, {"bar", "page", 3}, {"bar", "soft", 3}, {"warn", "page", 3}} {
			a, b := colours[c.front], colours[c.back]
			if got := (max(a, b) + 0.05) / (min(a, b) + 0.05); got < c.least {
				t.Errorf("%s on %s has contrast %.2f, less than %.1f, in %s", c.front, c.back, got, c.least, p)
			}
		}
	}
}

func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	if len(hex) == 3 {
		hex = string([]byte{hex[0], hex[0], hex[1], hex[1], hex[2], hex[2]})
	}
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(hex[2*i:2*i+2], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		c := float64(n) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}

func FuzzHarmless(f *testing.F) {
	f.Add("<script>alert(1)</script>", "\"><svg onload=x>")
	f.Add("\x00\x01\xff", "\u202eevil\u2066")
	f.Add("</style></title>", "{{.}}")
	f.Add(strings.Repeat("ü", 9000), "' onclick='")
	plain := read(f, rendered(f, report.New(meta(9))))
	f.Fuzz(func(t *testing.T, a, b string) {
		actions := []audit.Action{audit.DecisionMake, audit.AccessResult, audit.ReviewDecide, audit.BlocklistAdd, audit.KeyRotate,
			audit.SessionFail, audit.AuditCosign, audit.AuditExport, audit.SubjectEraseRequest}
		var all []audit.Leaf
		for _, action := range actions {
			all = append(all, audit.Leaf{Action: action, Actor: audit.Actor{Type: a, ID: b}, Object: audit.Object{Type: b, ID: a}, Reason: b, Result: audit.Failed,
				Req:  audit.Request{PolicyVersion: a, Models: []string{b}},
				Data: map[string]any{"outcome": a, "reason_1": b, a: b, b: []string{a}}})
		}
		m := meta(int64(len(all)))
		m.Tenant, m.Nonce, m.Version, m.Keys, m.End.Signed = a, b, a, []string{b}, []string{a}
		page := rendered(t, made(t, m, leaves(all...)))
		got := read(t, page)
		for tag := range got.tags {
			if plain.tags[tag] == 0 && !slices.Contains([]string{"figure", "figcaption", "div", "span", "details", "summary", "svg", "path", "rect", "desc"}, tag) {
				t.Errorf("a leaf brought <%s>", tag)
			}
		}
		for _, a := range got.attrs {
			if strings.HasPrefix(a.Name.Local, "on") || a.Name.Local == "style" {
				t.Errorf("a leaf brought the attribute %s", a.Name.Local)
			}
		}
		if got.tags["title"] != 1+got.plots || got.style != plain.style || got.policy != plain.policy {
			t.Error("a leaf changed the head")
		}
		if strings.ContainsAny(page, "\u202a\u202b\u202d\u202e\u2066\u2067\u2068\x00\x1b") {
			t.Error("a leaf brought characters that change how others look")
		}
		if len(page) > 200_000 {
			t.Errorf("the page has %d bytes", len(page))
		}
	})
}

func TestLongTextsAreCutAndToldApart(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 5000)
	all := leaves(
		audit.Leaf{Action: audit.AccessResult, Actor: audit.Actor{Type: "client", ID: long + "1"}},
		audit.Leaf{Action: audit.AccessResult, Actor: audit.Actor{Type: "client", ID: long + "2"}},
		audit.Leaf{Action: audit.AccessResult, Actor: audit.Actor{Type: "client", ID: "a\u202eb"}},
		audit.Leaf{Action: audit.AccessResult, Actor: audit.Actor{Type: "client", ID: "a\u202db"}},
	)
	d := read(t, rendered(t, made(t, meta(4), all)))
	rows := d.tables["accesses"]
	if len(rows) != 4 {
		t.Fatalf("%d rows, four different actors", len(rows))
	}
	for _, r := range rows {
		if len(r[0]) > 150 {
			t.Errorf("an actor is shown in %d bytes", len(r[0]))
		}
	}
}

// A million leaves with ever new names over decades: what is kept must not grow.
func TestMemoryIsBounded(t *testing.T) {
	n := int64(200_000)
	if testing.Short() {
		n = 20_000 // still ten times what is told apart
	}
	actions := audit.Actions()
	r := report.New(meta(n))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range n {
		name := fmt.Sprintf("%d-%s", i, strings.Repeat("x", 300))
		result := []audit.Result{audit.OK, audit.Denied, audit.Failed}[i%3]
		l := &audit.Leaf{Seq: i, Log: origin, TS: noon + audit.Time(i)*7*hour, TSMono: noon + audit.Time(i)*8*hour, Node: name, Action: actions[i%int64(len(actions))],
			Actor: audit.Actor{Type: "client", ID: name}, Object: audit.Object{Type: "session", ID: name}, Reason: name, Result: result,
			Req: audit.Request{PolicyVersion: name, Models: []string{name}}, Data: map[string]any{"outcome": name, "reason_1": name, "command": name}}
		if err := r.Add(l); err != nil {
			t.Fatal(err)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	kept := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	page := rendered(t, r)
	t.Logf("%d bytes kept, %d bytes of page", kept, len(page))
	if kept > 50<<20 {
		t.Errorf("%d bytes are kept", kept)
	}
	if len(page) > 1<<20 {
		t.Errorf("the page has %d bytes", len(page))
	}
	if !strings.Contains(page, "all that came after the first 2,048 are not shown") {
		t.Error("the page does not say that names were not told apart")
	}
	read(t, page)
}
