package killpoint_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gatehouse/store/disk/killpoint"
)

// build a program that passes BlobKept and Agreed.
func build(t *testing.T, flags ...string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "walk")
	c := exec.Command("go", append(append([]string{"build", "-o", binary}, flags...), "./testdata/walk")...)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return binary
}

// killed tells whether the program died of SIGKILL.
func killed(t *testing.T, binary, file string) bool {
	t.Helper()
	c := exec.Command(binary)
	c.Env = append(os.Environ(), killpoint.Variable+"="+file)
	err := c.Run()
	exit := (*exec.ExitError)(nil)
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		return true
	}
	if err != nil {
		t.Fatal(err)
	}
	return false
}

func TestEachArmingKillsOnce(t *testing.T) {
	binary := build(t, "-tags", "killpoints")
	file := filepath.Join(t.TempDir(), "point")
	for _, c := range []struct {
		armed killpoint.Point
		kills bool
	}{{"", false}, {killpoint.BlobKept, true}, {killpoint.Agreed, true}, {killpoint.Applying, false}} {
		if c.armed != "" {
			if err := os.WriteFile(file, []byte(c.armed), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if killed(t, binary, file) != c.kills {
			t.Errorf("armed with %q: killed is %v", c.armed, !c.kills)
		}
		if _, err := os.Stat(file); (c.armed == "" || c.kills) != errors.Is(err, os.ErrNotExist) {
			t.Errorf("armed with %q, the file afterwards: %v", c.armed, err)
		}
		if c.kills && killed(t, binary, file) {
			t.Errorf("armed once with %q, it was killed twice", c.armed)
		}
	}
}

// What is sold has no way to be killed from outside, and nothing to slow it down.
func TestTheProductHasNothingOfIt(t *testing.T) {
	binary := build(t)
	file := filepath.Join(t.TempDir(), "point")
	if err := os.WriteFile(file, []byte(killpoint.BlobKept), 0o600); err != nil {
		t.Fatal(err)
	}
	if killed(t, binary, file) {
		t.Error("a build without the tag was killed")
	}
	symbols, err := exec.Command("go", "tool", "nm", binary).Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(symbols), "main.main") || strings.Contains(string(symbols), "killpoint") {
		t.Error("the program has symbols of the package, or none at all")
	}
	text, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), killpoint.Variable) {
		t.Error("the program knows the variable")
	}
}
