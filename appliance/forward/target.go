package forward

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Kinds of sinks.
const (
	KindSyslog = "syslog"
	KindFile   = "file"
)

// syslogPort is registered for syslog over TLS (RFC 5425, 4.1).
const syslogPort = "6514"

// Target is where a sink's events go.
type Target struct {
	Name string // its address without the options: a cursor belongs to it
	Kind string

	fromNow bool
	path    string // of the file
	address string // host:port of the receiver
	server  string // that the receiver's certificate names
	ca      string
	cert    string
	key     string
}

// ParseSink reads the address of a sink:
//
//	syslog+tls://HOST[:PORT]?ca=FILE[&cert=FILE&key=FILE][&name=HOST]
//	file:///PATH
//
// ca has the certificates, one of which must vouch for the receiver; cert and key
// show the receiver who sends; name is the one in the receiver's certificate,
// where it is not HOST. Either may have from=now: a new sink leaves out what was
// logged before.
func ParseSink(address string) (Target, error) {
	t, err := parseSink(address)
	if err != nil {
		return Target{}, fmt.Errorf("%w: %.300q: %w", ErrSink, address, err)
	}
	return t, nil
}

func parseSink(address string) (Target, error) {
	u, err := url.Parse(address)
	if err != nil {
		return Target{}, errors.New("it is no URL")
	}
	options, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Target{}, errors.New("its options cannot be read: they look like ?ca=FILE&from=now")
	}
	if u.User != nil || u.Fragment != "" || u.Opaque != "" {
		return Target{}, errors.New("it has a user, a fragment or no //")
	}
	known := []string{"from"}
	var t Target
	switch u.Scheme {
	case "syslog+tls":
		known = append(known, "ca", "cert", "key", "name")
		t, err = syslogTarget(u, options)
	case "file":
		t, err = fileTarget(u)
	default:
		err = errors.New("it starts with syslog+tls:// or file:///")
	}
	if err != nil {
		return Target{}, err
	}
	for option, values := range options {
		if !slices.Contains(known, option) {
			return Target{}, fmt.Errorf("%.40q is not an option of it: there are %s", option, strings.Join(known, ", "))
		}
		if len(values) != 1 || values[0] == "" {
			return Target{}, fmt.Errorf("option %s needs one value", option)
		}
	}
	switch from := options.Get("from"); from {
	case "", "start":
	case "now":
		t.fromNow = true
	default:
		return Target{}, fmt.Errorf("option from is start or now, not %.40q", from)
	}
	return t, nil
}

func syslogTarget(u *url.URL, options url.Values) (Target, error) {
	host, port := strings.ToLower(u.Hostname()), u.Port()
	if port == "" {
		port = syslogPort
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return Target{}, fmt.Errorf("port %.10q is not a number up to 65535", port)
	}
	if host == "" || u.Path != "" && u.Path != "/" {
		return Target{}, errors.New("after // it has a host and a port, and no path")
	}
	t := Target{Kind: KindSyslog, address: net.JoinHostPort(host, port), server: host,
		ca: options.Get("ca"), cert: options.Get("cert"), key: options.Get("key")}
	t.Name = "syslog+tls://" + t.address
	if name := options.Get("name"); name != "" {
		t.server = name
	}
	if t.ca == "" {
		return Target{}, errors.New("it needs ca=FILE, the certificates that vouch for the receiver")
	}
	if (t.cert == "") != (t.key == "") {
		return Target{}, errors.New("cert and key go together")
	}
	for _, file := range []string{t.ca, t.cert, t.key} {
		if file != "" && !filepath.IsAbs(file) {
			return Target{}, fmt.Errorf("%.200q must be an absolute path", file)
		}
	}
	// Names stand in files of one line each.
	if strings.ContainsFunc(t.Name, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return Target{}, errors.New("the host's name is not in ASCII")
	}
	return t, nil
}

func fileTarget(u *url.URL) (Target, error) {
	if u.Host != "" || u.Path == "" || strings.HasSuffix(u.Path, "/") {
		return Target{}, errors.New("a file is written as file:///PATH")
	}
	path := filepath.Clean(u.Path)
	return Target{Kind: KindFile, path: path, Name: (&url.URL{Scheme: "file", Path: path}).String()}, nil
}

// tls reads the files anew for every connection, so that a certificate is
// replaced without a restart.
func (t *Target) tls() (*tls.Config, error) {
	pem, err := os.ReadFile(t.ca)
	if err != nil {
		return nil, err
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.server, RootCAs: x509.NewCertPool()}
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", t.ca)
	}
	if t.cert != "" {
		pair, err := tls.LoadX509KeyPair(t.cert, t.key)
		if err != nil {
			return nil, fmt.Errorf("%s and %s: %w", t.cert, t.key, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
