package forward

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"gatehouse/store/audit"
)

// What RFC 5424 says of a message.
const (
	facility    = 13        // log audit (6.2.1)
	maxHost     = 255       // 6.2.4
	maxProcess  = 128       // 6.2.6
	maxMessage  = 32        // MSGID, 6.2.7
	maxVersion  = 32        // swVersion, 7.2.4
	maxSequence = 1<<31 - 1 // sequenceId, 7.3.1
	application = "gatehouse"

	timestamp = "2006-01-02T15:04:05.000000Z" // at most six decimals, 6.2.3
)

// Severities (6.2.1).
const (
	severityError         = 3
	severityWarning       = 4
	severityInformational = 6
)

// line gives a leaf as a line of JSON: its own bytes, so that their hash is in
// the log's tree. Bytes that would break a line or are no JSON object, which no
// audit log takes, are a damaged leaf; it is passed on as what it is.
func line(origin string, seq int64, leaf []byte) []byte {
	control := func(r rune) bool { return r < 0x20 || r == 0x7f }
	if bytes.HasPrefix(leaf, []byte("{")) && utf8.Valid(leaf) && bytes.IndexFunc(leaf, control) < 0 && json.Valid(leaf) {
		return leaf
	}
	b, _ := json.Marshal(struct { // cannot fail: it holds no map, channel or float
		Damaged []byte `json:"damaged"`
		Log     string `json:"log"`
		Seq     int64  `json:"seq"`
	}{leaf, origin, seq})
	return b
}

// event has the members that a header shows. They are read leniently: an event
// of a later version is forwarded too.
type event struct {
	Action string `json:"action"`
	Result string `json:"result"`
	TS     string `json:"ts"`
}

func readEvent(line []byte) event {
	var e event
	_ = json.Unmarshal(line, &e) // what cannot be read is left empty
	return e
}

func (e *event) severity() int {
	switch audit.Result(e.Result) {
	case audit.OK:
		return severityInformational
	case audit.Denied, audit.Refused:
		return severityWarning
	}
	return severityError
}

func (e *event) time() (time.Time, bool) {
	var ts audit.Time
	err := ts.UnmarshalText([]byte(e.TS))
	return time.Unix(0, int64(ts)).UTC(), err == nil
}

// messages makes the messages of one sink.
type messages struct {
	host, process string
	origin        string // SD-ELEMENT
	sequence      uint32 // of the last message
}

func newMessages(host, node, version string) messages {
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, `]`, `\]`) // 6.3.3
	return messages{host: field(host, maxHost), process: field(node, maxProcess),
		origin: `[origin software="` + application + `" swVersion="` + escape.Replace(field(version, maxVersion)) + `"]`}
}

// appendFrame adds a message in its frame (RFC 5425, 4.3). MSG is the line as it
// is: JSON has no byte-order mark (RFC 8259, 8.1), without which RFC 5424 (6.4)
// calls it MSG-ANY.
func (m *messages) appendFrame(b, line []byte) []byte {
	e := readEvent(line)
	when := "-"
	if t, ok := e.time(); ok {
		when = t.Format(timestamp)
	}
	m.sequence = m.sequence%maxSequence + 1
	header := make([]byte, 0, overhead)
	header = append(header, '<')
	header = strconv.AppendInt(header, int64(facility<<3|e.severity()), 10)
	for _, part := range []string{">1 ", when, " ", m.host, " " + application + " ", m.process, " ", field(e.Action, maxMessage), " ", m.origin, `[meta sequenceId="`} {
		header = append(header, part...)
	}
	header = strconv.AppendUint(header, uint64(m.sequence), 10)
	header = append(header, `"] `...)

	b = strconv.AppendInt(b, int64(len(header)+len(line)), 10)
	b = append(b, ' ')
	b = append(b, header...)
	return append(b, line...)
}

// field makes s fit a field of the header: PRINTUSASCII, "-" for nothing (6).
func field(s string, most int) string {
	b := []byte(s)[:min(len(s), most)]
	for i, c := range b {
		if c < '!' || c > '~' {
			b[i] = '_'
		}
	}
	if len(b) == 0 {
		return "-"
	}
	return string(b)
}
