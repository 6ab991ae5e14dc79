// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"flag"
	"fmt"
	"slices"

	"tunproof/fuzz/internal/usage"
	"tunproof/fuzz/law"
	"tunproof/fuzz/record"
)

// corpusParts returns the parts of the command corpus.
func corpusParts() []command {
	campaign := func(f func(*corpora, []string) (int, error)) func(context.Context, streams, []string) (int, error) {
		return func(ctx context.Context, s streams, args []string) (int, error) {
			return f(&corpora{ctx: ctx, streams: s}, args)
		}
	}
	cases := func(write bool) func(context.Context, streams, []string) (int, error) {
		return func(ctx context.Context, s streams, args []string) (int, error) {
			return corpusCases(ctx, s, args, write)
		}
	}
	return []command{
		{"corpus check", "[CASE...]", "check that .pkts cases state the outcome that the model gives",
			corpusCheckHelp, "Exit codes: 0 all cases are right, 1 a case differs, 2 usage, infrastructure or a malformed case, 3 there is no case.", cases(false)},
		{"corpus fmt", "[CASE...]", "write the model's outcome into .pkts cases, and format them",
			corpusFmtHelp, "Exit codes: 0 done, 2 usage, infrastructure or a malformed case, 3 there is no case.", cases(true)},
		{"corpus record", "-o DIR [NAME...]", "record captures of traffic between sockets",
			corpusRecordHelp, "Exit codes: 0 recorded, 1 a property is violated, 2 usage or infrastructure, 3 the machine cannot make namespaces.", corpusRecord},
		{"corpus import", "-dir DIR [-target NAME] [-run REGEXP] FILE...", "add inputs of other engines and machines to a campaign's directory",
			corpusImportHelp, "Exit codes: 0 imported, 2 usage, infrastructure or an unreadable input, 3 there was no input.", campaign(corpusImport)},
		{"corpus export", "-o DIR [-form raw|native] [-dir DIR] [-run REGEXP]\n       tunproof corpus export -o DIR -merge [-run REGEXP]", "write the seeds, and a campaign's inputs, for fuzzing engines",
			corpusExportHelp, "Exit codes: 0 exported, 2 usage or infrastructure.", campaign(corpusExport)},
		{"corpus minimise", "-dir DIR [-run REGEXP]", "remove the inputs of a campaign's directory that reach nothing more",
			corpusMinimiseHelp, "Exit codes: 0 done, 1 an input fails, 2 usage or infrastructure, 3 there was no input.", campaign(corpusMinimise)},
		{"corpus coverage", "[-dir DIR] [-run REGEXP] [-of PACKAGE]", "list the statements that seeds and inputs do not reach",
			corpusCoverageHelp, "Exit codes: 0 measured, 2 usage or infrastructure, 3 the package has no statements.", campaign(corpusCoverage)},
	}
}

// corpusCommand runs one of its parts.
func corpusCommand(ctx context.Context, s streams, args []string) (int, error) {
	parts := corpusParts()
	if len(args) == 0 {
		return 0, fmt.Errorf("%w: no part given\n%s", errUsage, list(parts))
	}
	if slices.Contains([]string{"-h", "-help", "--help"}, args[0]) {
		fmt.Fprintf(s.out, "usage: tunproof corpus PART [ARGUMENTS]\n\n%s\n\"tunproof corpus PART -h\" describes a part.\n", list(parts))
		return record.ExitHolds, nil
	}
	if c, is := named(parts, "corpus "+args[0]); is {
		return c.call(ctx, s, args[1:]), nil
	}
	return 0, fmt.Errorf("%w: corpus has no part %q%s", errUsage, args[0], usage.Meant(args[0], words(parts)))
}

const corpusCheckHelp = `
Checks that each .pkts CASE is complete, states the outcome that the model gives for its
input, and has the form that corpus fmt writes. Without arguments it checks every case of
the checkout. The model is the simple reference implementation.

Prints each case that differs, and the number of cases.
`

const corpusFmtHelp = `
Rewrites each .pkts CASE. The expected outcome becomes the one that the model gives for the
input, and the text gets its standard form. Without arguments it rewrites every case of the
checkout. corpus/README.md describes the format.

Prints each case that it changed, and the number of cases.
`

// corpusCases checks case files or, with write, completes and formats them.
func corpusCases(ctx context.Context, s streams, args []string, write bool) (int, error) {
	flags := flag.NewFlagSet("corpus", flag.ContinueOnError)
	if err := parse(flags, args); err != nil {
		return 0, err
	}
	files := flags.Args()
	if len(files) == 0 {
		var err error
		if files, err = law.CorpusFiles(); err != nil {
			return 0, err
		}
	}
	off := 0
	for _, name := range files {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		changed, err := law.CompleteFile(name, write)
		if err != nil {
			return 0, err
		}
		if changed {
			off++
			verb := "differs from what the model gives; corpus fmt rewrites it"
			if write {
				verb = "rewritten"
			}
			fmt.Fprintf(s.out, "%s: %s\n", name, verb)
		}
	}
	did := "differ"
	if write {
		did = "changed"
	}
	fmt.Fprintf(s.out, "%s, %d %s\n", record.Count(len(files), "case"), off, did)
	switch {
	case len(files) == 0:
		return record.ExitNothing, nil
	case off > 0 && !write:
		return record.ExitViolation, nil
	}
	return record.ExitHolds, nil
}
