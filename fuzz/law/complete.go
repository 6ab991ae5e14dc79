// SPDX-License-Identifier: MIT

package law

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"tunproof/corpus/pkts"
	"tunproof/fuzz/internal/file"
	"tunproof/fuzz/record"
)

// CorpusFiles returns the paths of all cases in the checkout, sorted.
func CorpusFiles() ([]string, error) {
	root, err := record.Root(".")
	if err != nil {
		return nil, err
	}
	var files []string
	err = filepath.WalkDir(filepath.Join(root, "corpus"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".pkts" {
			files = append(files, path)
		}
		return err
	})
	slices.Sort(files)
	return files, err
}

// CompleteFile reports whether the case in a file differs from what the model gives.
// With write it also rewrites the file.
func CompleteFile(name string, write bool) (changed bool, err error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return false, err
	}
	c, err := pkts.Parse(name, pkts.Unindent(text))
	if err != nil {
		return false, err
	}
	Expect(c)
	want := pkts.Format(c)
	if bytes.Equal(text, want) {
		return false, nil
	}
	if !write {
		return true, nil
	}
	return true, file.Write(name, want)
}
