package appliance

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"gatehouse/appliance/member"
	"gatehouse/store/command"
	"gatehouse/store/disk"
	"gatehouse/store/id"
	"gatehouse/store/keys"
)

// Joining is what a new node says of itself.
type Joining struct {
	Data     string // directory, which must be new or empty
	Token    string
	Peer     string // address at which the others reach it
	Listen   string // where it waits for them; empty: Peer
	Name     string
	SealFile string // empty: Data.seal
	Version  string
}

// Joined says what came of it.
type Joined struct {
	Cluster string         `json:"cluster"`
	Node    string         `json:"node"`
	Data    string         `json:"data"`
	Members []member.Known `json:"members"`
}

// Join makes the data directory of a node that was invited: with the cluster's
// keys, and a certificate. Run then starts it. Errors: ErrData, member's.
func Join(ctx context.Context, j Joining) (out *Joined, err error) {
	token, err := member.ParseToken(j.Token)
	if err != nil {
		return nil, err
	}
	if j.Data, err = filepath.Abs(j.Data); err != nil {
		return nil, err
	}
	if j.SealFile == "" {
		j.SealFile = j.Data + ".seal"
	}
	if err := j.check(); err != nil {
		return nil, err
	}
	if err := harden(); err != nil { // before there is a key
		return nil, err
	}
	mark := filepath.Join(j.Data, joining)
	if err := disk.MkdirAll(j.Data); err != nil {
		return nil, err
	}
	if err := disk.WriteFile(mark, []byte("a node is about to join a cluster\n"), 0o600); err != nil {
		return nil, err
	}
	applied := false
	defer func() {
		if err != nil && !applied { // nothing has come of it: the directory is as it was
			err = errors.Join(err, os.RemoveAll(filepath.Join(j.Data, "peer")), os.Remove(mark))
		}
	}()
	identity, err := member.OpenIdentity(filepath.Join(j.Data, "peer"))
	if err != nil {
		return nil, err
	}
	request, err := identity.Request()
	if err != nil {
		return nil, err
	}
	receiver, err := keys.NewReceiver(rand.Reader)
	if err != nil {
		return nil, err
	}
	node := id.New(id.Node, time.Now(), rand.Reader)
	w, err := member.Apply(ctx, token, member.Application{Node: node, Name: j.Name, Address: j.Peer, Request: request, Receiver: receiver.Public(),
		Release: j.Version, Commands: command.Version, Clock: time.Now().UTC()})
	if err != nil {
		return nil, err
	}
	applied = true
	if err := identity.Certify(w.Certificate, w.Authority); err != nil {
		return nil, err
	}
	directory, err := member.OpenDirectory(filepath.Join(j.Data, "peer"), nil)
	if err != nil {
		return nil, err
	}
	if err := directory.Set(w.Index, w.Members, w.Trusted); err != nil {
		return nil, err
	}
	_, err = keys.Receive(j.Data, token.Cluster, receiver, w.Keys, node, rand.Reader, func(s *keys.Store) error {
		_, err := s.AddFile(j.SealFile)
		return err
	})
	if err != nil {
		return nil, err
	}
	f := &nodeFile{Format: nodeFormat, Cluster: token.Cluster, Node: node, UID: os.Getuid(), SealFile: j.SealFile, Peer: j.Peer, PeerListen: j.Listen, Name: j.Name, Joined: true}
	if err := f.write(j.Data); err != nil {
		return nil, err
	}
	if err := os.Remove(mark); err != nil {
		return nil, err
	}
	return &Joined{token.Cluster, node, j.Data, w.Members}, disk.SyncDir(j.Data)
}

// check before anything is asked of the cluster: an invitation is used once.
func (j *Joining) check() error {
	files, err := os.ReadDir(j.Data)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, f := range files {
		if f.Name() != "lost+found" { // of a volume of its own
			return fmt.Errorf("%w: %s is not empty (it has %s): a node that joins begins with nothing", ErrData, j.Data, f.Name())
		}
	}
	if _, err := os.Lstat(j.SealFile); err == nil {
		return fmt.Errorf("%w: the key file %s exists already and may be another node's: name a new one with --seal-file", ErrData, j.SealFile)
	}
	host, port, err := net.SplitHostPort(j.Peer)
	if err != nil || host == "" || port == "" || port == "0" || net.ParseIP(host).IsUnspecified() {
		return fmt.Errorf("%w: %q is no address at which the other nodes could reach this one: give --peer HOST:PORT", ErrData, j.Peer)
	}
	listen := j.Listen
	if listen == "" {
		listen = j.Peer
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("the port for the other nodes: %w", err)
	}
	return l.Close()
}
