package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// Files that are refused: every command ends with 3 and one sentence that
// names the file, the cause and what to do.
func TestRefusedFiles(t *testing.T) {
	dir, err := publicDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	selfie, page := filepath.Join(dir, "selfie.jpg"), filepath.Join(dir, "page.png")
	copyFile(t, obama, selfie)
	copyFile(t, passport, page)
	drawing, err := os.ReadFile(passport)
	if err != nil {
		t.Fatal(err)
	}
	photo := asset(t, "samples/obama.jpg")

	for i, c := range []struct {
		name    string
		content string
		make    func(path string) error // where it is more than content
		cause   string
		remedy  string
	}{
		{name: "missing.jpg", make: nothing, cause: "no such file", remedy: "check the path"},
		{name: "line\nbreak\x1b.jpg", make: nothing, cause: "no such file", remedy: "check the path"},
		{name: "directory.jpg", make: func(p string) error { return os.Mkdir(p, 0o755) }, cause: "a directory", remedy: "name the picture files in it"},
		{name: "unreadable.jpg", make: func(p string) error { return os.WriteFile(p, photo, 0) }, cause: "may not be read", remedy: "give read permission"},
		{name: "empty.jpg", cause: "empty", remedy: "copy it again"},
		{name: "text.jpg", content: "Dear Sir or Madam,\n", cause: "looks like text", remedy: "save it as JPEG, PNG or WebP"},
		{name: "bytes.jpg", content: "\x00\x01\x02\x03\x04\x05", cause: "not a JPEG", remedy: "save it as JPEG, PNG or WebP"},
		{name: "moving.gif", content: "GIF89a\x01\x00\x01\x00\x00\x00\x00;", cause: "GIF", remedy: "save it as JPEG, PNG or WebP"},
		{name: "page.pdf", content: "%PDF-1.7\n1 0 obj\n", cause: "PDF", remedy: "send its page as a picture"},
		{name: "phone.heic", content: "\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", cause: "HEIC", remedy: "most compatible"},
		{name: "cut.jpg", content: string(photo[:len(photo)/2]), cause: "cut off", remedy: "copy it again or take another picture"},
		{name: "cut.png", content: string(drawing[:len(drawing)/2]), cause: "png: the picture", remedy: "copy it again or take another picture"},
		{name: "head.jpg", content: string(photo[:2]), cause: "cut off", remedy: "JPEG"},
		{name: "noise.jpg", content: "\xff\xd8\xff\xe0" + strings.Repeat("gatehouse", 100), cause: "jpeg", remedy: "copy it again or take another picture"},
		{name: "moving.webp", content: "RIFF\x16\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x02\x00\x00\x00\x07\x00\x00\x07\x00\x00", cause: "animated", remedy: "send a single picture"},
		{name: "huge.png", content: "\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR\x00\x00\xea\x60\x00\x00\xea\x60\x08\x02\x00\x00\x00\x00\x00\x00\x00", cause: "60000×60000", remedy: "save it smaller"},
		{name: "heavy.jpg", make: func(p string) error {
			if err := os.WriteFile(p, photo, 0o644); err != nil {
				return err
			}
			return os.Truncate(p, 20<<20+1)
		}, cause: "too large", remedy: "save it smaller"},
		{name: "/dev/zero", make: nothing, cause: "too large", remedy: "save it smaller"},
	} {
		file := c.name
		if !filepath.IsAbs(file) {
			file = filepath.Join(dir, file)
		}
		if c.make == nil {
			c.make = func(p string) error { return os.WriteFile(p, []byte(c.content), 0o644) }
		}
		if err := c.make(file); err != nil {
			t.Fatal(err)
		}
		// The files take turns in the parts that a file can play.
		compare := [][]string{{file, selfie}, {selfie, file}}[i%2]
		verify := [][]string{
			{"--selfie", selfie, "--document", file}, {"--document", page, "--selfie", file},
			{"--document", page, "--selfie", selfie, "--document-back", file}, {"--document", page, "--selfie", selfie, "--frame", selfie, "--frame", file},
		}[i%4]
		for _, args := range [][]string{
			{"face", "inspect", file}, {"face", "embed", file}, append([]string{"face", "compare"}, compare...), {"document", "read", file},
			append([]string{"verify"}, verify...), {"specimen", "--out", filepath.Join(dir, "out.png"), "--portrait", file},
		} {
			t.Run(c.name+" "+strings.Join(args[:2], " "), func(t *testing.T) {
				t.Parallel()
				o := run(t, asUser(command(t, append(args, "--json")...)))
				o.fails(t, 3, file, c.name[strings.LastIndexByte(c.name, '\n')+1:][:4], c.cause, c.remedy)
			})
		}
	}
}

