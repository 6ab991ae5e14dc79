// SPDX-License-Identifier: MIT

package campaign

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/mutants"
	"tunproof/fuzz/record"
	"tunproof/fuzz/scenario"

	"tunproof/fuzz/law"
)

// real are the settings of a campaign of this checkout.
func real(t *testing.T, names ...string) Config {
	conf, _ := settings(t, t.TempDir(), names...)
	root, err := record.Root(".")
	if err != nil {
		t.Fatal(err)
	}
	conf.Root, conf.Say = root, t.Logf
	return conf
}

// counts checks that the executions of a real engine are counted. It runs a target that
// holds until some are, or until there are inputs that show that some should be.
func counts(t *testing.T, e engine) {
	const name = "Checksum"
	work := t.TempDir()
	for wait := 100 * time.Millisecond; ; wait *= 2 {
		ctx, stop := context.WithTimeout(t.Context(), wait)
		execs := int64(0)
		err := e.run(ctx, name, work, 1, time.Hour, func(n int64) { execs = n })
		stop()
		if execs > 0 && err == nil {
			return
		}
		made, err2 := entries(filepath.Join(work, e.inputs(name)))
		if err != nil || err2 != nil || len(made) > 0 {
			t.Errorf("no execution is counted, %d inputs are made, %v, %v", len(made), err, err2)
			return
		}
	}
}

// TestPlanted checks, with Go's engine and the real programs, that executions are counted,
// and that a campaign finds a bug from nothing and stores a minimal case of it. It takes
// the time that this takes.
func TestPlanted(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it compiles the fuzz targets")
	}
	conf := real(t, canaryTarget)
	bugs := mutants.Bugs()
	conf.Plant = &bugs[slices.IndexFunc(bugs, func(b mutants.Bug) bool { return b.Name == canaryBug })]
	conf.First = true
	s, err := fuzz(t.Context(), conf, func(ctx context.Context, c Config, dir string) (parts, error) {
		made, err := compile(ctx, c, dir)
		if err == nil {
			counts(t, made.engine)
		}
		return made, err
	})
	if err != nil {
		t.Fatal(err)
	}
	r := s.Results[0]
	if len(r.Findings) != 1 || !r.Findings[0].New || r.Corpus != r.New {
		t.Fatalf("%+v", r)
	}
	f := r.Findings[0]
	text, err := os.ReadFile(f.File)
	if err != nil {
		t.Fatal(err)
	}
	k, err := pkts.Parse(f.File, text)
	if err != nil {
		t.Fatal(err)
	}
	in := scenario.FromCase(k)
	if n := scenario.Items(&in); n < 2 || n > 4 {
		t.Errorf("the case has %d packets:\n%s", n, text)
	}
	if err := law.Case(k, nil); err != nil {
		t.Errorf("without the bug: %v", err)
	}
	tidy(t, conf.Dir)
}

// TestTwoReal is TestTwo with the real engines, which go on until both have executed
// inputs of all targets and stored some.
func TestTwoReal(t *testing.T) {
	if os.Getenv("LONG") == "" {
		t.Skip("NOT RUN without LONG=1: two campaigns of the real engines take half a minute; TestTwo has all orders of a toy's")
	}
	dir := t.TempDir()
	engines := []string{"native", "native"}
	if _, err := clang(); err == nil {
		engines[1] = "libfuzzer"
	} else {
		t.Log("without libFuzzer: ", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var mu sync.Mutex
	seen := map[string]bool{}
	sums := make([]*Summary, 2)
	var wait sync.WaitGroup
	for i, engine := range engines {
		conf := real(t, "Order", "Pkts")
		conf.Dir, conf.Engine, conf.AtOnce = dir, engine, 2
		conf.Say = func(format string, args ...any) {
			t.Logf(format, args...)
			var at int
			var name, execs string
			if _, err := fmt.Sscanf(fmt.Sprintf(format, args...), "t=%ds target=%s execs=%s", &at, &name, &execs); err != nil || execs == "0" {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if seen[fmt.Sprint(i, name)] = true; len(seen) == 4 {
				stop()
			}
		}
		wait.Go(func() {
			var err error
			if sums[i], err = Fuzz(ctx, conf); err != nil {
				t.Error(err)
				stop()
			}
		})
	}
	wait.Wait()
	if t.Failed() {
		return
	}
	n, fresh := 0, 0
	for _, tg := range sums[0].Results {
		inputs, err := Store{dir}.Inputs(tg.Target.Name, nil)
		if err != nil {
			t.Error(err)
		}
		n += len(inputs)
	}
	for i, s := range sums {
		for _, r := range s.Results {
			fresh += r.New
			if r.Execs == 0 || len(r.Findings) > 0 {
				t.Errorf("campaign %d: %+v", i, r)
			}
		}
	}
	if n == 0 || n > fresh { // both can count one that they add at the same instant
		t.Errorf("%d inputs, %d new", n, fresh)
	}
	if runs, err := (Store{dir}).Runs(); err != nil || len(runs) != 2 {
		t.Errorf("%v, %v", runs, err)
	}
	tidy(t, dir)
}
