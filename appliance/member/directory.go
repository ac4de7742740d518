package member

import (
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/cluster/peer"
	"gatehouse/cluster/pki"
	"gatehouse/store/command"
	"gatehouse/store/disk"
	"gatehouse/store/state"
)

// Directory is the members and the authorities that certify them, as the state
// has them, and as they were last told: a node whose state is behind would else
// know nobody who could help it.
type Directory struct {
	path string
	log  *slog.Logger
	now  atomic.Pointer[known]
	kept atomic.Pointer[known] // what is on the disk

	mu sync.Mutex // one writer of the file
}

// known members as of an entry of the state.
type known struct {
	Format  int     `json:"format"`
	Index   uint64  `json:"index"`
	Members []Known `json:"members"`
	// Authorities that count: their certificates, that of the one in force first.
	// None: the node knows the one of its own certificate alone.
	Authorities [][]byte `json:"authorities,omitempty"`
	// Moved members, as an operator has told this node while it was stopped: each
	// until the cluster knows a newer address.
	Moved map[string]Moved `json:"moved,omitempty"`

	trusted []*x509.Certificate // Authorities, read
	// left: when this node saw that a member was removed; not known after a restart.
	left map[string]time.Time
}

// leaving: it was removed a moment ago, and the news of it may still be on its way
// to it.
func (k *known) leaving(m *Known) bool { return m.Removed && time.Since(k.left[m.Node]) < farewell }

func (k *known) read() (err error) {
	k.trusted = make([]*x509.Certificate, len(k.Authorities))
	for i, der := range k.Authorities {
		if k.trusted[i], err = pki.Parse(der); err != nil {
			return err
		}
	}
	return nil
}

// Moved is a member's address that is not the cluster's word.
type Moved struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Known of a member.
type Known struct {
	Node     string `json:"node"`
	Name     string `json:"name,omitempty"`
	Address  string `json:"address"`
	Key      string `json:"key"` // SHA-256 of its public key, hex
	Removed  bool   `json:"removed,omitempty"`
	Draining bool   `json:"draining,omitempty"`
}

const directoryFormat = 1

func knownOf(rows []*command.Member) (all []Known) {
	for _, m := range rows {
		all = append(all, Known{m.Id, m.Name, m.Address, hex.EncodeToString(m.Key), m.RemovedNs != 0, m.Draining})
	}
	return all
}

// OpenDirectory reads what was told last.
func OpenDirectory(dir string, log *slog.Logger) (*Directory, error) {
	d := &Directory{path: filepath.Join(dir, "members.json"), log: log}
	nobody := &known{}
	d.now.Store(nobody)
	d.kept.Store(nobody)
	b, err := os.ReadFile(d.path)
	if errors.Is(err, os.ErrNotExist) {
		return d, nil
	}
	if err != nil {
		return nil, err
	}
	k := &known{}
	if err := errors.Join(json.Unmarshal(b, k), k.read()); err != nil || k.Format != directoryFormat {
		return nil, fmt.Errorf("%s is damaged, or of a newer release (format %d): %v", d.path, k.Format, err)
	}
	d.now.Store(k)
	d.kept.Store(k)
	return d, nil
}

// Follow takes the members and their authorities from the state, where it knows
// more.
func (d *Directory) Follow(s *state.State) {
	var index uint64
	var rows []*command.Member
	var authority *command.Authority
	err := s.View(func(v *state.View) (err error) {
		index = v.Index()
		if rows, err = v.Members(); err != nil {
			return err
		}
		if authority, err = v.Authority(); errors.Is(err, state.ErrNotFound) {
			return nil
		}
		return err
	})
	if err == nil && len(rows) > 0 {
		err = d.Set(index, knownOf(rows), trustedOf(authority))
	}
	if err != nil {
		d.log.Error("the members of the cluster cannot be noted", "error", err)
	}
}

// Set the members and the certificates of their authorities as of an entry.
func (d *Directory) Set(index uint64, all []Known, authorities [][]byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	before := d.now.Load()
	if index < before.Index {
		return nil
	}
	k := &known{Format: directoryFormat, Index: index, Members: all, Authorities: authorities, Moved: map[string]Moved{}}
	if err := k.read(); err != nil {
		return err
	}
	k.left = maps.Clone(before.left)
	for _, m := range all {
		if moved, ok := before.Moved[m.Node]; ok && moved.From == m.Address {
			k.Moved[m.Node] = moved
		}
		if m.Removed && slices.ContainsFunc(before.Members, func(b Known) bool { return b.Node == m.Node && !b.Removed }) {
			if k.left == nil {
				k.left = map[string]time.Time{}
			}
			k.left[m.Node] = time.Now()
		}
	}
	return d.write(k)
}