func nothing(string) error { return nil }

// asUser takes the rights of root away, which may read everything.
func asUser(c *exec.Cmd) *exec.Cmd {
	if os.Getuid() == 0 {
		const nobody = 65534
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	return c
}

// A batch goes on past a bad file, keeps the order, and says at the end how
// many were bad.
func TestBatchGoesOn(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "missing.jpg")
	files := []string{obama, bad, biden}
	for _, name := range []string{"face inspect", "face embed", "document read"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := append(strings.Fields(name), files...)
			if name == "document read" {
				args = append(args, "--no-text")
			}
			lines := gatehouse(t, append(args, "--jsonl")...)
			if lines.code != 3 || !strings.HasSuffix(lines.stderr, "\ngatehouse: 1 of 3 files failed\n") || !strings.Contains(lines.stderr, bad) {
				t.Errorf("exit code %d, stderr %q", lines.code, lines.stderr)
			}
			if n := strings.Count(lines.stdout, "\n"); n != 3 {
				t.Errorf("%d lines", n)
			}
			inOrder(t, decode[object](t, lines.stdout), files, bad)
			list := gatehouse(t, append(args, "--json")...)
			if list.code != 3 {
				t.Errorf("exit code %d", list.code)
			}
			inOrder(t, one[[]object](t, list.stdout), files, bad)
			human := gatehouse(t, args...)
			if human.code != 3 || human.stderr != lines.stderr || !strings.Contains(human.stdout, obama) || !strings.Contains(human.stdout, biden) {
				t.Errorf("without --json: exit code %d, stderr %q, stdout %q", human.code, human.stderr, human.stdout)
			}
		})
	}
}

func inOrder(t *testing.T, results []object, files []string, bad string) {
	t.Helper()
	var names, failed []string
	for _, r := range results {
		name := part[string](t, r, "file")
		names = append(names, name)
		if _, ok := r["error"]; ok {
			failed = append(failed, name)
			if p := part[problem](t, r, "error"); p.Exit != 3 || p.File != name || !strings.Contains(p.Detail, name) {
				t.Errorf("%s: problem %+v", name, p)
			}
		}
	}
	if !slices.Equal(names, files) || !slices.Equal(failed, []string{bad}) {
		t.Errorf("results of %q, failed %q", names, failed)
	}
}

// What cannot be printed is not done: the disk is full, and the code says so.
func TestFullDisk(t *testing.T) {
	for _, args := range [][]string{
		{"face", "inspect", obama}, {"face", "inspect", obama, "--json"}, {"face", "compare", obama, obama2, "--jsonl"}, {"face", "embed", obama},
		{"verify", "--document", passport, "--selfie", obama2}, {"document", "read", passport, "--no-text"},
		{"models", "list"}, {"models", "verify"}, {"version"}, {"licences"}, {"help"}, {"help", "verify"},
		{"specimen", "--portrait", obama, "--out", filepath.Join(t.TempDir(), "x.png")},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer full.Close()
			c := command(t, args...)
			c.Stdout = full
			o := run(t, c)
			if o.code != 1 {
				t.Errorf("exit code %d", o.code)
			}
			o.says(t, "cannot be printed", "no space left")
		})
	}
}
