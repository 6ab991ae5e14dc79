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
	"tunproof/fuzz/internal/file"
	"tunproof/fuzz/law"
	"tunproof/fuzz/record"
)

// corpusCommand runs one of its parts.
func corpusCommand(ctx context.Context, s streams, args []string) (int, error) {
	c := &corpora{ctx: ctx, streams: s}
	parts := map[string]func(args []string) (int, error){
		"record":   func(args []string) (int, error) { return corpusRecord(ctx, s, args) },
		"check":    func(args []string) (int, error) { return corpusCases(ctx, s, args, false) },
		"fmt":      func(args []string) (int, error) { return corpusCases(ctx, s, args, true) },
		"import":   func(args []string) (int, error) { return corpusImport(c, args) },
		"export":   func(args []string) (int, error) { return corpusExport(c, args) },
		"minimise": func(args []string) (int, error) { return corpusMinimise(c, args) },
		"coverage": func(args []string) (int, error) { return corpusCoverage(c, args) },
	}
	if len(args) == 0 || parts[args[0]] == nil {
		return 0, fmt.Errorf("%w: corpus what? check, fmt, record, import, export, minimise or coverage", errUsage)
	}
	return parts[args[0]](args[1:])
}

// corpusCases checks case files, or completes them.
func corpusCases(ctx context.Context, s streams, args []string, write bool) (int, error) {
	flags := flag.NewFlagSet("corpus", flag.ContinueOnError)
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
		changed, err := completeCase(name, write)
		if err != nil {
			return 0, err
		}
		if changed {
			off++
			verb := "is not what the model gives; corpus fmt changes it"
			if write {
				verb = "written"
			}
			fmt.Fprintf(s.out, "%s: %s\n", name, verb)
		}
	}
	fmt.Fprintf(s.out, "%d cases, %d changed\n", len(files), off)
	switch {
	case len(files) == 0:
		return record.ExitNothing, nil
	case off > 0 && !write:
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

// completeCase reports whether a file states something other than what the model
// gives. With write it makes the file state that.
func completeCase(name string, write bool) (changed bool, err error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return false, err
	}
	c, err := pkts.Parse(name, text)
	if err != nil {
		return false, err
	}
	law.Expect(c)
	want := pkts.Format(c)
	if bytes.Equal(text, want) {
		return false, nil
	}
	if !write {
		return true, nil
	}
	return true, file.Write(name, want)
}
