// SPDX-License-Identifier: MIT

// Command prove proves statements about package offload for all inputs. Rocq checks the
// theories in rocq. Functions of offload are translated from their source into
// bit-vectors, and z3 is asked for values for which they differ from what the rules say.
// docs/proofs.md says what is proved, what is assumed, and what is not proved.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"tunproof/fuzz/prove/translate"
)

const usage = `usage: prove [-fast] [-fresh] [-only TEXT] [-o DIR] [-root DIR] [-records FILE]
       prove -planted [-after NAME] [-only TEXT] [-o DIR] [-root DIR] [-records FILE]
       prove -unseen [-root DIR]

Proves statements about package offload for all inputs. Needs coqc (Debian's package coq)
and z3. Proofs are remembered in .cache/prove, by the hash of what is proved.

Exit codes: 0 everything is proved, 1 something is refuted or unseen, 2 usage or infrastructure,
3 a program is missing and nothing ran, or z3 found no answer in time.

Flags:
`

func main() {
	flag.Usage = func() { fmt.Fprint(os.Stderr, usage); flag.PrintDefaults() }
	var o options
	flag.StringVar(&o.root, "root", "../..", "the module `DIR`")
	flag.BoolVar(&o.fast, "fast", false, "prove fewer header lengths, for int of 64 bits only")
	flag.BoolVar(&o.fresh, "fresh", false, "ask again what is remembered from earlier runs")
	flag.StringVar(&o.only, "only", "", "prove only theorems whose names have `TEXT`; no theories")
	flag.StringVar(&o.out, "o", "", "write the scripts for z3 and the cases of counterexamples into `DIR`")
	flag.BoolVar(&o.planted, "planted", false, "plant the bugs of fuzz/mutants in translated functions, and refute each")
	var unseen bool
	flag.BoolVar(&unseen, "unseen", false, "list the small changes of translated functions that no theorem sees; needs no other program")
	flag.StringVar(&o.after, "after", "", "with -planted: begin after the bug `NAME`, to resume")
	flag.StringVar(&o.records, "records", "", "write result records to `FILE`, one JSON object a line, or with -planted the bugs that are refuted; not with -fast, -only or -after")
	flag.DurationVar(&o.limit, "limit", 4*time.Minute, "the longest that z3 may take for one question")
	flag.Parse()
	if flag.NArg() > 0 || unseen && (o.fast || o.fresh || o.planted || o.records+o.only+o.out+o.after != "") || o.records != "" && (o.fast || o.only != "" || o.after != "") {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	run := o.run
	if unseen {
		run = o.unseen
	}
	code, err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "prove:", err)
		code = 2
	}
	os.Exit(code)
}

type options struct {
	root, only, out string
	after           string // of the planted bugs
	records         string // the file of result records
	fast, planted   bool
	fresh           bool
	limit           time.Duration
	cache           cache
	z3              string // its version
}

// programs are what the proofs need, and how they tell their versions.
var programs = []struct{ name, pkg string }{{"coqc", "coq"}, {"z3", "z3"}}

