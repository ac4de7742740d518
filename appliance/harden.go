package appliance

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// harden keeps what is in memory out of dumps (store design, Keys): no core
// file, and no other process of the same user may look in (prctl(2),
// PR_SET_DUMPABLE; it also makes /proc/PID the superuser's).
func harden() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("core dumps cannot be turned off: %w; run 'ulimit -c 0' before", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("the memory cannot be closed to other processes: %w; this system does not allow prctl(PR_SET_DUMPABLE)", err)
	}
	return nil
}
