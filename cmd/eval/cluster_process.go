package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// process is a program that was started: a server, or what loads one.
type process struct {
	servedNode // it is one, as far as what it uses is asked
	in         io.WriteCloser
	out        *json.Decoder
	pipe       io.Closer     // of out
	ended      chan struct{} // closed then
	how        error         // it ended
}

// startProcess starts a program whose words are kept in the file log, with so
// many processors for Go; 0 leaves that as it is.
func startProcess(ctx context.Context, log string, procs int, program string, args ...string) (*process, error) {
	p := &process{ended: make(chan struct{})}
	p.command = exec.CommandContext(ctx, program, args...)
	if procs > 0 {
		p.command.Env = append(os.Environ(), "GOMAXPROCS="+strconv.Itoa(procs))
	}
	var err error
	if p.log, err = os.Create(log); err != nil {
		return nil, err
	}
	p.command.Stderr = p.log
	// Both are pipes of ours: Wait closes those of exec before all is read.
	in, stdin, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, p.log.Close())
	}
	out, stdout, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, in.Close(), stdin.Close(), p.log.Close())
	}
	p.command.Stdin, p.command.Stdout, p.in, p.out, p.pipe = in, stdout, stdin, json.NewDecoder(out), out
	err = p.command.Start()
	if err := errors.Join(err, in.Close(), stdout.Close()); err != nil {
		return nil, errors.Join(err, stdin.Close(), out.Close(), p.log.Close())
	}
	go func() {
		p.how = p.command.Wait()
		close(p.ended)
	}()
	return p, nil
}

// hear reads the next JSON value that the process says.
func (p *process) hear(v any) error {
	late := time.AfterFunc(startTime, func() { _ = p.command.Process.Kill() })
	defer late.Stop()
	if err := p.out.Decode(v); err != nil {
		return p.fault(err)
	}
	return nil
}

// fault adds the process's last words to an error.
func (p *process) fault(err error) error {
	return fmt.Errorf("%s: %w: %s", filepath.Base(p.command.Path), err, p.lastWords())
}

// wait until it has ended, which it must have done well.
func (p *process) wait() error {
	defer p.end()
	late := time.AfterFunc(startTime, func() { _ = p.command.Process.Kill() })
	defer late.Stop()
	<-p.ended
	if p.how != nil {
		return p.fault(p.how)
	}
	return nil
}

// end kills the process where it is still there.
func (p *process) end() {
	_ = p.command.Process.Kill()
	<-p.ended
	_, _, _ = p.in.Close(), p.pipe.Close(), p.log.Close()
}

// used is what processes have used since they began.
type used struct {
	cpu     time.Duration
	written float64 // bytes that go to a disk
}

// processes are the servers of one cluster.
type processes []*process

func (all processes) used() (u used, err error) {
	for _, p := range all {
		cpu, err := p.cpu()
		if err != nil {
			return u, err
		}
		u.cpu += cpu
	}
	u.written, err = written(all[0].log)
	return u, err
}

// sector of /sys/dev/block/*/stat, whatever the device's own (kernel, iostats).
const sector = 512

// written to the disk under a file, by whomever; NaN where it is no disk. What the
// kernel counts for a process is not it: a byte written into a page that is a
// megabyte large, as ext4 has them, counts as a megabyte.
func written(f *os.File) (float64, error) {
	var at unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &at); err != nil {
		return 0, err
	}
	b, err := os.ReadFile(fmt.Sprintf("/sys/dev/block/%d:%d/stat", unix.Major(at.Dev), unix.Minor(at.Dev)))
	if errors.Is(err, os.ErrNotExist) {
		return math.NaN(), nil
	}
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(b))
	if len(fields) < 7 {
		return 0, fmt.Errorf("what the disk has written cannot be read: %.100q", b)
	}
	sectors, err := strconv.ParseFloat(fields[6], 64)
	return sectors * sector, err
}

// stop kills them: what they hold is thrown away.
func (all processes) stop() {
	for _, p := range all {
		p.end()
	}
}

// alive is an error where one has ended.
func (all processes) alive() error {
	for _, p := range all {
		select {
		case <-p.ended:
			return p.fault(fmt.Errorf("it has ended: %v", p.how))
		default:
		}
	}
	return nil
}

// freeAddresses of this machine, each with another port.
func freeAddresses(n int) (all []string, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // only then: so no two are the same
		all = append(all, l.Addr().String())
	}
	return all, nil
}

// settleDisk waits until the disk under a directory holds what was written.
func settleDisk(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = unix.Syncfs(int(d.Fd()))
	return errors.Join(err, d.Close())
}
