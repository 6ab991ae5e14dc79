// SPDX-License-Identifier: MIT

package campaign

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"tunproof/fuzz/engine/serve"
	"tunproof/fuzz/record"
)

// TestFindings checks that of findings with one key the smallest is stored, in whatever
// order and from whatever goroutine they come.
func TestFindings(t *testing.T) {
	s := Store{t.TempDir()}
	o := serve.Outcome{Property: "P4", Where: "tcp.flags [segment 2]/" + strings.Repeat("x", 200)}
	still := func(string) bool { return true }
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			for k := range 20 {
				n := 1 + (k*37+i*11)%100
				if _, _, err := s.AddFinding("Agree", o, bytes.Repeat([]byte("x"), n), ".pkts", still); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	files, _ := filepath.Glob(filepath.Join(s.Dir, "findings", "*", "*"))
	if len(files) != 1 {
		t.Fatal(files)
	}
	if b, err := os.ReadFile(files[0]); err != nil || len(b) != 1 {
		t.Errorf("%s: %d bytes, %v", files[0], len(b), err)
	}
	for _, add := range []struct {
		where, text, ext string
		still            bool
		isNew            bool
		kept             string // the file's end
		is               string // what is in it
	}{
		{o.Where, "larger", ".pkts", true, false, ".pkts", "x"},
		{o.Where, "", ".fuzz", true, false, ".pkts", "x"}, // no case
		{o.Where, "larger", ".pkts", false, false, ".pkts", "larger"},
		{"ip.id", "other", ".fuzz", true, true, ".fuzz", "other"},
		{"ip.id", "a case of it", ".pkts", true, false, ".pkts", "a case of it"},
	} {
		file, isNew, err := s.AddFinding("Agree", serve.Outcome{Property: "P4", Where: add.where}, []byte(add.text), add.ext, func(string) bool { return add.still })
		if err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(file); isNew != add.isNew || !strings.HasSuffix(file, add.kept) || string(b) != add.is || err != nil {
			t.Errorf("%+v: %s has %q, new: %v, %v", add, file, b, isNew, err)
		}
	}
	if files, _ := filepath.Glob(filepath.Join(s.Dir, "findings", "*", "*")); len(files) != 2 {
		t.Error(files)
	}
}

// TestBuildScript checks that the builds of fuzzing farms are instrumented like those of
// campaigns.
func TestBuildScript(t *testing.T) {
	root, err := record.Root(".")
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile(filepath.Join(root, ".clusterfuzzlite", "build.sh"))
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(script), "instrument=(")
	list, _, _ = strings.Cut(list, ")")
	if got := strings.Fields(list); !slices.Equal(got, Instrument()) {
		t.Errorf("build.sh has %q, want %q", got, Instrument())
	}
}
