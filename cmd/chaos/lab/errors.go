package lab

import "errors"

var (
	// ErrRoot: only root may make namespaces and mounts.
	ErrRoot = errors.New("the lab needs root")
	// ErrAbsent is wrapped with what this machine lacks.
	ErrAbsent = errors.New("this machine cannot do it")
	// ErrConfig: a value is out of its range.
	ErrConfig = errors.New("wrong configuration of the lab")
	// ErrActive: the machine has this fault, or runs a process, already.
	ErrActive = errors.New("under way already")
	// ErrStuck: a process does not end, not even killed; its disk hangs.
	ErrStuck = errors.New("the process does not end")
	// ErrClosed: the lab is closed.
	ErrClosed = errors.New("the lab is closed")
	// ErrCommand: a program of the system failed; what it said is added.
	ErrCommand = errors.New("a command failed")
)
