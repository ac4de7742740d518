package lab_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"gatehouse/cmd/chaos/lab"
)

// dyingHarness opens a lab, perhaps freezes the disk of its machine, says what
// the process's number and the lab's name are, and waits to be killed.
func dyingHarness(dir string, freeze bool) {
	ctx := context.Background()
	check := func(err error) {
		if err != nil {
			fmt.Println("failed", err)
			os.Exit(1)
		}
	}
	l, err := lab.Open(ctx, lab.Config{Dir: dir})
	check(err)
	m, err := l.AddMachine(ctx, 32<<20)
	check(err)
	p, err := m.Start(ctx, lab.Command{Argv: []string{os.Args[0], at(m.Place), m.Data()}, Env: []string{role + "=server"}})
	check(err)
	if freeze && l.Has(lab.Freeze) {
		_, err = l.FreezeDisk(ctx, m)
		check(err)
	}
	if l.Has(lab.SlowDevice) {
		_, err = l.SlowDisk(ctx, m, 50)
		check(err)
	}
	fmt.Println(p.PID(), l.Timeline()[0].Where)
	select {}
}

// left tells what there is of a run.
func left(t *testing.T, name, dir string) (found []string) {
	t.Helper()
	spaces, err := filepath.Glob("/run/netns/" + name + "-*")
	ok(t, err)
	marks, err := filepath.Glob("/run/gatehouse-chaos/" + name)
	ok(t, err)
	found = append(spaces, marks...)
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	ok(t, err)
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, dir) {
			found = append(found, line)
		}
	}
	loops, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	ok(t, err)
	for _, path := range loops {
		if b, _ := os.ReadFile(path); strings.HasPrefix(string(b), dir) {
			found = append(found, path)
		}
	}
	return found
}

// limits of block devices, where there is a cgroup of version 1.
func limits(t *testing.T) string {
	b, err := os.ReadFile("/sys/fs/cgroup/blkio/blkio.throttle.write_iops_device")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(b)
}

func dead(pid int) bool { // if perhaps not yet waited for by its new parent
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(b), ") Z ")
}

// Not in parallel: it looks at what all labs share.
func TestSweepAfterADeath(t *testing.T) {
	w := open(t, 1) // lives through it
	for _, disk := range []string{"working", "frozen"} {
		t.Run(disk, func(t *testing.T) {
			before, dir := limits(t), filepath.Join(t.TempDir(), "other")
			c := exec.Command(os.Args[0], dir, disk)
			c.Env = append(os.Environ(), role+"=harness")
			c.Stderr = os.Stderr
			out, err := c.StdoutPipe()
			ok(t, err)
			ok(t, c.Start())
			line, err := bufio.NewReader(out).ReadString('\n')
			var pid int
			var name string
			if n, _ := fmt.Sscan(line, &pid, &name); n != 2 {
				c.Process.Kill()
				t.Fatalf("the harness said %q, %v", line, err)
			}
			if swept, err := lab.Sweep(t.Context()); err != nil || slices.Contains(swept, name) {
				t.Errorf("swept %q while it lives, %v", swept, err)
			}
			ok(t, c.Process.Kill())
			c.Wait()
			if disk == "working" {
				eventually(t, "its process dies with it", func() bool { return dead(pid) })
			}
			if len(left(t, name, dir)) < 4 {
				t.Fatalf("it left %q, there is nothing to test", left(t, name, dir))
			}
			swept, err := lab.Sweep(t.Context())
			if err != nil || !slices.Contains(swept, name) {
				t.Errorf("swept %q, %v", swept, err)
			}
			if found := left(t, name, dir); len(found) > 0 {
				t.Errorf("left: %q", found)
			}
			if !dead(pid) {
				t.Error("its process lives")
			}
			if _, err := os.Stat(filepath.Join(dir, "m1", "disk.img")); err != nil {
				t.Errorf("the disk is kept to be looked at: %v", err)
			}
			if now := limits(t); now != before {
				t.Errorf("limits of disks were %q and are %q", before, now)
			}
		})
	}
	w.must(t, 0)
	ok(t, w.Close())
	if found := left(t, w.Timeline()[0].Where, w.dir); len(found) > 0 {
		t.Errorf("Close left: %q", found)
	}
}

func TestNotRoot(t *testing.T) {
	if os.Geteuid() == 0 {
		c := exec.Command("/proc/self/exe") // its folder is root's
		c.Env = append(os.Environ(), role+"=nobody")
		c.Dir = "/"
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		if out, err := c.CombinedOutput(); err != nil || string(out) != "true" {
			t.Errorf("%s, %v", out, err)
		}
		return
	}
	_, err := lab.Open(t.Context(), lab.Config{Dir: t.TempDir()})
	is(t, err, lab.ErrRoot)
}
