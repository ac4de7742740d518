package audit

import (
	"encoding/hex"
	"strings"
	"time"
)

// parser reads a leaf in its canonical form, in which every member has its
// place. It stops at whatever it does not expect: what it accepts, Encode writes
// just so, and what it does not accept may still be a leaf.
type parser struct {
	s   string
	bad bool
}

// parseLeaf gives the leaf, or false where b is to be read with more patience.
func parseLeaf(b []byte) (*Leaf, bool) {
	p := &parser{s: string(b)}
	l := &Leaf{}
	p.take(`{"action":`)
	l.Action = Action(p.text())
	p.take(`,"actor":{`)
	l.Actor = Actor{Authn: p.optional(`"authn":`, `,`), ID: p.optional(`"id":`, `,`), Type: p.needed(`"type":`)}
	p.take(`}`)
	if p.has(`,"data":`) {
		l.Data = p.object(0)
		p.bad = p.bad || len(l.Data) == 0
	}
	l.ID = p.needed(`,"id":`)
	p.take(`,"index":`)
	l.Index = uint64(p.natural())
	l.Log = p.needed(`,"log":`)
	l.Node = p.needed(`,"node":`)
	if p.has(`,"object":{`) {
		l.Object = Object{ID: p.optional(`"id":`, `,`), SHA256: p.optional(`"sha256":`, `,`), Type: p.needed(`"type":`)}
		p.bad = p.bad || l.Object == Object{}
		p.take(`}`)
	}
	if p.has(`,"pii":{`) {
		l.PII = p.commitments()
	}
	l.Reason = p.optional(`,"reason":`, ``)
	if p.has(`,"req":{`) {
		l.Req = p.request()
	}
	l.Result = Result(p.needed(`,"result":`))
	p.take(`,"seq":`)
	l.Seq = p.natural()
	l.SubjectRef = p.optional(`,"subject_ref":`, ``)
	p.take(`,"term":`)
	l.Term = uint64(p.natural())
	p.take(`,"ts":`)
	l.TS = p.time()
	p.take(`,"ts_mono":`)
	l.TSMono = p.time()
	p.take(`,"v":`)
	l.V = int(p.natural())
	p.take(`}`)
	return l, !p.bad && p.s == "" && l.check() == nil
}

// has takes what is next if it is this.
func (p *parser) has(what string) bool {
	rest, ok := strings.CutPrefix(p.s, what)
	if ok && !p.bad {
		p.s = rest
	}
	return ok && !p.bad
}

func (p *parser) take(what string) { p.bad = !p.has(what) || p.bad }

// optional member, with what stands behind it; one that is empty is not written.
func (p *parser) optional(key, after string) string {
	if !p.has(key) {
		return ""
	}
	v := p.text()
	p.take(after)
	p.bad = p.bad || v == ""
	return v
}

func (p *parser) needed(key string) string {
	p.take(key)
	return p.text()
}

// text takes a string.
func (p *parser) text() string {
	p.take(`"`)
	escaped, plain := false, true
	for i := 0; i < len(p.s) && !p.bad; i++ {
		switch c := p.s[i]; {
		case c == '"':
			v := p.s[:i]
			p.s = p.s[i+1:]
			p.bad = !plain && clean(v) != nil
			if escaped {
				v = unescaped(v)
			}
			return v
		case c == '\\':
			escaped = true
			i++
			p.bad = i == len(p.s) || p.s[i] != '"' && p.s[i] != '\\'
		case c < 0x20 || c == 0x7f:
			p.bad = true
		case c > 0x7f:
			plain = false
		}
	}
	p.bad = true
	return ""
}

