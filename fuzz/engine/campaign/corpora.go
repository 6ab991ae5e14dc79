// SPDX-License-Identifier: MIT

package campaign

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"tunproof/fuzz/engine/serve"
	"tunproof/fuzz/engine/targets"
	"tunproof/fuzz/internal/crasher"
	"tunproof/fuzz/internal/process"
)

// Export writes a target's seeds, and its inputs in s unless s is nil, to a directory: as
// raw bytes, or in the form of Go's engine. It returns their number.
func Export(s *Store, t targets.Target, dir string, raw bool) (int, error) {
	list, err := t.Seeds()
	if err != nil {
		return 0, err
	}
	if s != nil {
		inputs, err := s.Inputs(t.Name, nil)
		if err != nil {
			return 0, err
		}
		for _, file := range slices.Sorted(maps.Keys(inputs)) {
			list = append(list, inputs[file])
		}
	}
	seen := map[string]bool{}
	for _, b := range list {
		file := hash(b)
		if seen[file] {
			continue
		}
		seen[file] = true
		if !raw {
			b = crasher.Format(b)
		}
		if err := write(filepath.Join(dir, file), b); err != nil {
			return 0, err
		}
	}
	return len(seen), nil
}

// Merged is the result of minimising a target's inputs.
type Merged struct {
	Before, After int // number of inputs
	Failing       int // failing inputs in After: a merge drops them, Merge keeps them
	Edges         int // edges that the seeds do not reach, as libFuzzer counts them
}

const (
	mergeTime = 20 * time.Second
	mergeLen  = 1 << 20 // longer inputs are not merged
)

var mergeLine = regexp.MustCompile(`MERGE-OUTER: (\d+) new files with (\d+) new features added; (\d+) new coverage edges`)

// Merger minimises the inputs of a store with libFuzzer.
type Merger struct {
	program, plain, dir string
}

