package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// clients fetch an artefact into the working directory by the package system's
// ordinary client: it knows the machine's mirrors and proxies, and it runs
// nowhere else in the build.
var clients = map[string]func(ctx context.Context, dir string, a *artefact) error{
	"pip": fetchPip,
	"npm": fetchNpm,
	"deb": fetchDeb,
}

// cache keeps artefacts by their SHA-256, outside the tree, so that a second
// build needs no network.
type cache struct {
	dir string
	log func(format string, args ...any)
}

func defaultCache() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache directory: %w; name one with --cache", err)
	}
	return filepath.Join(dir, "gatehouse", "assets"), nil
}

// get gives an artefact's bytes, verified, and the place of its file. What is
// not in the cache is fetched.
func (c cache) get(ctx context.Context, a *artefact) ([]byte, string, error) {
	path := filepath.Join(c.dir, a.SHA256)
	b, err := readAtMost(path, a.Bytes)
	if errors.Is(err, fs.ErrNotExist) {
		if err := c.fetch(ctx, a, path); err != nil {
			return nil, "", fmt.Errorf("fetching %s (%s): %w", a.name(), a.Kind, err)
		}
		b, err = readAtMost(path, a.Bytes)
	}
	if err == nil {
		err = same(a.File, b, a.Bytes, a.SHA256)
	}
	if err != nil {
		return nil, "", fmt.Errorf("cached artefact: %w; delete %s and run again", err, path)
	}
	return b, path, nil
}

// fetch runs the client in a directory of its own beside the cache's files,
// and moves the file into the cache once it is the right one.
func (c cache) fetch(ctx context.Context, a *artefact, path string) error {
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(c.dir, "fetch-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	c.log("fetching %s (%s)", a.name(), a.Kind)
	if err := clients[a.Kind](ctx, dir, a); err != nil {
		return err
	}
	got := filepath.Join(dir, a.File)
	b, err := readAtMost(got, a.Bytes)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the client brought no %s; has the version's file another name now? Pin it in assets.lock", a.File)
	}
	if err != nil {
		return err
	}
	if err := same(a.File, b, a.Bytes, a.SHA256); err != nil {
		return fmt.Errorf("%w; the package was changed at its source: find out why before you pin the new file", err)
	}
	return os.Rename(got, path)
}

// fetchPip asks for one exact file whatever Python runs pip. The hash is given
// to pip, too: pip runs a source archive's setup.py to learn its metadata, and
// must not run one that was changed.
func fetchPip(ctx context.Context, dir string, a *artefact) error {
	pip, err := findPip(ctx)
	if err != nil {
		return err
	}
	requirements := fmt.Sprintf("%s==%s --hash=sha256:%s\n", a.Package, a.Version, a.SHA256)
	if err := os.WriteFile(filepath.Join(dir, "requirements.txt"), []byte(requirements), 0o644); err != nil {
		return err
	}
	args := append(pip, "download", "--disable-pip-version-check", "--no-deps")
	if strings.HasSuffix(a.File, ".whl") {
		args = append(args, "--only-binary=:all:", "--python-version", "3.11", "--implementation", "cp",
			"--abi", "cp311", "--platform", "manylinux_2_28_x86_64")
	} else {
		args = append(args, "--no-binary="+a.Package)
	}
	return run(ctx, dir, append(args, "--require-hashes", "-r", "requirements.txt"), "is the package index reachable (pip config list)?")
}

// findPip gives the command of whichever pip this machine has.
func findPip(ctx context.Context) ([]string, error) {
	if exec.CommandContext(ctx, "python3", "-m", "pip", "--version").Run() == nil {
		return []string{"python3", "-m", "pip"}, nil
	}
	for _, name := range []string{"pip3", "pip"} {
		if _, err := exec.LookPath(name); err == nil {
			return []string{name}, nil
		}
	}
	return nil, errors.New("pip is missing: install the Debian package python3-pip")
}

func fetchNpm(ctx context.Context, dir string, a *artefact) error {
	if _, err := exec.LookPath("npm"); err != nil {
		return errors.New("npm is missing: install the Debian package npm")
	}
	return run(ctx, dir, []string{"npm", "pack", "--silent", "--ignore-scripts", a.Package + "@" + a.Version},
		"is the package registry reachable (npm ping)?")
}

func fetchDeb(ctx context.Context, dir string, a *artefact) error {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return errors.New("apt-get is missing: build on Debian 12, or install the Debian package apt")
	}
	return run(ctx, dir, []string{"apt-get", "download", a.Package + "=" + a.Version},
		"is the list of packages stale? Run apt-get update; if Debian has replaced the version, pin the new one in assets.lock")
}

// run runs a client; its own words are part of the error, and the hint says
// what to look at first.
func run(ctx context.Context, dir string, args []string, hint string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w; %s\n%s", strings.Join(args, " "), err, hint, strings.TrimSpace(string(out)))
	}
	return nil
}

// readAtMost reads a file that must not be longer than expected.
func readAtMost(path string, limit int64) ([]byte, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if st.Size() > limit || !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s %w: %d bytes, recorded are %d", path, errChanged, st.Size(), limit)
	}
	return os.ReadFile(path)
}
