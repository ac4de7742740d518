package lab

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// commandTime: ip and tc take milliseconds; mkfs, mount and fsfreeze write
	// to a disk that others use too.
	commandTime = 30 * time.Second
	// outputMax of a command is kept: more than 'ip netns pids' says of a
	// thousand processes.
	outputMax = 64 << 10
)

// debian names the package that a program comes in.
func debian(program string) string {
	switch program {
	case "ip", "tc":
		return "iproute2"
	case "mount", "umount":
		return "mount"
	case "mkfs.ext4":
		return "e2fsprogs"
	}
	return "util-linux"
}

// find a program; root's directories are not in everybody's path.
func find(program string) (string, error) {
	path, err := exec.LookPath(program)
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if err != nil {
			path, err = exec.LookPath(filepath.Join(dir, program))
		}
	}
	if err != nil {
		return "", fmt.Errorf("%w: %s is not installed (Debian: %s)", ErrAbsent, program, debian(program))
	}
	return path, nil
}

// command runs a program of the system and gives what it printed. It returns
// in time even where the kernel holds the program.
func command(ctx context.Context, input, program string, args ...string) (string, error) {
	path, err := find(program)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	var out, said limited
	c := exec.CommandContext(ctx, path, args...)
	c.Stdout, c.Stderr, c.WaitDelay = &out, &said, time.Second
	if input != "" {
		c.Stdin = strings.NewReader(input)
	}
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt from the keyboard must not stop it halfway
	failed := func(err error, said string) error {
		return fmt.Errorf("%w: %s %s: %w: %s", ErrCommand, program, strings.Join(args, " "), err, strings.TrimSpace(said))
	}
	done := make(chan error, 1)
	go func() { done <- c.Run() }()
	select {
	case err = <-done:
	case <-ctx.Done():
		select { // killed, unless it hangs in the kernel; then its output is not ours to read
		case err = <-done:
		case <-time.After(2 * time.Second):
			return "", failed(ctx.Err(), "it hangs")
		}
	}
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return "", failed(err, said.b.String())
	}
	return out.b.String(), nil
}

// limited keeps the beginning of what is written.
type limited struct{ b bytes.Buffer }

func (l *limited) Write(b []byte) (int, error) {
	l.b.Write(b[:min(len(b), outputMax-l.b.Len())])
	return len(b), nil
}
