package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// maxSecret bytes of a passphrase, as the contract has it; a share has less.
const maxSecret = 1024

// readSecret reads a line from a file. "-" is stdin: where that is a terminal
// it is asked for without echo, and where it is to be a new secret, twice.
func readSecret(ctx context.Context, c *call, name, what string, twice bool) (string, error) {
	if name != "-" || !terminal() {
		b, err := readSmall(name, maxSecret+2) // and a line's end
		if err != nil {
			return "", err
		}
		return secret(name, b)
	}
	first, err := ask(ctx, c, what)
	if err != nil || !twice {
		return first, err
	}
	second, err := ask(ctx, c, "the same again")
	if err == nil && first != second {
		err = &inputError{"stdin", errors.New("the two are not the same; try again")}
	}
	return first, err
}

// secret checks that b is one line.
func secret(name string, b []byte) (string, error) {
	b = bytes.TrimRight(b, "\r\n")
	switch {
	case len(b) == 0:
		return "", &inputError{name, errors.New("it is empty; put the secret on its first line")}
	case len(b) > maxSecret || bytes.ContainsAny(b, "\r\n"):
		return "", &inputError{name, fmt.Errorf("it is not one line of at most %d bytes", maxSecret)}
	}
	return string(b), nil
}

func terminal() bool {
	_, err := unix.IoctlGetTermios(int(os.Stdin.Fd()), unix.TCGETS)
	return err == nil
}

// ask reads a line from the terminal without echo. The echo is back when it
// returns, also where ctx ends it.
func ask(ctx context.Context, c *call, what string) (string, error) {
	fd := int(os.Stdin.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return "", fmt.Errorf("the terminal's echo cannot be turned off: %w; give a file instead", err)
	}
	silent := *before
	silent.Lflag &^= unix.ECHO
	silent.Lflag |= unix.ICANON | unix.ISIG
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &silent); err != nil {
		return "", fmt.Errorf("the terminal's echo cannot be turned off: %w; give a file instead", err)
	}
	defer unix.IoctlSetTermios(fd, unix.TCSETS, before)
	fmt.Fprintf(c.err, "%s: ", what)
	defer fmt.Fprintln(c.err)
	type result struct {
		b   []byte
		err error
	}
	done := make(chan result, 1)
	go func() {
		b, err := readLine(os.Stdin, maxSecret+2)
		done <- result{b, err}
	}()
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case r := <-done:
		if r.err != nil {
			return "", &inputError{"stdin", fmt.Errorf("it cannot be read: %w", r.err)}
		}
		return secret("stdin", r.b)
	}
}

// readLine reads up to a line's end, a byte at a time: what follows belongs to
// the next question.
func readLine(r io.Reader, limit int) ([]byte, error) {
	var line []byte
	for one := make([]byte, 1); len(line) < limit; {
		n, err := r.Read(one)
		if n == 1 {
			if one[0] == '\n' {
				return line, nil
			}
			line = append(line, one[0])
		}
		if errors.Is(err, io.EOF) {
			return line, nil
		} else if err != nil {
			return nil, err
		}
	}
	return line, nil
}
