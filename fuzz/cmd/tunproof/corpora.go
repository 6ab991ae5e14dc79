// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"tunproof/fuzz/engine/campaign"
	"tunproof/fuzz/engine/targets"
	"tunproof/fuzz/record"
)

// corpora holds the arguments of the parts of tunproof corpus that are about fuzzing.
type corpora struct {
	ctx     context.Context
	streams streams
	store   *campaign.Store // nil: only the seeds
	targets []targets.Target
	args    []string
}

// parse parses the flags of the part name, and those that more adds. With needsDir, a
// directory must be given.
func (c *corpora) parse(name string, args []string, needsDir bool, more func(*flag.FlagSet)) error {
	flags := flag.NewFlagSet("corpus "+name, flag.ContinueOnError)
	usage := "use the inputs in `DIR`, the directory of a campaign; without it only the seeds"
	if needsDir {
		usage = "`DIR` is the directory of the campaign"
	}
	dir := flags.String("dir", "", usage)
	targets := targetFlag(flags)
	if more != nil {
		more(flags)
	}
	if err := parse(flags, args); err != nil {
		return err
	}
	var err error
	if c.targets, err = targets(); err != nil {
		return err
	}
	c.args = flags.Args()
	switch {
	case *dir == "" && needsDir:
		return fmt.Errorf("%w: no directory given: -dir DIR", errUsage)
	case *dir != "":
		c.store = &campaign.Store{Dir: *dir}
		if _, err := os.Stat(*dir); err != nil && name != "import" {
			return err
		}
	}
	return nil
}

const corpusExportHelp = `
Writes inputs of each fuzz target as files that fuzzing engines read, DIR/TARGET/HASH.
These are the seeds, which are made from the cases of the corpus, and with -dir also the
inputs that a campaign found. The form raw is for libFuzzer, native for Go's engine. With
-merge it writes only a few seeds that together reach as much code as all of them; this
needs clang.

Prints the number of inputs for each target.
`

// corpusExport writes seeds, and a campaign's inputs, as files that fuzzing engines read.
func corpusExport(c *corpora, args []string) (int, error) {
	var out, form string
	var merge bool
	err := c.parse("export", args, false, func(f *flag.FlagSet) {
		f.BoolVar(&merge, "merge", false, "write only a few seeds that reach as much code as all of them; libFuzzer selects them")
		f.StringVar(&out, "o", "", "write the inputs into `DIR`")
		f.StringVar(&form, "form", "raw", "`FORM` of the files: raw or native")
	})
	switch {
	case err != nil:
		return 0, err
	case out == "" || form != "raw" && form != "native" || len(c.args) > 0 || merge && (form != "raw" || c.store != nil):
		return 0, fmt.Errorf("%w: it needs -o and takes no arguments, -form must be raw or native, and -merge excludes -dir and -form native", errUsage)
	case merge:
		return mergeSeeds(c, out)
	}
	for _, t := range c.targets {
		if c.ctx.Err() != nil {
			return 0, c.ctx.Err()
		}
		n, err := campaign.Export(c.store, t, filepath.Join(out, t.Name), form == "raw")
		if err != nil {
			return 0, err
		}
		fmt.Fprintf(c.streams.out, "%-11s %6d inputs\n", t.Name, n)
	}
	return record.ExitHolds, nil
}

// merger compiles the program that finds out which inputs are needed.
func merger(ctx context.Context) (*campaign.Merger, error) {
	root, err := record.Root(".")
	if err != nil {
		return nil, err
	}
	return campaign.NewMerger(ctx, root)
}

// mergeSeeds writes a few seeds that together reach what all seeds reach.
func mergeSeeds(c *corpora, out string) (int, error) {
	m, err := merger(c.ctx)
	if err != nil {
		return 0, err
	}
	defer m.Close()
	for _, t := range c.targets {
		r, err := m.MergeSeeds(c.ctx, t, filepath.Join(out, t.Name))
		if err != nil {
			return 0, err
		}
		fmt.Fprintf(c.streams.out, "%-11s %6d seeds, %d of them reach as much as all\n", t.Name, r.Before, r.After)
	}
	return record.ExitHolds, nil
}

const corpusImportHelp = `
Adds inputs to the directory of a campaign. FILE is an input of Go's engine, raw bytes as
libFuzzer keeps them, a .pkts case, or a directory that is searched for such files. Without
-target, the fuzz target of a file is the name of its directory, with or without Fuzz.

Prints for each target how many inputs were read, how many of them are new, how many were
stored before, and how many mean nothing to the target: bytes that decode to no packet.
`

