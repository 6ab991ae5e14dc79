// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// Manifest is the file with the hashes of all other files, in the format of sha256sum.
const Manifest = "MANIFEST.sha256"

// manifest returns the contents of the manifest for these files.
func manifest(files map[string][]byte) []byte {
	var b bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if name != Manifest {
			fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256(files[name]), name)
		}
	}
	return b.Bytes()
}

// ReadDirectory returns the files of a directory of evidence, by name. It is an error if
// they do not match the manifest.
func ReadDirectory(dir string) (map[string][]byte, error) {
	files := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		files[filepath.ToSlash(name)], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		return nil, err
	}
	if got := manifest(files); !bytes.Equal(got, files[Manifest]) {
		return nil, fmt.Errorf("%s: the files do not match %s", dir, Manifest)
	}
	return files, nil
}

// vacant returns an error if a directory exists, since evidence is never overwritten.
func vacant(dir string) error {
	if _, err := os.Lstat(dir); err == nil {
		return fmt.Errorf("%s exists, and evidence is never changed: remove it, or choose another with -version or -o", dir)
	}
	return nil
}

// writeAll writes a new directory, completely or not at all. files holds contents by
// slash-separated name. It is an error if the directory exists.
func writeAll(dir string, files map[string][]byte) error {
	if err := vacant(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o777); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(filepath.Dir(dir), ".evidence-")
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err == nil {
			err = write(filepath.Join(temp, filepath.FromSlash(name)), files[name])
		}
	}
	if err == nil {
		err = os.Chmod(temp, 0o755)
	}
	if err == nil {
		err = os.Rename(temp, dir)
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(temp))
	}
	return nil
}
