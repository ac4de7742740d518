package main

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"

	"gatehouse/engine/pack"
)

// manifest gives pack.json: the repository's own, with the size and the hash
// of every file that it names. entries are the pack's other files.
func manifest(template []byte, entries map[string][]byte) ([]byte, error) {
	var m pack.Manifest
	d := json.NewDecoder(bytes.NewReader(template))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return nil, fmt.Errorf("%s: %w", pack.ManifestFile, err)
	}
	files := []*pack.File{&m.Calibration}
	for i := range m.Models {
		files = append(files, &m.Models[i].File, &m.Models[i].Licence.File)
	}
	named := map[string]bool{}
	for _, f := range files {
		b, ok := entries[f.Name]
		if !ok {
			return nil, fmt.Errorf("%s names %q, which nothing in assets.lock becomes", pack.ManifestFile, f.Name)
		}
		f.Bytes, f.SHA256 = int64(len(b)), sha(b)
		named[f.Name] = true
	}
	for name := range entries {
		if !named[name] {
			return nil, fmt.Errorf("%s does not name %q, which assets.lock puts into the pack", pack.ManifestFile, name)
		}
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(m)
	return out.Bytes(), err
}

// makePack gives the bytes of the pack. They depend on the entries alone: no
// times, a fixed order, nothing compressed.
func makePack(entries []*output, content map[string][]byte) ([]byte, error) {
	var template *output
	files := map[string][]byte{}
	for _, o := range entries {
		if o.name == pack.ManifestFile {
			template = o
		} else {
			files[o.name] = content[o.name]
		}
	}
	if template == nil {
		return nil, fmt.Errorf("%w: nothing becomes %s%s", errLock, packDir, pack.ManifestFile)
	}
	m, err := manifest(template.join(), files)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	store := func(name string, b []byte) error {
		w, err := z.CreateRaw(&zip.FileHeader{
			Name: name, Method: zip.Store, CRC32: crc32.ChecksumIEEE(b),
			CompressedSize64: uint64(len(b)), UncompressedSize64: uint64(len(b)),
		})
		if err == nil {
			_, err = w.Write(b)
		}
		return err
	}
	if err := store(pack.ManifestFile, m); err != nil {
		return nil, err
	}
	for _, o := range entries {
		if o != template {
			if err := store(o.name, files[o.name]); err != nil {
				return nil, err
			}
		}
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// verifyPack checks a pack against the plan: every entry by its hash, and then
// every byte of the file against the pack made from these entries.
func verifyPack(b []byte, entries []*output) error {
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return fmt.Errorf("%s %w: %w", packFile, errChanged, err)
	}
	content := map[string][]byte{}
	for _, f := range z.File {
		at, err := f.DataOffset()
		n := f.UncompressedSize64
		if err != nil || f.Method != zip.Store || n != f.CompressedSize64 || uint64(at) > uint64(len(b)) || n > uint64(len(b))-uint64(at) {
			return fmt.Errorf("%s: %s %w", packFile, f.Name, errChanged)
		}
		content[f.Name] = b[at : uint64(at)+n]
	}
	for _, o := range entries {
		if o.name == pack.ManifestFile {
			continue
		}
		if err := o.verify(content[o.name]); err != nil {
			return fmt.Errorf("%s: %w", packFile, err)
		}
	}
	want, err := makePack(entries, content)
	if err != nil {
		return err
	}
	if !bytes.Equal(b, want) {
		return fmt.Errorf("%s %w: its manifest or its frame differs", packFile, errChanged)
	}
	return nil
}
