// SPDX-License-Identifier: MIT

// Package matrix runs command live on the kernels that people use, each in a virtual
// machine. It also runs the tests of the device and of the harness there.
package matrix

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"tunproof/fuzz/record"
	"tunproof/tunlive/kernels"
)

// Config is the configuration of Run.
type Config struct {
	Root   string // directory of the checkout
	Series []kernels.Series
	Cache  kernels.Cache
	Count  int // for each kernel: random batches for K2 and for K3; half as many superpackets for K1
	Stride int // ask about every Stride-th of the enumerated superpackets
	Seed   uint64
	Jobs   int    // virtual machines at a time
	State  string // file that keeps the records, to resume the run; "" for none
	Say    func(format string, args ...any)
}

// These are the properties of the records, besides K1 to K5.
const (
	Features = "features" // the kernel has the features that are expected
	Device   = "device"   // the tests of offload/tun
	Harness  = "harness"  // the tests of tunlive
)

const (
	first   = "all, random 1"
	chunk   = 20_000 // the share of Count that one boot runs
	traffic = "5"    // percentage of K5's traffic outside emulation
	limit   = 45 * time.Minute
)

// step is one boot.
type step struct {
	series  kernels.Series
	name    string // as progress shows it
	about   string // property of the record if the boot fails
	program string // key of programs
	args    []string
	seed    uint64
}

// steps returns the boots of all kernels. The longest are first, so that all end at about
// the same time.
func (c *Config) steps() []step {
	var list []step
	series := slices.Clone(c.Series)
	slices.SortStableFunc(series, func(a, b kernels.Series) int { return slowness[b.Arch] - slowness[a.Arch] })
	each := func(name, about, program string, seed uint64, args ...string) {
		for _, s := range series {
			list = append(list, step{s, name, about, program, args, seed})
		}
	}
	live := func(n int, seed uint64) []string {
		return []string{"live", "-json", "-traffic", traffic, "-count", fmt.Sprint(n), "-superpackets", fmt.Sprint(max(1, n/2)), "-seed", fmt.Sprint(seed)}
	}
	each(first, "K1 to K5", "tunproof", c.Seed, live(min(chunk, c.Count), c.Seed)...)
	each("exhaustive", "K1", "tunproof", 0, "exhaustive", "-kernel", "-json", "-run", "K1", "-stride", fmt.Sprint(c.Stride))
	for done, i := chunk, uint64(1); done < c.Count; done, i = done+chunk, i+1 {
		seed := c.Seed + i<<40
		each(fmt.Sprintf("random %d", i+1), "K1 to K3", "tunproof", seed, append(live(min(chunk, c.Count-done), seed), "-run", "random|alone|whole")...)
	}
	each(Device, Device, "device", 0, "-test.short", "-test.v")
	each(Harness, Harness, "harness", 0, "-test.short", "-test.v")
	return list
}

// slowness is how many times slower than others an architecture is emulated.
var slowness = map[string]int{"s390x": 5}

// programs has the go command and the package that build each program.
var programs = map[string][]string{
	"tunproof": {"build", "./fuzz/cmd/tunproof"},
	"device":   {"test", "./offload/tun"},
	"harness":  {"test", "./tunlive"},
	"init":     {"build", "./tunlive/kernels/init"},
}

// run is a run of the matrix.
type run struct {
	Config
	dir  string            // has the programs
	sums map[string]string // hash of each program, by architecture and name
	mu   sync.Mutex
	rows []record.Result
	kept *state
	errs []error
}

// Run runs all steps on every kernel and returns the records. The Judge of a record is the
// name of the series, and its Env is that of the guest. The caller fills in the fields that
// all records of a command share. A series that cannot be fetched has a "not run" record.
// An error is one of the infrastructure. Run returns it with the records of the steps that
// did run.
func Run(ctx context.Context, c Config) ([]record.Result, error) {
	r := &run{Config: c, sums: map[string]string{}}
	var err error
	if r.kept, err = openState(c.State); err != nil {
		return nil, err
	}
	defer r.kept.close()
	if r.dir, err = os.MkdirTemp("", "tunproof-kernels-"); err != nil {
		return nil, err
	}
	defer os.RemoveAll(r.dir)
	built := make(chan error, 1)
	go func() { built <- r.build(ctx) }()
	machines := r.machines(ctx)
	if err := <-built; err != nil {
		return nil, err
	}
	steps := make(chan step)
	var workers sync.WaitGroup
	for range max(1, c.Jobs) {
		workers.Go(func() {
			for s := range steps {
				if err := r.step(ctx, s, machines[s.series.Name]); err != nil {
					r.mu.Lock()
					r.errs = append(r.errs, fmt.Errorf("%s, %s: %w", s.series.Name, s.name, err))
					r.mu.Unlock()
				}
			}
		})
	}
	for _, s := range c.steps() {
		if machines[s.series.Name] != nil && ctx.Err() == nil {
			steps <- s
		}
	}
	close(steps)
	workers.Wait()
	slices.SortStableFunc(r.rows, func(a, b record.Result) int { return place(c.Series, a.Judge) - place(c.Series, b.Judge) })
	return r.rows, errors.Join(r.errs...)
}

