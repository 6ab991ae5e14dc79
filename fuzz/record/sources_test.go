// SPDX-License-Identifier: MIT

package record

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// sources builds a small module with the packages that bases are made of. Each of them imports
// what its property needs, and has files that count for some only.
func sources(t *testing.T) string {
	root := t.TempDir()
	imports := map[string][]string{
		"offload": nil, "offload/tun": {"offload", "corpus/pkts"}, "model": nil, "corpus": {"corpus/pkts"}, "corpus/pkts": nil, "tunlive": {"tunlive/guard"}, "tunlive/guard": nil,
		"fuzz/law": {"offload", "model", "corpus", "fuzz/record", "fuzz/scenario"}, "fuzz/law/exhaustive": {"fuzz/law"}, "fuzz/scenario": {"corpus/pkts"}, "fuzz/scenario/draw": {"fuzz/scenario"},
		"fuzz/kernel": {"fuzz/law", "tunlive"}, "fuzz/conform": {"model"}, "fuzz/mutants": {"fuzz/record", "fuzz/internal/file"}, "fuzz/record": {"fuzz/internal/file"}, "fuzz/internal/file": nil,
		"fuzz/engine/targets": {"fuzz/law"}, "fuzz/engine/campaign": nil, "fuzz/verify": nil, "fuzz/capture/pcap": nil, "fuzz/capture/hexdump": nil, "fuzz/capture/check": {"fuzz/capture/pcap"},
		"fuzz/capture/compare": nil, "fuzz/capture/anonymise": nil, "fuzz/capture/trial": {"fuzz/capture/check"}, "fuzz/prove": {"fuzz/law"}, "fuzz/prove/translate": nil, "fuzz/prove/smt": nil,
	}
	for dir, list := range imports {
		text := "package p\n\nimport (\n\t_ \"fmt\"\n\t_ \"example.org/other\"\n"
		for _, name := range list {
			text += "\t_ \"tunproof/" + name + "\"\n"
		}
		put(t, root, dir+"/a.go", text+")\n")
	}
	put(t, root, "offload/a_darwin.go", "package p\n")
	put(t, root, "offload/a_linux.go", "package p\n")
	put(t, root, "offload/a_arm64.s", "RET\n")
	put(t, root, "offload/a_amd64.s", "RET\n")
	put(t, root, "offload/tagged.go", "//go:build purego\n\npackage p\n")
	put(t, root, "offload/cgo.go", "package p\n\nimport \"C\"\n")
	put(t, root, "offload/a_test.go", "package p\n\nimport _ \"tunproof/fuzz/verify\"\n")
	put(t, root, "offload/x_test.go", "package p_test\n\nimport _ \"tunproof/corpus\"\n")
	put(t, root, "corpus/e.go", "package p\n\nimport _ \"embed\"\n\n//go:embed *.pkts all:captures\nvar f string\n")
	put(t, root, "corpus/c.pkts", "1")
	put(t, root, "corpus/captures/deep/_d.pcap", "1")
	put(t, root, "corpus/captures/f.pcap", "1")
	put(t, root, "corpus/not.txt", "1")
	put(t, root, "offload/tun/t_test.go", "package p\n\nimport _ \"embed\"\n\n//go:embed t.txt\nvar f string\n")
	put(t, root, "offload/tun/t.txt", "1")
	put(t, root, "offload/tun/u_test.go", "package p_test\n\nimport _ \"embed\"\n\n//go:embed u.txt\nvar f string\n")
	put(t, root, "offload/tun/u.txt", "1")
	return root
}

