package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// sumsFile lists the SHA-256 of every other output.
const sumsFile = "sums.json"

// converters are the conversions that the lock may name.
var converters = map[string]func(b []byte, a *artefact, f *lockedFile) ([]byte, error){
	"tflite-to-onnx": func(b []byte, a *artefact, f *lockedFile) ([]byte, error) {
		base := filepath.Base(f.Path)
		return convertTFLite(b, base[:len(base)-len(filepath.Ext(base))], base+" of "+a.name()+", SHA-256 "+f.SHA256)
	},
}

// check verifies the outputs against the plan. Nothing is fetched.
func (p *plan) check(out string) error {
	sums := map[string]string{}
	read := func(name string) ([]byte, error) {
		b, err := readAtMost(filepath.Join(out, name), maxFile)
		sums[name] = sha(b)
		return b, err
	}
	for _, o := range p.files {
		b, err := read(o.name)
		if err == nil {
			err = o.verify(b)
		}
		if err != nil {
			return err
		}
	}
	if len(p.pack) > 0 {
		b, err := read(packFile)
		if err == nil {
			err = verifyPack(b, p.pack)
		}
		if err != nil {
			return err
		}
	}
	want, err := marshalSums(sums)
	if err != nil {
		return err
	}
	have, err := readAtMost(filepath.Join(out, sumsFile), maxFile)
	if err == nil && string(have) != string(want) {
		err = fmt.Errorf("%s %w", sumsFile, errChanged)
	}
	return err
}

// build makes every output from the artefacts.
func (p *plan) build(ctx context.Context, l *lock, c cache, out string) error {
	for i := range l.Artefacts {
		if err := p.fill(ctx, &l.Artefacts[i], c); err != nil {
			return err
		}
	}
	sums := map[string]string{}
	write := func(name string, b []byte) error {
		sums[name] = sha(b)
		return writeFile(filepath.Join(out, name), b)
	}
	for _, o := range p.files {
		if err := write(o.name, o.join()); err != nil {
			return err
		}
	}
	if len(p.pack) > 0 {
		content := map[string][]byte{}
		for _, o := range p.pack {
			content[o.name] = o.join()
		}
		b, err := makePack(p.pack, content)
		if err != nil {
			return err
		}
		if err := write(packFile, b); err != nil {
			return err
		}
	}
	b, err := marshalSums(sums)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(out, sumsFile), b)
}

// fill takes the files out of an artefact, converts them, and puts them where
// the plan wants them.
func (p *plan) fill(ctx context.Context, a *artefact, c cache) error {
	b, path, err := c.get(ctx, a)
	if err != nil {
		return err
	}
	found, err := extract(ctx, a, b, path)
	if err != nil {
		return err
	}
	for i := range a.Files {
		f := &a.Files[i]
		b := found[i]
		if v := f.Converted; v != nil {
			if b, err = converters[v.By](b, a, f); err != nil {
				return fmt.Errorf("%s: %s: %w", a.name(), f.Path, err)
			}
			if err := same(a.name()+": "+f.Path+", converted,", b, v.Bytes, v.SHA256); err != nil {
				return fmt.Errorf("%w; if the converter was changed on purpose, verify its result and record it", err)
			}
		}
		for _, name := range f.Becomes {
			parts := p.find(name).parts
			for k := range parts {
				if parts[k].from == a.name()+": "+f.Path {
					parts[k].content = b
				}
			}
		}
	}
	return nil
}

func marshalSums(sums map[string]string) ([]byte, error) {
	b, err := json.MarshalIndent(sums, "", "  ") // sorts the names
	return append(b, '\n'), err
}

// writeFile replaces a file at once: a reader sees the old or the new one.
func writeFile(path string, b []byte) error {
	if have, err := os.ReadFile(path); err == nil && string(have) == string(b) {
		return nil
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".assets-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.Rename(f.Name(), path)
}
