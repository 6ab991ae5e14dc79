package file

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Load reads a state file, JSON, into state, a pointer, and reports whether there was
// one. key points to the field of state that identifies the run. It is set before:
// resuming the state of another run is an error. No name is no file.
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
		err = fmt.Errorf("it is the state of %s, this is %s; remove it to start afresh", *key, want)
	}
	if err != nil {
		return false, fmt.Errorf("state %s: %w", name, err)
	}
	return true, nil
}

// Save writes a state file, if it has a name.
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
