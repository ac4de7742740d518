package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"strings"
)

const (
	etcdName   = "etcd"
	rqliteName = "rqlite"
)

// rival is one of those compared.
type rival struct {
	name    string
	version string // "" of this program
	write   string // what is one of its writes
	peer    clusterPeer
	because string // it cannot be measured; else ""
}

// findRivals says of each why it cannot be measured, where it cannot.
func findRivals(ctx context.Context, f *clusterFlags) ([]rival, error) {
	ours := rival{name: oursName, write: "an event with its 1 KiB in a tenant's audit log, over HTTP/1.1; the nodes talk over mutual TLS", peer: ourPeer{}}
	etcd := rival{name: etcdName, write: "a put, over gRPC; no TLS between the nodes"}
	rqlite := rival{name: rqliteName, write: "an insert, over HTTP/1.1; no TLS between the nodes"}
	program, err := filepath.Abs(f.etcd)
	if err != nil {
		return nil, err
	}
	etcd.peer = etcdPeer{program}
	etcd.version, err = firstLine(ctx, program, "version")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		etcd.because = "etcd-is-not-here"
	case err != nil:
		return nil, err
	}
	name := f.rqlited
	if name == "" {
		name = "rqlited"
	}
	program, err = exec.LookPath(name)
	switch {
	case err == nil:
		rqlite.peer = rqlitePeer{program}
		if rqlite.version, err = firstLine(ctx, program, "-version"); err != nil {
			return nil, err
		}
	case f.rqlited != "": // what is named must be there
		return nil, fmt.Errorf("--rqlited: %w", err)
	default:
		rqlite.because = "rqlited-is-not-here"
	}
	return []rival{ours, etcd, rqlite}, nil
}

// firstLine that a program prints.
func firstLine(ctx context.Context, program string, args ...string) (string, error) {
	b, err := exec.CommandContext(ctx, program, args...).Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w", program, err)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimSpace(line), nil
}
