package main_test

import (
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// cLibrary are the files of glibc: the loader and what old and new releases
// spread the C library over. libSupport travel inside the binary.
var (
	cLibrary   = []string{"ld-linux-x86-64.so.2", "libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1"}
	libSupport = []string{"libgcc_s.so.1", "libstdc++.so.6"}
)

const megabyte = 1_000_000

func TestOneFileNeedsTheCLibraryAlone(t *testing.T) {
	st, err := os.Stat(binary)
	if err != nil {
		t.Fatal(err)
	}
	if st.Size() > 115*megabyte {
		t.Errorf("the binary has %d bytes", st.Size())
	}
	for _, l := range []struct {
		file    string
		allowed []string
	}{
		{binary, cLibrary},
		{assets + "libgcc_s.so.1", cLibrary},
		{assets + "libstdc++.so.6", slices.Concat(cLibrary, libSupport[:1])},
		{assets + "libonnxruntime.so", slices.Concat(cLibrary, libSupport)},
	} {
		needed, err := openELF(t, l.file).ImportedLibraries()
		if err != nil || len(needed) == 0 {
			t.Fatalf("%s: needs %q, %v", l.file, needed, err)
		}
		for _, n := range needed {
			if !slices.Contains(l.allowed, n) {
				t.Errorf("%s needs %s", l.file, n)
			}
		}
	}
}

func TestLeastCLibraryIsTold(t *testing.T) {
	v := one[struct {
		Min   string `json:"libc_min"`
		Alone string `json:"libc_min_alone"`
		Here  string `json:"libc_here"`
	}](t, succeed(t, "version", "--json"))
	withHost := newestGlibc(t, binary, assets+"libonnxruntime.so")
	alone := newestGlibc(t, binary, assets+"libonnxruntime.so", assets+"libstdc++.so.6", assets+"libgcc_s.so.1")
	if v.Min != withHost || v.Alone != alone {
		t.Errorf("told: %s, alone %s; the files ask for %s and %s", v.Min, v.Alone, withHost, alone)
	}
	if !atLeast(v.Here, v.Min) {
		t.Errorf("this machine has %s, which is less than %s", v.Here, v.Min)
	}
}

// newestGlibc is the newest version of glibc's symbols that files ask for.
func newestGlibc(t *testing.T, files ...string) string {
	t.Helper()
	newest := "0.0"
	for _, file := range files {
		needs, err := openELF(t, file).DynamicVersionNeeds()
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range needs {
			for _, v := range n.Needs {
				asked, ok := strings.CutPrefix(v.Dep, "GLIBC_")
				if ok && atLeast(asked, newest) {
					newest = strings.Join(strings.SplitN(asked, ".", 3)[:2], ".")
				}
			}
		}
	}
	return newest
}

// atLeast compares versions; "ABI_DT_RELR" and "PRIVATE" stop the program, as
// nothing here knows which release they mean.
func atLeast(a, b string) bool {
	number := func(v string) (major, minor int) {
		if _, err := fmt.Sscanf(v, "%d.%d", &major, &minor); err != nil {
			panic("not a version of glibc: " + v)
		}
		return major, minor
	}
	aMajor, aMinor := number(a)
	bMajor, bMinor := number(b)
	return aMajor > bMajor || aMajor == bMajor && aMinor >= bMinor
}

func openELF(t *testing.T, name string) *elf.File {
	t.Helper()
	f, err := elf.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// A root with the C library, the binary and three pictures: no /dev, no
// network, no C++ library. The libraries inside the binary are loaded from
// memory where /proc is mounted (there is no /tmp then to fall back on), and
// else from a directory in /tmp, which is left empty.
func TestRunsOnTheCLibraryAlone(t *testing.T) {
	for _, r := range []struct {
		name string
		dirs []string
	}{{"from memory", []string{"proc"}}, {"from a directory", []string{"tmp"}}} {
		t.Run(r.name, func(t *testing.T) {
			root := newRoot(t, r.dirs...)
			inside := func(args ...string) string {
				t.Helper()
				o := inRoot(t, root, args...)
				if o.code != 0 {
					t.Errorf("gatehouse %q: exit code %d, stderr %q", args, o.code, o.stderr)
				}
				return o.stdout
			}
			v := one[struct{ Decision string }](t, inside("verify", "--document", "passport.png", "--selfie", "obama2.jpg", "--json"))
			if v.Decision != "accepted" {
				t.Errorf("verify: %s", v.Decision)
			}
			c := one[struct{ Match bool }](t, inside("face", "compare", "obama.jpg", "obama2.jpg", "--json"))
			if !c.Match {
				t.Error("face compare: no match")
			}
			if out := inside("models", "verify"); !strings.Contains(out, "9 models") {
				t.Errorf("models verify: %q", out)
			}
			if out := inside("version"); !strings.Contains(out, "glibc") {
				t.Errorf("version: %q", out)
			}
			if left, _ := filepath.Glob(root + "/tmp/*"); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
	t.Run("from nowhere", func(t *testing.T) {
		o := inRoot(t, newRoot(t), "models", "verify", "--json")
		o.fails(t, 1, "", "libgcc_s.so.1", "mount /proc or give a writable TMPDIR")
	})
}

// newRoot makes a root directory that holds the C library, the binary, three
// pictures, and these empty directories.
func newRoot(t *testing.T, dirs ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, d := range dirs {
		if err := os.Mkdir(filepath.Join(root, d), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range cLibrary {
		from := cLibraryFile(t, name)
		copyFile(t, from, root+from)
	}
	interp := interpreter(t)
	copyFile(t, interp, root+interp)
	for _, f := range []string{binary, passport, obama, obama2} {
		copyFile(t, f, filepath.Join(root, filepath.Base(f)))
	}
	return root
}

// cLibraryFile finds a file of the C library where its loader looks by itself.
func cLibraryFile(t *testing.T, name string) string {
	t.Helper()
	for _, pattern := range []string{"/lib/x86_64-linux-gnu/", "/lib64/", "/usr/lib64/", "/usr/lib/x86_64-linux-gnu/", "/lib/", "/usr/lib/"} {
		if _, err := os.Stat(pattern + name); err == nil {
			return pattern + name
		}
	}
	t.Fatalf("%s is nowhere", name)
	return ""
}

// interpreter is the loader that the binary asks for.
func interpreter(t *testing.T) string {
	t.Helper()
	for _, p := range openELF(t, binary).Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		b := make([]byte, p.Filesz)
		if _, err := p.ReadAt(b, 0); err != nil {
			t.Fatal(err)
		}
		return strings.TrimRight(string(b), "\x00")
	}
	t.Fatal("the binary asks for no loader")
	return ""
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// inRoot runs the binary of a root inside it, without a network.
func inRoot(t *testing.T, root string, args ...string) outcome {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(self, append([]string{"/gatehouse"}, args...)...)
	c.Env = []string{enterVariable + "=" + root}
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		c.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		c.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		c.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	return run(t, c)
}

// enterVariable asks a child of this test for enter.
const enterVariable = "GATEHOUSE_TEST_ROOT"

// enter turns this process, which has a mount namespace of its own, into the
// command of its arguments inside root, with /proc where root has a place for
// it.
func enter(root string) {
	steps := []func() error{
		func() error { return syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, "") },
		func() error {
			if _, err := os.Stat(root + "/proc"); err != nil {
				return nil
			}
			return syscall.Mount("/proc", root+"/proc", "", syscall.MS_BIND|syscall.MS_REC, "")
		},
		func() error { return syscall.Chroot(root) },
		func() error { return os.Chdir("/") },
		func() error { return syscall.Exec(os.Args[1], os.Args[1:], nil) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			fmt.Fprintf(os.Stderr, "%s cannot be entered: %v\n", root, err)
			os.Exit(99)
		}
	}
}
