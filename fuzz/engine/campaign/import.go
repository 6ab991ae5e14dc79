// SPDX-License-Identifier: MIT

package campaign

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"tunproof/corpus/pkts"
	"tunproof/fuzz/capture"
	"tunproof/fuzz/engine/targets"
	"tunproof/fuzz/internal/crasher"
	"tunproof/fuzz/scenario"
)

// Imported says what became of an input: it is new, it was stored before, or it means nothing
// to its target, as bytes that decode to no packet.
type Imported int

const (
	New Imported = iota
	Known
	Meaningless
)

// Import adds the files below a path to the store, and calls added for each. The target
// of an input is the named one, or without a name that of its directory's name. Inputs
// of targets that are not in the list are left out.
func (s Store) Import(ctx context.Context, path, name string, list []targets.Target, added func(t targets.Target, what Imported)) error {
	return filepath.WalkDir(path, func(file string, e fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil || e.IsDir() {
			return err
		}
		of := name
		if of == "" {
			abs, err := filepath.Abs(file)
			if err != nil {
				return err
			}
			of = strings.TrimPrefix(filepath.Base(filepath.Dir(abs)), "Fuzz")
		}
		t, known := targets.Named(of)
		switch {
		case strings.HasSuffix(file, ".new"):
			return nil // left half-written by a process that was killed
		case !known:
			return fmt.Errorf("%s: no fuzz target %q; give one with -target: %s", file, of, strings.Join(targets.Names(), ", "))
		case !slices.ContainsFunc(list, func(t targets.Target) bool { return t.Name == of }):
			return nil
		}
		what, err := s.importFile(t, file)
		if err == nil {
			added(t, what)
		}
		return err
	})
}

// importFile adds one file to the store. The file is a case, an input of Go's engine, or
// else raw bytes.
func (s Store) importFile(t targets.Target, file string) (Imported, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	switch capture.KindOf(b) {
	case capture.Crasher:
		if b, err = crasher.Parse(b); err != nil {
			return 0, fmt.Errorf("%s:%w", file, err)
		}
	case capture.Case:
		if t.Form == targets.Raw {
			break // the target reads the text itself
		}
		k, err := pkts.Parse(file, pkts.Unindent(b))
		if err != nil {
			return 0, err
		}
		b = scenario.Encode(scenario.FromCase(k))
	}
	stored, isNew, err := s.Add(t, b)
	switch {
	case err != nil || isNew:
		return New, err
	case stored == "":
		return Meaningless, nil
	}
	return Known, nil
}
