// SPDX-License-Identifier: MIT

package verify_test

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// page is a page in Markdown, without its blocks of code.
type page struct {
	name  string // relative to the module's root, with slashes
	lines []string
	links []link
}

// link is a link of a page to a file of the repository.
type link struct {
	line   int
	target string // relative to the module's root
	anchor string
}

var (
	linkText  = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	codeSpan  = regexp.MustCompile("`[^`]*`")
	notAnchor = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// pages returns all pages of the repository.
func pages(t *testing.T) map[string]*page {
	t.Helper()
	root := filepath.Join("..", "..")
	all := map[string]*page{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains([]string{".git", ".cache", "testdata"}, d.Name()):
			return fs.SkipDir
		case filepath.Ext(file) != ".md":
			return nil
		}
		name, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		p := &page{name: filepath.ToSlash(name)}
		code := false
		text := strings.ReplaceAll(read(t, p.name), "\r\n", "\n")
		for i, line := range strings.Split(text, "\n") {
			if strings.HasPrefix(line, "```") {
				code = !code
			}
			if code || strings.HasPrefix(line, "    ") {
				line = ""
			}
			p.lines = append(p.lines, line)
			for _, m := range linkText.FindAllStringSubmatch(codeSpan.ReplaceAllString(line, ""), -1) {
				if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
					continue
				}
				target, anchor, _ := strings.Cut(m[1], "#")
				to := p.name
				if target != "" {
					to = path.Join(path.Dir(p.name), target)
				}
				p.links = append(p.links, link{i + 1, to, anchor})
			}
		}
		all[p.name] = p
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// anchors returns the anchors of the headings of a page.
func (p *page) anchors() []string {
	var list []string
	for _, line := range p.lines {
		if text := strings.TrimLeft(line, "#"); text != line && strings.HasPrefix(text, " ") {
			text = strings.ToLower(strings.TrimSpace(strings.ReplaceAll(text, "`", "")))
			list = append(list, strings.ReplaceAll(notAnchor.ReplaceAllString(text, ""), " ", "-"))
		}
	}
	return list
}

// TestLinks checks that every link of a page leads to a file, and to a heading if it names
// one, and that links lead to every page from docs/README.md.
func TestLinks(t *testing.T) {
	all := pages(t)
	for _, p := range all {
		for _, l := range p.links {
			if _, err := os.Stat(filepath.Join("..", "..", filepath.FromSlash(l.target))); err != nil {
				t.Errorf("%s:%d: the link leads to %s, which is not there", p.name, l.line, l.target)
			} else if to := all[l.target]; l.anchor != "" && (to == nil || !slices.Contains(to.anchors(), l.anchor)) {
				t.Errorf("%s:%d: %s has no heading #%s", p.name, l.line, l.target, l.anchor)
			}
		}
	}
	const index = "docs/README.md"
	linked := map[string]bool{}
	todo := []string{index}
	for len(todo) > 0 {
		p := all[todo[0]]
		todo = todo[1:]
		for _, l := range p.links {
			if all[l.target] != nil && !linked[l.target] {
				linked[l.target] = true
				todo = append(todo, l.target)
			}
		}
	}
	for name := range all {
		if name != index && !linked[name] {
			t.Errorf("no link leads from %s to %s", index, name)
		}
	}
	if !slices.ContainsFunc(all["README.md"].links, func(l link) bool { return l.target == index }) {
		t.Errorf("README.md does not link %s", index)
	}
}

// TestIndex checks that the index has exactly three links for each of four readers, and
// links every page of docs itself.
func TestIndex(t *testing.T) {
	index := pages(t)["docs/README.md"]
	var sections [][]string
	for _, line := range index.lines {
		if strings.HasPrefix(line, "## ") {
			sections = append(sections, nil)
		}
		if n := len(sections) - 1; n >= 0 && len(line) > 1 && line[1] == '.' {
			sections[n] = append(sections[n], line)
		}
	}
	if len(sections) != 5 {
		t.Fatalf("%d sections, want four readers and the other pages", len(sections))
	}
	for i, s := range sections[:4] {
		if len(s) != 3 {
			t.Errorf("section %d has %d links, want 3", i+1, len(s))
		}
		for _, line := range s {
			if len(linkText.FindAllString(line, -1)) != 1 {
				t.Errorf("%q does not have one link", line)
			}
		}
	}
	files, err := filepath.Glob(filepath.Join("..", "..", "docs", "*.md"))
	if err != nil || len(files) < 10 {
		t.Fatalf("%d pages, %v", len(files), err)
	}
	for _, f := range files {
		name := "docs/" + filepath.Base(f)
		if name != index.name && !slices.ContainsFunc(index.links, func(l link) bool { return l.target == name }) {
			t.Errorf("the index does not link %s", name)
		}
	}
}

// TestReaders checks that the first sentence of every page of docs says for whom it is.
func TestReaders(t *testing.T) {
	for _, p := range pages(t) {
		if p.name == "README.md" || strings.HasPrefix(p.name, "docs/evidence/") {
			continue // the front page is for everybody; evidence is generated, and never changed
		}
		first := ""
		for _, line := range p.lines {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "<!--") {
				first = line
				break
			}
		}
		if !strings.HasPrefix(first, "For ") {
			t.Errorf("%s begins with %q, which does not say for whom it is", p.name, first)
		}
	}
}
