package forward_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// message of RFC 5424, read by its grammar (section 6) and nothing else.
type message struct {
	facility, severity     int
	time                   time.Time
	host, app, process, id string
	data                   map[string]map[string]string
	msg                    string
}

// log that the event in MSG is of: its tenant, or system.
func (m *message) log() string {
	var e struct{ Log string }
	if json.Unmarshal([]byte(m.msg), &e) != nil {
		return "?"
	}
	parts := strings.Split(e.Log, "/")
	return parts[min(1, len(parts)-1)]
}

// readFrame reads MSG-LEN SP SYSLOG-MSG (RFC 5425, 4.3). Half a frame at the end
// is io.ErrUnexpectedEOF.
func readFrame(r *bufio.Reader) ([]byte, error) {
	n := 0
	for i := 0; ; i++ {
		c, err := r.ReadByte()
		if err != nil {
			if err == io.EOF && i > 0 {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		if c == ' ' && i > 0 {
			break
		}
		if c < '0' || c > '9' || i == 0 && c == '0' || i > 6 {
			return nil, fmt.Errorf("MSG-LEN: %q at %d", c, i)
		}
		n = 10*n + int(c-'0')
	}
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return b, err
}

// scanner goes through a message; the first error stays.
type scanner struct {
	rest string
	err  error
}

func (s *scanner) fail(format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf("RFC 5424: "+format+" before %.60q", append(args, s.rest)...)
	}
}

func (s *scanner) literal(l string) {
	rest, ok := strings.CutPrefix(s.rest, l)
	if !ok {
		s.fail("no %q", l)
	}
	s.rest = rest
}

// field of 1 to most PRINTUSASCII, and the space after it.
func (s *scanner) field(name string, most int) string {
	f, rest, ok := strings.Cut(s.rest, " ")
	if !ok || f == "" || len(f) > most || strings.ContainsFunc(f, func(r rune) bool { return r < 33 || r > 126 }) {
		s.fail("%s is %.80q", name, f)
	}
	s.rest = rest
	return f
}

// name is an SD-NAME.
func (s *scanner) name(ends string) string {
	n := strings.IndexAny(s.rest, ends)
	if n < 1 || n > 32 || strings.ContainsFunc(s.rest[:max(n, 0)], func(r rune) bool { return r < 33 || r > 126 || strings.ContainsRune(`= ]"`, r) }) {
		s.fail("no SD-NAME")
		return ""
	}
	name := s.rest[:n]
	s.rest = s.rest[n:]
	return name
}

// value is a PARAM-VALUE after its quotation mark, and the one that ends it.
func (s *scanner) value() string {
	var v strings.Builder
	for i := 0; i < len(s.rest); i++ {
		switch c := s.rest[i]; c {
		case '"':
			s.rest = s.rest[i+1:]
			if !utf8.ValidString(v.String()) {
				s.fail("PARAM-VALUE is not UTF-8")
			}
			return v.String()
		case ']':
			s.fail("] in PARAM-VALUE is not escaped")
			return ""
		case '\\':
			if i+1 < len(s.rest) && strings.IndexByte(`"\]`, s.rest[i+1]) >= 0 {
				i++
				c = s.rest[i]
			}
			v.WriteByte(c)
		default:
			v.WriteByte(c)
		}
	}
	s.fail("PARAM-VALUE does not end")
	return ""
}

func (s *scanner) timestamp() (t time.Time) {
	f := s.field("TIMESTAMP", 32)
	if f == "-" {
		return t
	}
	// TIME-SECFRAC has at most six digits; T and Z are in upper case.
	t, err := time.Parse("2006-01-02T15:04:05.999999Z", f)
	if _, fraction, ok := strings.Cut(strings.TrimSuffix(f, "Z"), "."); err != nil || ok && (len(fraction) < 1 || len(fraction) > 6) {
		s.fail("TIMESTAMP is %q (%v)", f, err)
	}
	return t
}

func parseMessage(b []byte) (message, error) {
	s := &scanner{rest: string(b)}
	var m message
	s.literal("<")
	pri, rest, _ := strings.Cut(s.rest, ">")
	n, err := strconv.Atoi(pri)
	if err != nil || n > 191 || strconv.Itoa(n) != pri || n < 0 {
		s.fail("PRI is %.10q", pri)
	}
	m.facility, m.severity = n/8, n%8
	s.rest = rest
	s.literal("1 ")
	m.time = s.timestamp()
	m.host, m.app, m.process, m.id = s.field("HOSTNAME", 255), s.field("APP-NAME", 48), s.field("PROCID", 128), s.field("MSGID", 32)
	m.data = map[string]map[string]string{}
	if !strings.HasPrefix(s.rest, "[") {
		s.literal("-")
	}
	for strings.HasPrefix(s.rest, "[") && s.err == nil {
		s.literal("[")
		id := s.name(" ]")
		if m.data[id] != nil {
			s.fail("SD-ID %s is there twice", id)
		}
		m.data[id] = map[string]string{}
		for strings.HasPrefix(s.rest, " ") && s.err == nil {
			s.literal(" ")
			name := s.name("=")
			s.literal(`="`)
			m.data[id][name] = s.value()
		}
		s.literal("]")
	}
	if s.rest != "" {
		s.literal(" ")
	}
	m.msg = s.rest
	if after, ok := strings.CutPrefix(m.msg, "\ufeff"); ok && !utf8.ValidString(after) {
		s.fail("MSG-UTF8 is not UTF-8")
	}
	return m, s.err
}
