package targets

import (
	"strings"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/scenario"
)

// Form says what a target takes its bytes for, and so how its inputs are kept.
type Form int

// The forms. The zero Form is none: a target without one keeps nothing.
const (
	// Raw bytes are a text, a capture, data. They are kept as they are.
	Raw Form = iota + 1
	// Scenario bytes are decoded. A scenario is kept as a case, which means the
	// same when the byte form of scenarios changes.
	Scenario
	// ScenarioAndRaw bytes are decoded, and read as they are too.
	ScenarioAndRaw
)

// Kept returns an input of the target as it is kept, and the extension of its file.
// A scenario that no case can hold (packets too long, a batch without any) is kept
// as its bytes. An input that says nothing to the target is nil.
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

// Input returns the input that Kept was given, in the byte form of today. file is a
// name for errors. Its extension says what text is.
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
