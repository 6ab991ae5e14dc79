// SPDX-License-Identifier: MIT

package verify_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// useTUN is a program of a third module that uses the device.
const useTUN = `package main

import (
	"fmt"

	"tunproof/offload/tun"
)

func main() {
	_, err := tun.Open(tun.Config{Name: "vpn0", Node: "/nowhere", MTU: 1420})
	fmt.Println(err)
}
`

// TestConsumer builds and runs programs in a module of their own, offline: the README's
// example, and one that uses the device. The module's go.mod is the README's, and its Go
// is the one that the README names.
func TestConsumer(t *testing.T) {
	readme := read(t, "README.md")
	block := func(fence string) string {
		_, rest, ok := strings.Cut(readme, "\n"+fence+"\n")
		text, _, ok2 := strings.Cut(rest, "```")
		if !ok || !ok2 {
			t.Fatalf("README.md has no block %s", fence)
		}
		return text
	}
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct{ program, output string }{
		"offload":     {block("```go"), "2 pieces"},
		"offload/tun": {useTUN, "tun: "},
	} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			lines := strings.Replace(block("```"), "=> ../tunproof", "=> "+root, 1)
			for name, text := range map[string]string{
				"go.mod":  "module consumer\n\ngo 1.25.0\n\n" + lines,
				"main.go": c.program,
				"go.sum":  read(t, "go.sum"), // go mod tidy would write it
			} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			cmd := exec.Command("go", "run", ".")
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=-mod=mod", "GOWORK=off")
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), c.output) {
				t.Errorf("go run: %v\n%s", err, out)
			}
		})
	}
}

// TestGoVersions checks the versions of Go that the pages name for each module.
func TestGoVersions(t *testing.T) {
	for module, says := range map[string]struct{ page, sentence string }{
		"":                   {"README.md", "All need Go %s."},
		"offload/tun/wgtun/": {"README.md", "All need Go %s."},
		"fuzz/evidence/":     {".github/CONTRIBUTING.md", "`fuzz/evidence` needs Go %s,"},
		"fuzz/peers/":        {".github/CONTRIBUTING.md", "`fuzz/peers` Go %s)"},
	} {
		_, rest, _ := strings.Cut(read(t, module+"go.mod"), "\ngo ")
		line, _, _ := strings.Cut(rest, "\n")
		want := strings.Replace(says.sentence, "%s", strings.Join(strings.SplitN(line, ".", 3)[:2], "."), 1)
		if !strings.Contains(read(t, says.page), want) {
			t.Errorf("%sgo.mod has go %s, and %s has no %q", module, line, says.page, want)
		}
	}
}
