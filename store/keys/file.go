package keys

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"gatehouse/store/disk"
)

// secretMode of every file here: for its owner alone.
const secretMode = 0o600

// readFile reads a file of at most limit bytes that nobody else can read.
func readFile(path string, limit int64) ([]byte, error) {
	// A pipe in the file's place must not keep the opening waiting.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	switch {
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: a %v %w", path, info.Mode().Type(), ErrFormat)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("%s (mode %04o) %w", path, info.Mode().Perm(), ErrPermissions)
	case info.Size() > limit:
		return nil, fmt.Errorf("%s: %d bytes %w of %d", path, info.Size(), ErrLimit, limit)
	}
	// One byte past what Stat told: a file that grows is refused as well.
	data := make([]byte, info.Size()+1)
	n, err := io.ReadFull(f, data)
	switch err {
	case io.EOF, io.ErrUnexpectedEOF:
		return data[:n], nil
	case nil:
		return nil, fmt.Errorf("%s grew while it was read: it %w", path, ErrLimit)
	default:
		return nil, err
	}
}

func writeFile(path string, data []byte) error {
	if err := disk.WriteFile(path, data, secretMode); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// absent fails with ErrExists where path names anything.
func absent(path string) error {
	switch _, err := os.Lstat(path); {
	case err == nil:
		return fmt.Errorf("%s %w", path, ErrExists)
	case os.IsNotExist(err):
		return nil
	default:
		return err
	}
}
