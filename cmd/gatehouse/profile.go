package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"gatehouse/appliance/client"
)

// profile says which node is called, and as whom: a file that only its owner
// may read.
type profile struct {
	Server string `json:"server"`        // https://host:port
	CA     string `json:"ca"`            // PEM
	Key    string `json:"key,omitempty"` // API key
}

const (
	profileVariable = "GATEHOUSE_PROFILE"
	// maxProfile bytes of a profile, a CA or a key: a chain of certificates has
	// less.
	maxProfile = 64 << 10
)

// nodeFlags are those of every command that calls a node.
type nodeFlags struct {
	profile, server, ca, keyFile string
}

func (n *nodeFlags) define(fs *flag.FlagSet) {
	fs.StringVar(&n.profile, "profile", "", "`FILE` with server, CA and key (default: $"+profileVariable+", else ~/.config/gatehouse/client.json)")
	fs.StringVar(&n.server, "server", "", "call the node at this `URL`, or one of those with commas between, instead of the profile's")
	fs.StringVar(&n.ca, "ca", "", "trust this PEM `FILE` instead of the profile's CA")
	fs.StringVar(&n.keyFile, "key-file", "", "take the API key from this `FILE` (- is stdin) instead of the profile")
}

// path of the profile, and whether it was named.
func (n *nodeFlags) path() (string, bool, error) {
	if n.profile != "" {
		return n.profile, true, nil
	}
	if p := os.Getenv(profileVariable); p != "" {
		return p, true, nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", false, fmt.Errorf("this user has no directory for the profile: %w; name it with --profile FILE", err)
	}
	return filepath.Join(dir, "gatehouse", "client.json"), false, nil
}

// settle gives the profile with what the flags put in its place. Where they
// name another node and its CA, only a profile that they name too is read: no
// key goes to a node that it was not made for.
func (n *nodeFlags) settle() (p profile, err error) {
	if n.profile != "" || n.server == "" || n.ca == "" {
		path, named, err := n.path()
		if err != nil {
			return p, err
		}
		if p, err = readProfile(path); errors.Is(err, fs.ErrNotExist) && !named {
			return p, fmt.Errorf("%w: there is no profile %s; make one with 'gatehouse setup' or 'gatehouse client create --out', or name one with --profile", errSignedOut, path)
		} else if err != nil {
			return p, err
		}
	}
	if n.server != "" {
		p.Server = n.server
	}
	if n.ca != "" {
		ca, err := readSmall(n.ca, maxProfile)
		if err != nil {
			return p, err
		}
		p.CA = string(ca)
	}
	if n.keyFile != "" {
		key, err := readSmall(n.keyFile, maxProfile)
		if err != nil {
			return p, err
		}
		if p.Key = strings.TrimSpace(string(key)); p.Key == "" {
			return p, &inputError{n.keyFile, errors.New("it holds no key; put the API key on its first line")}
		}
	}
	return p, nil
}

// client gives what calls the node.
func (n *nodeFlags) client() (*client.Client, error) {
	p, err := n.settle()
	if err != nil {
		return nil, err
	}
	return p.client()
}

func (p *profile) client() (*client.Client, error) {
	return client.New(client.Config{Server: p.Server, CA: []byte(p.CA), Key: p.Key})
}

func readProfile(path string) (p profile, err error) {
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return p, &inputError{path, fmt.Errorf("%w; 'gatehouse setup' makes one", fs.ErrNotExist)}
	}
	if err == nil && st.Mode().IsRegular() && st.Mode().Perm()&0o077 != 0 {
		return p, &inputError{path, fmt.Errorf("its mode is %04o, so that others may use its key; chmod 600 it", st.Mode().Perm())}
	}
	b, err := readSmall(path, maxProfile)
	if err != nil {
		return p, err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil || d.More() {
		// Without the cause, which may repeat the key.
		return p, &inputError{path, errors.New("it is not a profile: JSON with server, ca and key; make one with 'gatehouse setup'")}
	}
	return p, nil
}

// readSmall reads a file of at most limit bytes; "-" is stdin.
func readSmall(name string, limit int64) ([]byte, error) {
	f := os.Stdin
	if name != "-" {
		var err error
		if f, err = os.Open(name); err != nil {
			return nil, &inputError{name, fmt.Errorf("it cannot be opened: %w; check the path and its permissions", cause(err))}
		}
		defer f.Close()
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return nil, &inputError{name, fmt.Errorf("it cannot be read: %w", cause(err))}
	case int64(len(b)) > limit:
		return nil, &inputError{name, fmt.Errorf("it has more than %d bytes; check that it is the right file", limit)}
	}
	return b, nil
}

// cause of a file's error, without the name.
func cause(err error) error {
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		return p.Err
	}
	return err
}

// privateFile is a file that only its owner will be able to read. Its place is
// made ready before what it will hold is asked for: a key is shown once.
type privateFile struct {
	path  string
	force bool
	temp  *os.File
}

func newPrivateFile(path string, force bool) (*privateFile, error) {
	if _, err := os.Lstat(path); err == nil && !force {
		return nil, &inputError{path, errors.New("it is there already and is not overwritten; name another or give --force")}
	}
	dir := filepath.Dir(path)
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		var f *os.File
		if f, err = os.CreateTemp(dir, ".gatehouse-*"); err == nil { // its mode is 0600
			return &privateFile{path, force, f}, nil
		}
	}
	return nil, &inputError{path, fmt.Errorf("it cannot be written: %w; name a file in a directory where this user may write", cause(err))}
}

// discard removes what is not yet in its place.
func (f *privateFile) discard() {
	f.temp.Close()
	os.Remove(f.temp.Name())
}

// commit puts the file in its place, whole; without force only where there is
// none.
func (f *privateFile) commit(b []byte) error {
	_, err := f.temp.Write(b)
	if err == nil {
		err = f.temp.Sync()
	}
	if err == nil && f.force {
		err = os.Rename(f.temp.Name(), f.path)
	} else if err == nil {
		err = os.Link(f.temp.Name(), f.path)
	}
	if err != nil {
		var link *os.LinkError // without the temporary file's name
		if errors.As(err, &link) {
			err = link.Err
		}
		return fmt.Errorf("%s cannot be written: %w", f.path, cause(err))
	}
	return nil
}

func (f *privateFile) commitProfile(p profile) error {
	b, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return fmt.Errorf("%s cannot be written: %w", f.path, err)
	}
	return f.commit(append(b, '\n'))
}
