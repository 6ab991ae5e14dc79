package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/record"
	"tunproof/fuzz/target"
)

// corpusCommand checks case files, or completes them.
func corpusCommand(ctx context.Context, s streams, args []string) (int, error) {
	flags := flag.NewFlagSet("corpus", flag.ContinueOnError)
	write := flags.Bool("write", false, "write what the model makes of each case into it")
	if err := parse(flags, args); err != nil {
		return 0, err
	}
	files := flags.Args()
	if len(files) == 0 {
		var err error
		if files, err = corpusFiles(); err != nil {
			return 0, err
		}
	}
	off := 0
	for _, name := range files {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		changed, err := completeCase(name, *write)
		if err != nil {
			return 0, err
		}
		if changed {
			off++
			verb := "is not what the model gives; -write changes it"
			if *write {
				verb = "written"
			}
			fmt.Fprintf(s.out, "%s: %s\n", name, verb)
		}
	}
	fmt.Fprintf(s.out, "%d cases, %d changed\n", len(files), off)
	switch {
	case len(files) == 0:
		return record.ExitNothing, nil
	case off > 0 && !*write:
		return record.ExitViolation, nil
	}
	return record.ExitHolds, nil
}

// corpusFiles returns every case of the checkout.
func corpusFiles() ([]string, error) {
	root, err := record.Root(".")
	if err != nil {
		return nil, err
	}
	var files []string
	err = filepath.WalkDir(filepath.Join(root, "corpus"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".pkts" {
			files = append(files, path)
		}
		return err
	})
	slices.Sort(files)
	return files, err
}

// completeCase says whether a file states what the model gives, and with write
// makes it so.
func completeCase(name string, write bool) (changed bool, err error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return false, err
	}
	c, err := pkts.Parse(name, text)
	if err != nil {
		return false, err
	}
	target.Expect(c)
	want := pkts.Format(c)
	if bytes.Equal(text, want) {
		return false, nil
	}
	if !write {
		return true, nil
	}
	return true, writeFile(name, want)
}
