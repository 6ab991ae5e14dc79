// Package record is the result record of every command: one JSON object a line
// for each property that was run, with what it takes to say later what was run
// where.
package record

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// The values of Result.Result.
const (
	Holds    = "holds"
	Violated = "violated"
	NotRun   = "not run"
)

// Exit codes, the same for every command.
const (
	ExitHolds     = 0
	ExitViolation = 1
	ExitUsage     = 2 // or the infrastructure failed
	ExitNothing   = 3 // nothing ran
)

// Result is one line.
type Result struct {
	Format   int     `json:"format"`           // 1
	Command  string  `json:"command"`          // such as "verify"
	Property string  `json:"property"`         // ID: P1 to P11, K1 to K5, or the parser's name
	Method   string  `json:"method"`           // corpus, captures, rapid, fuzz ...
	Judge    string  `json:"judge"`            // who says what is right: "model", "itself", a kernel release
	Count    int     `json:"n"`                // inputs judged
	Unit     string  `json:"unit"`             // of n: cases, batches, executions ...
	Seed     uint64  `json:"seed,omitempty"`   // of generated input
	Seconds  float64 `json:"seconds"`          //
	Result   string  `json:"result"`           // holds, violated, not run
	Detail   string  `json:"detail,omitempty"` // the violation, or why it was not run
	// Control marks a row that only says whether the others would see something.
	Control bool   `json:"control,omitempty"`
	Tree    string `json:"tree"` // Tree's hash, "" if the sources are not there
	Env     Env    `json:"env"`  // where
	// Features are those of the kernel that was asked, by name.
	Features map[string]bool `json:"features,omitempty"`
}

// Env is where something ran.
type Env struct {
	Go     string `json:"go"`
	OS     string `json:"os"`
	Arch   string `json:"arch"`
	CPU    string `json:"cpu"`
	NCPU   int    `json:"ncpu"`
	Kernel string `json:"kernel"`
}

// Here returns the environment of this process.
func Here() Env {
	return Env{Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, CPU: cpuModel(), NCPU: runtime.NumCPU(), Kernel: kernelRelease()}
}

func cpuModel() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if key, value, ok := strings.Cut(s.Text(), ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// hashed are the directories whose files the tree hash is of.
var hashed = []string{"offload", "model", "fuzz", "corpus", "tunlive"}

// Tree returns a hash of the sources below root, the module's directory: of
// offload, model, fuzz, corpus and tunlive, names and contents, without what
// tools leave there, and without fuzz/evidence, which judges nothing.
func Tree(root string) (string, error) {
	sum := sha256.New()
	for _, dir := range hashed {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				if os.IsNotExist(err) {
					return nil
				}
				return err
			}
			if d.IsDir() {
				if d.Name() == "testdata" || path == filepath.Join(root, "fuzz", "evidence") {
					return fs.SkipDir // crashers and fail files, of which what stays goes to corpus; what gathers records
				}
				return nil
			}
			if strings.HasSuffix(path, ".test") || strings.HasSuffix(path, ".out") {
				return nil
			}
			name, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(sum, "%s %d\n", filepath.ToSlash(name), len(b))
			sum.Write(b)
			return nil
		})
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(sum.Sum(nil))[:16], nil
}

// Root returns the directory of the module tunproof that dir is in.
func Root(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for {
		b, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(b), "module tunproof\n") {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("not in a checkout of tunproof: no go.mod of module tunproof here or above")
		}
		dir = parent
	}
}

// Exit is the exit code that results call for.
func Exit(results []Result) int {
	code := ExitNothing
	for _, r := range results {
		switch {
		case r.Result == Violated:
			return ExitViolation
		case r.Result == Holds:
			code = ExitHolds
		}
	}
	return code
}

// Write writes results as JSON lines.
func Write(w io.Writer, results []Result) error {
	e := json.NewEncoder(w)
	for _, r := range results {
		if err := e.Encode(r); err != nil {
			return err
		}
	}
	return nil
}

// Read reads what Write wrote.
func Read(r io.Reader) ([]Result, error) {
	var results []Result
	for d := json.NewDecoder(r); ; {
		var one Result
		if err := d.Decode(&one); err == io.EOF {
			return results, nil
		} else if err != nil {
			return nil, fmt.Errorf("result %d: %w", len(results)+1, err)
		}
		results = append(results, one)
	}
}