// Gone are the members that were removed and have had the time to learn it.
func (d *Directory) Gone() (all []string) {
	k := d.now.Load()
	for _, m := range k.Members {
		if m.Removed && !k.leaving(&m) {
			all = append(all, m.Node)
		}
	}
	return all
}

// Move a member to another address, as far as this node knows. Error:
// peer.ErrUnknown.
func (d *Directory) Move(node, address string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	k := *d.now.Load()
	for _, m := range k.Members {
		if !m.Removed && (m.Node == node || m.Name == node) {
			k.Moved = maps.Clone(k.Moved)
			if k.Moved == nil {
				k.Moved = map[string]Moved{}
			}
			k.Moved[m.Node] = Moved{m.Address, address}
			return d.write(&k)
		}
	}
	return fmt.Errorf("%w: %s", peer.ErrUnknown, node)
}

func (d *Directory) write(k *known) error {
	d.now.Store(k)
	b, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		return err
	}
	if err := disk.MkdirAll(filepath.Dir(d.path)); err != nil {
		return err
	}
	if err := disk.WriteFile(d.path, append(b, '\n'), 0o600); err != nil {
		return err
	}
	d.kept.Store(k)
	return nil
}

// keep what could not be written when it came, for a disk that was full.
func (d *Directory) keep() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if k := d.now.Load(); k != d.kept.Load() {
		_ = d.write(k) // Follow has said why not, and this is done again
	}
}

// Trusts says which authorities count here and will after a restart: SHA-256 of
// their certificates, hex.
func (d *Directory) Trusts() (all []string) {
	for _, der := range d.kept.Load().Authorities {
		all = append(all, nameOf(der))
	}
	return all
}

// Shown at a handshake: what the node has of itself, and the authorities that the
// directory trusts; until it knows any, that of the node's own certificate.
func (d *Directory) Shown(i *Identity) func() (*peer.Identity, error) {
	return func() (*peer.Identity, error) {
		own, err := i.Current()
		if all := d.now.Load().trusted; err == nil && len(all) > 0 {
			return &peer.Identity{Certificate: own.Certificate, Authorities: all}, nil
		}
		return own, err
	}
}

// Index of the entry as of which it is.
func (d *Directory) Index() uint64 { return d.now.Load().Index }

// Rewind has the state's word count again, whichever entry it is of: after a recovery
// entries of which others have told may never have been. Who is known stays so until
// then.
func (d *Directory) Rewind() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	k := *d.now.Load()
	if k.Index == 0 {
		return nil
	}
	k.Index = 0
	return d.write(&k)
}

// news for who knows them as of an older entry; nil: there are none.
func (d *Directory) news(since uint64) *News {
	k := d.now.Load()
	if k.Index <= since {
		return nil
	}
	return &News{k.Index, k.Members, k.Authorities}
}

// All that are or were members.
func (d *Directory) All() []Known { return d.now.Load().Members }

// Others are the members but for one.
func (d *Directory) Others(node string) (all []string) {
	for _, m := range d.All() {
		if !m.Removed && m.Node != node {
			all = append(all, m.Node)
		}
	}
	return all
}

// Name of a member for people: its own, or its id.
func (d *Directory) Name(node string) string {
	for _, m := range d.All() {
		if m.Node == node && m.Name != "" {
			return m.Name
		}
	}
	return node
}

func (d *Directory) find(node string) (*Known, error) {
	k := d.now.Load()
	for _, m := range k.Members {
		if m.Node == node {
			if m.Removed && !k.leaving(&m) {
				return nil, fmt.Errorf("%w: %s was removed", peer.ErrUnknown, node)
			}
			return &m, nil
		}
	}
	return nil, fmt.Errorf("%w: %s", peer.ErrUnknown, node)
}

// Address of a member. Error: peer.ErrUnknown.
func (d *Directory) Address(node string) (string, error) {
	m, err := d.find(node)
	if err != nil {
		return "", err
	}
	if moved, ok := d.now.Load().Moved[node]; ok && moved.From == m.Address {
		return moved.To, nil
	}
	return m.Address, nil
}

// Admit a member by its key. Error: peer.ErrUnknown.
func (d *Directory) Admit(node string, key [32]byte) error {
	m, err := d.find(node)
	if err == nil && m.Key != hex.EncodeToString(key[:]) {
		err = fmt.Errorf("%w: %s with another key", peer.ErrUnknown, node)
	}
	return err
}
