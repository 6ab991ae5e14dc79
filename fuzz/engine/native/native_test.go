// SPDX-License-Identifier: MIT

// Package native has the fuzz functions for Go's own engine. They are apart from other
// tests because the engine instruments every package that is linked.
package native

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"tunproof/fuzz/engine/serve"
	"tunproof/fuzz/engine/targets"
	"tunproof/fuzz/law"
)

// fuzz runs a target in Go's engine. The seeds come from the corpus, unless
// serve.Env.NoSeeds is set.
func fuzz(f *testing.F, name string) {
	t, ok := targets.Named(name)
	if !ok {
		f.Fatalf("no target %s", name)
	}
	env := serve.FromEnviron()
	if !env.NoSeeds {
		list, err := t.Seeds()
		if err != nil {
			f.Fatal(err)
		}
		for _, b := range list {
			f.Add(b)
		}
	}
	reach := newReach(name, env.Reach)
	f.Fuzz(func(t2 *testing.T, b []byte) {
		if env.Time > 0 {
			late := time.AfterFunc(env.Time, func() { panic("the execution takes too long") })
			defer late.Stop()
		}
		if err := t.Body(b, reach.tally); err != nil {
			t2.Fatal(err)
		}
		reach.executed()
	})
}

// reach counts the batches, Reasons and refusals that the executions of one process met,
// and writes the counts to a file in the directory serve.Env.Reach. An engine runs several
// processes and kills them, so each has a file of its own.
type reach struct {
	file  string
	tally *law.Tally // nil without a directory
	n     int
}

func newReach(name, dir string) *reach {
	if dir == "" {
		return &reach{}
	}
	return &reach{file: filepath.Join(dir, fmt.Sprintf("%s-%d.json", name, os.Getpid())), tally: law.NewTally()}
}

// executed writes the tally after every 1,000 executions. Later counts are lost.
func (r *reach) executed() {
	if r.n++; r.tally == nil || r.n%1000 != 0 {
		return
	}
	// Write a second file and rename it, so that a killed process leaves a complete
	// file or none. Errors are ignored: a missing count changes no verdict.
	if b, err := json.Marshal(r.tally); err == nil && os.WriteFile(r.file+".new", b, 0o644) == nil {
		_ = os.Rename(r.file+".new", r.file)
	}
}
