// Package crasher reads and writes the input files of Go's fuzzing engine, such as it
// leaves of an input that fails.
package crasher

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// fuzzMagic is the first line of a native engine's input file, of its own.
const fuzzMagic = "go test fuzz v1"

// Is reports whether a file that starts with head is an input file of Go's
// native engine. Lines may end in CRLF, as Go reads them.
func Is(head []byte) bool {
	line, _, _ := bytes.Cut(head, []byte("\n"))
	return string(bytes.TrimSuffix(line, []byte("\r"))) == fuzzMagic
}

// Format returns b as the engine's input file of a target of one []byte.
func Format(b []byte) []byte { return fmt.Appendf(nil, "%s\n[]byte(%q)\n", fuzzMagic, b) }

// Parse returns the bytes of an input file, which Is reports to be one.
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
