package main

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
)

// helpError is what a command's flags are, for who asked for it.
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

func (f *rowFlags) parse(flags *flag.FlagSet, args []string) error {
	f.only = regexp.MustCompile("")
	flags.Uint64Var(&f.seed, "seed", 0, "of generated input; 0 draws one")
	flags.BoolVar(&f.asJSON, "json", false, "write result records, one a line")
	flags.Func("run", "only rows whose \"property method\" matches", func(s string) (err error) {
		f.only, err = regexp.Compile(s)
		return err
	})
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
