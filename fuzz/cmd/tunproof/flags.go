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

// helpError carries the flag help that -h asked for.
type helpError string

func (h helpError) Error() string { return string(h) }

// parse parses a command's flags. Errors are of usage.
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

// rowFlags are those of the commands that check properties.
type rowFlags struct {
	seed   uint64 // never 0 once parsed
	only   *regexp.Regexp
	asJSON bool
}

// runFlag is the flag -run, in *only, which matches all without it.
func runFlag(flags *flag.FlagSet, only **regexp.Regexp, about string) {
	*only = regexp.MustCompile("")
	flags.Func("run", about, func(s string) (err error) {
		*only, err = regexp.Compile(s)
		return err
	})
}

// targetFlag is -run of the commands that are about fuzz targets; call what it returns
// when the flags are parsed.
func targetFlag(flags *flag.FlagSet) func() ([]targets.Target, error) {
	var only *regexp.Regexp
	runFlag(flags, &only, "only targets whose \"property name\" matches")
	return func() ([]targets.Target, error) {
		list := slices.DeleteFunc(targets.All(), func(t targets.Target) bool { return !only.MatchString(t.ID + " " + t.Name) })
		if len(list) == 0 {
			return nil, fmt.Errorf("%w: -run matches no target", errUsage)
		}
		return list, nil
	}
}

func (f *rowFlags) parse(flags *flag.FlagSet, args []string) error {
	flags.Uint64Var(&f.seed, "seed", 0, "seed of generated input; 0 draws one")
	flags.BoolVar(&f.asJSON, "json", false, "write result records, one a line")
	runFlag(flags, &f.only, "only rows whose \"property method\" matches")
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