// place returns the index of a series in the list.
func place(list []kernels.Series, name string) int {
	return slices.IndexFunc(list, func(s kernels.Series) bool { return s.Name == name })
}

// machine is a kernel and the emulator that boots it.
type machine struct {
	kernel *kernels.Kernel
	qemu   *kernels.QEMU
}

// machines fetches kernels and emulators and returns those that are available, by series.
func (r *run) machines(ctx context.Context) map[string]*machine {
	list := map[string]*machine{}
	for _, s := range r.Series {
		k, q, err := r.Cache.Get(ctx, s)
		if err != nil {
			r.Say("%s: SKIP: %v", s.Name, err)
			r.rows = append(r.rows, record.Result{Property: Features, Method: "as expected", Judge: s.Name, Result: record.NotRun, Detail: err.Error()})
			continue
		}
		list[s.Name] = &machine{k, q}
	}
	return list
}

// build compiles the programs for the architectures of the series.
func (r *run) build(ctx context.Context) error {
	done := map[string]bool{}
	for _, s := range r.Series {
		if done[s.Arch] {
			continue
		}
		done[s.Arch] = true
		for name, how := range programs {
			if err := kernels.Build(ctx, r.Root, s.Arch, r.program(s.Arch, name), how[0], how[1]); err != nil {
				return err
			}
			b, err := os.ReadFile(r.program(s.Arch, name))
			if err != nil {
				return err
			}
			r.sums[s.Arch+name] = fmt.Sprintf("%x", sha256.Sum256(b))
		}
		r.Say("built for %s", s.Arch)
	}
	return nil
}

func (r *run) program(arch, name string) string { return filepath.Join(r.dir, arch+"-"+name) }

// step boots once and adds the records. It takes them from the state file if the same boot
// ran before.
func (r *run) step(ctx context.Context, s step, m *machine) error {
	key := strings.Join([]string{r.sums[m.kernel.Arch+s.program], s.series.Name, m.kernel.Release, m.kernel.Files["vmlinuz"], s.program, strings.Join(s.args, " ")}, "|")
	if rows, has := r.kept.rows(key); has {
		r.add(rows...)
		return nil
	}
	start := time.Now()
	var said output
	o, err := m.kernel.Boot(ctx, m.qemu, kernels.Program{Path: r.program(m.kernel.Arch, s.program), Args: s.args,
		Env: []string{"TUNLIVE=require", "GOGC=off", "GOMEMLIMIT=1GiB", "RAPID_SEED=1"}, Limit: limit, Init: r.program(m.kernel.Arch, "init")}, &said)
	if ctx.Err() != nil {
		return nil // it was interrupted
	}
	if err != nil {
		return err
	}
	rows, err := s.records(o, &said)
	if err != nil {
		return err
	}
	failed := false
	for i := range rows {
		row := &rows[i]
		row.Judge = s.series.Name
		row.Env.Kernel, row.Env.Arch, row.Env.OS = m.kernel.Release, m.kernel.Arch, "linux"
		if failed = failed || row.Result == record.Violated; row.Result == record.Violated {
			r.Say("%s: %s %s: %s", s.series.Name, row.Property, row.Method, row.Detail)
		}
	}
	r.Say("%s, Linux %s: %s: %s, %.0f s", s.series.Name, m.kernel.Release, s.name, verdict(failed), time.Since(start).Seconds())
	r.add(rows...)
	if failed {
		return nil // do not keep it: the next run asks again
	}
	return r.kept.keep(key, rows)
}

func verdict(failed bool) string {
	if failed {
		return "VIOLATED"
	}
	return "holds"
}

// add adds records to r.rows, summed up by kernel, property and method.
func (r *run) add(rows ...record.Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows = Sum(append(r.rows, rows...))
}

// Sum returns one record for each kernel, property and method. It adds up the counts of
// records that hold; if one is violated, it is the first of those.
func Sum(rows []record.Result) []record.Result {
	var sums []record.Result
	for _, row := range rows {
		at := slices.IndexFunc(sums, func(s record.Result) bool {
			return s.Judge == row.Judge && s.Property == row.Property && s.Method == row.Method && s.Env.Kernel == row.Env.Kernel
		})
		switch {
		case at < 0:
			sums = append(sums, row)
		case sums[at].Result == record.Violated:
		case row.Result != record.Holds:
			sums[at] = row
		default:
			s := &sums[at]
			s.Count, s.Seconds, s.Seed = s.Count+row.Count, s.Seconds+row.Seconds, min(s.Seed, row.Seed)
		}
	}
	return sums
}
