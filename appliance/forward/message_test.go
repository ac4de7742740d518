package forward_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"gatehouse/appliance/forward"
	"gatehouse/store/audit"
)

func parseFrame(t *testing.T, frame []byte) message {
	t.Helper()
	r := bufio.NewReader(bytes.NewReader(frame))
	b, err := readFrame(r)
	must(t, err)
	if _, err := r.ReadByte(); err != io.EOF {
		t.Fatalf("%q goes on after its length", frame)
	}
	m, err := parseMessage(b)
	must(t, err)
	return m
}

// The text of one message is kept: receivers have rules for it.
func TestMessageText(t *testing.T) {
	t.Parallel()
	leaf := `{"action":"auth.deny","result":"denied","ts":"2026-07-01T12:00:00.123456789Z"}`
	got := string(forward.Frame("node1", "nod_1", "1.2.3", "c/t/e1", 0, []byte(leaf), 7))
	want := `214 <108>1 2026-07-01T12:00:00.123456Z node1 gatehouse nod_1 auth.deny [origin software="gatehouse" swVersion="1.2.3"][meta sequenceId="7"] ` + leaf
	if got != want {
		t.Errorf("\n%s, want\n%s", got, want)
	}
}

// The longest action fits MSGID whole.
func TestActionsFit(t *testing.T) {
	t.Parallel()
	for _, a := range []audit.Action{audit.SubjectEraseFinalise, audit.SubjectEraseRestrict, audit.KeyCertificateRevoke} {
		if m := parseFrame(t, forward.Frame("h", "n", "v", "o", 0, []byte(`{"action":"`+string(a)+`"}`), 1)); m.id != string(a) {
			t.Errorf("%s became %s", a, m.id)
		}
	}
}

// sequenceId begins again at 1 after the largest (RFC 5424, 7.3.1).
func TestSequenceWraps(t *testing.T) {
	t.Parallel()
	for n, want := range map[uint32]string{1: "1", 1<<31 - 1: "2147483647", 1 << 31: "1"} {
		if m := parseFrame(t, forward.Frame("h", "n", "v", "o", 0, []byte("{}"), n)); m.data["meta"]["sequenceId"] != want {
			t.Errorf("message %d: %v", n, m.data)
		}
	}
}

func FuzzFrame(f *testing.F) {
	f.Add("host", "node", "1.0", []byte(`{"action":"auth.deny","result":"ok","ts":"2026-07-01T12:00:00.123456789Z"}`))
	f.Add("", "", "", []byte{})
	f.Add("ho st\n", "нода", `1"\]`, []byte("{\"action\":\"a b\\u0000\",\"result\":3}"))
	f.Add(strings.Repeat("h", 300), strings.Repeat("n", 300), strings.Repeat("]", 300), []byte("\ufeff{\xff\n}"))
	f.Fuzz(func(t *testing.T, host, node, version string, leaf []byte) {
		m := parseFrame(t, forward.Frame(host, node, version, "c/t/e1", 5, leaf, 1))
		if m.facility != 13 || m.app != "gatehouse" || m.data["meta"]["sequenceId"] != "1" {
			t.Fatalf("%+v", m)
		}
		if m.msg == string(leaf) {
			if !json.Valid(leaf) || !utf8.Valid(leaf) || bytes.ContainsAny(leaf, "\n\r\x00") || leaf[0] != '{' {
				t.Fatalf("%q was sent as it is", leaf)
			}
			return
		}
		var e struct {
			Damaged []byte
			Log     string
			Seq     int64
		}
		if err := json.Unmarshal([]byte(m.msg), &e); err != nil || !bytes.Equal(e.Damaged, leaf) || e.Log != "c/t/e1" || e.Seq != 5 {
			t.Fatalf("%q became %s", leaf, m.msg)
		}
	})
}
