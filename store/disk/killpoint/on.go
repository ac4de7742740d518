//go:build killpoints

package killpoint

import (
	"os"
	"syscall"
)

// On says whether points kill.
const On = true

// At ends the process with SIGKILL where the file says this point.
func At(p Point) {
	file := os.Getenv(Variable)
	if file == "" {
		return
	}
	said, err := os.ReadFile(file)
	if err != nil || Point(said) != p || os.Remove(file) != nil { // another goroutine was here first
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}
