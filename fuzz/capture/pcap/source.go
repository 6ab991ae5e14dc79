package pcap

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// source counts the bytes that are taken from a file.
type source struct {
	b    *bufio.Reader
	off  int64
	long []byte // what take returned last, if the buffer is too small for it
}

// take returns the next n bytes, or what there is and an error. They are the
// source's and hold until the next call. It allocates only as far as bytes came.
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

func (s *source) step(n int) ([]byte, error) {
	b, err := s.b.Peek(n)
	s.b.Discard(len(b)) // what was peeked at can be discarded
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

// cut is the error of a take that came out short: the end of the file, told by the
// format, or what reading it failed with.
func cut(off int64, err error, format string, args ...any) error {
	if errors.Is(err, io.EOF) {
		return errorf(off, format, args...)
	}
	return fmt.Errorf("offset %d: %w", off, err)
}
