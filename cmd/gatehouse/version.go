package main

import (
	"bytes"
	"context"
	"debug/elf"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"

	"gatehouse"
	"gatehouse/engine/onnx"
)

// version is set by the release build.
const version = "0.2.0"

func versionCommand() command {
	return command{
		name: "version", summary: "print the version and what the machine must have",
		manual: `
Prints the version and the least C library (glibc) that this file needs: with
the host's own C++ library, and without one, when the built-in copy is used.`,
		flags: func(*flag.FlagSet) func(context.Context, *call, []string) error { return printVersion },
	}
}

type versions struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	// Libc is the least glibc where the host has libstdc++; LibcAlone where
	// it has nothing else.
	Libc      string `json:"libc_min"`
	LibcAlone string `json:"libc_min_alone"`
	HostLibc  string `json:"libc_here"`
}

func printVersion(_ context.Context, c *call, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%w: it takes no arguments", errUsage)
	}
	self, err := os.Executable()
	if err != nil { // /proc is not mounted
		if self, err = exec.LookPath(os.Args[0]); err != nil {
			return err
		}
	}
	f, err := elf.Open(self)
	if err != nil {
		return err
	}
	defer f.Close()
	v := versions{Version: version, Go: runtime.Version(), HostLibc: onnx.LibcVersion()}
	least, err := glibcNeeded(f)
	if err != nil {
		return err
	}
	for _, l := range []struct {
		asset gatehouse.Asset
		then  func()
	}{
		{gatehouse.ONNXRuntime, func() { v.Libc = least.String() }},
		{gatehouse.LibStdCxx, func() {}},
		{gatehouse.LibGCC, func() { v.LibcAlone = least.String() }},
	} {
		e, err := elf.NewFile(bytes.NewReader(l.asset.Bytes()))
		if err != nil {
			return fmt.Errorf("%s %w", l.asset, gatehouse.ErrAsset)
		}
		n, err := glibcNeeded(e)
		if err != nil {
			return err
		}
		least = least.max(n)
		l.then()
	}
	if c.json || c.jsonl {
		c.print(v)
		return nil
	}
	fmt.Fprintf(c.out, "gatehouse %s (%s)\nneeds glibc %s where the host has a C++ library, %s where it has none; this machine has %s\n", v.Version, v.Go, v.Libc, v.LibcAlone, v.HostLibc)
	return nil
}

// libc is a glibc version.
type libc struct{ major, minor int }

func (a libc) max(b libc) libc {
	if a.major > b.major || a.major == b.major && a.minor > b.minor {
		return a
	}
	return b
}

func (a libc) String() string { return fmt.Sprintf("%d.%d", a.major, a.minor) }

// glibcNeeded is the newest GLIBC_x.y symbol version that a file asks for.
func glibcNeeded(f *elf.File) (libc, error) {
	var least libc
	needs, err := f.DynamicVersionNeeds()
	if err != nil {
		return least, err
	}
	for _, n := range needs {
		for _, v := range n.Needs {
			rest, ok := strings.CutPrefix(v.Dep, "GLIBC_")
			if !ok {
				continue
			}
			parts := strings.Split(rest, ".")
			if len(parts) < 2 {
				continue
			}
			major, err1 := strconv.Atoi(parts[0])
			minor, err2 := strconv.Atoi(parts[1])
			if err1 == nil && err2 == nil {
				least = least.max(libc{major, minor})
			}
		}
	}
	return least, nil
}

func licencesCommand() command {
	return command{
		name: "licences", summary: "print the licences of everything inside this file",
		manual: `
Prints the licence and notice texts of every library and model that this file
carries.`,
		flags: func(*flag.FlagSet) func(context.Context, *call, []string) error {
			return func(_ context.Context, c *call, args []string) error {
				if len(args) > 0 {
					return fmt.Errorf("%w: it takes no arguments", errUsage)
				}
				b, err := gatehouse.ThirdParty.Open()
				if err != nil {
					return err
				}
				if c.json || c.jsonl {
					c.print(map[string]string{"licences": string(b)})
				} else {
					c.out.Write(b)
				}
				return nil
			}
		},
	}
}
