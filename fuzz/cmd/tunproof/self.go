// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"flag"
	"fmt"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"

	"tunproof/fuzz/internal/process"
	"tunproof/fuzz/record"
)

func init() { // these commands need the list of commands
	commands = append(commands,
		command{"version", "", "print what this command was built from", versionHelp, "Exit codes: 0 printed, 2 usage or infrastructure.", versionCommand},
		command{"completion", "bash|zsh|fish", "print a script that completes command lines in a shell", completionHelp, "Exit codes: 0 printed, 2 usage or infrastructure.", completionCommand})
}

const versionHelp = `
Prints the module and its version, the commit that the command was built from, the commit
and the hash of the checkout that it runs in, and the version of Go. Result records have
the same hash, as their tree. State all of it in a bug report.
`

func versionCommand(ctx context.Context, s streams, args []string) (int, error) {
	flags := flag.NewFlagSet("version", flag.ContinueOnError)
	if err := parse(flags, args); err != nil {
		return 0, err
	}
	if flags.NArg() > 0 {
		return 0, fmt.Errorf("%w: it takes no arguments", errUsage)
	}
	built := "unknown: go run does not record it"
	version := "tunproof"
	if info, ok := debug.ReadBuildInfo(); ok {
		version = strings.TrimSpace(info.Main.Path + " " + info.Main.Version)
		of := map[string]string{}
		for _, set := range info.Settings {
			of[set.Key] = set.Value
		}
		if of["vcs.revision"] != "" {
			built = of["vcs.revision"] + ", " + of["vcs.time"]
			if of["vcs.modified"] == "true" {
				built += ", with uncommitted changes"
			}
		}
	}
	fmt.Fprintf(s.out, "module    %s\nbuilt of  %s\n", version, built)
	if root, err := record.Root("."); err != nil {
		fmt.Fprintf(s.out, "checkout  none: %v\n", err)
	} else {
		fmt.Fprintf(s.out, "checkout  %s\n", filepath.ToSlash(root))
		fmt.Fprintf(s.out, "commit    %s\n", commit(ctx, root))
		tree, err := record.Tree(root)
		if err != nil {
			return 0, err
		}
		fmt.Fprintf(s.out, "tree      %s\n", tree)
	}
	env := record.Here()
	fmt.Fprintf(s.out, "go        %s %s/%s\nkernel    %s\n", runtime.Version(), env.OS, env.Arch, env.Kernel)
	return record.ExitHolds, nil
}

// commit returns the commit of a checkout as text.
func commit(ctx context.Context, root string) string {
	git := func(args ...string) (string, error) {
		c := process.Command(ctx, "git", args...)
		c.Dir = root
		out, err := c.Output()
		return strings.TrimSpace(string(out)), err
	}
	head, err := git("rev-parse", "HEAD")
	if err != nil {
		return "unknown: no git, or no repository"
	}
	if changed, err := git("status", "--porcelain"); err != nil || changed != "" {
		head += ", with uncommitted changes"
	}
	return head
}
