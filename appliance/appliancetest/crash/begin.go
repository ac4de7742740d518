package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"gatehouse/appliance/api"
)

// steps of a first start that show in the directory; a kill comes as soon as
// one is seen.
var steps = []string{"lock", "node.json", "../data.seal", "keyring", "seal.json", "tls", "tls/key.pem", "tls/cert.pem", "ballast", "blobs",
	"state.db.new", "state.db", "raft", "raft/vote.db.new", "raft/vote.db", "raft/log", "raft/snapshots", segment + ".new", segment,
	"peer", "peer/key.pem", "peer/cert.pem", "peer/members.json", "jobs", "gallery", "audit", "forward"}

// segment is the first file of Raft's log.
const segment = "raft/log/00000000000000000001.log"

// FirstStarts kills the first start of a new node, once at each step that shows
// in its directory and then at random moments, until there were c.Kills. Each
// directory must start again, empty and ready to be set up, or the node says
// clearly that it cannot.
func FirstStarts(ctx context.Context, c Config) (*Report, error) {
	said, err := openDir(c.Dir)
	if err != nil {
		return nil, err
	}
	defer said.Close()
	r := &Report{Seed: c.Seed}
	random := rand.New(rand.NewPCG(c.Seed, 3))
	for r.Kills < c.Kills {
		dir := filepath.Join(c.Dir, fmt.Sprintf("first-%d", r.Kills))
		if err := os.Mkdir(dir, 0o700); err != nil {
			return r, err
		}
		address, err := free()
		if err != nil {
			return r, err
		}
		// With an address for others, a first start founds a cluster too.
		p := Program{Binary: c.Binary, Data: filepath.Join(dir, "data"), Log: said, Flags: []string{"--peer", address}}
		at := "a random moment"
		n, served, err := p.Begin()
		if err != nil {
			return r, err
		}
		if r.Kills < len(steps) {
			at = steps[r.Kills]
			await(filepath.Join(p.Data, at), served)
		} else {
			time.Sleep(time.Duration(random.Int64N(int64(beforeServe))))
		}
		n.Kill()
		r.Kills++
		if err := again(ctx, p, r, at); err != nil {
			return r, err
		}
		if c.Progress != nil {
			c.Progress(r.Kills, r)
		}
		if len(r.Broken) == 0 {
			if err := os.RemoveAll(dir); err != nil {
				return r, err
			}
		}
	}
	return r, nil
}

// free gives an address that nobody listens at.
func free() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// await returns when a file is there or the node serves.
func await(path string, served <-chan error) {
	for {
		select {
		case <-served:
			return
		default:
		}
		if _, err := os.Lstat(path); err == nil {
			return
		}
	}
}

// again starts a node whose first start was cut off, and sets it up.
func again(ctx context.Context, p Program, r *Report, at string) error {
	n, err := p.Start(ctx)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		r.broken(Damage, "killed at %s in its first start, it does not start again: exit code %d", at, exit.ExitCode())
		return nil
	}
	if err != nil {
		return err
	}
	r.Restarts = append(r.Restarts, n.Took)
	anonymous, err := n.Client("")
	if err == nil {
		_, err = anonymous.Setup(ctx, "", api.SetupRequest{Code: n.SetupCode, Name: "administrator", Organisation: "bank"})
	}
	if err != nil {
		r.broken(Damage, "killed at %s in its first start, it cannot be set up: %v", at, err)
	}
	if err := n.Stop(); err != nil {
		r.broken(Damage, "%v", err)
	}
	if len(r.Broken) > 0 {
		return nil
	}
	found, err := p.Check(ctx)
	if err != nil {
		return err
	}
	for _, f := range found.Findings {
		r.broken(Damage, "killed at %s in its first start: data check: %v", at, f)
	}
	return nil
}
