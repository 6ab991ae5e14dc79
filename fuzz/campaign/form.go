package campaign

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/scenario"
)

// Scenarios says whether a target reads scenarios.
func Scenarios(name string) bool {
	switch name {
	case "Checksum", "Pkts", "Pcap", "Hexdump":
		return false
	}
	return true
}

// Kept returns an input of a target as it is kept, and the extension of its file: a
// scenario as a case, which stays what it is when its byte form changes, else the bytes.
// A scenario that no case can hold (of packets too long, a batch without any) is kept as
// its bytes. What says nothing to the target is nil.
func Kept(name string, b []byte) (text []byte, ext string) {
	if !Scenarios(name) {
		return b, ".raw"
	}
	s := scenario.Decode(b)
	cases := s.Cases("an input that an engine kept", "tunproof fuzz")
	if cases == nil && name != "Total" { // which reads the bytes as they are, too
		return nil, ""
	}
	if len(cases) == 1 {
		text := pkts.Format(cases[0])
		if c, err := pkts.Parse("", text); err == nil && scenario.FromCase(c).Equal(s) {
			return text, ".pkts"
		}
	}
	return b, ".raw"
}

// Input returns what Kept was given, in the byte form of today. file is a name for
// errors, and its extension says what is in it.
func Input(file string, text []byte) ([]byte, error) {
	if !strings.HasSuffix(file, ".pkts") {
		return text, nil
	}
	c, err := pkts.Parse(file, text)
	if err != nil {
		return nil, err
	}
	return scenario.Encode(scenario.FromCase(c)), nil
}

// fuzzMagic is the first line of a native engine's input file, of its own.
const fuzzMagic = "go test fuzz v1"

// IsNative says whether a file that starts so is a native engine's input file. As Go
// reads them lines may end in CRLF.
func IsNative(head []byte) bool {
	line, _, _ := bytes.Cut(head, []byte("\n"))
	return string(bytes.TrimSuffix(line, []byte("\r"))) == fuzzMagic
}

// FormatNative and ParseNative are the native engine's form of one []byte.
func FormatNative(b []byte) []byte { return fmt.Appendf(nil, "%s\n[]byte(%q)\n", fuzzMagic, b) }

// ParseNative takes what IsNative does.
func ParseNative(text []byte) ([]byte, error) {
	if !IsNative(text) {
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
