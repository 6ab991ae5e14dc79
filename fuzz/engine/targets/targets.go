// SPDX-License-Identifier: MIT

// Package targets lists the fuzz targets with everything that an engine needs to run them.
// Each property of scenarios is a target, and so is each parser.
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

// Target is a fuzz target: a property and the function of bytes that checks it. All fields
// of a valid Target are set.
type Target struct {
	record.Property
	Form Form
	// Seed returns the input that is made from a case of the corpus, nil if none is. n
	// is the number of seeds that the target has already.
	Seed func(c *pkts.Case, n int) ([]byte, error)
	// Body checks the property on b and returns nil or a *law.Violation. It counts the
	// batches, Reasons and refusals that it met in t, which may be nil.
	Body func(b []byte, t *law.Tally) error
}

// bytesTargets are the targets whose property is about bytes, not scenarios, by ID.
var bytesTargets = map[string]Target{
	"P8":      {Form: Raw, Seed: checksumSeed, Body: plain(law.Checksum)},
	"codec":   {Form: Scenario, Seed: scenarioSeed, Body: plain(law.Codec)},
	"pkts":    {Form: Raw, Seed: textSeed, Body: plain(Pkts)},
	"pcap":    {Form: Raw, Seed: captureSeed, Body: plain(Pcap)},
	"hexdump": {Form: Raw, Seed: textSeed, Body: plain(Hexdump)},
	"judges":  {Form: Scenario, Seed: scenarioSeed, Body: plain(func(b []byte) error { s := scenario.Decode(b); return Judges(&s) })},
	"faults":  {Form: Raw, Seed: faultSeed, Body: plain(Faults)},
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

// Names returns the names of all targets.
func Names() []string {
	var list []string
	for _, t := range All() {
		list = append(list, t.Name)
	}
	return list
}

// Named returns the target with this name and reports whether there is one.
func Named(name string) (Target, bool) {
	list := All()
	at := slices.IndexFunc(list, func(t Target) bool { return t.Name == name })
	if at < 0 {
		return Target{}, false
	}
	return list[at], true
}

// plain returns a Body that calls f and counts nothing.
func plain(f func(b []byte) error) func([]byte, *law.Tally) error {
	return func(b []byte, _ *law.Tally) error { return f(b) }
}
