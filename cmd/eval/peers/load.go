package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// dialTimeout is ours: a server that is there answers in milliseconds.
const dialTimeout = 10 * time.Second

// load writes to the leader for as long as it is asked to. It prints a line as
// the window begins and one as it ends, then what was acknowledged, all of which
// must be there.
func load(ctx context.Context, args []string, _ io.Reader, out io.Writer) (err error) {
	var l loading
	fs := flag.NewFlagSet("load", flag.ContinueOnError)
	endpoints := fs.String("endpoints", "", "`URLS` of all servers for clients, with commas")
	size := fs.Int("value", 1024, "`BYTES` of a value")
	fs.IntVar(&l.clients, "clients", 1, "so many `N` write at a time")
	fs.DurationVar(&l.warm, "warm", time.Second, "`TIME` before anything is counted")
	fs.DurationVar(&l.window, "window", 3*time.Second, "`TIME` that is counted")
	if err := parse(fs, args); err != nil {
		return err
	}
	if *endpoints == "" || *size < 0 || l.clients < 1 || l.warm < 0 || l.window <= 0 {
		fmt.Fprintln(fs.Output(), "load: nothing to do")
		return errUsage
	}
	leader, err := findLeader(ctx, strings.Split(*endpoints, ","))
	if err != nil {
		return err
	}
	// One connection, as a program has: 2, 4, 8 and 64 gave no more with 16
	// clients and less with 64, measured on two cores.
	c, err := dial(leader)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	value := make([]byte, *size)
	_, _ = rand.Read(value) // it never fails
	prefix, say := rand.Text()[:8], json.NewEncoder(out)
	r, err := l.drive(ctx, func() error { return say.Encode("mark") }, func(ctx context.Context, key int64) error {
		_, err := c.Put(ctx, fmt.Sprintf("%s%012d", prefix, key), string(value))
		return err
	})
	if err != nil {
		return err
	}
	kept, err := c.Get(ctx, prefix, clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		return err
	}
	if kept.Count < int64(r.All) {
		return fmt.Errorf("%d writes were acknowledged, %d are there", r.All, kept.Count)
	}
	return say.Encode(r)
}

func dial(endpoint string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: dialTimeout})
}

// findLeader asks every server who leads.
func findLeader(ctx context.Context, endpoints []string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	for {
		for _, e := range endpoints {
			c, err := dial(e)
			if err != nil {
				return "", err
			}
			s, err := c.Status(ctx, e)
			if err := errors.Join(err, c.Close()); err != nil {
				return "", fmt.Errorf("%s: %w", e, err)
			}
			if s.Leader == s.Header.MemberId {
				return e, nil
			}
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("there is no leader: %w", ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// percentile p of a list that is not empty: the least value that so many of it
// do not exceed (nearest rank).
func percentile(v []float64, p float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[max(0, int(math.Ceil(p/100*float64(len(v))))-1)]
}
