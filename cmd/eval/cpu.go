package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
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

// busyTime is what all processes have used of all cores.
func busyTime() (time.Duration, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	var user, nice, system, idle, wait, irq, softIRQ, steal int64 // in hundredths of a second
	if _, err := fmt.Sscanf(string(b), "cpu %d %d %d %d %d %d %d %d", &user, &nice, &system, &idle, &wait, &irq, &softIRQ, &steal); err != nil {
		return 0, fmt.Errorf("/proc/stat: %w", err)
	}
	return time.Duration(user+nice+system+irq+softIRQ+steal) * 10 * time.Millisecond, nil
}

// cost is the CPU time of one call, in milliseconds.
func cost(f func() error) (float64, error) {
	start, err := cpuTime()
	if err != nil {
		return 0, err
	}
	if err := f(); err != nil {
		return 0, err
	}
	end, err := cpuTime()
	return milliseconds(end - start), err
}

// A timing is the median of so many calls, after some that do not count.
const (
	warmUps = 2
	repeats = 9
)

// medianCost is the CPU time of a call in milliseconds.
func medianCost(f func() error) (float64, error) {
	var all []float64
	for i := range warmUps + repeats {
		ms, err := cost(f)
		if err != nil {
			return 0, err
		}
		if i >= warmUps {
			all = append(all, ms)
		}
	}
	return median(all), nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// confine runs f on n cores: GOMAXPROCS alone does not bound the threads that
// are inside a model or the JPEG decoder.
func confine(n int, f func() error) error {
	var before, cores unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return fmt.Errorf("sched_getaffinity: %w", err)
	}
	for cpu := 0; cores.Count() < n; cpu++ {
		if cpu == 64*len(before) {
			return fmt.Errorf("%d cores are asked for, %d are there", n, before.Count())
		}
		if before.IsSet(cpu) {
			cores.Set(cpu)
		}
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(n))
	if err := pin(&cores); err != nil {
		return err
	}
	return errors.Join(f(), pin(&before))
}

// pin puts all threads of the process on these cores. A thread made meanwhile
// has the cores of the one that made it, so it goes round until none is new.
func pin(cores *unix.CPUSet) error {
	seen := map[int]bool{}
	for {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		fresh := false
		for _, t := range threads {
			id, err := strconv.Atoi(t.Name())
			if err != nil || seen[id] {
				continue
			}
			seen[id], fresh = true, true
			if err := unix.SchedSetaffinity(id, cores); err != nil && err != unix.ESRCH { // it may have ended
				return fmt.Errorf("sched_setaffinity: %w", err)
			}
		}
		if !fresh {
			return nil
		}
	}
}
