package appliance

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"gatehouse/store/disk"
	"gatehouse/store/id"
)

// nodeFormat of node.json.
const nodeFormat = 1

// joining is a file that is there while a node joins.
const joining = "joining"

// nodeFile says whose the data directory is.
type nodeFile struct {
	Format  int    `json:"format"`
	Cluster string `json:"cluster"`
	Node    string `json:"node"`
	UID     int    `json:"uid"` // of the user that owns it
	// SealFile is the path of the first key file, noted before it is made: a
	// first start that was cut off finds its own again.
	SealFile string `json:"first_seal_file"`
	// Peer is the address at which the other members reach the node, PeerListen
	// where it waits for them; empty: it is alone.
	Peer       string `json:"peer,omitempty"`
	PeerListen string `json:"peer_listen,omitempty"`
	Name       string `json:"name,omitempty"`
	// Joined says that the node came to a cluster that was there.
	Joined bool `json:"joined,omitempty"`
}

// readNode reads node.json; nil where the directory is new. A directory that
// has lost its node.json, or whose owner is another user, is refused: to begin
// anew in it would be to lose what it holds.
func readNode(dir string) (*nodeFile, error) {
	if _, err := os.Stat(filepath.Join(dir, joining)); err == nil {
		return nil, fmt.Errorf("%w: in %s a node was about to join a cluster and did not end it: remove the directory and join again with a new invitation", ErrData, dir)
	}
	path := filepath.Join(dir, "node.json")
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		for _, name := range []string{"raft", "state.db", "seal.json", "keyring", "audit"} {
			if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
				return nil, fmt.Errorf("%w: %s is missing and %s is there: restore the whole directory from a backup", ErrData, path, name)
			}
		}
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	n := &nodeFile{}
	switch err := json.Unmarshal(b, n); {
	case err != nil:
		return nil, fmt.Errorf("%w: %s is damaged: %v", ErrData, path, err)
	case n.Format != nodeFormat:
		return nil, fmt.Errorf("%w: %s has format %d, this program reads %d", ErrData, path, n.Format, nodeFormat)
	case id.Check(id.Cluster, n.Cluster) != nil || id.Check(id.Node, n.Node) != nil:
		return nil, fmt.Errorf("%w: %s names no cluster and node", ErrData, path)
	case n.UID != os.Getuid():
		return nil, fmt.Errorf("%w: %s belongs to the user with id %d, you are %d: run gatehouse as that user", ErrData, dir, n.UID, os.Getuid())
	}
	return n, nil
}

func (n *nodeFile) write(dir string) error {
	b, err := json.MarshalIndent(n, "", "  ")
	if err != nil {
		return err
	}
	return disk.WriteFile(filepath.Join(dir, "node.json"), append(b, '\n'), 0o600)
}
