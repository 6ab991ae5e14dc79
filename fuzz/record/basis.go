// SPDX-License-Identifier: MIT

package record

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"go/build"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// A record holds for every tree in which what it depends on is the same. Of a record about
// offload that is the code of offload, and of what judges it. Inputs and tests are not
// among it: what held for some inputs held for them whatever made them. A record that the
// harness detects bugs also depends on the tests, on what draws their inputs, and on
// all that these are built from.

// basis is what the records of a property depend on.
type basis struct {
	packages []string // with the packages of this module that they import
	own      []string // without them
	tests    []string // their tests too, with what these import
	all      bool     // also packages that decide nothing, as plumbing does
}

// plumbing are packages that decide nothing about a packet: they draw inputs, keep files,
// and describe. The cases of the corpus are inputs too.
var plumbing = []string{"fuzz/record", "fuzz/scenario/draw", "fuzz/internal/bounded", "fuzz/internal/crasher", "fuzz/internal/file", "fuzz/internal/process", "corpus"}

// Tested has the packages whose tests detect bugs: planted ones and mutations of offload and
// the model ("mutants"), and those of the harness itself ("sabotage").
var Tested = map[string][]string{
	"mutants":  {"offload", "offload/tun", "model", "fuzz/law", "fuzz/kernel"},
	"sabotage": {"fuzz/capture/compare", "fuzz/capture/trial", "fuzz/conform", "fuzz/engine/campaign", "fuzz/kernel", "fuzz/law", "fuzz/law/exhaustive", "fuzz/mutants", "fuzz/record", "fuzz/verify"},
}

// judged returns the property whose basis a record has.
func (r Result) judged() string {
	if r.Property == "mutants" && strings.HasPrefix(r.Method, "sabotage") {
		return "sabotage"
	}
	return r.Property
}

// basisOf returns what the records of a property depend on.
func basisOf(property string) basis {
	const bodies = "fuzz/engine/targets"
	switch property {
	case "conformance": // of other implementations
		return basis{packages: []string{"fuzz/conform", "offload", "model"}}
	case "sabotage":
		return basis{packages: []string{"fuzz/mutants"}, tests: Tested[property], all: true}
	}
	at := Order(property)
	if at == len(Properties) {
		property = "mutants" // a planted bug that a fuzzing engine looked for
	}
	switch property {
	case "cases":
		return basis{packages: []string{"fuzz/law"}, own: []string{"corpus"}}
	case "P9":
		return basis{packages: []string{"offload"}, tests: []string{"offload"}}
	case "P10":
		return basis{packages: []string{"fuzz/law/exhaustive"}}
	case "codec":
		return basis{packages: []string{"fuzz/scenario"}, own: []string{bodies}}
	case "pkts":
		return basis{packages: []string{"corpus/pkts"}, own: []string{bodies}}
	case "pcap", "hexdump":
		return basis{packages: []string{"fuzz/capture/" + property}, own: []string{bodies}}
	case "judges":
		return basis{packages: []string{"fuzz/capture/check", "fuzz/capture/compare", "fuzz/capture/anonymise"}, own: []string{bodies}}
	case "faults":
		return basis{packages: []string{"fuzz/capture/trial"}}
	case "device":
		return basis{packages: []string{"offload/tun"}, tests: []string{"offload/tun"}}
	case "harness":
		return basis{packages: []string{"tunlive"}, tests: []string{"tunlive"}}
	case "features":
		return basis{packages: []string{"tunlive"}}
	case "proof":
		return basis{packages: []string{"offload"}, own: []string{"fuzz/prove", "fuzz/prove/translate", "fuzz/prove/smt"}}
	case "mutants", "canary":
		return basis{packages: []string{"fuzz/mutants"}, tests: Tested["mutants"], all: true}
	}
	if Properties[at].Kind == Kernel {
		return basis{packages: []string{"fuzz/kernel"}}
	}
	return basis{packages: []string{"fuzz/law"}}
}