// TestBasisFiles states for each property the files that its records depend on, and compares
// the hash.
func TestBasisFiles(t *testing.T) {
	root := sources(t)
	s := NewSources(root)
	const (
		offload = "offload/a.go offload/a_amd64.s offload/a_linux.go"
		tun     = offload + " offload/tun/a.go corpus/pkts/a.go"
		law     = "fuzz/law/a.go model/a.go corpus/pkts/a.go fuzz/scenario/a.go " + offload
		corpus  = "corpus/a.go corpus/e.go corpus/c.pkts corpus/captures/deep/_d.pcap corpus/captures/f.pcap corpus/pkts/a.go"
		tests   = "offload/a_test.go offload/x_test.go fuzz/verify/a.go"
		all     = offload + " " + tests + " " + corpus + " offload/tun/a.go offload/tun/t_test.go offload/tun/t.txt offload/tun/u_test.go offload/tun/u.txt model/a.go fuzz/law/a.go fuzz/scenario/a.go fuzz/kernel/a.go tunlive/a.go tunlive/guard/a.go " +
			"fuzz/mutants/a.go fuzz/record/a.go fuzz/internal/file/a.go"
	)
	for property, files := range map[string]string{
		"conformance": "fuzz/conform/a.go model/a.go " + offload,
		"cases":       law + " corpus/a.go corpus/e.go corpus/c.pkts corpus/captures/deep/_d.pcap corpus/captures/f.pcap",
		"P1":          law, "P8": law, "P13": law,
		"P9":       offload + " offload/a_test.go offload/x_test.go fuzz/verify/a.go",
		"P10":      law + " fuzz/law/exhaustive/a.go",
		"codec":    "fuzz/scenario/a.go corpus/pkts/a.go fuzz/engine/targets/a.go",
		"pkts":     "corpus/pkts/a.go fuzz/engine/targets/a.go",
		"pcap":     "fuzz/capture/pcap/a.go fuzz/engine/targets/a.go",
		"hexdump":  "fuzz/capture/hexdump/a.go fuzz/engine/targets/a.go",
		"judges":   "fuzz/capture/check/a.go fuzz/capture/pcap/a.go fuzz/capture/compare/a.go fuzz/capture/anonymise/a.go fuzz/engine/targets/a.go",
		"faults":   "fuzz/capture/trial/a.go fuzz/capture/check/a.go fuzz/capture/pcap/a.go",
		"device":   tun + " offload/tun/t_test.go offload/tun/t.txt offload/tun/u_test.go offload/tun/u.txt",
		"harness":  "tunlive/a.go tunlive/guard/a.go",
		"features": "tunlive/a.go tunlive/guard/a.go",
		"proof":    offload + " fuzz/prove/a.go fuzz/prove/translate/a.go fuzz/prove/smt/a.go",
		"K1":       law + " fuzz/kernel/a.go tunlive/a.go tunlive/guard/a.go",
		"K5":       law + " fuzz/kernel/a.go tunlive/a.go tunlive/guard/a.go",
		"mutants":  all, "canary": all, "tcp-window-not-compared": all,
		"sabotage": "fuzz/capture/compare/a.go fuzz/capture/trial/a.go fuzz/capture/check/a.go fuzz/capture/pcap/a.go fuzz/conform/a.go model/a.go fuzz/engine/campaign/a.go fuzz/kernel/a.go fuzz/law/a.go " + corpus +
			" fuzz/record/a.go fuzz/internal/file/a.go fuzz/scenario/a.go tunlive/a.go tunlive/guard/a.go fuzz/law/exhaustive/a.go fuzz/mutants/a.go fuzz/verify/a.go " + offload,
	} {
		got, err := s.Basis("linux", "amd64", property)
		list := strings.Fields(files)
		slices.Sort(list)
		sum := sha256.New()
		for _, name := range list {
			text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(sum, "%s %x\n", name, sha256.Sum256(Compiled(name, text)))
		}
		if want := hex.EncodeToString(sum.Sum(nil))[:16]; got != want || err != nil {
			t.Errorf("%s: %s, want %s, %v", property, got, want, err)
		}
	}
	linux, _ := s.Basis("linux", "amd64", "P9")
	for _, other := range [][2]string{{"darwin", "amd64"}, {"linux", "arm64"}} {
		if b, err := s.Basis(other[0], other[1], "P9"); b == linux || err != nil {
			t.Errorf("on %v it is the same, %v", other, err)
		}
	}
}

// TestSourcesOnce checks that files are read once, that what cannot be read is an error, and
// what Of says of it.
func TestSourcesOnce(t *testing.T) {
	root := sources(t)
	s := NewSources(root)
	was, err := s.Basis("linux", "amd64", "P2")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(root); err != nil {
		t.Fatal(err)
	}
	for _, property := range []string{"P2", "P3"} { // the second is made of the same files
		if again, err := s.Basis("linux", "amd64", property); again != was || err != nil {
			t.Errorf("%s: %s, was %s, %v", property, again, was, err)
		}
	}
	r := Result{Property: "P2", Basis: was, Env: Env{OS: "linux", Arch: "amd64"}}
	if of, since := r.Of(s, ""); !of || since != "of unknown date, unchanged since" {
		t.Errorf("%v, %q", of, since)
	}
	none := NewSources(root)
	for _, property := range []string{"P2", "proof", "device"} {
		if b, err := none.Basis("linux", "amd64", property); b != "" || err == nil {
			t.Errorf("%s without sources: %q, %v", property, b, err)
		}
		if b, err := none.Basis("linux", "amd64", property); b != "" || err == nil { // it is not taken for known
			t.Errorf("%s without sources, again: %q, %v", property, b, err)
		}
	}
	if of, since := r.Of(none, ""); of || !strings.HasPrefix(since, "of unknown date: ") {
		t.Errorf("%v, %q", of, since)
	}
	put(t, root, "tunlive/a_darwin.go", "package p\n") // a package of another system
	if b, err := NewSources(root).Basis("linux", "amd64", "features"); b == "" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	put(t, root, "tunlive/a.go", "package p\n\nimport _ \"embed\"\n\n//go:embed *.txt\nvar f string\n")
	if err := os.Symlink("nowhere", filepath.Join(root, "tunlive", "b.txt")); err != nil {
		t.Fatal(err)
	}
	if b, err := NewSources(root).Basis("linux", "amd64", "features"); err == nil {
		t.Errorf("with a source that cannot be read: %q", b)
	}
	for _, bad := range []string{"tunlive/c.go", "offload/tun/a_test.go"} { // no Go, so no list of imports
		put(t, root, "offload/a.go", "package p\n")
		put(t, root, "offload/tun/a.go", "package p\n")
		put(t, root, bad, "no package")
	}
	for _, property := range []string{"features", "device"} {
		if b, err := NewSources(root).Basis("linux", "amd64", property); err == nil {
			t.Errorf("%s with a file that is no Go: %q", property, b)
		}
	}
}

// TestBadPattern checks that a pattern of go:embed that says nothing is an error, in a package
// and in its tests.
func TestBadPattern(t *testing.T) {
	root := sources(t)
	const text = "package p\n\nimport _ \"embed\"\n\n//go:embed [x\nvar g string\n"
	put(t, root, "tunlive/b.go", text)
	put(t, root, "offload/tun/v_test.go", text)
	for _, property := range []string{"features", "device", "K1"} {
		if b, err := NewSources(root).Basis("linux", "amd64", property); b != "" || err == nil {
			t.Errorf("%s: %q, %v", property, b, err)
		}
	}
}
