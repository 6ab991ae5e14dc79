// SPDX-License-Identifier: MIT

package mutants

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tunproof/fuzz/record"
)

// TestPlanted checks that every bug can be planted, that the result is still Go, and that
// none reaches the guard.
func TestPlanted(t *testing.T) {
	names := map[string]bool{}
	for _, b := range Bugs() {
		if names[b.Name] {
			t.Errorf("two bugs are named %s", b.Name)
		}
		names[b.Name] = true
		m, err := b.Plant("../..")
		if err != nil {
			t.Error(err)
			continue
		}
		if _, err := parser.ParseFile(token.NewFileSet(), b.File, m.Text, 0); err != nil && strings.HasSuffix(b.File, ".go") {
			t.Errorf("%s: %v", b.Name, err)
		}
		if len(Planted(b.File)) == 0 || b.From == "" {
			t.Errorf("%s: no methods, or no history", b.Name)
		}
	}
	if len(names) < 60 {
		t.Errorf("%d bugs", len(names))
	}
}

// TestGone checks the errors for a bug whose text is gone or is there twice.
func TestGone(t *testing.T) {
	root := t.TempDir()
	text := "package offload\n\nfunc f(a, b int) bool {\n\tif a == 1 {\n\t\treturn b > 2\n\t}\n\treturn b > 2\n}\n"
	write(t, root, "offload/f.go", text)
	for name, c := range map[string]struct{ old, want string }{
		"gone":  {"\tif a == 2 {\n\t\treturn b > 2\n", "line 4:\n\tif a == 1 {\n\t\treturn b > 2"},
		"twice": {"return b > 2", "has the text 2 times"},
	} {
		_, err := Bug{Name: name, File: "offload/f.go", Old: c.old, New: "x"}.Plant(root)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if _, err := (Bug{Name: "no file", File: "offload/g.go"}).Plant(root); err == nil {
		t.Error("a missing file is no error")
	}
}

// TestExempt checks that no change reaches the guard (K6).
func TestExempt(t *testing.T) {
	device, system := "offload/tun/write_linux.go", "offload/tun/system_linux.go"
	for name, b := range map[string]Bug{
		"the guard":             {File: "tunlive/guard/guard.go", Old: "if gsoType == 0 {", New: "if true {"},
		"the harness":           {File: "tunlive/link_linux.go", Old: "if err := guard.Check(h.GSOType, packet); err != nil {", New: "if false {"},
		"a test":                {File: "offload/offload_test.go", Old: "package offload\n", New: "package offload\n\n"},
		"the call":              {File: system, Old: "if err := guard.CheckTunnel(gsoType, innerNH, headers); err != nil {", New: "if false {"},
		"what it is asked of":   {File: system, Old: "gsoType, headers, innerNH := front[1]", New: "gsoType, headers, innerNH := byte(0)"},
		"another write":         {File: device, Old: "	err := w.writev(fd)\n	if err == unix.EAGAIN || err == unix.EINTR {\n		return false\n	}\n	n :=", New: "	_, err := unix.Write(int(fd), w.pieces[0])\n	n :="},
		"another way":           {File: "offload/tun/queue_linux.go", Old: "	q.closed.Store(true)\n", New: "	q.file.Write(nil)\n	q.closed.Store(true)\n"},
		"the file, printed to":  {File: "offload/tun/queue_linux.go", Old: "	q.closed.Store(true)\n", New: "	fmt.Fprint(q.file, 1)\n	q.closed.Store(true)\n"},
		"another receiver":      {File: device, Old: "q.raw.Write(w.step)", New: "q.file.Write(pkts[0])"},
		"what headers take":     {File: system, Old: "const leastHeaders = 28", New: "const leastHeaders = 0"},
		"where they begin":      {File: "offload/vnethdr.go", Old: "const VnetHdrLen = 10", New: "const VnetHdrLen = 12"},
		"where long ones end":   {File: "offload/vnethdr.go", Old: "const TunnelVnetHdrLen = 24", New: "const TunnelVnetHdrLen = 20"},
		"the kernel's size":     {File: "offload/tun/open_linux.go", Old: "	d.hdrLen = int(size)\n", New: "	d.hdrLen = offload.VnetHdrLen\n"},
		"which sizes are right": {File: "offload/tun/open_linux.go", Old: "case size != offload.VnetHdrLen && size != offload.TunnelVnetHdrLen:", New: "case size < offload.VnetHdrLen:"},
		"an import of offload":  {File: "offload/coalesce.go", Old: "import \"fmt\"", New: "import (\n	\"fmt\"\n	_ \"syscall\"\n)"},
		"assembly":              {File: "offload/checksum_amd64.s", Old: "few:\n", New: "few:\n	SYSCALL\n"},
		"another import":        {File: "offload/tun/stats.go", Old: "package tun\n", New: "package tun\n\nimport _ \"os\"\n"},
	} {
		b.Name = name
		if _, err := b.Plant("../.."); err == nil || !strings.Contains(err.Error(), "must not be changed") && !strings.Contains(err.Error(), "K6") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestMutations checks every operator on one function, and that IDs stay when lines move.
func TestMutations(t *testing.T) {
	text := `package offload

import "errors"

var ErrX = errors.New("x")

func f(a, b int, s []int) (int, error) {
	for i := 0; i < a && b != 1; i++ {
		if s[i] > 7 || !true {
			continue
		}
		s = s[a:b]
		a += b - 2*a
		clear(s)
	}
	switch {
	case a&b == 0:
		return -a, ErrX
	}
	return 0, nil
}
`
	all, err := mutationsOf("offload/f.go", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	changes := map[string]bool{}
	ids := map[string]bool{}
	for _, m := range all {
		got[strings.Split(m.ID, ":")[2]]++
		changes[m.About] = true
		if ids[m.ID] {
			t.Errorf("two are %s", m.ID)
		}
		ids[m.ID] = true
		if string(m.Text) == text || strings.Count(string(m.Text), "\n") != strings.Count(text, "\n") {
			t.Errorf("%s: %q", m.ID, m.Text)
		}
	}
	for _, op := range []string{"true", "false", "negate", "boundary", "logic", "arithmetic", "bits", "unary", "literal", "bool", "error", "assign", "delete", "branch", "slice"} {
		if got[op] == 0 {
			t.Errorf("no mutation by %s", op)
		}
	}
	for _, c := range []string{"< -> <=", "!= -> ==", "&& -> ||", "a&b == 0 -> ((a&b == 0) && false)", "i < a -> ((i < a) || true)", "s[i] > 7 -> ((s[i] > 7) && false)",
		"ErrX -> error(nil)", "1 -> 0", "+= -> -=", "clear(s) -> if false { clear(s) }", "a -> (a)+1", "b -> (b)-1", "continue -> break", "without -", "without !"} {
		if !changes[c] {
			t.Errorf("nothing becomes %q", c)
		}
	}
	moved, err := mutationsOf("offload/f.go", []byte(strings.Replace(text, "import", "// more\n\nimport", 1)))
	if err != nil || len(moved) != len(all) {
		t.Fatalf("%d of %d, %v", len(moved), len(all), err)
	}
	for _, m := range moved {
		if !ids[m.ID] {
			t.Errorf("%s is new: %s", m.ID, m.About)
		}
	}
}

// TestBuiltWith checks which files are mutated, and with which tag.
func TestBuiltWith(t *testing.T) {
	for _, c := range []struct {
		file, text, tag string
		built           bool
	}{
		{"f.go", "package f", "", true},
		{"f_amd64.go", "package f", "", true},
		{"f_arm64.go", "package f", "", false},
		{"f_windows.go", "package f", "", false},
		{"f.go", "//go:build purego || !amd64", "purego", true},
		{"f.go", "//go:build !purego", "", true},
		{"f.go", "//go:build invariants", "invariants", true},
		{"f.go", "//go:build other", "", false},
	} {
		if tag, built := builtWith(c.file, []byte(c.text), "linux", "amd64", []string{"purego", "invariants"}); tag != c.tag || built != c.built {
			t.Errorf("%s, %s: %q, %v", c.file, c.text, tag, built)
		}
	}
}

// TestEquivalents checks that every listed mutation exists, with the line as listed, and
// has an argument.
func TestEquivalents(t *testing.T) {
	if testing.Short() {
		t.Skip("it is slow, and the same on every machine")
	}
	t.Parallel()
	lines := map[string]bool{} // ID and line
	for _, dir := range []string{"offload", "model"} {
		all, _, err := Mutations("../..", dir, "linux", "amd64", []string{"purego", "invariants"})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range all {
			lines[m.ID+m.Source] = true
		}
	}
	used := map[string]bool{}
	for _, e := range Equivalents {
		if !lines[e.ID+e.Source] {
			t.Errorf("%s is no mutation of the line %q", e.ID, e.Source)
		}
		if Arguments[e.Why] == "" {
			t.Errorf("%s: no argument %s", e.ID, e.Why)
		}
		used[e.Why] = true
	}
	if len(EquivalentIDs()) != len(Equivalents) {
		t.Error("one is listed twice")
	}
	for why := range Arguments {
		if !used[why] {
			t.Errorf("no mutation uses the argument %s", why)
		}
	}
}

func write(t *testing.T, root, name, text string) {
	t.Helper()
	name = filepath.Join(root, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestSabotages checks that every sabotage can be planted, that the result is still Go, and that
// every property has one.
func TestSabotages(t *testing.T) {
	names := map[string]bool{}
	for _, s := range Sabotages() {
		if names[s.Name] {
			t.Errorf("two are named %s", s.Name)
		}
		names[s.Name] = true
		m, err := s.Plant("../..")
		if err != nil {
			t.Error(err)
			continue
		}
		for _, c := range append([]Mutant{m}, m.Others...) {
			if _, err := parser.ParseFile(token.NewFileSet(), c.File, c.Text, 0); err != nil {
				t.Errorf("%s: %v", s.Name, err)
			}
		}
	}
	for _, p := range record.OfKind(record.Scenarios) {
		if !names["no-"+p.ID] {
			t.Errorf("there is no sabotage no-%s", p.ID)
		}
	}
}

// TestTested checks that records of mutants depend on every package whose tests detect
// them, and on no other.
func TestTested(t *testing.T) {
	of := func(lists ...[]Method) (names []string) {
		for _, m := range slices.Concat(lists...) {
			if name := strings.TrimPrefix(m.Package, "./"); !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		return names
	}
	var sabotage []Method
	for _, s := range Sabotages() {
		sabotage = append(sabotage, s.method())
	}
	for suite, got := range map[string][]string{
		"mutants":  of(Planted("offload/x.go"), Planted("offload/tun/x.go"), Score(), Deep(), Model()),
		"sabotage": of(sabotage),
	} {
		want := slices.Sorted(slices.Values(record.Tested[suite]))
		if !slices.Equal(got, want) {
			t.Errorf("%s: the methods test %v, records depend on %v", suite, got, want)
		}
	}
}
