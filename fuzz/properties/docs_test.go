package properties

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"tunproof/fuzz/target"
	"tunproof/tunlive"
)

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestDocs checks that what the documents name exists.
func TestDocs(t *testing.T) {
	ids := map[string]bool{}
	for _, c := range cases(t) {
		ids[c.ID] = true
	}
	named := regexp.MustCompile(`\b(coalesce|segment|checksum)/[a-z0-9]+(-[a-z0-9]+)+`)
	found := named.FindAllString(read(t, "docs/findings.md"), -1)
	for _, id := range found {
		if !ids[id] {
			t.Errorf("docs/findings.md names %s, which is no case", id)
		}
	}
	if len(found) < 20 {
		t.Errorf("docs/findings.md names %d cases", len(found))
	}
	properties := read(t, "docs/properties.md")
	for _, tg := range target.Targets() {
		if !strings.Contains(properties, tg.ID) {
			t.Errorf("docs/properties.md does not name %s", tg.ID)
		}
	}
	kernel := read(t, "docs/kernel.md")
	for _, f := range tunlive.FeatureTable {
		if !strings.Contains(kernel, "| "+f.Name+" | "+f.About+" |") {
			t.Errorf("docs/kernel.md does not say of feature %s that %s", f.Name, f.About)
		}
	}
	for _, c := range cases(t) {
		for _, b := range c.Batches {
			asked := b.Kernel
			for _, in := range b.In {
				asked = append(asked, in.Kernel...)
			}
			for _, k := range asked {
				if name := strings.TrimPrefix(k.Feature, "!"); name != "" && !strings.Contains(kernel, "| "+name+" | ") {
					t.Errorf("%s: no feature %q", c.ID, name)
				}
			}
		}
	}
	if n := strings.Count(read(t, "README.md"), "\n"); n >= 150 {
		t.Errorf("README.md has %d lines, want under 150", n)
	}
	if n := modelLines(t); n > 400 {
		t.Errorf("the model has %d lines without comments, want at most 400", n)
	}
}

// modelLines counts lines of package model that are neither blank nor comments.
func modelLines(t *testing.T) int {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("..", "..", "model", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		for line := range strings.Lines(read(t, filepath.Join("model", filepath.Base(name)))) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "//") {
				n++
			}
		}
	}
	return n
}
