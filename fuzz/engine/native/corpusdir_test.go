// SPDX-License-Identifier: MIT

package native

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"tunproof/fuzz/engine/targets"
)

// only is the name of the target that TestCorpusDir runs. It is set when the program is
// linked (-ldflags "-X tunproof/fuzz/engine/native.only=Agree"). If it is empty, each
// target runs the inputs in the directory of its name.
var only string

// TestCorpusDir runs the inputs in the directory that FUZZ_CORPUS_DIR names, files of raw
// bytes. OSS-Fuzz and ClusterFuzzLite run it to measure coverage.
func TestCorpusDir(t *testing.T) {
	dir := os.Getenv("FUZZ_CORPUS_DIR")
	if dir == "" {
		t.Skip("FUZZ_CORPUS_DIR names no directory of inputs")
	}
	n := 0
	for _, tg := range targets.All() {
		inputs := filepath.Join(dir, tg.Name)
		if only != "" {
			inputs = dir
		}
		if only != "" && only != tg.Name {
			continue
		}
		err := filepath.WalkDir(inputs, func(file string, e fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			} else if err != nil || e.IsDir() {
				return err
			}
			b, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			n++
			if err := tg.Body(b, nil); err != nil {
				t.Errorf("%s: %s: %v", tg.Name, file, err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if n == 0 {
		t.Fatalf("%s: no inputs", dir)
	}
	t.Logf("%d inputs", n)
}
