package onnx

/*
#cgo LDFLAGS: -ldl
#define _GNU_SOURCE
#include <dlfcn.h>
#include <gnu/libc-version.h>
#include <stdlib.h>
static void *open_global(const char *path) { return dlopen(path, RTLD_NOW | RTLD_GLOBAL); }
*/
import "C"

import (
	"fmt"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Library is a shared library that travels inside the binary.
type Library struct {
	SOName string
	Bytes  []byte
}

// place puts a library where the loader reaches it: in memory, or where /proc
// is not mounted in a private directory. undo closes or removes it; a loaded
// library outlives that.
func (l Library) place() (path string, undo func(), err error) {
	if _, err := os.Stat("/proc/self/fd"); err == nil {
		fd, err := unix.MemfdCreate(l.SOName, unix.MFD_CLOEXEC)
		if err == nil {
			f := os.NewFile(uintptr(fd), l.SOName)
			if _, err := f.Write(l.Bytes); err != nil {
				f.Close()
				return "", nil, err
			}
			return fmt.Sprintf("/proc/self/fd/%d", fd), func() { f.Close() }, nil
		}
	}
	dir, err := os.MkdirTemp("", "gatehouse")
	if err != nil {
		return "", nil, fmt.Errorf("%w; mount /proc or give a writable TMPDIR", err)
	}
	path = filepath.Join(dir, l.SOName)
	if err := os.WriteFile(path, l.Bytes, 0o500); err != nil {
		os.RemoveAll(dir)
		return "", nil, err
	}
	return path, func() { os.RemoveAll(dir) }, nil
}

// loadGlobal makes a library's symbols available to those loaded after it. The
// host's own copy comes first: it is the newer one or the patched one. undo must
// wait until all libraries are loaded: the loader knows them by their paths, and
// a descriptor's number that comes again would be the first library again.
func (l Library) loadGlobal() (undo func(), err error) {
	if openGlobal(l.SOName) == nil {
		return func() {}, nil
	}
	path, undo, err := l.place()
	if err != nil {
		return nil, err
	}
	if err := openGlobal(path); err != nil {
		undo()
		return nil, err
	}
	return undo, nil
}

func openGlobal(path string) error {
	c := C.CString(path)
	defer C.free(unsafe.Pointer(c))
	if C.open_global(c) == nil {
		return fmt.Errorf("%s", C.GoString(C.dlerror()))
	}
	return nil
}

// LibcVersion is the version of the C library that this process runs on.
func LibcVersion() string { return C.GoString(C.gnu_get_libc_version()) }
