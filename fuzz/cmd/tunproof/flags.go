// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"

	"tunproof/fuzz/engine/targets"
	"tunproof/fuzz/internal/usage"
)

// helpError is the error of -h. It carries the flags that are to be described.
type helpError struct{ flags *flag.FlagSet }

func (helpError) Error() string { return "help was asked for" }

// describe returns the description of the flags, or "" if there are none.
func (h helpError) describe() string {
	var text strings.Builder
	h.flags.SetOutput(&text)
	h.flags.PrintDefaults()
	if strings.Contains(text.String(), " TIME\n") {
		text.WriteString("TIME is such as 90s, 10m or 1h30m; a plain number is in seconds.\n")
	}
	return text.String()
}

// parse parses a command's flags. It returns a helpError for -h, and errUsage for a
// flag that is wrong.
func parse(flags *flag.FlagSet, args []string) error {
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return helpError{flags}
	}
	if err != nil {
		meant := ""
		if _, name, unknown := strings.Cut(err.Error(), "not defined: -"); unknown {
			var known []string
			flags.VisitAll(func(f *flag.Flag) { known = append(known, "-"+f.Name) })
			meant = usage.Meant("-"+strings.TrimPrefix(name, "-"), known)
		}
		return fmt.Errorf("%w: %w%s", errUsage, err, meant)
	}
	for _, name := range flags.Args() {
		if flags.Lookup(strings.TrimLeft(name, "-")) != nil && strings.HasPrefix(name, "-") {
			if _, err := os.Lstat(name); err != nil {
				return fmt.Errorf("%w: %s comes after %s: flags come first", errUsage, name, flags.Arg(0))
			}
		}
	}
	return nil
}

// rowFlags holds the flags of the commands that check properties.
type rowFlags struct {
	seed    uint64 // never 0 after parse
	only    *regexp.Regexp
	asJSON  bool
	without []string // names of flags that the command does not have
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
			var all []string
			for _, t := range targets.All() {
				all = append(all, t.ID+" "+t.Name)
			}
			return nil, fmt.Errorf("%w: -run matches no target; there are %s", errUsage, strings.Join(all, ", "))
		}
		return list, nil
	}
}

// parse adds the flags of f to flags and parses all of them. The command takes no
// other arguments.
func (f *rowFlags) parse(flags *flag.FlagSet, args []string) error {
	has := func(name string) bool { return !slices.Contains(f.without, name) }
	if has("seed") {
		flags.Uint64Var(&f.seed, "seed", 0, "generate inputs from seed `N`, so that a run can be repeated; 0 draws a seed and prints it")
	}
	if has("json") {
		flags.BoolVar(&f.asJSON, "json", false, "write one result record a line, in JSON, instead of the table")
	}
	if has("run") {
		runFlag(flags, &f.only, "only rows whose text \"PROPERTY METHOD\" matches `REGEXP`, such as "+f.example)
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
