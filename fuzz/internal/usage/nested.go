// SPDX-License-Identifier: MIT

package usage

import (
	"errors"
	"flag"
	"time"
)

// Conformance has the arguments of tunproof conformance, and Evidence those of tunproof
// evidence. Both are programs of nested modules. Their flags are here, so that the command
// tunproof can describe them and refuse wrong ones before it builds the program, for which
// other modules may have to be fetched.
type Conformance struct {
	Corpus bool
	Seed   uint64
	Time   time.Duration // for each implementation
	Only   string        // names of implementations, separated by commas; "" for all
	JSON   bool
	Out    string // file for the violations
	Report string // file whose tables are printed, instead of checking anything
	SVG    string // file for the picture
	Found  bool   // also list each violation
}

// Parse reads the arguments.
func (c *Conformance) Parse(flags *flag.FlagSet, parse func(*flag.FlagSet) error) error {
	flags.BoolVar(&c.Corpus, "corpus", false, "first check the cases of the corpus")
	flags.Uint64Var(&c.Seed, "seed", 0, "generate inputs from seed `N`, so that a run can be repeated; 0 draws a seed and prints it")
	Time(flags, &c.Time, "time", time.Minute, "check each implementation for this `TIME`")
	flags.StringVar(&c.Only, "impl", "", "comma-separated `NAMES` of implementations, as the table has them; without it all")
	flags.BoolVar(&c.JSON, "json", false, "write one result record a line, in JSON, instead of the tables")
	flags.StringVar(&c.Out, "o", "", "write all violations and their cases to `FILE`, a JSON line for each implementation")
	flags.StringVar(&c.Report, "report", "", "check nothing; print the tables of `FILE`, which -o wrote")
	flags.StringVar(&c.SVG, "svg", "", "write a picture of the table to `FILE`, as SVG")
	flags.BoolVar(&c.Found, "found", false, "after the tables, also list each violation")
	if err := parse(flags); err != nil {
		return err
	}
	if flags.NArg() > 0 || c.Time <= 0 {
		return errors.New("it takes no arguments, and -time must be positive")
	}
	return nil
}

// Evidence has the arguments of tunproof evidence.
type Evidence struct {
	RunMissing bool
	Version    string // "" for the one in .zenodo.json
	Out        string // directory; "" for the one in docs/evidence
	JSON       bool
	Claim      string // the ID of a claim that is run again; "" collects records
	Seed       string // with Claim: a number, "recorded", or "" for a random one
}

// Parse reads the arguments.
func (e *Evidence) Parse(flags *flag.FlagSet, parse func(*flag.FlagSet) error) error {
	flags.BoolVar(&e.RunMissing, "run-missing", false, "first run the commands that have no records of this source tree; this takes hours")
	flags.StringVar(&e.Version, "version", "", "`VERSION` of the evidence; without it the one in .zenodo.json")
	flags.StringVar(&e.Out, "o", "", "write to the new directory `DIR` instead of docs/evidence/VERSION-DATE, and leave README.md unchanged")
	flags.BoolVar(&e.JSON, "json", false, "print results.json instead of the table")
	flags.StringVar(&e.Claim, "claim", "", "only run the claim `ID` again, such as C-07, and compare with the newest directory of docs/evidence")
	flags.StringVar(&e.Seed, "seed", "", "with -claim: `SEED` is a number, or \"recorded\" for that of the evidence; without it a seed is drawn")
	if err := parse(flags); err != nil {
		return err
	}
	switch {
	case flags.NArg() > 0:
		return errors.New("it takes no arguments")
	case e.Seed != "" && e.Claim == "":
		return errors.New("-seed needs -claim")
	case e.Claim != "" && (e.RunMissing || e.JSON || e.Out != "" || e.Version != ""):
		return errors.New("-claim goes with -seed only")
	}
	return nil
}
