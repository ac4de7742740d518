package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// licenceFile are the names under which modules keep what must be passed on.
var licenceFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents)([.-].*)?$`)

// linked is the program whose modules must be named: tools and tests use more.
const linked = "./cmd/gatehouse"

// goLicences gives the licence texts of Go itself, whose runtime and library
// are in the binary, and of every module that is linked into it, by path.
// Offline, a module that is not in Go's cache is an error.
func goLicences(ctx context.Context, root string, offline bool) ([]part, error) {
	goroot, err := goTool(ctx, root, offline, "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(goroot)), "LICENSE"))
	if err != nil {
		return nil, fmt.Errorf("the licence of Go: %w; use the Go distribution of its authors", err)
	}
	parts := []part{known("Go, its runtime and library: LICENSE", b)}

	// -e: the files that the program embeds are not there yet.
	out, err := goTool(ctx, root, offline, "list", "-e", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}", linked)
	if err != nil {
		return nil, err
	}
	modules := strings.Split(strings.TrimSpace(string(out)), "\n")
	slices.Sort(modules)
	for _, m := range slices.Compact(modules) {
		if m == "" { // of Go's own packages
			continue
		}
		path, rest, _ := strings.Cut(m, " ")
		version, dir, found := strings.Cut(rest, " ")
		if !found || dir == "" {
			return nil, fmt.Errorf("go module %s %s is not in Go's cache; run go mod download", path, version)
		}
		texts, err := moduleLicences(dir, "Go module "+path+" "+version)
		if err != nil {
			return nil, err
		}
		parts = append(parts, texts...)
	}
	return parts, nil
}

// moduleLicences finds every licence in a module: code that it took from
// others lies in folders with a licence of their own.
func moduleLicences(dir, module string) ([]part, error) {
	var parts []part
	atRoot := false
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			if n := e.Name(); path != dir && (n == "testdata" || strings.HasPrefix(n, ".")) {
				return fs.SkipDir
			}
			return nil
		}
		if !e.Type().IsRegular() || !licenceFile.MatchString(e.Name()) || strings.HasSuffix(e.Name(), ".go") {
			return nil
		}
		b, err := readAtMost(path, 1<<20)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		atRoot = atRoot || rel == e.Name()
		parts = append(parts, known(module+": "+filepath.ToSlash(rel), b))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", module, err)
	}
	if !atRoot {
		return nil, fmt.Errorf("%s has no licence file; do not ship it", module)
	}
	return parts, nil
}

func goTool(ctx context.Context, root string, offline bool, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = root
	if offline {
		cmd.Env = append(os.Environ(), "GOPROXY=off")
	}
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return nil, fmt.Errorf("go %s: %w: %s%s; run go mod download", strings.Join(args, " "), err, out, exit.Stderr)
	}
	return out, err
}
