// SPDX-License-Identifier: MIT

package wgtun

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// consumer is a program of a third module. Open is assigned to what wireguard-go's function
// is assigned to.
const consumer = `package main

import (
	"fmt"

	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun"

	"tunproof/offload/tun/wgtun"
)

var create = tun.CreateTUN

func main() {
	create = wgtun.Open
	_, err := create("a/b", device.DefaultMTU)
	fmt.Println(err)
}
`

// TestConsumer builds and runs a program in a module of its own, offline, with the lines
// for go.mod that docs/tun.md has.
func TestConsumer(t *testing.T) {
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "tun.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(page), "\n```go.mod\n")
	lines, _, ok2 := strings.Cut(rest, "```")
	if !ok || !ok2 {
		t.Fatal("docs/tun.md has no block go.mod")
	}
	sum, err := os.ReadFile("go.sum") // go mod tidy would write it
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":  "module consumer\n\ngo 1.25.0\n\n" + strings.ReplaceAll(lines, "=> ../tunproof", "=> "+root),
		"go.sum":  string(sum),
		"main.go": consumer,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "run", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=-mod=mod", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), `tun: Config.Name is "a/b"`) {
		t.Errorf("go run: %v\n%s", err, out)
	}
}
