// Package client calls a node over the contract in appliance/api: one method
// for each operation that the command line needs, in the contract's own types.
//
// It must never trust a certificate other than those it is given, follow a
// redirect with its credential, or repeat a request that could take effect
// twice. Its errors must never hold a credential or what was sent.
package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// Config says which node is called, and as whom.
type Config struct {
	Server      string           // https://host[:port]; of a cluster several, with commas: the next is asked where one does not answer
	CA          []byte           // PEM: the only roots that are trusted
	Key         string           // API key; empty where there is none
	Certificate *tls.Certificate // shown to the node; nil where there is none
	// Dial connects to the node; nil: as this machine does.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Client calls one node, or the nodes of one cluster. It may be used by many
// goroutines.
type Client struct {
	servers []*url.URL
	at      atomic.Uint32 // which of them is asked
	key     string
	http    *http.Client
	long    *http.Client // waits for an answer as long as the connection lives
}

const (
	dialTimeout = 10 * time.Second
	// answerTimeout is the contract's longest wait (30 s), and as much again
	// for the work that a request begins with.
	answerTimeout = time.Minute
	// pingAfter silence a connection is probed: a stream of events is silent
	// for as long as nothing changes.
	pingAfter   = 15 * time.Second
	pingTimeout = 15 * time.Second
	// hangTime is in place of each of dialTimeout, pingAfter and pingTimeout where
	// there is another server to turn to. A SYN that was lost comes again after one
	// second and after three (RFC 6298); who is connected and hangs is left after
	// ten, when the other nodes have given it up as well (package member: lost, after
	// eight). A call that takes long is not cut off by it: the node answers the ping.
	hangTime = 5 * time.Second
)

// New makes a client. It calls nobody.
func New(c Config) (*Client, error) {
	var servers []*url.URL
	for _, address := range strings.Split(c.Server, ",") {
		server, err := parseServer(strings.TrimSpace(address))
		if err != nil {
			return nil, err
		}
		servers = append(servers, server)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(c.CA) {
		return nil, fmt.Errorf("%w: no certificate in the node's CA; give the PEM file that the node wrote", ErrConfig)
	}
	t := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots}
	if c.Certificate != nil {
		t.Certificates = []tls.Certificate{*c.Certificate}
	}
	connect, silence, pong := dialTimeout, pingAfter, pingTimeout
	if len(servers) > 1 {
		connect, silence, pong = hangTime, hangTime, hangTime
	}
	dial := c.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: connect}).DialContext
	}
	caller := func(answer time.Duration) *http.Client {
		var protocols http.Protocols
		protocols.SetHTTP2(true)
		return &http.Client{
			// No proxy: the node is on the bank's own network.
			Transport: &http.Transport{
				TLSClientConfig:       t.Clone(),
				Protocols:             &protocols,
				HTTP2:                 &http.HTTP2Config{SendPingTimeout: silence, PingTimeout: pong},
				DialContext:           dial,
				TLSHandshakeTimeout:   connect,
				ResponseHeaderTimeout: answer,
				MaxIdleConnsPerHost:   1,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return &Client{
		servers: servers,
		key:     c.Key,
		http:    caller(answerTimeout),
		long:    caller(0),
	}, nil
}

func parseServer(address string) (*url.URL, error) {
	server, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("%w: give it as https://host:port", ErrConfig) // the cause repeats the text, which may hold a password
	}
	if server.Scheme != "https" || server.Host == "" || server.User != nil || server.Path != "" && server.Path != "/" || server.RawQuery != "" || server.Fragment != "" {
		return nil, fmt.Errorf("%w: the server's address is https://host:port and nothing more", ErrConfig)
	}
	return &url.URL{Scheme: "https", Host: server.Host}, nil
}

// server that is asked now.
func (c *Client) server() (*url.URL, uint32) {
	at := c.at.Load()
	return c.servers[int(at)%len(c.servers)], at
}

// turn to the next server, unless somebody else has; false where there is but
// one.
func (c *Client) turn(from uint32) bool {
	if len(c.servers) == 1 {
		return false
	}
	c.at.CompareAndSwap(from, from+1)
	return true
}

// host that is asked now, for people.
func (c *Client) host() string {
	s, _ := c.server()
	return s.Host
}
