// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"tunproof/fuzz/internal/process"
	"tunproof/fuzz/internal/usage"
	"tunproof/fuzz/record"
)

// The commands conformance and evidence are programs of modules of their own. The first
// needs the implementations that it judges, the second a JSON Schema validator.

const conformanceHelp = `
Checks other implementations of packet offload, and also tunproof's own and the GRO of this
machine's kernel, against the properties of docs/properties.md. It gives generated batches
and superpackets to each implementation. The kernel needs network namespaces; it is left
out where these are missing. The command needs a checkout of tunproof and Go.

Prints a table of properties by implementations. A cell is "holds", "violated N", "refuses
N" or "n/a"; N is the number of different violations. A second table lists the known bugs
of docs/findings.md, with the seconds until each was found. Progress goes to standard
error. docs/conformance.md explains the results.
`

const conformanceExits = "Exit codes: 0 no property is violated, 1 an implementation violates one, 2 usage,\ninfrastructure or an interrupt, 3 nothing ran."

func conformanceCommand(ctx context.Context, s streams, args []string) (int, error) {
	return nested(ctx, s, "fuzz/peers", "conformance", "./conformance", args, new(usage.Conformance).Parse)
}

const evidenceHelp = `
Collects the result records that other commands wrote about this source tree: verify, live,
exhaustive, kernels, mutants, detect and conformance. A record is about every tree in which
what it depends on is the same: the code of offload and of what judges it, without comments.
The command needs a checkout of tunproof without uncommitted changes, git and Go.

Writes docs/evidence/VERSION-DATE, with a report, results.json, pictures and the records,
and replaces the table of claims in README.md. Prints that table.

With -claim, runs the commands that check one claim, and prints each row beside that of the
newest evidence. C-13, C-15 and the proofs (C-16 to C-19) take 10 to 50 minutes, the others a few. Long runs of the
evidence, such as make kernels LONG=1, are not run again.
`

const evidenceExits = "Exit codes: 0 every claim holds, 1 a property is violated, 2 usage, infrastructure or a\nmissing record, 3 some claims have a property that was not run.\nWith -claim that is about the one claim."

func evidenceCommand(ctx context.Context, s streams, args []string) (int, error) {
	return nested(ctx, s, "fuzz/evidence", "evidence", ".", args, new(usage.Evidence).Parse)
}

// nested parses the arguments of a program of a nested module, so that wrong ones are
// refused at once. Then it builds the program and runs it.
func nested(ctx context.Context, s streams, module, name, pkg string, args []string, arguments func(*flag.FlagSet, func(*flag.FlagSet) error) error) (int, error) {
	err := arguments(flag.NewFlagSet(name, flag.ContinueOnError), func(f *flag.FlagSet) error { return parse(f, args) })
	if errors.As(err, new(helpError)) || errors.Is(err, errUsage) {
		return 0, err
	} else if err != nil {
		return 0, fmt.Errorf("%w: %w", errUsage, err)
	}
	root, err := record.Root(".")
	if err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "tunproof-"+name+"-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, name)
	build := process.Command(ctx, "go", "build", "-o", program, pkg)
	build.Dir = filepath.Join(root, filepath.FromSlash(module))
	build.Env = append(os.Environ(), "GOTOOLCHAIN=auto")
	build.Stdout, build.Stderr = s.err, s.err
	if err := build.Run(); err != nil {
		return 0, fmt.Errorf("go build in the nested module %s: %w", module, err)
	}
	c := process.Command(ctx, program, args...)
	c.Stdin, c.Stdout, c.Stderr = s.in, s.out, s.err
	err = c.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return 0, errors.New("interrupted")
	case errors.As(err, &exit) && exit.Exited():
		return exit.ExitCode(), nil
	}
	return record.ExitHolds, err
}