// corpusImport adds inputs of other engines and machines to the store.
func corpusImport(c *corpora, args []string) (int, error) {
	var name string
	err := c.parse("import", args, true, func(f *flag.FlagSet) {
		f.StringVar(&name, "target", "", "the inputs are for the fuzz target `NAME`; without it the name of their directory is the target")
	})
	if err != nil {
		return 0, err
	}
	if len(c.args) == 0 {
		return 0, fmt.Errorf("%w: no file or directory given", errUsage)
	}
	read := map[string]*[3]int{} // of each target, by what became of them
	for _, arg := range c.args {
		if err := c.store.Import(c.ctx, arg, name, c.targets, func(t targets.Target, what campaign.Imported) {
			if read[t.Name] == nil {
				read[t.Name] = new([3]int)
			}
			read[t.Name][what]++
		}); err != nil {
			return 0, err
		}
	}
	total := 0 // of those that mean something
	for _, t := range c.targets {
		if n := read[t.Name]; n != nil {
			all := n[campaign.New] + n[campaign.Known] + n[campaign.Meaningless]
			fmt.Fprintf(c.streams.out, "%-11s %6d read, %d new, %d stored before, %d mean nothing to it\n", t.Name, all,
				n[campaign.New], n[campaign.Known], n[campaign.Meaningless])
			total += all - n[campaign.Meaningless]
		}
	}
	if total == 0 {
		return record.ExitNothing, nil
	}
	return record.ExitHolds, nil
}

const corpusMinimiseHelp = `
Removes each input of a campaign's directory that reaches no code beyond that of the seeds
and of the inputs that stay. Inputs that fail are kept, and so are inputs of more than
1 MiB. It needs clang, because libFuzzer measures what an input reaches.

Prints for each target how many inputs there were and how many are left.
`

// corpusMinimise removes the inputs of a directory that are not needed.
func corpusMinimise(c *corpora, args []string) (int, error) {
	if err := c.parse("minimise", args, true, nil); err != nil {
		return 0, err
	}
	if len(c.args) > 0 {
		return 0, fmt.Errorf("%w: it takes no arguments", errUsage)
	}
	m, err := merger(c.ctx)
	if err != nil {
		return 0, err
	}
	defer m.Close()
	before, failing := 0, 0
	for _, t := range c.targets {
		r, err := m.Merge(c.ctx, *c.store, t)
		if err != nil {
			return 0, err
		}
		before, failing = before+r.Before, failing+r.Failing
		if r.Failing > 0 {
			fmt.Fprintf(c.streams.out, "%-11s %6d inputs FAIL and are kept; a campaign on this directory confirms them\n", t.Name, r.Failing)
		}
		fmt.Fprintf(c.streams.out, "%-11s %6d inputs, %d kept, which reach %d edges beyond those of the seeds\n", t.Name, r.Before, r.After, r.Edges)
	}
	switch {
	case failing > 0:
		return record.ExitViolation, nil
	case before == 0:
		return record.ExitNothing, nil
	}
	return record.ExitHolds, nil
}

const corpusCoverageHelp = `
Runs all seeds, and with -dir the inputs of a campaign, and measures which statements of a
package they reach.

Prints each place that is not reached, and the percentage of statements that are.
`

// corpusCoverage prints which statements of a package the inputs reach.
func corpusCoverage(c *corpora, args []string) (int, error) {
	var pkg string
	if err := c.parse("coverage", args, false, func(f *flag.FlagSet) {
		f.StringVar(&pkg, "of", "offload", "measure this `PACKAGE` of the module")
	}); err != nil {
		return 0, err
	}
	if len(c.args) > 0 {
		return 0, fmt.Errorf("%w: it takes no arguments", errUsage)
	}
	root, err := record.Root(".")
	if err != nil {
		return 0, err
	}
	v, err := campaign.Cover(c.ctx, root, c.store, c.targets, pkg)
	if err != nil {
		return 0, err
	}
	if v.Statements == 0 {
		fmt.Fprintf(c.streams.out, "%s has no statements, or is no package of the module\n", pkg)
		return record.ExitNothing, nil
	}
	for _, place := range v.Missed {
		fmt.Fprintf(c.streams.out, "not reached: %s\n", place)
	}
	fmt.Fprintf(c.streams.out, "%d inputs reach %d of %d statements of %s, %.1f %%\n", v.Inputs, v.Reached, v.Statements, pkg, 100*float64(v.Reached)/float64(v.Statements))
	return record.ExitHolds, nil
}
