package main

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime is what this process has used of all cores, in user and system.
func cpuTime() (time.Duration, error) {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0, fmt.Errorf("getrusage: %w", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