// Sources determines bases in a tree. It reads each file once, so it must not be used after
// the tree has changed.
type Sources struct {
	root     string
	known    map[string]string         // bases, by system, architecture and property
	packages map[string]*build.Package // by system, architecture and name
	digests  map[string][]byte         // of what is compiled, by file
}

// NewSources returns Sources for the tree below root.
func NewSources(root string) *Sources {
	return &Sources{root: root, known: map[string]string{}, packages: map[string]*build.Package{}, digests: map[string][]byte{}}
}

// Basis returns a hash of what the records of a property depend on, when it is compiled
// for a system and an architecture, as Env has them. Comments, positions and layout are
// not part of it.
func (s *Sources) Basis(goos, goarch, property string) (string, error) {
	key := goos + " " + goarch + " "
	if b, known := s.known[key+property]; known {
		return b, nil
	}
	of := basisOf(property)
	b := basing{Sources: s, system: key, context: build.Default, basis: of, seen: map[string]bool{}}
	b.context.GOOS, b.context.GOARCH, b.context.CgoEnabled, b.context.BuildTags = goos, goarch, false, nil
	for _, p := range of.packages {
		if err := b.add(p, true); err != nil {
			return "", err
		}
	}
	for _, p := range of.own {
		if err := b.add(p, false); err != nil {
			return "", err
		}
	}
	for _, p := range of.tests {
		if err := b.addTests(p); err != nil {
			return "", err
		}
	}
	slices.Sort(b.files)
	sum := sha256.New()
	for _, name := range slices.Compact(b.files) {
		d, err := s.digest(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%s %x\n", filepath.ToSlash(name), d)
	}
	s.known[key+property] = hex.EncodeToString(sum.Sum(nil))[:16]
	return s.known[key+property], nil
}

// digest returns a hash of what is compiled of a file.
func (s *Sources) digest(name string) ([]byte, error) {
	if d, known := s.digests[name]; known {
		return d, nil
	}
	text, err := os.ReadFile(filepath.Join(s.root, name))
	if err != nil {
		return nil, err
	}
	d := sha256.Sum256(Compiled(name, text))
	s.digests[name] = d[:]
	return d[:], nil
}

// basing collects the files that a basis consists of.
type basing struct {
	*Sources
	basis
	system  string // key of its packages
	context build.Context
	seen    map[string]bool // packages
	files   []string        // relative to root
}

// imported returns the package of the module that an import path names, or "" if it is of
// another module.
func imported(path string) string {
	name, ours := strings.CutPrefix(path, "tunproof/")
	if !ours {
		return ""
	}
	return name
}

// add adds the files of a package. With deep it also adds the packages that it imports.
func (b *basing) add(name string, deep bool) error {
	if b.seen[name] || deep && !b.all && slices.Contains(plumbing, name) {
		return nil
	}
	b.seen[name] = true
	p, err := b.parse(name)
	if err != nil {
		return err
	}
	if err := b.addFiles(name, p.EmbedPatterns, p.GoFiles, p.SFiles); err != nil {
		return err
	}
	if !deep {
		return nil
	}
	return b.addImports(p.Imports)
}

// addTests adds the tests of a package, and what they import.
func (b *basing) addTests(name string) error {
	if err := b.add(name, true); err != nil {
		return err
	}
	p, err := b.parse(name)
	if err != nil {
		return err
	}
	err = b.addFiles(name, slices.Concat(p.TestEmbedPatterns, p.XTestEmbedPatterns), p.TestGoFiles, p.XTestGoFiles)
	return errors.Join(err, b.addImports(slices.Concat(p.TestImports, p.XTestImports)))
}

// parse reads the list of files and imports of a package.
func (b *basing) parse(name string) (*build.Package, error) {
	if p, known := b.Sources.packages[b.system+name]; known {
		return p, nil
	}
	p, err := b.context.ImportDir(filepath.Join(b.root, filepath.FromSlash(name)), 0)
	if errors.As(err, new(*build.NoGoError)) { // of another system
		err = nil
	}
	if err == nil {
		b.Sources.packages[b.system+name] = p
	}
	return p, err
}

func (b *basing) addImports(paths []string) error {
	for _, path := range paths {
		if name := imported(path); name != "" {
			if err := b.add(name, true); err != nil {
				return err
			}
		}
	}
	return nil
}

// addFiles adds files of a package, and those that patterns of go:embed match.
func (b *basing) addFiles(name string, patterns []string, lists ...[]string) error {
	dir := filepath.FromSlash(name)
	for _, f := range slices.Concat(lists...) {
		b.files = append(b.files, filepath.Join(dir, f))
	}
	for _, pattern := range patterns {
		matches, err := filepath.Glob(filepath.Join(b.root, dir, filepath.FromSlash(strings.TrimPrefix(pattern, "all:"))))
		if err != nil {
			return err
		}
		for _, m := range matches {
			err := filepath.WalkDir(m, func(file string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				rel, err := filepath.Rel(b.root, file)
				b.files = append(b.files, rel)
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// Compiled returns the part of a file that the compiler reads. In Go these are the tokens
// and directives, without comments and layout. In assembly these are the lines without
// comments. Any other file counts as a whole.
func Compiled(name string, text []byte) []byte {
	switch filepath.Ext(name) {
	case ".s":
		return assembled(text)
	case ".go":
	default:
		return text
	}
	var b bytes.Buffer
	var sc scanner.Scanner
	files := token.NewFileSet()
	sc.Init(files.AddFile(name, -1, len(text)), text, nil, scanner.ScanComments)
	for {
		_, tok, lit := sc.Scan()
		switch {
		case tok == token.EOF:
			return b.Bytes()
		case tok == token.COMMENT && !strings.HasPrefix(lit, "//go:"):
			continue
		}
		fmt.Fprintf(&b, "%s %s\n", tok, lit)
	}
}

var asmComment = regexp.MustCompile(`(?s)/\*.*?\*/|//[^\n]*`)

// assembled returns the lines of an assembly file without comments, except //go: lines,
// which choose the systems that it is for.
func assembled(text []byte) []byte {
	var b bytes.Buffer
	text = asmComment.ReplaceAllFunc(text, func(c []byte) []byte {
		if bytes.HasPrefix(c, []byte("//go:")) {
			return c
		}
		return nil
	})
	for line := range bytes.Lines(text) {
		if words := bytes.Fields(line); len(words) > 0 {
			b.Write(bytes.Join(words, []byte(" ")))
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

// here has the sources of the checkout that the process is in, or none.
var here = sync.OnceValue(func() *Sources {
	root, err := Root(".")
	if err != nil {
		return nil
	}
	return NewSources(root)
})

// hereLock guards the Sources of here.
var hereLock sync.Mutex

// basisHere returns the basis of a record in the checkout that the process is in, or "" if
// it is in none.
func basisHere(r Result) string {
	hereLock.Lock()
	defer hereLock.Unlock()
	if here() == nil {
		return ""
	}
	b, _ := here().Basis(r.Env.OS, r.Env.Arch, r.judged())
	return b
}

// Of reports whether a record is of a tree: what it depends on is the same there. Records
// without a basis are of the tree that they state. since says in words what that means.
func (r Result) Of(s *Sources, tree string) (of bool, since string) {
	when := r.Date
	if when == "" {
		when = "of unknown date"
	}
	if r.Basis == "" {
		return r.Tree == tree, fmt.Sprintf("%s, tree %s", when, r.Tree)
	}
	now, err := s.Basis(r.Env.OS, r.Env.Arch, r.judged())
	switch {
	case err != nil:
		return false, fmt.Sprintf("%s: %v", when, err)
	case now == r.Basis:
		return true, when + ", unchanged since"
	}
	return false, when + ", changed since"
}
