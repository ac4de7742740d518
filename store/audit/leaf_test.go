package audit_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/gowebpki/jcs"

	"gatehouse/store/audit"
)

// small is a leaf with what is needed and nothing else.
func small() *audit.Leaf {
	return &audit.Leaf{
		V: 1, Log: log1, ID: "evt_1", TS: 1795341600000000000, TSMono: 1795341600000000000,
		Node: "nod_1", Actor: audit.Actor{Type: "node", ID: "nod_1"}, Action: audit.NodeStart, Result: audit.OK,
	}
}

// full is a leaf with every member.
func full() *audit.Leaf {
	return &audit.Leaf{
		V: 1, Seq: 41, Log: log1, ID: "evt_2", TS: 1795341600123456789, TSMono: 1795341600123456790,
		Node: "nod_1", Term: 3, Index: 9007199254740991,
		Actor:      audit.Actor{Type: "client", ID: "cli_1", Authn: "key"},
		Action:     audit.DocumentProcess,
		Object:     audit.Object{Type: "evidence", ID: "evd_1", SHA256: strings.Repeat("0a", 32)},
		SubjectRef: "sub_1", Result: audit.Refused, Reason: "document.expired",
		Req: audit.Request{RequestID: `a "quoted" \ id`, Route: "POST /v1/sessions/{id}/submit", PolicyVersion: "default/1", Models: []string{"det@1", "rec@2"}},
		PII: map[string]audit.Commitment{"document.number": {1}, "birth_date": {2, 31: 9}},
		Data: map[string]any{
			"score": "0.9731", "tries": int64(-2), "authentic": true, "lists": []string{"ofac/2026-11-20", "un <&>"}, "none": []string{},
			"by_page": map[string]any{"1": map[string]any{"ms": int64(12)}, "": "é €", "\U0001F600": "\ufb33", "\ufb33": "after the surrogates"},
		},
	}
}

