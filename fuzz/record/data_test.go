// SPDX-License-Identifier: MIT

package record

import (
	"os"
	"path/filepath"
	"testing"
)

// TestDataFile checks which file is the newest: Data's before any evidence's.
func TestDataFile(t *testing.T) {
	root := t.TempDir()
	want := func(dir string) {
		t.Helper()
		if got := DataFile(root, "a.jsonl"); got != filepath.Join(root, filepath.FromSlash(dir), "a.jsonl") {
			t.Errorf("%s, want it in %s", got, dir)
		}
	}
	put := func(dir string) {
		dir = filepath.Join(root, filepath.FromSlash(dir))
		if err := os.MkdirAll(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "a.jsonl"), nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want(Data)
	put("docs/evidence/0.1.0-2026-01-01/records")
	put("docs/evidence/0.1.0-2026-01-02/records")
	want("docs/evidence/0.1.0-2026-01-02/records")
	put(Data)
	want(Data)
}
