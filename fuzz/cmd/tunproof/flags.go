package main

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"

	"tunproof/fuzz/engine/targets"
)

// helpError carries the description of the flags that -h asked for.
type helpError string

func (h helpError) Error() string { return string(h) }

// parse parses a command's flags. It returns a helpError for -h, and errUsage for a
// flag that is wrong.
func parse(flags *flag.FlagSet, args []string) error {
	var help strings.Builder
	flags.SetOutput(&help)
	flags.Usage = flags.PrintDefaults
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return helpError(help.String())
	case err != nil:
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	return nil
}

// rowFlags holds the flags of the commands that check properties.
type rowFlags struct {
	seed    uint64 // never 0 after parse
	only    *regexp.Regexp
	asJSON  bool
	unused  []string // names of flags that the command accepts and ignores
	example string   // an argument of -run
}

// runFlag adds the flag -run, which sets *only. Without the flag *only matches everything.
func runFlag(flags *flag.FlagSet, only **regexp.Regexp, about string) {
	*only = regexp.MustCompile("")
	flags.Func("run", about, func(s string) (err error) {
		*only, err = regexp.Compile(s)
		return err
	})
}

// targetFlag adds the flag -run of the commands that are about fuzz targets. The
// function that it returns gives the selected targets, once the flags are parsed.
func targetFlag(flags *flag.FlagSet) func() ([]targets.Target, error) {
	var only *regexp.Regexp
	runFlag(flags, &only, "only fuzz targets whose text \"PROPERTY NAME\" matches `REGEXP`, such as \"P4 Agree\"; docs/fuzzing.md lists them")
	return func() ([]targets.Target, error) {
		list := slices.DeleteFunc(targets.All(), func(t targets.Target) bool { return !only.MatchString(t.ID + " " + t.Name) })
		if len(list) == 0 {
			return nil, fmt.Errorf("%w: -run matches no target", errUsage)
		}
		return list, nil
	}
}

// parse adds the flags of f to flags and parses all of them. The command takes no
// other arguments.
func (f *rowFlags) parse(flags *flag.FlagSet, args []string) error {
	flags.Uint64Var(&f.seed, "seed", 0, "generate inputs from seed `N`, so that a run can be repeated; 0 draws a seed and prints it")
	flags.BoolVar(&f.asJSON, "json", false, "write one result record a line, in JSON, instead of the table")
	runFlag(flags, &f.only, "only rows whose text \"PROPERTY METHOD\" matches `REGEXP`, such as "+f.example)
	for _, name := range f.unused {
		flags.Lookup(name).Usage = "has no effect here"
	}
	if err := parse(flags, args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%w: it takes no arguments", errUsage)
	}
	for f.seed == 0 {
		f.seed = rand.Uint64()
	}
	return nil
}