// NewMerger compiles libFuzzer's program to a temporary directory. The caller must call
// Close.
func NewMerger(ctx context.Context, root string) (*Merger, error) {
	dir, err := os.MkdirTemp("", "tunproof-merge-")
	if err != nil {
		return nil, err
	}
	m := &Merger{dir: dir}
	p := &programs{root: root, dir: dir}
	if m.program, err = p.libfuzzer(ctx); err == nil {
		m.plain, err = p.plain(ctx)
	}
	if err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// Close removes the temporary directory.
func (m *Merger) Close() { os.RemoveAll(m.dir) }

// Merge removes those inputs of a target from a store that reach nothing beyond the seeds
// and the inputs that stay. If libFuzzer fails, the store does not change.
func (m *Merger) Merge(ctx context.Context, s Store, t targets.Target) (Merged, error) {
	name := t.Name
	inputs, err := s.Inputs(name, nil)
	if err != nil {
		return Merged{}, err
	}
	r := Merged{Before: len(inputs)}
	if len(inputs) == 0 {
		return r, nil
	}
	kept, all := filepath.Join(m.dir, name, "kept"), filepath.Join(m.dir, name, "all")
	if _, err := Export(nil, t, kept, true); err != nil {
		return r, err
	}
	given, err := os.ReadDir(kept)
	if err != nil {
		return r, err
	}
	for file, b := range inputs {
		if err := write(filepath.Join(all, file), b); err != nil {
			return r, err
		}
	}
	if r.Edges, err = m.merge(ctx, name, kept, all); err != nil {
		return r, err
	}
	wanted, err := os.ReadDir(kept)
	if err != nil {
		return r, err
	}
	needed := map[string]bool{} // by content
	for _, e := range wanted {
		b, err := os.ReadFile(filepath.Join(kept, e.Name()))
		if err != nil {
			return r, err
		}
		needed[string(b)] = true
	}
	if len(wanted)-len(given) > len(inputs) {
		return r, fmt.Errorf("merge %s: %d inputs became %d", name, len(inputs), len(wanted)-len(given))
	}
	run := &serve.Process{Program: m.plain, Target: name, Limits: serve.Limits{Time: mergeTime, Memory: 2048}}
	defer run.Close()
	for file, b := range inputs {
		if needed[string(b)] || len(b) > mergeLen {
			r.After++
			continue
		}
		o, err := run.Run(ctx, b)
		if err != nil {
			return r, err
		}
		if o.Property != "" {
			r.After++
			r.Failing++
		} else if err := s.Remove(name, file); err != nil && !errors.Is(err, os.ErrNotExist) {
			return r, err
		}
	}
	return r, nil
}

// MergeSeeds writes a target's seeds to a directory, raw, without those that reach nothing
// that the others do not reach.
func (m *Merger) MergeSeeds(ctx context.Context, t targets.Target, dir string) (Merged, error) {
	name := t.Name
	all := filepath.Join(m.dir, name, "seeds")
	n, err := Export(nil, t, all, true)
	if err != nil {
		return Merged{}, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return Merged{}, err
	}
	edges, err := m.merge(ctx, name, dir, all)
	if err != nil {
		return Merged{}, err
	}
	list, err := os.ReadDir(dir)
	return Merged{Before: n, After: len(list), Edges: edges}, err
}

// merge copies those inputs from one directory into another that reach more than the
// inputs there. It returns the number of additional edges.
func (m *Merger) merge(ctx context.Context, name, into, from string) (edges int, err error) {
	var dirs []string
	for _, d := range []string{into, from} {
		abs, err := filepath.Abs(d)
		if err != nil {
			return 0, err
		}
		dirs = append(dirs, abs)
	}
	args := append([]string{"-merge=1", "-rss_limit_mb=2048", fmt.Sprintf("-timeout=%d", int(mergeTime.Seconds())), fmt.Sprintf("-max_len=%d", mergeLen)}, dirs...)
	c := process.Command(ctx, m.program, args...)
	c.Env = serve.Env{Target: name}.Environ()
	c.Dir = m.dir
	out, err := c.CombinedOutput()
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	line := mergeLine.FindSubmatch(out)
	if err == nil && line == nil {
		err = errors.New("libFuzzer did not report the result")
	}
	if err != nil {
		return 0, fmt.Errorf("merge %s: %w\n%s", name, err, out[max(0, len(out)-4000):])
	}
	return strconv.Atoi(string(line[3]))
}

// Coverage is the part of a package that inputs reach.
type Coverage struct {
	Inputs, Statements, Reached int
	Missed                      []string // file:line.column,line.column
}

// Cover runs the seeds of the targets, and their inputs in s unless s is nil. It returns
// their coverage of a package, whose path is relative to root.
func Cover(ctx context.Context, root string, s *Store, list []targets.Target, pkg string) (Coverage, error) {
	var v Coverage
	dir, err := os.MkdirTemp("", "tunproof-cover-")
	if err != nil {
		return v, err
	}
	defer os.RemoveAll(dir)
	for _, t := range list {
		n, err := Export(s, t, filepath.Join(dir, "inputs", t.Name), true)
		if err != nil {
			return v, err
		}
		v.Inputs += n
	}
	profile := filepath.Join(dir, "cover.out")
	c := process.Command(ctx, "go", "test", "-count=1", "-run=^TestCorpusDir$", "-coverpkg=./"+pkg, "-coverprofile="+profile, "./fuzz/engine/native")
	c.Dir = root
	c.Env = append(os.Environ(), "FUZZ_CORPUS_DIR="+filepath.Join(dir, "inputs"))
	if out, err := c.CombinedOutput(); ctx.Err() != nil {
		return v, context.Cause(ctx)
	} else if err != nil {
		return v, fmt.Errorf("go test ./fuzz/engine/native: %w\n%s", err, out)
	}
	text, err := os.ReadFile(profile)
	if err != nil {
		return v, err
	}
	return v, v.read(text)
}

// read adds a cover profile.
func (v *Coverage) read(text []byte) error {
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		place, rest, ok := strings.Cut(lines.Text(), " ")
		if strings.HasPrefix(place, "mode:") {
			continue
		}
		var statements, count int
		if _, err := fmt.Sscan(rest, &statements, &count); err != nil || !ok {
			return fmt.Errorf("cover profile: %q", lines.Text())
		}
		v.Statements += statements
		if count > 0 {
			v.Reached += statements
		} else {
			v.Missed = append(v.Missed, strings.TrimPrefix(place, "tunproof/"))
		}
	}
	return nil
}
