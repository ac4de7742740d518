package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"gatehouse/store/disk/killpoint"
)

// clockVariable names, in a process's environment, the file with the offset of
// its clock: the product's hook for tests.
const clockVariable = "GATEHOUSE_CLOCK_OFFSET"

// placesMax of one kind: one byte of the address.
const placesMax = 250

// Machine has a network and a disk of its own, and runs one process at a time.
// Its directory DIR/mN is outside that disk, and has what the process says.
type Machine struct {
	*Place
	dir    string
	device string // of its disk, MAJOR:MINOR

	// Under the lab's lock.
	process *Process
	last    Command
	busy    bool
}

// Dir has the machine's files that faults of the disk do not reach.
func (m *Machine) Dir() string { return m.dir }

// Data is the root of the machine's disk.
func (m *Machine) Data() string { return filepath.Join(m.dir, "disk") }

// AddMachine makes a machine with a disk of so many bytes, 32 MiB to 64 GiB; 0
// is 1 GiB.
func (l *Lab) AddMachine(ctx context.Context, size int64) (*Machine, error) {
	if size == 0 {
		size = diskSize
	}
	if size < diskMin || size > diskMax {
		return nil, fmt.Errorf("%w: a disk of %d bytes", ErrConfig, size)
	}
	l.adding.Lock()
	defer l.adding.Unlock()
	n := len(l.machines) + 1
	if err := l.mayAdd(n); err != nil {
		return nil, err
	}
	name := fmt.Sprintf("m%d", n)
	m := &Machine{dir: filepath.Join(l.config.Dir, name)}
	if err := os.Mkdir(m.dir, 0o700); err != nil {
		return nil, err
	}
	if err := m.writeOffset(0); err != nil {
		return nil, err
	}
	var err error
	if m.device, err = makeDisk(ctx, filepath.Join(m.dir, "disk.img"), m.Data(), size); err != nil {
		return nil, err
	}
	if m.Place, err = l.addPlace(ctx, name, netip.AddrFrom4([4]byte{10, 71, 0, byte(n)})); err != nil {
		return nil, err
	}
	if err := l.groups.add(m.namespace); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.machines = append(l.machines, m)
	return m, nil
}

// AddClient makes one more place to call machines from. Cuts reach it where
// they are told to.
func (l *Lab) AddClient(ctx context.Context) (*Place, error) {
	l.adding.Lock()
	defer l.adding.Unlock()
	n := len(l.clients) + 1
	if err := l.mayAdd(n); err != nil {
		return nil, err
	}
	p, err := l.addPlace(ctx, fmt.Sprintf("c%d", n), netip.AddrFrom4([4]byte{10, 71, 1, byte(n)}))
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clients = append(l.clients, p)
	return p, nil
}

func (l *Lab) mayAdd(n int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return ErrClosed
	case n > placesMax:
		return fmt.Errorf("%w: more than %d", ErrConfig, placesMax)
	}
	return nil
}

// ClockOffset shifts the clock of the machine's program, which must look for it
// (see clockVariable). It may be called again while it is under way.
func (m *Machine) ClockOffset(d time.Duration) (*Fault, error) {
	return m.lab.begin("clock", m.Name, d.String(), Machines, "", func() (func() error, error) {
		return func() error { return m.writeOffset(0) }, m.writeOffset(d)
	})
}

func (m *Machine) writeOffset(d time.Duration) error { return replace(m.offset(), d.String()+"\n") }

// KillAt has the machine's program die the next time that it passes a point, if
// it was built for that (package killpoint), and once only.
func (m *Machine) KillAt(p killpoint.Point) (*Fault, error) {
	return m.lab.begin("kill at a point", m.Name, string(p), Machines, "point "+m.Name, func() (func() error, error) {
		return func() error {
			if err := os.Remove(m.point()); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
			return nil
		}, replace(m.point(), string(p))
	})
}

// Armed tells whether the point of KillAt was not passed yet.
func (m *Machine) Armed() bool {
	_, err := os.Stat(m.point())
	return err == nil
}

// offset and point are the files that the program reads.
func (m *Machine) offset() string { return filepath.Join(m.dir, "clock-offset") }
func (m *Machine) point() string  { return filepath.Join(m.dir, "killpoint") }

// replace a file in one step, so that no half of it is read.
func replace(path, text string) error {
	err := os.WriteFile(path+".new", []byte(text), 0o644)
	return errors.Join(err, os.Rename(path+".new", path))
}
