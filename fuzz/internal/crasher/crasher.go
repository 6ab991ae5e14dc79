// SPDX-License-Identifier: MIT

// Package crasher reads and writes input files of Go's fuzzing engine, in the format of the
// files that it writes for failing inputs.
package crasher

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// fuzzMagic is the first line of an input file.
const fuzzMagic = "go test fuzz v1"

// Is reports whether a file that starts with head is an input file. Lines may end in CRLF,
// as Go accepts that, too.
func Is(head []byte) bool {
	line, _, _ := bytes.Cut(head, []byte("\n"))
	return string(bytes.TrimSuffix(line, []byte("\r"))) == fuzzMagic
}

// Format returns the input file that passes b to a fuzz target with one []byte argument.
func Format(b []byte) []byte { return fmt.Appendf(nil, "%s\n[]byte(%q)\n", fuzzMagic, b) }

// Parse returns the []byte argument in an input file. Its errors begin with the number of
// the line.
func Parse(text []byte) ([]byte, error) {
	if !Is(text) {
		return nil, fmt.Errorf("1: want %q", fuzzMagic)
	}
	_, rest, _ := bytes.Cut(text, []byte("\n"))
	quoted, ok := strings.CutPrefix(strings.TrimSpace(string(rest)), "[]byte(")
	quoted, ok2 := strings.CutSuffix(quoted, ")")
	s, err := strconv.Unquote(quoted)
	if !ok || !ok2 || err != nil {
		return nil, errors.New("2: want one line []byte(\"...\")")
	}
	return []byte(s), nil
}
