package main

import (
	"context"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/capture"
	"tunproof/fuzz/engine/campaign"
	"tunproof/fuzz/engine/crasher"
	"tunproof/fuzz/engine/targets"
	"tunproof/fuzz/record"
	"tunproof/fuzz/scenario"
)

// corpora are the flags of the parts of tunproof corpus that are about fuzzing.
type corpora struct {
	ctx     context.Context
	streams streams
	store   *campaign.Store // nil: only the seeds
	targets []targets.Target
	args    []string
}

// parse parses flags; needsDir says that there is nothing to do without a store.
func (c *corpora) parse(name string, args []string, needsDir bool, more func(*flag.FlagSet)) error {
	flags := flag.NewFlagSet("corpus "+name, flag.ContinueOnError)
	dir := flags.String("dir", "", "directory of tunproof fuzz; without it only the seeds")
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
		return fmt.Errorf("%w: corpus %s: which -dir?", errUsage, name)
	case *dir != "":
		c.store = &campaign.Store{Dir: *dir}
		if _, err := os.Stat(*dir); err != nil && name != "import" {
			return err
		}
	}
	return nil
}

// corpusExport writes inputs as engines read them.
func corpusExport(c *corpora, args []string) (int, error) {
	var out, form string
	var merge bool
	err := c.parse("export", args, false, func(f *flag.FlagSet) {
		f.BoolVar(&merge, "merge", false, "write only the seeds that reach what others do not, by libFuzzer")
		f.StringVar(&out, "o", "", "directory to write to: TARGET/HASH")
		f.StringVar(&form, "form", "raw", "raw bytes, or native, as Go's engine has them")
	})
	switch {
	case err != nil:
		return 0, err
	case out == "" || form != "raw" && form != "native" || len(c.args) > 0 || merge && (form != "raw" || c.store != nil):
		return 0, fmt.Errorf("%w: corpus export -o DIR [-form raw|native] [-dir DIR], or corpus export -o DIR -merge", errUsage)
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

// merger compiles what merges.
func merger(ctx context.Context) (*campaign.Merger, error) {
	root, err := record.Root(".")
	if err != nil {
		return nil, err
	}
	return campaign.NewMerger(ctx, root)
}

// mergeSeeds writes as few seeds as reach what all do.
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
		fmt.Fprintf(c.streams.out, "%-11s %6d seeds, of which %d reach what all do\n", t.Name, r.Before, r.After)
	}
	return record.ExitHolds, nil
}

// corpusImport keeps inputs of other engines and machines.
func corpusImport(c *corpora, args []string) (int, error) {
	var name string
	err := c.parse("import", args, true, func(f *flag.FlagSet) {
		f.StringVar(&name, "target", "", "target that reads the inputs; by default the name of their directory")
	})
	if err != nil {
		return 0, err
	}
	if len(c.args) == 0 {
		return 0, fmt.Errorf("%w: corpus import -dir DIR [-target NAME]: of which files or directories?", errUsage)
	}
	read, added := map[string]int{}, map[string]int{}
	for _, arg := range c.args {
		err := filepath.WalkDir(arg, func(file string, e fs.DirEntry, err error) error {
			if err == nil {
				err = c.ctx.Err()
			}
			if err != nil || e.IsDir() {
				return err
			}
			of := name
			if of == "" {
				abs, err := filepath.Abs(file)
				if err != nil {
					return err
				}
				of = strings.TrimPrefix(filepath.Base(filepath.Dir(abs)), "Fuzz")
			}
			t, known := targets.Named(of)
			switch {
			case strings.HasSuffix(file, ".new"):
				return nil // half-written by somebody who was killed
			case !known:
				return fmt.Errorf("%s: no fuzz target %q; -target says which it is of", file, of)
			case !slices.ContainsFunc(c.targets, func(t targets.Target) bool { return t.Name == of }):
				return nil // not asked for
			}
			isNew, err := c.importFile(t, file)
			if err != nil {
				return err
			}
			read[of]++
			if isNew {
				added[of]++
			}
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	total := 0
	for _, t := range c.targets {
		if n := read[t.Name]; n > 0 {
			fmt.Fprintf(c.streams.out, "%-11s %6d read, %d new\n", t.Name, n, added[t.Name])
			total += n
		}
	}
	if total == 0 {
		return record.ExitNothing, nil
	}
	return record.ExitHolds, nil
}

// importFile keeps a file: a case, an input of Go's engine, else raw bytes.
func (c *corpora) importFile(t targets.Target, file string) (added bool, err error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return false, err
	}
	switch capture.KindOf(b) {
	case capture.Crasher:
		if b, err = crasher.Parse(b); err != nil {
			return false, fmt.Errorf("%s:%w", file, err)
		}
	case capture.Case:
		if t.Form == targets.Raw {
			break // a text that the target reads
		}
		k, err := pkts.Parse(file, b)
		if err != nil {
			return false, err
		}
		b = scenario.Encode(scenario.FromCase(k))
	}
	_, added, err = c.store.Add(t, b)
	return added, err
}

// corpusMinimise leaves of the inputs of a directory those that are needed.
func corpusMinimise(c *corpora, args []string) (int, error) {
	if err := c.parse("minimise", args, true, nil); err != nil {
		return 0, err
	}
	if len(c.args) > 0 {
		return 0, fmt.Errorf("%w: corpus minimise -dir DIR [-run REGEXP]", errUsage)
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
			fmt.Fprintf(c.streams.out, "%-11s %6d of its inputs FAIL, and are kept: a campaign on the directory confirms them\n", t.Name, r.Failing)
		}
		fmt.Fprintf(c.streams.out, "%-11s %6d inputs, of which %d reach what seeds and others do not (%d edges beyond the seeds')\n", t.Name, r.Before, r.After, r.Edges)
	}
	switch {
	case failing > 0:
		return record.ExitViolation, nil
	case before == 0:
		return record.ExitNothing, nil
	}
	return record.ExitHolds, nil
}

// corpusCoverage says what of a package inputs reach.
func corpusCoverage(c *corpora, args []string) (int, error) {
	var pkg string
	if err := c.parse("coverage", args, false, func(f *flag.FlagSet) {
		f.StringVar(&pkg, "of", "offload", "package of the module")
	}); err != nil {
		return 0, err
	}
	if len(c.args) > 0 {
		return 0, fmt.Errorf("%w: corpus coverage [-dir DIR] [-run REGEXP] [-of PACKAGE]", errUsage)
	}
	root, err := record.Root(".")
	if err != nil {
		return 0, err
	}
	v, err := campaign.Cover(c.ctx, root, c.store, c.targets, pkg)
	if err != nil {
		return 0, err
	}
	for _, place := range v.Missed {
		fmt.Fprintf(c.streams.out, "not reached: %s\n", place)
	}
	fmt.Fprintf(c.streams.out, "%d inputs reach %d of %d statements of %s, %.1f %%\n", v.Inputs, v.Reached, v.Statements, pkg, 100*float64(v.Reached)/float64(max(1, v.Statements)))
	if v.Statements == 0 {
		return record.ExitNothing, nil
	}
	return record.ExitHolds, nil
}
