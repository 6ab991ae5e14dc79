// SPDX-License-Identifier: MIT

package verify_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"tunproof/corpus"
	"tunproof/fuzz/engine/targets"
	"tunproof/fuzz/law"
	"tunproof/tunlive"
)

// cases returns all cases of the corpus.
func cases(t *testing.T) []corpus.Case {
	t.Helper()
	list, err := corpus.Cases()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// read returns the text of a file of the module.
func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestDocs checks that the cases, rules, tests, properties and features that documents
// name exist, and that README and model stay within their sizes.
func TestDocs(t *testing.T) {
	known := map[string]bool{}
	for _, c := range cases(t) {
		known[c.ID], known["../"+filepath.Base(c.ID)] = true, true
	}
	for _, s := range law.Sections {
		for _, r := range s.Rules {
			known[r.ID] = true
		}
	}
	named := regexp.MustCompile(`\b(coalesce|segment|checksum)/[a-z0-9]+(-[a-z0-9]+)+|\.\./[a-z0-9]+(-[a-z0-9]+)+|\b[A-Z][0-9]?\.[a-z][a-z0-9_]+\b`)
	for _, doc := range []string{"docs/findings.md", "docs/symptoms.md"} {
		found := named.FindAllString(read(t, doc), -1)
		for _, name := range found {
			if !known[name] {
				t.Errorf("%s names %s, which is neither a case nor a rule", doc, name)
			}
		}
		if len(found) < 20 {
			t.Errorf("%s names %d cases and rules, want at least 20", doc, len(found))
		}
	}
	var device string
	for _, pattern := range []string{"../../offload/tun/*_test.go", "../../offload/tun/wgtun/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, f := range files {
			device += read(t, strings.TrimPrefix(filepath.ToSlash(f), "../../"))
		}
	}
	for _, r := range law.Device {
		for _, name := range strings.Split(r.Tests, ", ") {
			if !strings.Contains(device, "func "+name+"(t *testing.T)") {
				t.Errorf("rule %s names %s, which is not a test of offload/tun", r.ID, name)
			}
		}
	}
	properties := read(t, "docs/properties.md")
	for _, tg := range targets.All() {
		if !strings.Contains(properties, tg.ID) {
			t.Errorf("docs/properties.md does not name %s", tg.ID)
		}
	}
	kernel := read(t, "docs/kernel.md")
	for _, f := range tunlive.FeatureTable {
		if !strings.Contains(kernel, "| "+f.Name+" | "+f.About+" |") {
			t.Errorf("docs/kernel.md has no row for feature %s: %s", f.Name, f.About)
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
					t.Errorf("%s names feature %q, which docs/kernel.md does not have", c.ID, name)
				}
			}
		}
	}
	if n := strings.Count(read(t, "README.md"), "\n"); n >= 150 {
		t.Errorf("README.md has %d lines, want under 150", n)
	}
	if n := modelLines(t); n > 450 {
		t.Errorf("the model has %d lines without comments, want at most 450", n)
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

// TestSpeedClaims checks what README.md says about speed against the tables of
// docs/bench.md, also where others are faster.
func TestSpeedClaims(t *testing.T) {
	readme, rows, one := read(t, "README.md"), 0, 0
	var columns []string
	for line := range strings.Lines(read(t, "docs/bench.md")) {
		cells := strings.Split(line, "|")
		if strings.HasPrefix(line, "| Sum") || strings.HasPrefix(line, "| Segment |") || strings.HasPrefix(line, "| Coalesce |") {
			columns = cells
		}
		if !strings.HasPrefix(line, "| size=") && !strings.HasPrefix(line, "| proto=") {
			continue
		}
		rows++
		for i, cell := range cells[:len(columns)] {
			m := regexp.MustCompile(`\(([0-9.]+)\)`).FindStringSubmatch(cell)
			if m == nil {
				continue
			}
			times, err := strconv.ParseFloat(m[1], 64)
			if err != nil {
				t.Fatal(err)
			}
			name := strings.TrimSpace(columns[i])
			few := strings.Contains(cells[1], "proto=acks") || strings.Contains(cells[1], "proto=esp")
			switch {
			case name == "copy" || name == "one sum":
			case name == "nebula" && times < 5./6:
				t.Errorf("README.md says that nebula is up to a sixth faster; in %s it takes %v of the time", cells[1], times)
			case name != "nebula" && times < 1 && !few:
				t.Errorf("README.md does not say that %s is faster: %s", name, cells[1])
			case name == "tailscale" && strings.Contains(line, " flows=1 "):
				if one++; times < 2 {
					t.Errorf("README.md says that joining takes about half of tailscale's time; in %s tailscale takes %v", cells[1], times)
				}
			}
		}
	}
	if rows < 20 || one < 4 {
		t.Errorf("%d rows, %d of one flow", rows, one)
	}
	for _, word := range []string{"ACK", "ESP", "nebula", "](docs/bench.md)"} {
		if !strings.Contains(readme, word) {
			t.Errorf("README.md does not name %s", word)
		}
	}
}

// TestPictures checks that the pictures drawn by hand have a title and a description for
// those who do not see them, sans serif letters, and colours for a dark page.
func TestPictures(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "docs", "*.svg"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d pictures, %v", len(files), err)
	}
	for _, f := range files {
		text := read(t, "docs/"+filepath.Base(f))
		for _, want := range []string{"<title", "<desc", "sans-serif", "prefers-color-scheme: dark", "viewBox"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s has no %s", f, want)
			}
		}
	}
}
