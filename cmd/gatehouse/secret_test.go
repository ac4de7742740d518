package main_test

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// openTerminal gives both ends of a new terminal.
func openTerminal(t *testing.T) (keyboard, screen *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminal can be made here: %v", err)
	}
	t.Cleanup(func() { keyboard.Close() })
	n, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	screen, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { screen.Close() })
	return keyboard, screen
}

func echoes(t *testing.T, screen *os.File) bool {
	t.Helper()
	s, err := unix.IoctlGetTermios(int(screen.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return s.Lflag&unix.ECHO != 0
}

// onScreen is what the terminal shows, as its other end reads it.
func onScreen(t *testing.T, keyboard *os.File) string {
	t.Helper()
	fd := int(keyboard.Fd())
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4096)
	n, err := unix.Read(fd, b)
	if err != nil && err != unix.EAGAIN {
		t.Fatal(err)
	}
	return string(b[:max(n, 0)])
}

// prompts is a command's stderr; typed is written when a prompt has come.
type prompts struct {
	text     strings.Builder
	keyboard io.Writer
	typed    []string
}

func (p *prompts) Write(b []byte) (int, error) {
	if len(p.typed) > 0 && strings.HasSuffix(string(b), ": ") {
		line := p.typed[0]
		p.typed = p.typed[1:]
		if _, err := io.WriteString(p.keyboard, line); err != nil {
			return 0, err
		}
	}
	return p.text.Write(b)
}

func TestPassphraseFromATerminal(t *testing.T) {
	const passphrase = "correct horse battery staple"
	n := newStandIn(t, map[string]reply{"POST /v1/seal/slots": {201, map[string]any{"slot": map[string]any{"id": "slot2", "kind": "passphrase", "created_at": at}}}, "POST /v1/seal/open": {200, sealed(false)}})
	for _, c := range []struct {
		args  string
		typed []string
		code  int
		body  string
	}{
		{"seal add passphrase", []string{passphrase + "\n", passphrase + "\n"}, 0, `{"kind":"passphrase","passphrase":"` + passphrase + `"}`},
		{"seal add passphrase", []string{passphrase + "\n", "another\n"}, 3, ""},
		{"seal add passphrase", []string{"\n"}, 3, ""},
		{"unseal --passphrase-file -", []string{passphrase + "\n"}, 0, `{"passphrase":"` + passphrase + `"}`},
	} {
		keyboard, screen := openTerminal(t)
		before := n.count()
		cmd := command(t, append(words(c.args), "--profile", n.path("profile.json"))...)
		asked := &prompts{keyboard: keyboard, typed: c.typed}
		cmd.Stdin, cmd.Stderr = screen, asked
		err := cmd.Run()
		if code := cmd.ProcessState.ExitCode(); code != c.code || len(asked.typed) != 0 {
			t.Errorf("%s %q: exit code %d, %v, stderr %q", c.args, c.typed, code, err, asked.text.String())
		}
		if c.body != "" && n.last(t).body != c.body || c.body == "" && n.count() != before {
			t.Errorf("%s %q: sent %q", c.args, c.typed, n.last(t).body)
		}
		if !echoes(t, screen) {
			t.Errorf("%s: the terminal is left without echo", c.args)
		}
		// Whatever was echoed can be read at the keyboard's end.
		if shown := onScreen(t, keyboard); shown != "" {
			t.Errorf("%s: the terminal shows %q", c.args, shown)
		}
	}
}
