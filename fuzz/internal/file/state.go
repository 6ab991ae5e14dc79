// SPDX-License-Identifier: MIT

package file

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Load reads a JSON state file into state, a pointer, and reports whether there was one.
// key points to the field of state that identifies the run. The caller sets that field
// before: the state of another run is an error. If name is "" there is no file.
func Load(name string, state any, key *string) (resumed bool, err error) {
	if name == "" {
		return false, nil
	}
	want := *key
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(b, state)
	}
	if err == nil && *key != want {
		err = fmt.Errorf("it is the state of a run of %s, this run is of %s; remove the file to start again", *key, want)
	}
	if err != nil {
		return false, fmt.Errorf("state %s: %w", name, err)
	}
	return true, nil
}

// Save writes state to a JSON state file. If name is "" it does nothing.
func Save(name string, state any) error {
	if name == "" {
		return nil
	}
	b, err := json.Marshal(state)
	if err != nil {
		return err
	}
	return Write(name, b)
}
