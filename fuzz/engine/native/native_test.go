// Package native holds the native fuzz functions, apart from what else is
// tested: an engine instruments all that is linked.
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

// fuzz runs a target natively, from the corpus unless serve.Env.NoSeeds is set.
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
			late := time.AfterFunc(env.Time, func() { panic("it takes too long") })
			defer late.Stop()
		}
		if err := t.Body(b, reach.tally); err != nil {
			t2.Fatal(err)
		}
		reach.executed()
	})
}

// reach counts what the executions of one process met, and writes it into the
// directory serve.Env.Reach. Engines run in several processes, and kill them.
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

// executed writes the tally now and then; what came after the last time is lost.
func (r *reach) executed() {
	if r.n++; r.tally == nil || r.n%1000 != 0 {
		return
	}
	// Beside it first: a process that is killed leaves a whole file or none. A
	// count that is missing changes no verdict.
	if b, err := json.Marshal(r.tally); err == nil && os.WriteFile(r.file+".new", b, 0o644) == nil {
		_ = os.Rename(r.file+".new", r.file)
	}
}