// unescaped takes the backslash before each character that has one.
func unescaped(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// natural takes an integer from 0 to the largest that a leaf may hold.
func (p *parser) natural() int64 {
	n, i := int64(0), 0
	for ; i < len(p.s) && '0' <= p.s[i] && p.s[i] <= '9' && n <= maxInteger; i++ {
		n = 10*n + int64(p.s[i]-'0')
	}
	p.bad = p.bad || i == 0 || n > maxInteger || i > 1 && p.s[0] == '0'
	p.s = p.s[i:]
	return n
}

// time takes a time of the years that surely fit: the others are for who has more
// patience.
func (p *parser) time() Time {
	v := p.text()
	const layout = "0000-00-00T00:00:00.000000000Z"
	if len(v) != len(layout) {
		p.bad = true
		return 0
	}
	for i := range len(layout) {
		if digit := '0' <= v[i] && v[i] <= '9'; digit != (layout[i] == '0') || !digit && v[i] != layout[i] {
			p.bad = true
			return 0
		}
	}
	number := func(from, to int) (n int) {
		for _, c := range []byte(v[from:to]) {
			n = 10*n + int(c-'0')
		}
		return n
	}
	year, month, day := number(0, 4), number(5, 7), number(8, 10)
	hour, minute, second := number(11, 13), number(14, 16), number(17, 19)
	t := time.Date(year, time.Month(month), day, hour, minute, second, number(20, 29), time.UTC)
	// Date carries what is too much, a 30th of February into March.
	_, m, d := t.Date()
	p.bad = p.bad || year < 1970 || year > 2261 || int(m) != month || d != day || hour > 23 || minute > 59 || second > 59
	return Time(t.UnixNano())
}

// object takes the members of an object in data, depth others around it.
func (p *parser) object(depth int) map[string]any {
	p.take(`{`)
	p.bad = p.bad || depth == maxDepth
	m := map[string]any{}
	last := ""
	for first := true; !p.bad && !p.has(`}`); first = false {
		if !first {
			p.take(`,`)
		}
		k := p.text()
		p.take(`:`)
		p.bad = p.bad || !first && compareUTF16(last, k) >= 0
		m[k] = p.value(depth)
		last = k
	}
	return m
}

func (p *parser) value(depth int) any {
	switch {
	case p.bad || p.s == "":
		p.bad = true
		return nil
	case p.s[0] == '"':
		return p.text()
	case p.s[0] == '{':
		return p.object(depth + 1)
	case p.s[0] == '[':
		return p.list()
	case p.has(`true`):
		return true
	case p.has(`false`):
		return false
	case p.has(`-`):
		n := p.natural()
		p.bad = p.bad || n == 0
		return -n
	}
	return p.natural()
}

func (p *parser) list() []string {
	p.take(`[`)
	all := []string{}
	for first := true; !p.bad && !p.has(`]`); first = false {
		if !first {
			p.take(`,`)
		}
		all = append(all, p.text())
	}
	return all
}

func (p *parser) commitments() map[string]Commitment {
	m := map[string]Commitment{}
	last := ""
	for first := true; !p.bad && !p.has(`}`); first = false {
		if !first {
			p.take(`,`)
		}
		k := p.text()
		p.take(`:`)
		v := p.text()
		var c Commitment
		if p.bad = p.bad || !digest(v) || !first && compareUTF16(last, k) >= 0; !p.bad {
			_, err := hex.Decode(c[:], []byte(v))
			p.bad = err != nil
		}
		m[k] = c
		last = k
	}
	p.bad = p.bad || len(m) == 0
	return m
}

func (p *parser) request() Request {
	var r Request
	comma := ""
	if p.has(`"models":`) {
		r.Models, comma = p.list(), `,`
		p.bad = p.bad || len(r.Models) == 0
	}
	for _, m := range [...]struct {
		key string
		to  *string
	}{{`"policy_version":`, &r.PolicyVersion}, {`"request_id":`, &r.RequestID}, {`"route":`, &r.Route}} {
		if v := p.optional(comma+m.key, ``); v != "" {
			*m.to, comma = v, `,`
		}
	}
	p.take(`}`)
	p.bad = p.bad || comma == ""
	return r
}