func encode(t testing.TB, l *audit.Leaf) []byte {
	t.Helper()
	b, err := l.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// canonical is what another implementation of RFC 8785 makes of the leaf.
func canonical(t testing.TB, l *audit.Leaf) string {
	t.Helper()
	b, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	c, err := jcs.Transform(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(c)
}

func TestLeafRoundTrip(t *testing.T) {
	for name, l := range map[string]*audit.Leaf{"small": small(), "full": full()} {
		b := encode(t, l)
		if want := canonical(t, l); string(b) != want {
			t.Errorf("%s:\n%s\nanother implementation of RFC 8785:\n%s", name, b, want)
		}
		got, err := audit.DecodeLeaf(b)
		if err != nil || !reflect.DeepEqual(got, l) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// text invents a string from all over Unicode, with what is refused left out.
func text(r *rand.Rand) string {
	var b strings.Builder
	for range r.IntN(12) {
		c := rune([...]int{0x20 + r.IntN(0x5f), 0xa0 + r.IntN(0x700), 0x2100 + r.IntN(0x5000), 0xe000 + r.IntN(0x2000), 0x10000 + r.IntN(0x100000)}[r.IntN(5)])
		b.WriteRune(c)
	}
	return b.String()
}

func value(r *rand.Rand, depth int) any {
	switch r.IntN(5) {
	case 0:
		return r.Int64N(1<<54-1) - (1<<53 - 1)
	case 1:
		return r.IntN(2) == 0
	case 2:
		list := make([]string, r.IntN(4))
		for i := range list {
			list[i] = text(r)
		}
		return list
	case 3:
		if depth > 1 {
			return object(r, depth-1)
		}
	}
	return text(r)
}

func object(r *rand.Rand, depth int) map[string]any {
	m := map[string]any{}
	for range r.IntN(6) {
		m[text(r)] = value(r, depth)
	}
	return m
}

func TestAnyLeafIsCanonical(t *testing.T) {
	r := rand.New(rand.NewPCG(8785, 6962))
	actions := audit.Actions()
	for range 2000 {
		l := small()
		l.Seq, l.Term, l.Index = r.Int64N(1<<53-1), r.Uint64N(1<<53), r.Uint64N(1<<53)
		l.TS = audit.Time(1 + r.Int64N(1<<62))
		l.TSMono = l.TS + audit.Time(r.Int64N(1<<40))
		l.Action = actions[r.IntN(len(actions))]
		l.Actor.ID, l.SubjectRef, l.Req.Route = text(r), text(r), text(r)
		for range r.IntN(4) {
			l.Req.Models = append(l.Req.Models, text(r))
		}
		if m := object(r, 4); len(m) > 0 {
			l.Data = m
			l.PII = map[string]audit.Commitment{}
			for k := range m {
				l.PII[k] = audit.Commitment{byte(r.Uint32())}
			}
		}
		b, err := l.Encode()
		if errors.Is(err, audit.ErrLeafTooLarge) {
			continue
		}
		if err != nil || string(b) != canonical(t, l) {
			t.Fatalf("%v\n%s\n%s", err, b, canonical(t, l))
		}
		if got, err := audit.DecodeLeaf(b); err != nil || !reflect.DeepEqual(got, l) {
			t.Fatalf("%s: %v", b, err)
		}
	}
}

func TestIntAndInt64AreTheSame(t *testing.T) {
	a, b := small(), small()
	a.Data, b.Data = map[string]any{"n": 7}, map[string]any{"n": int64(7)}
	if string(encode(t, a)) != string(encode(t, b)) {
		t.Error("they differ")
	}
}

func TestLeafRefused(t *testing.T) {
	deep := map[string]any{}
	deep["again"] = deep
	for name, c := range map[string]struct {
		change func(*audit.Leaf)
		want   error
	}{
		"version":            {func(l *audit.Leaf) { l.V = 2 }, audit.ErrLeaf},
		"no log":             {func(l *audit.Leaf) { l.Log = "" }, audit.ErrOrigin},
		"log without epoch":  {func(l *audit.Leaf) { l.Log = "a/b" }, audit.ErrLeaf},
		"no id":              {func(l *audit.Leaf) { l.ID = "" }, audit.ErrLeaf},
		"no node":            {func(l *audit.Leaf) { l.Node = "" }, audit.ErrLeaf},
		"no time":            {func(l *audit.Leaf) { l.TS = 0 }, audit.ErrLeaf},
		"time runs back":     {func(l *audit.Leaf) { l.TSMono = l.TS - 1 }, audit.ErrLeaf},
		"negative seq":       {func(l *audit.Leaf) { l.Seq = -1 }, audit.ErrLeaf},
		"large seq":          {func(l *audit.Leaf) { l.Seq = 1 << 53 }, audit.ErrLeaf},
		"large index":        {func(l *audit.Leaf) { l.Index = 1 << 53 }, audit.ErrLeaf},
		"large term":         {func(l *audit.Leaf) { l.Term = 1 << 63 }, audit.ErrLeaf},
		"no actor":           {func(l *audit.Leaf) { l.Actor = audit.Actor{} }, audit.ErrText},
		"no action":          {func(l *audit.Leaf) { l.Action = "" }, audit.ErrLeaf},
		"unknown action":     {func(l *audit.Leaf) { l.Action = "session.made" }, audit.ErrLeaf},
		"unknown result":     {func(l *audit.Leaf) { l.Result = "fine" }, audit.ErrLeaf},
		"free text reason":   {func(l *audit.Leaf) { l.Reason = "He said so" }, audit.ErrText},
		"long reason":        {func(l *audit.Leaf) { l.Reason = strings.Repeat("a", 129) }, audit.ErrText},
		"authn":              {func(l *audit.Leaf) { l.Actor.Authn = "key\n" }, audit.ErrText},
		"object, no type":    {func(l *audit.Leaf) { l.Object.ID = "x" }, audit.ErrLeaf},
		"object type":        {func(l *audit.Leaf) { l.Object.Type = "a b" }, audit.ErrText},
		"digest, upper case": {func(l *audit.Leaf) { l.Object = audit.Object{Type: "e", SHA256: strings.Repeat("A", 64)} }, audit.ErrLeaf},
		"digest, short":      {func(l *audit.Leaf) { l.Object = audit.Object{Type: "e", SHA256: "00"} }, audit.ErrLeaf},
		"not UTF-8":          {func(l *audit.Leaf) { l.Req.Route = "\xff" }, audit.ErrText},
		"surrogate":          {func(l *audit.Leaf) { l.Req.Route = "\xed\xa0\x80" }, audit.ErrText},
		"line feed":          {func(l *audit.Leaf) { l.Req.RequestID = "a\nb" }, audit.ErrText},
		"NUL":                {func(l *audit.Leaf) { l.SubjectRef = "\x00" }, audit.ErrText},
		"delete":             {func(l *audit.Leaf) { l.SubjectRef = "\x7f" }, audit.ErrText},
		"next line":          {func(l *audit.Leaf) { l.SubjectRef = "\u0085" }, audit.ErrText},
		"line separator":     {func(l *audit.Leaf) { l.SubjectRef = "\u2028" }, audit.ErrText},
		"right to left":      {func(l *audit.Leaf) { l.Req.Models = []string{"\u202egpj.exe"} }, audit.ErrText},
		"key of data":        {func(l *audit.Leaf) { l.Data = map[string]any{"a\tb": 1} }, audit.ErrText},
		"key of pii":         {func(l *audit.Leaf) { l.PII = map[string]audit.Commitment{"\x1b": {}} }, audit.ErrText},
		"fraction":           {func(l *audit.Leaf) { l.Data = map[string]any{"a": 0.5} }, audit.ErrLeaf},
		"nothing":            {func(l *audit.Leaf) { l.Data = map[string]any{"a": nil} }, audit.ErrLeaf},
		"list of numbers":    {func(l *audit.Leaf) { l.Data = map[string]any{"a": []int{1}} }, audit.ErrLeaf},
		"large number":       {func(l *audit.Leaf) { l.Data = map[string]any{"a": int64(1 << 53)} }, audit.ErrLeaf},
		"small number":       {func(l *audit.Leaf) { l.Data = map[string]any{"a": int64(-1 << 53)} }, audit.ErrLeaf},
		"data in itself":     {func(l *audit.Leaf) { l.Data = deep }, audit.ErrLeaf},
		"too large":          {func(l *audit.Leaf) { l.Data = map[string]any{"a": strings.Repeat("a", audit.MaxLeaf)} }, audit.ErrLeafTooLarge},
	} {
		l := small()
		c.change(l)
		if b, err := l.Encode(); b != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %s, %v", name, b, err)
		}
	}
}

func TestDeepestData(t *testing.T) {
	l := small()
	nested := map[string]any{"a": map[string]any{"a": map[string]any{"a": map[string]any{}}}}
	l.Data = nested // four, data itself counted
	if got, err := audit.DecodeLeaf(encode(t, l)); err != nil || !reflect.DeepEqual(got, l) {
		t.Errorf("%+v, %v", got, err)
	}
	l.Data = map[string]any{"a": nested}
	if _, err := l.Encode(); !errors.Is(err, audit.ErrLeaf) {
		t.Error(err)
	}
}

func TestLargestLeaf(t *testing.T) {
	l := small()
	l.Data = map[string]any{"a": ""}
	l.Data["a"] = strings.Repeat("a", audit.MaxLeaf-len(encode(t, l)))
	b := encode(t, l)
	if len(b) != audit.MaxLeaf {
		t.Fatal(len(b))
	}
	if _, err := audit.DecodeLeaf(b); err != nil {
		t.Error(err)
	}
	l.Data["a"] = l.Data["a"].(string) + "a"
	if _, err := l.Encode(); !errors.Is(err, audit.ErrLeafTooLarge) {
		t.Error(err)
	}
	if _, err := audit.DecodeLeaf(append(b, ' ')); !errors.Is(err, audit.ErrLeafTooLarge) {
		t.Error(err)
	}
}

func TestDecodeLeafRefuses(t *testing.T) {
	good := string(encode(t, full()))
	replace := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("%s is not in %s", old, good)
		}
		return strings.Replace(good, old, new, 1)
	}
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"nothing":            {"", audit.ErrLeaf},
		"null":               {"null", audit.ErrLeaf},
		"a list":             {"[]", audit.ErrLeaf},
		"cut":                {good[:len(good)-1], audit.ErrLeaf},
		"BOM":                {"\ufeff" + good, audit.ErrLeaf},
		"line feed":          {good + "\n", audit.ErrNotCanonical},
		"two":                {good + good, audit.ErrNotCanonical},
		"space":              {replace(`"seq":41`, `"seq": 41`), audit.ErrNotCanonical},
		"order":              {replace(`"term":3,"ts":`, `"ts":"x","term":3,"ts":`), audit.ErrLeaf},
		"unknown member":     {replace(`"term":3`, `"tenant":"x","term":3`), audit.ErrLeaf},
		"unknown, inside":    {replace(`"authn":"key"`, `"age":3,"authn":"key"`), audit.ErrLeaf},
		"twice":              {replace(`"term":3`, `"term":3,"term":3`), audit.ErrNotCanonical},
		"twice in data":      {replace(`"tries":-2`, `"tries":-2,"tries":-2`), audit.ErrNotCanonical},
		"data twice":         {replace(`"id":"evt_2"`, `"data":{"z":1},"id":"evt_2"`), audit.ErrNotCanonical},
		"another case":       {replace(`"term":3`, `"Term":3`), audit.ErrNotCanonical},
		"1.0 for 1":          {replace(`"term":3`, `"term":3.0`), audit.ErrLeaf},
		"exponent in data":   {replace(`"tries":-2`, `"tries":-2e0`), audit.ErrLeaf},
		"minus zero":         {replace(`"tries":-2`, `"tries":-0`), audit.ErrNotCanonical},
		"fraction in data":   {replace(`"tries":-2`, `"tries":0.5`), audit.ErrLeaf},
		"beyond 2^53":        {replace(`"tries":-2`, `"tries":9007199254740993`), audit.ErrLeaf},
		"NaN":                {replace(`"tries":-2`, `"tries":NaN`), audit.ErrLeaf},
		"null in data":       {replace(`"tries":-2`, `"tries":null`), audit.ErrLeaf},
		"list in a list":     {replace(`"none":[]`, `"none":[[]]`), audit.ErrLeaf},
		"deep data":          {replace(`"none":[]`, `"none":{"a":{"a":{"a":{"a":{}}}}}`), audit.ErrLeaf},
		"empty data":         {string(encode(t, small()))[:len(encode(t, small()))-1] + `,"data":{}}`, audit.ErrNotCanonical},
		"escaped letter":     {replace(`"key"`, `"\u006bey"`), audit.ErrNotCanonical},
		"escaped slash":      {replace(`"default/1"`, `"default\/1"`), audit.ErrNotCanonical},
		"escaped NUL":        {replace(`"sub_1"`, `"\u0000"`), audit.ErrText},
		"lone surrogate":     {replace(`"sub_1"`, `"\ud800"`), audit.ErrNotCanonical},
		"invalid UTF-8":      {replace(`"sub_1"`, "\"\xff\""), audit.ErrNotCanonical},
		"null member":        {replace(`"sub_1"`, `null`), audit.ErrNotCanonical},
		"empty member":       {replace(`"sub_1"`, `""`), audit.ErrNotCanonical},
		"upper-case hex":     {replace(`"pii":{"birth_date":"02`, `"pii":{"birth_date":"0A`), audit.ErrNotCanonical},
		"short commitment":   {replace(`"pii":{"birth_date":"02`, `"pii":{"birth_date":"`), audit.ErrLeaf},
		"commitment not hex": {replace(`"pii":{"birth_date":"02`, `"pii":{"birth_date":"0x`), audit.ErrLeaf},
		"time, short":        {replace(`.123456789Z`, `.12345678Z`), audit.ErrLeaf},
		"time, comma":        {replace(`.123456789Z`, `,123456789Z`), audit.ErrLeaf},
		"time, zone":         {replace(`.123456789Z`, `.123456789+00:00`), audit.ErrLeaf},
		"time, year 9999":    {replace(`"ts":"2026`, `"ts":"9999`), audit.ErrLeaf},
		"time, a number":     {replace(`"ts":"2026-11-22T10:00:00.123456789Z"`, `"ts":1795341600`), audit.ErrLeaf},
	} {
		if l, err := audit.DecodeLeaf([]byte(c.text)); l != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %v, %v", name, l, err)
		}
	}
}

