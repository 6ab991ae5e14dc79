// SPDX-License-Identifier: MIT

package record

import (
	"bytes"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// TestCompiled checks that only what is compiled counts: not comments and layout, but
// every token and directive.
func TestCompiled(t *testing.T) {
	const text = "//go:build linux\n\npackage p\n\n// F adds.\nfunc F(a int) int { return a + 1 }\n"
	same := []string{"//go:build linux\npackage p\nfunc F(a int) int { return a + 1 } // one\n", "//go:build linux\n/* x */ package p\n\n\n\nfunc F(a int) int { return a + 1 }"}
	other := []string{strings.Replace(text, "linux", "darwin", 1), strings.Replace(text, "+", "-", 1), strings.Replace(text, "1", "2", 1), strings.Replace(text, "return a", "return", 1)}
	for i, s := range append(same, other...) {
		if got := bytes.Equal(Compiled("a.go", []byte(text)), Compiled("a.go", []byte(s))); got != (i < len(same)) {
			t.Errorf("%v: %s", got, s)
		}
	}
	const asm = "//go:build !purego\n\n// sum adds.\nTEXT sum(SB), $0\n\tADDQ AX, BX /* x */\n\tRET\n"
	for s, want := range map[string]bool{"//go:build !purego\nTEXT  sum(SB), $0 // a\n  ADDQ AX, BX\n\n  RET\n": true,
		strings.Replace(asm, "ADDQ", "SUBQ", 1): false, strings.Replace(asm, "!purego", "purego", 1): false, strings.Replace(asm, "\tRET", "//\tRET", 1): false} {
		if got := bytes.Equal(Compiled("a.s", []byte(asm)), Compiled("a.s", []byte(s))); got != want {
			t.Errorf("%v: %s", got, s)
		}
	}
}

// tree copies what bases are made of into a new directory.
func tree(t *testing.T) string {
	t.Helper()
	from, err := Root(".")
	if err != nil {
		t.Fatal(err)
	}
	to := t.TempDir()
	for _, dir := range []string{"offload", "model", "fuzz", "corpus", "tunlive"} {
		if err := os.CopyFS(filepath.Join(to, dir), os.DirFS(filepath.Join(from, dir))); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// claims returns the basis of each property, by claim and property.
func claims(t *testing.T, sources *Sources) map[string]string {
	t.Helper()
	of := map[string]string{}
	for _, p := range Properties {
		if p.Claim == "" {
			continue
		}
		b, err := sources.Basis("linux", "amd64", p.ID)
		if err != nil {
			t.Fatalf("%s: %v", p.ID, err)
		}
		of[p.Claim+" "+p.ID] = b
	}
	return of
}

// forget makes s read a file again, and nothing else: to read all each time takes long.
func (s *Sources) forget(name string) {
	clear(s.known)
	delete(s.digests, filepath.FromSlash(name))
	for key := range s.packages {
		if strings.HasSuffix(key, " "+path.Dir(name)) {
			delete(s.packages, key)
		}
	}
}

// TestBasis plants changes in a copy of the tree, and checks which claims' records are then
// not of it any more.
func TestBasis(t *testing.T) {
	root := tree(t)
	sources := NewSources(root)
	was := claims(t, sources)
	all := func(but ...string) (list []string) {
		for name := range was {
			if !slices.ContainsFunc(but, func(b string) bool { return strings.HasSuffix(name, " "+b) || strings.HasPrefix(name, b+" ") }) {
				list = append(list, name)
			}
		}
		return list
	}
	parsers := []string{"codec", "pkts", "pcap", "hexdump", "judges", "faults"}
	for _, test := range []struct {
		what, file, old, new string
		changed              []string
	}{
		{"a comment of offload", "offload/coalesce.go", "package offload", "// A comment.\npackage offload", nil},
		{"a comment of the model", "model/segment.go", "package model", "// A comment.\npackage model", nil},
		{"a comment of assembly", "offload/checksum_amd64.s", "#include", "// A comment.\n#include", nil},
		{"a comment of a test", "fuzz/law/properties_test.go", "package law", "// A comment.\npackage law", nil},
		{"layout of a judge", "fuzz/law/coalesce.go", "package law\n", "package law\n\n\n", nil},
		{"a page", "fuzz/evidence/report.md.tmpl", "# Evidence", "# The evidence", nil},
		{"the command", "fuzz/cmd/tunproof/verify.go", "package main", "package main\n\nvar planted = 1", nil},
		{"a test of offload that counts no allocations", "offload/offload_test.go", "package offload", "package offload\n\nvar planted = 1", []string{"C-08 P9", "C-15 mutants"}},
		{"a test helper", "fuzz/law/properties_test.go", "package law", "package law\n\nvar planted = 1", []string{"C-15 mutants"}},
		{"a generator", "fuzz/scenario/draw/rapid.go", "package draw", "package draw\n\nvar planted = 1", []string{"C-15 mutants"}},
		{"the list of planted bugs", "fuzz/mutants/planted.go", "package mutants", "package mutants\n\nvar planted = 1", []string{"C-15 mutants"}},
		{"a case", "corpus/coalesce/id-gap-tcp4.pkts", "# why: ", "# why: planted ", []string{"C-01 cases", "C-15 mutants"}},
		{"offload", "offload/coalesce.go", "package offload", "package offload\n\nvar planted = 1", all(append(parsers, "harness", "features")...)},
		{"assembly", "offload/checksum_amd64.s", "#include", "#define PLANTED 1\n#include", all(append(parsers, "harness", "features")...)},
		{"assembly of another architecture", "offload/checksum_arm64.s", "#include", "#define PLANTED 1\n#include", nil},
		{"the model", "model/segment.go", "package model", "package model\n\nvar planted = 1", all("P9", "harness", "features", "pkts", "pcap", "proof")},
		{"the body of a property", "fuzz/law/coalesce.go", "package law", "package law\n\nvar planted = 1", all(append(parsers, "C-08", "C-13", "proof")...)},
		{"the kernel as judge", "fuzz/kernel/segment.go", "package kernel", "package kernel\n\nvar planted = 1", []string{"C-01 K2", "C-10 K1", "C-10 K4", "C-11 K3", "C-12 K5", "C-15 mutants"}},
		{"the device", "offload/tun/write_linux.go", "package tun", "package tun\n\nvar planted = 1", []string{"C-13 device", "C-15 mutants"}},
		{"a theory", "fuzz/prove/rocq/Sum.v", "(*", "(* planted *) (*", []string{"C-16 proof"}},
		{"a parser", "fuzz/capture/hexdump/hexdump.go", "package hexdump", "package hexdump\n\nvar planted = 1", []string{"C-13 device", "C-14 hexdump", "C-14 judges", "C-14 faults", "C-15 mutants"}},
	} {
		t.Run(test.what, func(t *testing.T) {
			name := filepath.Join(root, filepath.FromSlash(test.file))
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			changed := bytes.Replace(text, []byte(test.old), []byte(test.new), 1)
			if bytes.Equal(text, changed) {
				t.Fatalf("%s has no %q", test.file, test.old)
			}
			if err := os.WriteFile(name, changed, 0o644); err != nil {
				t.Fatal(err)
			}
			sources.forget(test.file)
			defer func() {
				if err := os.WriteFile(name, text, 0o644); err != nil {
					t.Error(err)
				}
				sources.forget(test.file)
			}()
			var got []string
			for name, b := range claims(t, sources) {
				if b != was[name] {
					got = append(got, name)
				}
			}
			slices.Sort(got)
			slices.Sort(test.changed)
			if !slices.Equal(got, test.changed) {
				t.Errorf("records are to be made again of %v\nwant %v", got, test.changed)
			}
		})
	}
}

// TestOf checks when a record is of a tree.
func TestOf(t *testing.T) {
	root, err := Root(".")
	if err != nil {
		t.Fatal(err)
	}
	sources := NewSources(root)
	r := Result{Property: "P2", Env: Env{OS: "linux", Arch: runtime.GOARCH}, Date: "2026-11-25"}
	if r.Basis, err = sources.Basis("linux", runtime.GOARCH, "P2"); err != nil {
		t.Fatal(err)
	}
	if of, since := r.Of(sources, "another tree"); !of || since != "2026-11-25, unchanged since" {
		t.Error(of, since)
	}
	r.Basis = "0123456789abcdef"
	if of, since := r.Of(sources, ""); of || since != "2026-11-25, changed since" {
		t.Error(of, since)
	}
	old := Result{Property: "P2", Tree: "a"}
	if of, _ := old.Of(sources, "a"); !of {
		t.Error("a record of the same tree is not of it")
	}
	if of, since := old.Of(sources, "b"); of || since != "of unknown date, tree a" {
		t.Error(of, since)
	}
}
