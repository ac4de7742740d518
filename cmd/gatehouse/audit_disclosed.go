package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"
	"strings"

	"gatehouse/store/audit"
	"gatehouse/store/audit/bundle"
)

// disclosures are the personal values that a bundle discloses. They come after
// the records that they belong to, so the bundle is read again for these.
type disclosures struct {
	out    *privateFile
	in     *bundleFile
	first  hash.Hash // of all bytes, as they were verified
	values []disclosed
}

// disclosed is a line of the file.
type disclosed struct {
	Seq     int64        `json:"seq"`
	Action  audit.Action `json:"action"`
	Subject string       `json:"subject,omitempty"`
	Field   string       `json:"field"`
	Value   string       `json:"value"`
}

// newDisclosures makes the place ready: there may be hours before it is needed.
func newDisclosures(in *bundleFile, name string) (*disclosures, error) {
	if in.size == 0 {
		return nil, &inputError{in.name, errors.New("--disclosed reads it twice: give a regular file")}
	}
	out, err := newPrivateFile(name, false)
	if err != nil {
		return nil, err
	}
	d := &disclosures{out: out, in: in, first: sha256.New()}
	in.r = io.TeeReader(in.r, d.first)
	return d, nil
}

func (d *disclosures) discard() { d.out.discard() }

// add is for bundle.Options. A bundle has at most 64 MiB of them.
func (d *disclosures) add(seq int64, o audit.Opening) {
	d.values = append(d.values, disclosed{Seq: seq, Field: o.Field, Value: o.Value})
}

func (d *disclosures) write(ctx context.Context) error {
	if _, err := d.in.Seek(0, io.SeekStart); err != nil {
		return err
	}
	again := sha256.New()
	all := io.TeeReader(d.in.File, again)
	if err := d.complete(ctx, all); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, all); err != nil {
		return err
	}
	if !bytes.Equal(d.first.Sum(nil), again.Sum(nil)) {
		return fmt.Errorf("%s was changed while it was read: verify it again", d.in.name)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	for _, v := range d.values {
		if err := e.Encode(v); err != nil {
			return err
		}
	}
	return d.out.commit(b.Bytes())
}

// complete the values with what their records say. Both come by rising seq.
func (d *disclosures) complete(ctx context.Context, r io.Reader) error {
	left := d.values
	for members := tar.NewReader(r); len(left) > 0; {
		h, err := members.Next()
		if err != nil {
			return fmt.Errorf("%s: record %d: %w", d.in.name, left[0].Seq, err)
		}
		text, ok := strings.CutPrefix(strings.TrimSuffix(h.Name, ".jsonl"), "entries/")
		if !ok {
			continue
		}
		seq, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return err
		}
		lines := bufio.NewScanner(members)
		lines.Buffer(nil, audit.MaxLeaf+1)
		for ; len(left) > 0 && lines.Scan(); seq++ {
			if left[0].Seq != seq {
				continue
			}
			l, err := audit.DecodeLeaf(lines.Bytes())
			if err != nil {
				return err
			}
			for ; len(left) > 0 && left[0].Seq == seq; left = left[1:] {
				left[0].Action, left[0].Subject = l.Action, l.SubjectRef
			}
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		if err := lines.Err(); err != nil {
			return err
		}
	}
	return nil
}

// readDisclosureKey reads the secret half of 'audit keygen --disclosure'.
func readDisclosureKey(name string) (*bundle.Secret, error) {
	b, err := readPrivate(name)
	if err != nil {
		return nil, err
	}
	s, err := bundle.ParseSecret(string(b))
	if err != nil {
		return nil, &inputError{name, err}
	}
	return s, nil
}
