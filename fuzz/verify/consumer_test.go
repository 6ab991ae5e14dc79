package verify_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestConsumer builds and runs the README's example in a module of its own, offline.
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
	dir := t.TempDir()
	lines := strings.Replace(block("```"), "=> ../tunproof", "=> "+root, 1)
	for name, text := range map[string]string{
		"go.mod":  "module consumer\n\ngo 1.25.0\n\n" + lines,
		"main.go": block("```go"),
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
	if err != nil || !strings.Contains(string(out), "2 pieces") {
		t.Errorf("go run: %v\n%s", err, out)
	}
}
