// SPDX-License-Identifier: MIT

package pcap

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// source reads a file and counts the bytes.
type source struct {
	b    *bufio.Reader
	off  int64
	long []byte // what take returned last, if that is larger than the buffer
}

// take returns the next n bytes, or fewer and an error, which is io.EOF at the end of
// the file. The bytes belong to the source and are valid until the next call. take
// allocates no more than the file has.
func (s *source) take(n int) ([]byte, error) {
	if n <= s.b.Size() {
		return s.step(n)
	}
	s.long = s.long[:0]
	for len(s.long) < n {
		b, err := s.step(min(n-len(s.long), s.b.Size()))
		s.long = append(s.long, b...)
		if err != nil {
			return s.long, err
		}
	}
	return s.long, nil
}

// step is take for an n of at most the buffer's size.
func (s *source) step(n int) ([]byte, error) {
	b, err := s.b.Peek(n)
	s.b.Discard(len(b)) // never fails: these bytes are in the buffer
	s.off += int64(len(b))
	return b, err
}

// discard drops the next n bytes.
func (s *source) discard(n int64) error {
	for n > 0 {
		k, err := s.b.Discard(int(min(n, 1<<20)))
		s.off += int64(k)
		n -= int64(k)
		if err != nil {
			return err
		}
	}
	return nil
}

// cut returns the error of a read that came out short: at the end of the file the
// formatted one, or else err.
func cut(off int64, err error, format string, args ...any) error {
	if errors.Is(err, io.EOF) {
		return errorf(off, format, args...)
	}
	return fmt.Errorf("offset %d: %w", off, err)
}
