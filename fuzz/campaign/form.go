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

// Scenarios reports whether a target reads scenarios.
func Scenarios(name string) bool {
	switch name {
	case "Checksum", "Pkts", "Pcap", "Hexdump":
		return false
	}
	return true
}

// Kept returns the form in which an input of a target is stored, and the extension of its
// file. A scenario is stored as a case, whose meaning does not depend on the byte form of
// scenarios. Other inputs are stored as they are, and so is a scenario that no case can
// hold: one with an empty batch or with packets that are too long. An input that means
// nothing to the target gives nil.
func Kept(name string, b []byte) (text []byte, ext string) {
	if !Scenarios(name) {
		return b, ".raw"
	}
	s := scenario.Decode(b)
	cases := s.Cases("an input that an engine kept", "tunproof fuzz")
	if cases == nil && name != "Total" { // Total reads the raw bytes too
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

// Input is the inverse of Kept: it returns the input of a stored text, in the present byte
// form. The name of the file is for errors, and its extension is the form of the text.
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

// fuzzMagic is the first line of a native engine's input file.
const fuzzMagic = "go test fuzz v1"

// IsNative reports whether head starts a native engine's input file. Lines may end in
// CRLF, as Go reads these files.
func IsNative(head []byte) bool {
	line, _, _ := bytes.Cut(head, []byte("\n"))
	return string(bytes.TrimSuffix(line, []byte("\r"))) == fuzzMagic
}

// FormatNative returns the native engine's input file for one []byte.
func FormatNative(b []byte) []byte { return fmt.Appendf(nil, "%s\n[]byte(%q)\n", fuzzMagic, b) }

// ParseNative is the inverse of FormatNative.
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
