package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// cgroups is how the block devices of this kernel are limited. In version 1 the
// limit of a device is set in the group where the kernel's own writers are, the
// root, and in that of the harness; in version 2, whose root has no limits, in a
// group of the machine's own.
type cgroups struct {
	v1     []string // directories of the controller blkio
	v2     string   // root of the unified hierarchy
	absent error
}

func findGroups() (g cgroups) {
	mounts, err := mounted()
	if err != nil {
		return cgroups{absent: err}
	}
	var own []byte
	if own, err = os.ReadFile("/proc/self/cgroup"); err != nil {
		return cgroups{absent: err}
	}
	for _, m := range mounts {
		switch {
		case m.kind == "cgroup" && slices.Contains(strings.Split(m.options, ","), "blkio"):
			g.v1 = []string{m.path}
			for line := range strings.Lines(string(own)) { // hierarchy:controllers:path
				f := strings.SplitN(strings.TrimSpace(line), ":", 3)
				if len(f) == 3 && slices.Contains(strings.Split(f[1], ","), "blkio") && f[2] != "/" {
					g.v1 = append(g.v1, filepath.Join(m.path, f[2]))
				}
			}
			return g
		case m.kind == "cgroup2" && g.v2 == "":
			b, _ := os.ReadFile(filepath.Join(m.path, "cgroup.subtree_control"))
			if slices.Contains(strings.Fields(string(b)), "io") {
				g.v2 = m.path
			} else {
				g.absent = fmt.Errorf("%w: no cgroup limits block devices; write +io to %s/cgroup.subtree_control", ErrAbsent, m.path)
			}
		}
	}
	if g.v2 == "" && g.absent == nil {
		g.absent = fmt.Errorf("%w: no cgroup is mounted that limits block devices", ErrAbsent)
	}
	return g
}

// set limits the reads and writes a second of a device, 0 ends it; group is the
// machine's, for version 2. What was set is read back.
func (g cgroups) set(device, group string, iops int) error {
	switch {
	case g.v1 != nil:
		for _, dir := range g.v1 {
			for _, file := range []string{"blkio.throttle.read_iops_device", "blkio.throttle.write_iops_device"} {
				line := fmt.Sprintf("%s %d", device, iops)
				if err := setLine(filepath.Join(dir, file), line, iops > 0); err != nil {
					return err
				}
			}
		}
		return nil
	case g.v2 != "":
		limit := fmt.Sprint(iops)
		if iops == 0 {
			limit = "max"
		}
		return setLine(filepath.Join(group, "io.max"), fmt.Sprintf("%s rbps=max wbps=max riops=%s wiops=%s", device, limit, limit), iops > 0)
	}
	return g.absent
}

func setLine(path, line string, there bool) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0) // never made: it is the kernel's
	if err != nil {
		return err
	}
	_, err = f.WriteString(line)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	b, err := os.ReadFile(path)
	if err == nil && there && !slices.Contains(strings.Split(string(b), "\n"), line) {
		err = fmt.Errorf("%w: %s was written to %s, which has %q", ErrAbsent, line, path, b)
	}
	return err
}

// SlowDisk limits the reads and the writes that reach a machine's disk, each to
// so many a second. One fsync of a file that grows is three or four of them.
func (l *Lab) SlowDisk(ctx context.Context, m *Machine, iops int) (*Fault, error) {
	if iops < 1 {
		return nil, fmt.Errorf("%w: %d operations a second", ErrConfig, iops)
	}
	set := func(iops int) error { return l.groups.set(m.device, l.groups.of(m.namespace), iops) }
	return l.begin("slow disk", m.Name, fmt.Sprintf("%d/s", iops), SlowDevice, "slow "+m.Name, func() (func() error, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := set(iops); err != nil {
			return nil, errors.Join(err, set(0))
		}
		return func() error { return set(0) }, nil
	})
}

// of gives the group of a machine, in version 2.
func (g cgroups) of(name string) string {
	if g.v2 == "" {
		return ""
	}
	return filepath.Join(g.v2, name)
}

// add makes the group of a machine, in version 2.
func (g cgroups) add(name string) error {
	if g.v2 == "" {
		return nil
	}
	return os.Mkdir(g.of(name), 0o755)
}

// forget the limit of a device, in version 1; in version 2 it goes with its
// group.
func (g cgroups) forget(device string) {
	if g.v1 != nil {
		_ = g.set(device, "", 0) // most have none
	}
}

// remove the groups whose names begin so.
func (g cgroups) remove(prefix string) error {
	if g.v2 == "" {
		return nil
	}
	found, err := filepath.Glob(filepath.Join(g.v2, prefix+"-*"))
	for _, dir := range found {
		if gone := os.Remove(dir); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	return err
}

// mount is a line of /proc/self/mountinfo.
type mount struct{ device, path, kind, options string }

func mounted() ([]mount, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []mount
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		// proc_pid_mountinfo(5): id parent device root path options ... - kind source options
		before, after, _ := strings.Cut(lines.Text(), " - ")
		b, a := strings.Fields(before), strings.Fields(after)
		if len(b) >= 5 && len(a) >= 3 {
			path := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(b[4])
			all = append(all, mount{b[2], path, a[0], a[2]})
		}
	}
	return all, lines.Err()
}
