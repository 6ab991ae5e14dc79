// SPDX-License-Identifier: MIT

package campaign

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"tunproof/fuzz/engine/targets"
)

// state is the state of one target in a campaign.
type state struct {
	Result
	earlier float64 // seconds in earlier campaigns on the store
	turns   int     // turns that began
	running bool
	before  int64     // executions of the engine's earlier runs
	shown   int64     // executions when progress was shown last
	shownAt time.Time // time of that
	begun   time.Time // start of the current turn
	newest  time.Time // when an input was stored last
	errors  int       // errors of the engine in a row

	syncing    sync.Mutex      // guards the fields below, and the engine's directory of inputs
	given      map[string]bool // files of the store that the engine has
	seeded     bool            // the engine has the seeds
	imported   map[string]bool // files of the engine that the store has
	unreadable string          // the last message about files of the store
}

func newState(t targets.Target) *state {
	return &state{Result: Result{Target: t}, given: map[string]bool{}, imported: map[string]bool{}}
}

// found adds a finding and reports whether its key is new. If the key is known, found only
// replaces the file of the known finding.
func (st *state) found(f Finding) bool {
	at := slices.IndexFunc(st.Findings, func(g Finding) bool { return g.Outcome.Key() == f.Outcome.Key() })
	if at >= 0 {
		st.Findings[at].File = f.File
		return false
	}
	st.Findings = append(st.Findings, f)
	return true
}

// givenPrefix starts the names of the engine's inputs that the engine did not make.
const givenPrefix = "given-"

// give writes stored inputs that the engine does not have yet, and the seeds, to the
// directory that the engine reads.
func (c *campaign) give(st *state) error {
	st.syncing.Lock()
	defer st.syncing.Unlock()
	name := st.Target.Name
	dir := filepath.Join(c.work, name, c.engine.inputs(name))
	inputs, err := c.store.Inputs(name, st.given)
	if err != nil {
		if text := err.Error(); text != st.unreadable {
			st.unreadable = text
			c.Say("%s: inputs left out: %v", name, err)
		}
	}
	if !c.Empty && !st.seeded {
		list, err := st.Target.Seeds()
		if err != nil {
			return err
		}
		for _, b := range list {
			inputs["seed-"+hash(b)] = b
		}
		st.seeded = true
	}
	for _, file := range slices.Sorted(maps.Keys(inputs)) {
		st.given[file] = true
		if err := write(filepath.Join(dir, givenPrefix+file), c.engine.format(inputs[file])); err != nil {
			return err
		}
	}
	return nil
}

// settled is the age at which a file counts as complete: no engine is writing it.
const settled = time.Second

// take stores the inputs that the engine found. Until the engine has ended it skips files
// that are not settled.
func (c *campaign) take(st *state, ended bool) error {
	st.syncing.Lock()
	defer st.syncing.Unlock()
	name := st.Target.Name
	dir := filepath.Join(c.work, name, c.engine.inputs(name))
	list, err := entries(dir)
	if err != nil {
		return err
	}
	for _, e := range list {
		if st.imported[e.Name()] || strings.HasPrefix(e.Name(), givenPrefix) || strings.HasSuffix(e.Name(), ".new") {
			continue
		}
		info, err := e.Info()
		if err != nil || !ended && time.Since(info.ModTime()) < settled {
			continue // removed, or left for the next time
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if errors.Is(err, os.ErrNotExist) {
			continue
		} else if err != nil {
			return err
		}
		b, err := c.engine.parse(text)
		if err != nil {
			st.imported[e.Name()] = true
			continue // cut short by an engine that was killed
		}
		file, added, err := c.store.Add(st.Target, b)
		if err != nil {
			return err
		}
		st.imported[e.Name()] = true
		st.given[file] = true
		if added {
			c.mu.Lock()
			st.New++
			st.Corpus++
			st.newest = time.Now()
			c.mu.Unlock()
		}
	}
	return nil
}
