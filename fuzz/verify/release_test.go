// SPDX-License-Identifier: MIT

package verify_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

// TestMaterials checks that the bill of materials of each module has what its go.mod
// requires. If it fails, run .ci/sbom.
func TestMaterials(t *testing.T) {
	modules := 0
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() && e.Name() != ".." && strings.HasPrefix(e.Name(), ".") && path != root {
			return fs.SkipDir
		}
		if e.Name() != "go.mod" {
			return nil
		}
		modules++
		return materials(path)
	})
	if err != nil {
		t.Error(err)
	}
	if modules != 5 {
		t.Errorf("%d modules, want 5", modules)
	}
}

var (
	moduleLine   = regexp.MustCompile(`(?m)^module (\S+)$`)
	requireLine  = regexp.MustCompile(`(?m)^(?:require |\t)(\S+) (v\S+)`)
	replacedLine = regexp.MustCompile(`(?m)^replace (\S+)(?: v\S+)? => (\S+)(?: (v\S+))?$`)
)

// materials compares a go.mod with its bill of materials.
func materials(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	module := string(moduleLine.FindSubmatch(text)[1])
	name := ".github/sbom/" + strings.ReplaceAll(module, "/", "-") + ".cdx.json"
	b, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		return err
	}
	var sbom struct {
		Components []struct{ Name, Version string }
	}
	if err := json.Unmarshal(b, &sbom); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	has := map[string]string{}
	for _, c := range sbom.Components {
		has[c.Name] = c.Version
	}
	replaced := map[string]string{}
	for _, m := range replacedLine.FindAllSubmatch(text, -1) {
		replaced[string(m[1])] = string(m[3])
	}
	for _, m := range requireLine.FindAllSubmatch(text, -1) {
		want := string(m[2])
		if v, is := replaced[string(m[1])]; is {
			want = v
		}
		if want == "" { // this repository
			continue
		}
		if got := has[string(m[1])]; got != want {
			return fmt.Errorf("%s has %s %q, and %s requires %q", name, m[1], got, path, want)
		}
	}
	return nil
}

// TestCitation checks that both files that say how to cite the software agree.
func TestCitation(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(root, ".zenodo.json"))
	if err != nil {
		t.Fatal(err)
	}
	var z struct {
		Title, Version, License string
		Creators                []struct{ Name string }
		Keywords                []string
	}
	if err := json.Unmarshal(b, &z); err != nil {
		t.Fatal(err)
	}
	cff, err := os.ReadFile(filepath.Join(root, ".github/CITATION.cff"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{fmt.Sprintf("title: %q", z.Title), fmt.Sprintf("version: %q", z.Version), "license: " + z.License}
	for _, c := range z.Creators {
		want = append(want, fmt.Sprintf("  - name: %q", c.Name))
	}
	want = append(want, "keywords:\n  - "+strings.Join(z.Keywords, "\n  - "))
	for _, w := range want {
		if !strings.Contains(string(cff), w+"\n") {
			t.Errorf("CITATION.cff lacks %s", w)
		}
	}
}
