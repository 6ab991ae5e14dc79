// SPDX-License-Identifier: MIT

package matrix

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"tunproof/fuzz/record"
)

// state is a file with the records of boots without a violation, one line for each boot.
type state struct {
	mu   sync.Mutex
	file *os.File
	of   map[string][]record.Result
}

// kept is a line of the file.
type kept struct {
	Key  string          `json:"key"`
	Rows []record.Result `json:"rows"`
}

// openState opens a file, or creates it. An incomplete last line is dropped.
func openState(name string) (*state, error) {
	s := &state{of: map[string][]record.Result{}}
	if name == "" {
		return s, nil
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	whole := int64(0)
	for d := json.NewDecoder(f); ; {
		var k kept
		if err := d.Decode(&k); err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		} else if err != nil {
			f.Close()
			return nil, fmt.Errorf("state %s, byte %d: %w", name, whole, err)
		}
		s.of[k.Key], whole = k.Rows, d.InputOffset()
	}
	if whole > 0 {
		whole++ // the line's end
	}
	err = f.Truncate(whole)
	if err == nil {
		_, err = f.Seek(0, io.SeekEnd)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	s.file = f
	return s, nil
}

func (s *state) rows(key string) ([]record.Result, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rows, has := s.of[key]
	return rows, has
}

func (s *state) keep(key string, rows []record.Result) error {
	if s.file == nil {
		return nil
	}
	b, err := json.Marshal(kept{key, rows})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err = s.file.Write(append(b, '\n'))
	return err
}

func (s *state) close() {
	if s.file != nil {
		s.file.Close()
	}
}
