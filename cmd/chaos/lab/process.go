package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"gatehouse/store/disk/killpoint"
)

// killTime: a killed process ends within milliseconds, or its disk hangs.
const killTime = 10 * time.Second

// Command is what a machine runs.
type Command struct {
	Argv []string // the program first, as a path
	Env  []string // besides the harness's own; later ones win
	// Stdout and Stderr, where nil, are appended to the machine's files stdout
	// and stderr.
	Stdout, Stderr io.Writer
}

// Process on a machine. It ends with the harness, however that ends.
type Process struct {
	machine *Machine
	cmd     *exec.Cmd
	began   time.Time
	ended   chan struct{} // closed, after which err is set
	err     error
}

// Start runs a program on the machine, which must run none. The process does
// not end with ctx.
func (m *Machine) Start(ctx context.Context, c Command) (*Process, error) {
	if len(c.Argv) == 0 {
		return nil, fmt.Errorf("%w: no program", ErrConfig)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l := m.lab
	l.mu.Lock()
	switch {
	case l.closed:
		l.mu.Unlock()
		return nil, ErrClosed
	case m.busy:
		l.mu.Unlock()
		return nil, fmt.Errorf("a process on %s is %w", m.Name, ErrActive)
	}
	m.busy = true
	l.beginning.Add(1)
	l.mu.Unlock()
	defer l.beginning.Done()
	p, err := m.start(c)
	l.mu.Lock()
	defer l.mu.Unlock()
	m.busy = err == nil
	if err == nil {
		m.process, m.last = p, c
		go p.wait()
	}
	return p, err
}

// Restart runs the command of the last Start again.
func (m *Machine) Restart(ctx context.Context) (*Process, error) {
	m.lab.mu.Lock()
	c := m.last
	m.lab.mu.Unlock()
	return m.Start(ctx, c)
}

func (m *Machine) start(c Command) (*Process, error) {
	cmd := exec.Command(c.Argv[0], c.Argv[1:]...)
	cmd.Env = append(append(os.Environ(), c.Env...), clockVariable+"="+m.offset(), killpoint.Variable+"="+m.point())
	cmd.Dir = m.dir
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	for _, out := range []struct {
		name string
		of   io.Writer
		to   *io.Writer
	}{{"stdout", c.Stdout, &cmd.Stdout}, {"stderr", c.Stderr, &cmd.Stderr}} {
		if *out.to = out.of; out.of == nil {
			f, err := os.OpenFile(filepath.Join(m.dir, out.name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
			if err != nil {
				return nil, err
			}
			defer f.Close() // the process has its own
			*out.to = f
		}
	}
	if group := m.lab.groups.of(m.namespace); group != "" {
		f, err := os.Open(group)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(f.Fd())
	}
	p := &Process{machine: m, cmd: cmd, began: time.Now(), ended: make(chan struct{})}
	if err := m.lab.starter.start(m.namespace, cmd); err != nil {
		return nil, err
	}
	m.lab.tell(Event{What: "start", Where: m.Name, Detail: fmt.Sprintf("%q, process %d", c.Argv, cmd.Process.Pid)})
	return p, nil
}

func (p *Process) wait() {
	p.err = p.cmd.Wait()
	l := p.machine.lab
	l.mu.Lock()
	p.machine.process, p.machine.busy = nil, false
	l.mu.Unlock()
	l.tell(Event{What: "exit", Where: p.machine.Name, Detail: p.cmd.ProcessState.String()})
	close(p.ended)
}

// PID of the process, and of its group.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Began is when it was started.
func (p *Process) Began() time.Time { return p.began }

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Err tells how it ended: nil for exit code 0, else an *exec.ExitError. It waits
// for the end.
func (p *Process) Err() error {
	<-p.ended
	return p.err
}

// signal the process and what it has started.
func (p *Process) signal(s syscall.Signal) error {
	select {
	case <-p.ended: // the number may be another's now
		return nil
	default:
	}
	if err := syscall.Kill(-p.PID(), s); err != nil && !errors.Is(err, syscall.ESRCH) {
		return os.NewSyscallError("kill", err)
	}
	return nil
}

// Kill ends the process at once, as a crash would. ErrStuck where its disk
// hangs: it is dead as soon as that does not.
func (p *Process) Kill() error {
	p.machine.lab.tell(Event{What: "kill", Where: p.machine.Name})
	return p.await(syscall.SIGKILL, killTime)
}

// Stop asks the process to end, and waits for it until ctx ends; then ErrStuck.
func (p *Process) Stop(ctx context.Context) error {
	p.machine.lab.tell(Event{What: "stop", Where: p.machine.Name})
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.ended:
		return p.err
	case <-ctx.Done():
		return fmt.Errorf("%w: asked to stop, process %d of %s runs on: %w", ErrStuck, p.PID(), p.machine.Name, ctx.Err())
	}
}

func (p *Process) await(s syscall.Signal, limit time.Duration) error {
	if err := p.signal(s); err != nil {
		return err
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(limit):
		return fmt.Errorf("%w: process %d of %s, %v after %v", ErrStuck, p.PID(), p.machine.Name, limit, s)
	}
}

// Pause stops the process where it is, until the end of the fault;
// os.ErrProcessDone where it has ended. A successor is not paused.
func (p *Process) Pause(ctx context.Context) (*Fault, error) {
	m := p.machine
	return m.lab.begin("pause", m.Name, "", Machines, "pause "+m.Name, func() (func() error, error) {
		select {
		case <-p.ended:
			return nil, os.ErrProcessDone
		case <-ctx.Done():
			return nil, ctx.Err()
		default:
		}
		err := p.signal(syscall.SIGSTOP)
		if err == nil {
			err = p.stopped(ctx)
		}
		if err != nil {
			return nil, errors.Join(err, p.signal(syscall.SIGCONT))
		}
		return func() error { return p.signal(syscall.SIGCONT) }, nil
	})
}

// stopped waits until no thread runs: the kernel stops one after the other. One
// that waits for a disk (D) stops before it does anything else.
func (p *Process) stopped(ctx context.Context) error {
	for end := time.Now().Add(killTime); ; time.Sleep(time.Millisecond) {
		running := false
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.PID()))
		if err != nil {
			return err
		}
		for _, path := range threads {
			b, err := os.ReadFile(path) // proc_pid_stat(5): id (name) state ...
			i := bytes.LastIndexByte(b, ')')
			running = running || err == nil && i+2 < len(b) && (b[i+2] == 'R' || b[i+2] == 'S')
		}
		switch {
		case !running:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case time.Now().After(end):
			return fmt.Errorf("%w: process %d of %s runs %v after SIGSTOP", ErrStuck, p.PID(), p.machine.Name, killTime)
		}
	}
}

