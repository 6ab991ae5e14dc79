// Package matrix asks the kernels that people run, each in a virtual machine, what
// command live asks this machine's, and runs the tests of the device and of the harness
// there.
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

// Config says what is run.
type Config struct {
	Root   string // of the checkout
	Series []kernels.Series
	Cache  kernels.Cache
	Count  int // random batches for each of K2 and K3, half as many superpackets for K1, a kernel
	Stride int // of the superpackets that are enumerated every so many are asked about
	Seed   uint64
	Jobs   int    // machines at a time
	State  string // file of what ran, to go on from; "" for none
	Say    func(format string, args ...any)
}

// Properties of the records, beside K1 to K5.
const (
	Features = "features" // what was probed is what is expected
	Device   = "device"   // the tests of offload/tun
	Harness  = "harness"  // the tests of tunlive
)

const (
	first   = "all, random 1"
	chunk   = 20_000 // of Count, in one boot
	traffic = "5"    // percent of what K5 sends on a machine that is not emulated
	limit   = 45 * time.Minute
)

// step is one boot.
type step struct {
	series  kernels.Series
	name    string // for people
	about   string // what its failure is of
	program string // of programs
	args    []string
	seed    uint64
}

// steps are what is run on each kernel; the longest first, so that all end together.
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

// slowness says how many times slower than others an architecture is emulated.
var slowness = map[string]int{"s390x": 5}

// programs are what is run, by name: how it is built.
var programs = map[string][]string{
	"tunproof": {"build", "./fuzz/cmd/tunproof"},
	"device":   {"test", "./offload/tun"},
	"harness":  {"test", "./tunlive"},
	"init":     {"build", "./tunlive/kernels/init"},
}

// run is a run of the matrix.
type run struct {
	Config
	dir  string            // of programs
	sums map[string]string // of programs, by architecture and name
	mu   sync.Mutex
	rows []record.Result
	kept *state
	errs []error
}

// Run runs all steps on every kernel that there is. A record's Judge is the name of the
// series, its Env is the guest's; what all records of a command share is its to fill in. A
// series that cannot be had is a record of what was not run. The error is of the infrastructure; the records are what ran all the same.
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

func place(list []kernels.Series, name string) int {
	return slices.IndexFunc(list, func(s kernels.Series) bool { return s.Name == name })
}

// machine is a kernel and what boots it.
type machine struct {
	kernel *kernels.Kernel
	qemu   *kernels.QEMU
}

// machines returns what there is of the series, by name.
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

// step boots once, unless what came of it is kept, and adds the records.
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
		return nil // it had not its time
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
		return nil // it is asked again
	}
	return r.kept.keep(key, rows)
}

func verdict(failed bool) string {
	if failed {
		return "VIOLATED"
	}
	return "holds"
}

// add adds records to those of the same kernel, property and method.
func (r *run) add(rows ...record.Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows = Sum(append(r.rows, rows...))
}

// Sum makes one record of those of the same kernel, property and method: the counts of
// what holds added up, or the first violation.
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
