package forward_test

import (
	"bytes"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/appliance/forward"
)

func TestParseSink(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{ // the name, or what the error says
		"syslog+tls://SIEM.example?ca=/ca.pem":                                 "syslog+tls://siem.example:6514",
		"syslog+tls://siem.example:7000?ca=/ca&cert=/c&key=/k&name=x&from=now": "syslog+tls://siem.example:7000",
		"syslog+tls://[2001:db8::1]/?ca=/ca.pem&from=start":                    "syslog+tls://[2001:db8::1]:6514",
		"file:///var/log/gatehouse/events":                                     "file:///var/log/gatehouse/events",
		"file:///var/../log/my%20events%0A?from=now":                           "file:///log/my%20events%0A",
		"":                                      "starts with",
		"syslog://siem.example":                 "starts with",
		"/var/log/events":                       "starts with",
		"syslog+tls://siem.example":             "ca=FILE",
		"syslog+tls://siem.example?ca=ca.pem":   "absolute",
		"syslog+tls://?ca=/ca":                  "host",
		"syslog+tls://siem.example/x?ca=/ca":    "no path",
		"syslog+tls://siem.example:0?ca=/ca":    "port",
		"syslog+tls://siem.example:65536?ca=/a": "port",
		"syslog+tls://siem.example:x?ca=/a":     "no URL",
		"syslog+tls://u:p@siem.example?ca=/ca":  "user",
		"syslog+tls://sïem.example?ca=/ca":      "ASCII",
		"syslog+tls://s?ca=/ca&cert=/c":         "go together",
		"syslog+tls://s?ca=/ca&key=/c":          "go together",
		"syslog+tls://s?ca=/ca&ca=/cb":          "one value",
		"syslog+tls://s?ca=/ca&name=":           "one value",
		"syslog+tls://s?ca=/ca&insecure=1":      `"insecure" is not an option`,
		"syslog+tls://s?ca=/ca&from=noon":       "start or now",
		"file://host/path":                      "file:///PATH",
		"file://":                               "file:///PATH",
		"file:///var/log/":                      "file:///PATH",
		"file:var/log":                          "no //",
		"file:///var/log/e?ca=/ca":              `"ca" is not an option`,
		"file:///var/log/e#f":                   "fragment",
		"file:///e?from=now;x":                  "options cannot be read",
	} {
		target, err := forward.ParseSink(address)
		if err == nil && target.Name != want || err != nil && (!errors.Is(err, forward.ErrSink) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %q, %v; want %s", address, target.Name, err, want)
		}
	}
}

// What is wrong with a configuration is said at the start. Files that are not as
// they should be do not keep the node from starting.
func TestNewRefuses(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	for wrong, sinks := range map[string][]string{
		"is there twice":            {"file:///var/log/e", "file:///var/log/e?from=now"},
		"no such file":              {"syslog+tls://s?ca=/none.pem"},
		"holds no certificate":      {"syslog+tls://s?ca=" + ca.file("text", "TEXT", nil)},
		"failed to find any PEM":    {"syslog+tls://s?ca=" + ca.ca() + "&cert=/dev/null&key=/dev/null"},
		"a target comes from Parse": nil,
	} {
		c := forward.Config{Dir: filepath.Join(t.TempDir(), "forward"), Logs: newLogs(), Sinks: make([]forward.Target, 0, 1)}
		for _, s := range sinks {
			target, err := forward.ParseSink(s)
			must(t, err)
			c.Sinks = append(c.Sinks, target)
		}
		if sinks == nil {
			c.Sinks = append(c.Sinks, forward.Target{})
		}
		var said bytes.Buffer
		c.Log = slog.New(slog.NewTextHandler(&said, nil))
		_, err := forward.New(c)
		if err != nil {
			said.WriteString(err.Error())
		}
		files := len(sinks) == 1
		if (err == nil) != files || !strings.Contains(said.String(), wrong) {
			t.Errorf("%v, %s; want %s", err, said.String(), wrong)
		}
	}
}

func TestPauses(t *testing.T) {
	t.Parallel()
	longest := time.Duration(0)
	for n := 1; n < 200; n++ {
		d := forward.PauseAfter(n)
		if most := time.Second << min(n, 6); d < time.Second || d > min(most, time.Minute) {
			t.Errorf("%v after %d failures", d, n)
		}
		longest = max(longest, d)
	}
	if longest < 40*time.Second {
		t.Errorf("none of 200 pauses is longer than %v", longest)
	}
}
