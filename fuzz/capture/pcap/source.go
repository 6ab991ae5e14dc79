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

// ErrCut is the error of a file that ends inside a record or a block: its writer was killed, it
// was copied while it grew, or it was compressed and lacks its end.
var ErrCut = errors.New("the file ends inside a record")

// cutError is an error that is ErrCut.
type cutError struct{ error }

func (e cutError) Is(target error) bool { return target == ErrCut }
func (e cutError) Unwrap() error        { return e.error }

// cut returns the error of a read that came out short: at the end of the file the
// formatted one, or else err.
func cut(off int64, err error, format string, args ...any) error {
	if errors.Is(err, io.EOF) {
		return cutError{errorf(off, format, args...)}
	}
	err = fmt.Errorf("offset %d: %w", off, err)
	if errors.Is(err, io.ErrUnexpectedEOF) { // of compressed data
		return cutError{err}
	}
	return err
}

// damaged returns a cut as an error that is not ErrCut: what was read before shows that the
// file is broken there.
func damaged(err error) error {
	if c, is := err.(cutError); is {
		return c.error
	}
	return err
}
