package trust

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"gatehouse/store/audit"
)

const (
	// maxPolicy bytes and maxPolicyLines: tlog-policy asks for 32 logs, 32
	// witnesses and 32 groups at least.
	maxPolicy      = 64 << 10
	maxPolicyLines = 256
)

// parser reads a policy line by line.
type parser struct {
	policy Policy
	names  map[string]*rule // witnesses and groups: one namespace
	listed map[string]bool  // members of a group
	keys   map[string]int   // line by key name and hash
	public map[string]kind  // how a public key is used
	valid  map[string]bool  // keys whose sizes are given
	quorum int              // its line
}

// ParsePolicy reads the text of a policy. A file that has one bare key of a log
// and nothing else is a policy too.
func ParsePolicy(b []byte) (*Policy, error) {
	if len(b) > maxPolicy {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrPolicy, len(b), maxPolicy)
	}
	lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	if len(lines) > maxPolicyLines {
		return nil, fmt.Errorf("%w: %d lines, at most %d", ErrPolicy, len(lines), maxPolicyLines)
	}
	p := parser{
		names: map[string]*rule{}, listed: map[string]bool{},
		keys: map[string]int{}, public: map[string]kind{}, valid: map[string]bool{},
	}
	if bare := bareKey(lines); bare != 0 {
		lines[bare-1] = "log " + lines[bare-1]
		p.quorum = bare // quorum none
	}
	for i, line := range lines {
		if err := p.line(i+1, line); err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrPolicy, i+1, err)
		}
	}
	if p.quorum == 0 {
		return nil, fmt.Errorf("%w: it has no quorum line: where no witness is asked for, it is `quorum none`", ErrPolicy)
	}
	return &p.policy, nil
}

// bareKey is the number of the only line that says anything, if that is a key.
func bareKey(lines []string) int {
	found := 0
	for i, line := range lines {
		f := fields(line)
		if len(f) == 0 {
			continue
		}
		if found != 0 || len(f) != 1 || !strings.Contains(f[0], "+") {
			return 0
		}
		found = i + 1
	}
	return found
}

// fields of a line, none of a comment. Only space and tab part them.
func fields(line string) []string {
	f := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' })
	if len(f) > 0 && strings.HasPrefix(f[0], "#") {
		return nil
	}
	return f
}

func (p *parser) line(n int, line string) error {
	for i := range len(line) {
		if c := line[i]; c < ' ' && c != '\t' || c == 0x7f {
			return fmt.Errorf("the control character 0x%02x: save it as plain text with Unix line ends", c)
		}
	}
	f := fields(line)
	if len(f) == 0 {
		return nil
	}
	switch word, f := f[0], f[1:]; word {
	case "log":
		return p.log(n, f)
	case "valid":
		return p.sizes(f)
	case "witness":
		return p.witness(n, f)
	case "group":
		return p.group(f)
	case "quorum":
		return p.setQuorum(n, f)
	default:
		return fmt.Errorf("it begins with %.40q, not with log, valid, witness, group or quorum", word)
	}
}

func (p *parser) log(n int, f []string) error {
	if len(f) != 1 && len(f) != 2 {
		return errors.New("it reads `log KEY [URL]`")
	}
	k, err := p.key(n, f[0], logKind)
	if err != nil {
		return err
	}
	p.policy.logs = append(p.policy.logs, &logKey{k, strings.Join(f[1:], ""), 0, open})
	return nil
}

func (p *parser) witness(n int, f []string) error {
	if len(f) != 2 && len(f) != 3 {
		return errors.New("it reads `witness NAME KEY [URL]`")
	}
	k, err := p.key(n, f[1], witnessKind)
	if err != nil {
		return err
	}
	return p.define(&rule{name: f[0], key: &k, url: strings.Join(f[2:], "")})
}

// key reads a vkey that is new to the policy. One public key cannot be two
// witnesses, nor a log and its witness: each would count for another.
func (p *parser) key(n int, vkey string, want kind) (publicKey, error) {
	k, err := parseVkey(vkey, want)
	if err != nil {
		return k, err
	}
	if first, ok := p.keys[k.id()]; ok {
		return k, fmt.Errorf("the key %s is on line %d already", k.id(), first)
	}
	if other, ok := p.public[string(k.key)]; ok && (other != logKind || want != logKind) {
		return k, fmt.Errorf("the key %s is that of another witness or log", k.id())
	}
	p.keys[k.id()], p.public[string(k.key)] = n, want
	return k, nil
}

func (p *parser) define(r *rule) error {
	if r.name == "none" || p.names[r.name] != nil {
		return fmt.Errorf("the name %.40q is taken", r.name)
	}
	p.names[r.name] = r
	p.policy.rules = append(p.policy.rules, r)
	return nil
}

func (p *parser) group(f []string) error {
	if len(f) < 3 {
		return errors.New("it reads `group NAME all|any|NUMBER MEMBER…`")
	}
	r := &rule{name: f[0]}
	for _, name := range f[2:] {
		m := p.names[name]
		if m == nil {
			return fmt.Errorf("%.40q is not a witness or group of a line above", name)
		}
		// tlog-policy: so that no witness counts twice.
		if p.listed[name] {
			return fmt.Errorf("%.40q is a member already: each name may be so once", name)
		}
		p.listed[name] = true
		r.members = append(r.members, m)
	}
	switch f[1] {
	case "any":
		r.need = 1
	case "all":
		r.need = len(r.members)
	default:
		n, err := strconv.Atoi(f[1])
		if err != nil || strconv.Itoa(n) != f[1] || n < 1 || n > len(r.members) {
			return fmt.Errorf("%.40q is not all, any or a number from 1 to %d", f[1], len(r.members))
		}
		r.need = n
	}
	return p.define(r)
}

func (p *parser) setQuorum(n int, f []string) error {
	if len(f) != 1 {
		return errors.New("it reads `quorum NAME` or `quorum none`")
	}
	if p.quorum != 0 {
		return fmt.Errorf("line %d has the quorum already", p.quorum)
	}
	p.quorum = n
	if f[0] == "none" {
		return nil
	}
	if p.policy.quorum = p.names[f[0]]; p.policy.quorum == nil {
		return fmt.Errorf("%.40q is not a witness or group of a line above", f[0])
	}
	return nil
}

func (p *parser) sizes(f []string) error {
	if len(f) != 3 {
		return errors.New("it reads `valid KEYNAME+HASH FROM TO`")
	}
	from, fromErr := bound(f[1], 0)
	to, toErr := bound(f[2], open)
	if fromErr != nil || toErr != nil || from >= to {
		return fmt.Errorf("from %.20q to below %.20q leaves: two numbers that rise, or - where there is no bound", f[1], f[2])
	}
	if p.valid[f[0]] {
		return fmt.Errorf("the key %.80q has its sizes already", f[0])
	}
	for _, k := range p.policy.logs {
		if k.id() == f[0] {
			p.valid[f[0]] = true
			k.from, k.to = from, to
			return nil
		}
	}
	return fmt.Errorf("%.80q is not the name and hash of a log's key on a line above", f[0])
}

// bound reads one end of a key's sizes.
func bound(s string, unbounded int64) (int64, error) {
	if s == "-" {
		return unbounded, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > audit.MaxSize || strconv.FormatInt(n, 10) != s {
		return 0, audit.ErrSize
	}
	return n, nil
}
