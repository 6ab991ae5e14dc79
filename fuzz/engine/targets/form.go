// SPDX-License-Identifier: MIT

package targets

import (
	"strings"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/scenario"
)

// Form is the meaning that a target gives to its bytes. It decides how inputs are kept.
type Form int

// These are the forms. The zero Form is invalid.
const (
	// Raw means that the target reads the bytes themselves, such as a text or a
	// capture. They are kept unchanged.
	Raw Form = iota + 1
	// Scenario means that the bytes decode to a scenario. It is kept as a case, which
	// stays valid when the encoding of scenarios changes.
	Scenario
	// ScenarioAndRaw means both: the bytes are decoded, and also read themselves.
	ScenarioAndRaw
)

// Kept returns the text that is stored for the input b of the target, and the extension of
// its file. A scenario is stored as a case, or as b itself if no case can hold it (a packet
// is too long, or a batch has none). The text is nil for an input without content, which
// is not stored. Kept panics if the target has no form.
func (t Target) Kept(b []byte) (text []byte, ext string) {
	switch t.Form {
	case Raw:
		return b, ".raw"
	case Scenario, ScenarioAndRaw:
	default:
		panic("targets: target " + t.Name + " has no form")
	}
	s := scenario.Decode(b)
	cases := s.Cases("an input that an engine kept", "tunproof fuzz")
	if cases == nil && t.Form == Scenario {
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

// Input returns the input that Kept stored as text, in the current encoding. file is the
// name of the stored file: its extension is that of Kept, and errors begin with it.
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
