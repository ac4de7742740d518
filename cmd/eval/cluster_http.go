package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// requestTime is how long a client waits: longer than any election.
const requestTime = 20 * time.Second

// caller asks servers over HTTP/1.1: as many connections as clients, all kept.
type caller struct{ http.Client }

func newCaller(clients int) *caller {
	return &caller{http.Client{Timeout: requestTime, Transport: &http.Transport{MaxIdleConns: clients, MaxIdleConnsPerHost: clients, DisableCompression: true}}}
}

var errAnswer = errors.New("the server refused")

// ask sends a body, or gets where there is none, and wants a status of 2xx.
func (c *caller) ask(ctx context.Context, url, kind string, body []byte) ([]byte, error) {
	method, of := http.MethodGet, io.Reader(nil)
	if body != nil {
		method, of = http.MethodPost, bytes.NewReader(body)
	}
	q, err := http.NewRequestWithContext(ctx, method, url, of)
	if err != nil {
		return nil, err
	}
	if kind != "" {
		q.Header.Set("Content-Type", kind)
	}
	a, err := c.Do(q)
	if err != nil {
		return nil, err
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err == nil && a.StatusCode/100 != 2 {
		err = fmt.Errorf("%w: %s: %s", errAnswer, a.Status, bytes.TrimSpace(b))
	}
	return b, err
}

// until asks again until done, or until one of the servers has ended.
func until(ctx context.Context, all processes, what string, done func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		err := done(ctx)
		if err == nil {
			return nil
		}
		if err := all.alive(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w: %w", what, ctx.Err(), err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
