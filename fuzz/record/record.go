// SPDX-License-Identifier: MIT

// Package record has the result records that all commands write: one JSON object a line
// for each property and method, with the sources, the machine and the seed. It also has
// the table of properties, the exit codes, and the derivation of seeds.
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
	ExitUsage     = 2 // wrong usage, or a failure of the infrastructure
	ExitNothing   = 3 // nothing ran
)

// Result is one record: the outcome of checking one property by one method.
type Result struct {
	Format   int     `json:"format"`           // 1
	Command  string  `json:"command"`          // such as "verify"
	Property string  `json:"property"`         // ID: P1 to P13, K1 to K5, or the parser's name
	Method   string  `json:"method"`           // corpus, captures, rapid, fuzz ...
	Judge    string  `json:"judge"`            // what decides: "model", "itself", a kernel release
	Count    int     `json:"n"`                // number of inputs judged
	Unit     string  `json:"unit"`             // the unit of n: cases, batches, executions ...
	Seed     uint64  `json:"seed,omitempty"`   // the seed of random input
	Seconds  float64 `json:"seconds"`          //
	Result   string  `json:"result"`           // holds, violated, not run
	Detail   string  `json:"detail,omitempty"` // the violation, or the reason why it was not run
	// Control marks a row that only shows whether the other rows would detect a bug.
	Control bool   `json:"control,omitempty"`
	Tree    string `json:"tree"` // the hash of the sources (see Tree), "" if they are not there
	// Basis is a hash of what the record depends on (see the function Basis), "" in a
	// record of an earlier version, or if the sources were not there.
	Basis string `json:"basis,omitempty"`
	Date  string `json:"date,omitempty"` // the day when it was made, in UTC: 2026-11-25
	Env   Env    `json:"env"`            // the machine and the version of Go
	// Counts has further counts of a row, by name.
	Counts map[string]int `json:"counts,omitempty"`
	// Features reports, by name, whether the kernel that was asked has a feature.
	Features map[string]bool `json:"features,omitempty"`
}

// Env is the environment that a command ran in.
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

// cpuModel returns the name of the processor on Linux, else "".
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

// hashed are the directories that Tree hashes.
var hashed = []string{"offload", "model", "fuzz", "corpus", "tunlive"}

// Tree returns a hash of the sources below root, the module's directory: the names and
// contents of the files in offload, model, fuzz, corpus and tunlive. It leaves out files
// that tools create, and fuzz/evidence, which judges nothing.
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
					return fs.SkipDir // crashers and fail files; the package that gathers records
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

// Root returns the root directory of the checkout of tunproof that dir is in.
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

// Exit returns the exit code for results: ExitViolation if one is violated, ExitHolds if
// one holds, else ExitNothing.
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

// Write writes results as JSON, one a line.
func Write(w io.Writer, results []Result) error {
	e := json.NewEncoder(w)
	for _, r := range results {
		if err := e.Encode(r); err != nil {
			return err
		}
	}
	return nil
}

// Read reads results in the form that Write writes.
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
