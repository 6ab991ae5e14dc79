// Package targets holds the fuzz targets: everything that an engine needs to know
// of each. A property of scenarios is a target, and so is each parser.
//
//go:generate go run generate.go
package targets

import (
	"slices"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/law"
	"tunproof/fuzz/record"
	"tunproof/fuzz/scenario"
)

// Target is a fuzz target. The zero Target is none: All has every field of each set.
type Target struct {
	record.Property
	Form Form
	// Seed returns the input that a case of the corpus gives, nil if it gives none.
	// n is how many seeds the target has already.
	Seed func(c *pkts.Case, n int) ([]byte, error)
	// Body returns nil or a *law.Violation, and counts what it saw in t, which
	// may be nil.
	Body func(b []byte, t *law.Tally) error
}

// bytesTargets are the targets that are no property of scenarios, by ID.
var bytesTargets = map[string]Target{
	"P8":      {Form: Raw, Seed: checksumSeed, Body: plain(law.Checksum)},
	"codec":   {Form: Scenario, Seed: scenarioSeed, Body: plain(law.Codec)},
	"pkts":    {Form: Raw, Seed: textSeed, Body: plain(Pkts)},
	"pcap":    {Form: Raw, Seed: captureSeed, Body: plain(Pcap)},
	"hexdump": {Form: Raw, Seed: textSeed, Body: plain(Hexdump)},
	"judges":  {Form: Scenario, Seed: scenarioSeed, Body: plain(func(b []byte) error { s := scenario.Decode(b); return Judges(&s) })},
}

// All returns every fuzz target: the properties of scenarios, then those of bytes.
func All() []Target {
	var list []Target
	for _, p := range law.Properties {
		t := Target{Property: p.Property, Form: Scenario, Seed: scenarioSeed, Body: p.Bytes}
		if p.Raw != nil {
			t.Form = ScenarioAndRaw
		}
		list = append(list, t)
	}
	for _, row := range record.OfKind(record.Bytes) {
		t := bytesTargets[row.ID]
		t.Property = row
		list = append(list, t)
	}
	return list
}

// Named returns the target of a name.
func Named(name string) (Target, bool) {
	list := All()
	at := slices.IndexFunc(list, func(t Target) bool { return t.Name == name })
	if at < 0 {
		return Target{}, false
	}
	return list[at], true
}

// plain is a body that counts nothing.
func plain(f func(b []byte) error) func([]byte, *law.Tally) error {
	return func(b []byte, _ *law.Tally) error { return f(b) }
}