// Every single changed bit either gives another leaf or is refused; none is read
// as the same.
func TestNoTwoSpellings(t *testing.T) {
	l := full()
	b := encode(t, l)
	for i := range b {
		for bit := range 8 {
			b[i] ^= 1 << bit
			if got, err := audit.DecodeLeaf(b); err == nil && reflect.DeepEqual(got, l) {
				t.Fatalf("byte %d, bit %d: the same leaf", i, bit)
			}
			b[i] ^= 1 << bit
		}
	}
}

func ExampleLeaf_Encode() {
	l := audit.Leaf{
		V: audit.LeafVersion, Log: "bank/ten_1/e1", ID: "evt_1", Node: "nod_1", Term: 1, Index: 7,
		TS: 1795341600000000000, TSMono: 1795341600000000000,
		Actor: audit.Actor{Type: "client", ID: "cli_1", Authn: "key"}, Action: audit.SessionCreate, Result: audit.OK,
	}
	b, err := l.Encode()
	fmt.Println(string(b), err)
	// Output: {"action":"session.create","actor":{"authn":"key","id":"cli_1","type":"client"},"id":"evt_1","index":7,"log":"bank/ten_1/e1","node":"nod_1","result":"ok","seq":0,"term":1,"ts":"2026-11-22T10:00:00.000000000Z","ts_mono":"2026-11-22T10:00:00.000000000Z","v":1} <nil>
}
