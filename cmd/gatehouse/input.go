package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"gatehouse/engine/picture"
)

// inputError is a file that was refused, with the reason as a person reads it.
type inputError struct {
	file string
	err  error
}

func (e *inputError) Error() string { return e.file + ": " + e.err.Error() }
func (e *inputError) Unwrap() error { return e.err }

// readFile reads a picture file. It ends with ctx also where a pipe or a slow
// disk keeps it waiting.
func readFile(ctx context.Context, name string) ([]byte, error) {
	type result struct {
		b   []byte
		err error
	}
	done := make(chan result, 1)
	go func() {
		b, err := readWhole(name)
		done <- result{b, err}
	}()
	select {
	case r := <-done:
		return r.b, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// readWhole reads at most what a picture may have, and one byte more.
func readWhole(name string) ([]byte, error) {
	refuse := func(format string, a ...any) ([]byte, error) {
		return nil, &inputError{name, fmt.Errorf(format, a...)}
	}
	f, err := os.Open(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return refuse("there is no such file; check the path")
	case errors.Is(err, fs.ErrPermission):
		return refuse("it may not be read by this user; give read permission or run as its owner")
	case err != nil:
		return refuse("it cannot be opened: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return refuse("it cannot be read: %w", err)
	}
	limit := int64(picture.DefaultLimits().Bytes)
	switch {
	case st.IsDir():
		return refuse("it is a directory; name the picture files in it")
	case st.Mode().IsRegular() && st.Size() > limit:
		return refuse("%w: %d bytes; at most %d are taken, save it smaller", picture.ErrTooLarge, st.Size(), limit)
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return refuse("it cannot be read: %w", err)
	}
	return b, nil
}
