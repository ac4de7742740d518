// Package lab makes small machines of this one, and breaks them: each has its
// own network, its own disk and a real process, and each fault is made by the
// kernel, not by the program that suffers it. It needs root.
//
// A machine is a network namespace and an ext4 file system in a sparse file. A
// client is a namespace alone. All are joined by one more namespace that routes
// between them, so that the host's interfaces, addresses and routes are never
// touched; addresses are 10.71.0.N for machine N and 10.71.1.N for client N.
// The harness enters a namespace on a thread of its own to dial from there.
//
// How each fault is made:
//
//	Kill           SIGKILL to the process group; Restart runs the same command
//	Pause          SIGSTOP, then SIGCONT
//	Cut, Split,    'ip rule ... blackhole' in the router, for packets from one
//	CutOneWay      place to another: they vanish without an answer, as in a
//	               broken switch; connections that are open stay open and starve
//	Slow           'tc tbf' on both ends of the machine's link; where there is a
//	               latency, 'tc netem', which some kernels have not
//	FreezeDisk     fsfreeze: each write and fsync hangs until the end. A process
//	               that is killed meanwhile dies at the end of the fault
//	SlowDisk       the block device's operations a second are limited by its
//	               cgroup (v1 at the root, v2 where the controller io is given)
//	FillDisk       a file that leaves so many bytes
//	ClockOffset    a file that the program reads, named by the environment
//	               variable GATEHOUSE_CLOCK_OFFSET: nothing else shifts the
//	               clock of a Go program
//	KillAt         a file as well, for a program that was built to die at a
//	               point that it passes (package killpoint)
//
// What a kernel cannot do is found by trying (Probe) and refused with
// ErrAbsent. There is no power cut: what was written and not synced survives a
// kill, in the page cache.
//
// What a run makes is named gh-<random>-... and listed in a marker under
// /run/gatehouse-chaos, so that Sweep finds what a run that died has left. The
// package must never remove what no marker names, nor change an interface, a
// mount or a process that it did not make.
package lab
