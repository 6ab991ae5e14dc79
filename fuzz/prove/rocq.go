// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

//go:embed rocq/*.v
var theories embed.FS

var (
	stated    = regexp.MustCompile(`(?m)^(?:Theorem|Corollary) (\w+)`)
	assumed   = regexp.MustCompile(`\b(Axiom|Axioms|Parameter|Parameters|Conjecture|Admitted|admit|Abort)\b`)
	closed    = "Closed under the global context"
	unchecked = regexp.MustCompile(`(?s)\(\*.*?\*\)`)
)

// theory is a file of rocq, and the answer for it.
type theory struct {
	name     string
	theorems []string
	seconds  float64
	cached   bool
	failed   string // what coqc said; "" if every theorem is proved without an axiom
}

// checkTheories has coqc check each theory, and print what each theorem depends on.
func checkTheories(ctx context.Context, c *cache, version string) ([]theory, error) {
	files, err := theories.ReadDir("rocq")
	if err != nil {
		return nil, err
	}
	var out []theory
	for _, f := range files {
		text, err := theories.ReadFile("rocq/" + f.Name())
		if err != nil {
			return nil, err
		}
		t := theory{name: f.Name()}
		code := unchecked.ReplaceAllString(string(text), "")
		for _, m := range stated.FindAllStringSubmatch(code, -1) {
			t.theorems = append(t.theorems, m[1])
		}
		script := string(text)
		for _, n := range t.theorems {
			script += fmt.Sprintf("Print Assumptions %s.\n", n)
		}
		if word := assumed.FindString(code); word != "" {
			t.failed = "the theory has the word " + word
		} else if s, ok := c.get(version + script); ok {
			t.seconds, t.cached = s, true
		} else if t.failed, t.seconds, err = compile(ctx, f.Name(), script, len(t.theorems)); err != nil {
			return nil, err
		} else if t.failed == "" {
			c.put(version+script, t.seconds)
		}
		out = append(out, t)
	}
	return out, nil
}

// compile runs coqc on a theory in a directory of its own.
func compile(ctx context.Context, name, script string, theorems int) (failed string, seconds float64, err error) {
	dir, err := os.MkdirTemp("", "prove")
	if err != nil {
		return "", 0, err
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o644); err != nil {
		return "", 0, err
	}
	start := time.Now()
	cmd := exec.CommandContext(ctx, "coqc", "-q", name)
	cmd.Dir = dir
	text, runErr := cmd.CombinedOutput()
	seconds = time.Since(start).Seconds()
	if runErr != nil {
		return fmt.Sprintf("%v: %s", runErr, text), seconds, nil
	}
	if n := strings.Count(string(text), closed); n != theorems || theorems == 0 {
		return fmt.Sprintf("%d of %d theorems need no axiom: %s", n, theorems, text), seconds, nil
	}
	return "", seconds, nil
}