// starter starts all processes on one thread, which lives as long as the lab:
// the kernel kills a process when the thread that started it ends, and Go ends
// threads when it likes.
type starter struct {
	work chan func()
	done chan struct{}
}

func newStarter() *starter {
	s := &starter{make(chan func()), make(chan struct{})}
	go func() {
		defer close(s.done)
		runtime.LockOSThread() // and never unlocked: it ends with this function
		for do := range s.work {
			do()
		}
	}()
	return s
}

func (s *starter) start(namespace string, c *exec.Cmd) error {
	err := make(chan error, 1)
	s.work <- func() {
		home, failed := os.Open("/proc/thread-self/ns/net")
		if failed != nil {
			err <- failed
			return
		}
		defer home.Close()
		if failed = enter(filepath.Join(namespaces, namespace)); failed == nil {
			failed = c.Start()
		}
		// Should this fail, the next start enters its own namespace all the same.
		_ = unix.Setns(int(home.Fd()), unix.CLONE_NEWNET)
		err <- failed
	}
	return <-err
}

func (s *starter) close() {
	close(s.work)
	<-s.done
}

// running processes of the lab.
func (l *Lab) running() (ps []*Process) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.machines {
		if m.process != nil {
			ps = append(ps, m.process)
		}
	}
	return slices.Clip(ps)
}
