// SPDX-License-Identifier: MIT

package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Data is the directory, from the module's root, of the newest records of each kind.
// The pages of docs are made from them.
const Data = "docs/evidence/current"

// DataFile returns the file of the newest records of a name, such as "kernels.jsonl". It
// is in Data, or else in the newest evidence, which keeps them too.
func DataFile(root, name string) string {
	file := filepath.Join(root, filepath.FromSlash(Data), name)
	if _, err := os.Stat(file); err == nil {
		return file
	}
	list, _ := filepath.Glob(filepath.Join(root, "docs", "evidence", "*", "records", name))
	if len(list) == 0 {
		return file
	}
	return slices.Max(list)
}

// ReadFile returns the result records in a file, which has one JSON value a line. Lines that are
// no records, such as those about mutants, are left out. A file that does not exist has none.
func ReadFile(name string) (rows []Result, err error) {
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for line := range bytes.Lines(b) {
		var r Result
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if r.Property != "" {
			rows = append(rows, r)
		}
	}
	return rows, err
}
