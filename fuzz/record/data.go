package record

import (
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