func (o *options) run(ctx context.Context) (int, error) {
	versions := map[string]string{}
	var missing []string
	for _, p := range programs {
		text, err := exec.CommandContext(ctx, p.name, "--version").Output()
		if err != nil {
			missing = append(missing, fmt.Sprintf("%s (package %s)", p.name, p.pkg))
		}
		versions[p.name] = oneLine(string(text))
	}
	if len(missing) > 0 {
		fmt.Printf("not run: no %s\n", strings.Join(missing, ", and no "))
		return 3, nil
	}
	root, err := filepath.Abs(o.root)
	if err != nil {
		return 2, err
	}
	o.root, o.z3, o.cache = root, versions["z3"], cache{filepath.Join(root, ".cache", "prove")}
	if o.fresh {
		if o.cache.dir, err = os.MkdirTemp("", "prove"); err != nil {
			return 2, err
		}
		defer os.RemoveAll(o.cache.dir)
	}
	if o.out != "" {
		if err := os.MkdirAll(o.out, 0o755); err != nil {
			return 2, err
		}
	}
	if o.planted {
		fastOnly = true
		return o.refuteBugs(ctx)
	}
	start, code, count := time.Now(), 0, 0
	var rows rows
	if o.only == "" {
		theories, err := checkTheories(ctx, &o.cache, versions["coqc"])
		if err != nil {
			return 2, err
		}
		for _, t := range theories {
			fmt.Printf("%7.1f s%s  %s: %s\n", t.seconds, mark(t.cached), t.name, strings.Join(t.theorems, ", "))
			count += len(t.theorems)
			rows.add(t.name, versions["coqc"], len(t.theorems), t.seconds, t.failed, t.failed != "")
			if t.failed != "" {
				fmt.Printf("NOT PROVED: %s: %s\n", t.name, t.failed)
				code = 1
			}
		}
		fmt.Printf("%d theorems of %d theories, without axioms (%s)\n\n", count, len(theories), versions["coqc"])
	}
	arches := []string{"amd64", "arm64", "386", "s390x"}
	if o.fast {
		arches = arches[:1]
	}
	total, proved := 0, 0
	for _, arch := range arches {
		src, err := translate.Load(o.root, arch)
		if err != nil {
			return 2, err
		}
		p, err := src.With("", "")
		if err != nil {
			return 2, err
		}
		fastOnly = o.fast || arch != "amd64"
		ts, lines, err := theorems(p)
		if err != nil {
			return 2, err
		}
		ts = slices.DeleteFunc(ts, func(t *Theorem) bool {
			return arch != "amd64" && !t.Fast || !strings.Contains(t.Name, o.only)
		})
		for v := range o.proveAll(ctx, ts) {
			total++
			rows.add(v.theorem.group()+", "+arch, o.z3, 1, v.seconds, v.failed, v.refuted())
			fmt.Printf("%7.1f s%s  %s, %s\n", v.seconds, mark(v.cached), v.theorem.Name, arch)
			if v.failed == "" {
				proved++
				continue
			}
			what, exit := "NOT PROVED", 3
			if v.refuted() {
				what, exit = "REFUTED", 1
			}
			fmt.Printf("%s: %s: %s\n", what, v.theorem.Name, v.failed)
			if code != 1 {
				code = exit
			}
			if v.theorem.Case != nil && v.values != nil && o.out != "" {
				o.writeCase(v, v.theorem.Name)
			}
		}
		if arch == arches[0] {
			o.printFunctions(p, lines)
		}
	}
	fmt.Printf("%d of %d theorems about the code proved, in %.0f s (%s)\n", proved, total, time.Since(start).Seconds(), o.z3)
	if err := ctx.Err(); err != nil || o.records == "" {
		return code, err
	}
	return code, rows.write(o.records)
}

func mark(cached bool) string {
	if cached {
		return " before"
	}
	return "       "
}

// theorems translates a program and returns its theorems, and the lines of the functions
// that were translated. The error is what the translator refused.
func theorems(p *translate.Program) (ts []*Theorem, lines map[string]int, err error) {
	translated = map[string]int{}
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(error)
			if !ok {
				panic(r)
			}
			err = fmt.Errorf("the translator refuses: %w", e)
		}
	}()
	for _, f := range []func(*translate.Program) []*Theorem{sumTheorems, joinTheorems, extendTheorems, admitTheorems, cutTheorems} {
		ts = append(ts, f(p)...)
	}
	return ts, translated, nil
}

// translated collects the functions that were translated.
var translated map[string]int

func note(m *translate.Machine) {
	for n, l := range m.Lines() {
		translated[n] = l
	}
}

// proveAll proves theorems, as many at a time as there are cores, and yields the verdicts
// in order.
func (o *options) proveAll(ctx context.Context, ts []*Theorem) func(func(verdict) bool) {
	return func(yield func(verdict) bool) {
		results := make([]chan verdict, len(ts))
		for i := range results {
			results[i] = make(chan verdict, 1)
		}
		ctx, cancel := context.WithCancel(ctx)
		var work sync.WaitGroup
		defer work.Wait()
		defer cancel()
		next := make(chan int)
		for range min(runtime.NumCPU(), 4) {
			work.Go(func() {
				for i := range next {
					results[i] <- o.prove(ctx, ts[i])
				}
			})
		}
		work.Go(func() {
			defer close(next)
			for i := range ts {
				select {
				case next <- i:
				case <-ctx.Done():
					return
				}
			}
		})
		for _, r := range results {
			select {
			case v := <-r:
				if !yield(v) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

// printFunctions prints what was translated of offload, and why the rest was not.
func (o *options) printFunctions(p *translate.Program, lines map[string]int) {
	all := p.Functions()
	sum, whole := 0, 0
	for name, n := range all {
		whole += n
		if _, ok := lines[name]; ok {
			sum += n
		}
	}
	var names, refused []string
	for name := range all {
		if n, ok := lines[name]; ok {
			names = append(names, fmt.Sprintf("%s %d", name, n))
		} else {
			refused = append(refused, name)
		}
	}
	slices.Sort(names)
	slices.Sort(refused)
	fmt.Printf("\ntranslated, with lines: %s\n%d functions of %d, %d lines of %d\n", strings.Join(names, ", "), len(names), len(all), sum, whole)
	fmt.Println("\nnot translated:")
	for _, name := range refused {
		fmt.Printf("  %s, %d lines: %s\n", name, all[name], p.Why(name))
	}
	fmt.Println()
}
