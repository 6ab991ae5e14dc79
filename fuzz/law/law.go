// SPDX-License-Identifier: MIT

// Package law checks the properties of docs/properties.md. Each property has a body: a
// function of one scenario, or of one []byte, that returns a *Violation if the property
// does not hold. Fuzz targets, random tests, the corpus test and the command tunproof
// all call these bodies.
//
// The package also has the rules of docs/rules.md, and the calls that run production,
// which is package offload, and the model on the same input.
package law

import (
	"encoding/binary"
	"slices"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/record"
	"tunproof/fuzz/scenario"
)

// Property is a law about all scenarios: its row of the table of properties, and the
// function that checks it.
type Property struct {
	record.Property
	// Body checks the property on what u does with s, and returns nil or a *Violation.
	// It counts the outcomes in t, which may be nil.
	Body func(u Subject, s *scenario.Scenario, t *Tally) error
	// Raw checks the property on bytes that need not encode a scenario. It may be nil.
	Raw func(u Subject, b []byte) error
	// Batches and Supers report whether the property is about batches and about
	// superpackets.
	Batches, Supers bool
}

// Check checks the property on what production does with s, and returns nil or a
// *Violation.
func (p Property) Check(s *scenario.Scenario, t *Tally) error { return p.Body(Production, s, t) }

// Bytes checks the property on the scenario that b decodes to and, if the property has a
// Raw body, on b itself. It returns nil or a *Violation.
func (p Property) Bytes(b []byte, t *Tally) error {
	s := scenario.Decode(b)
	if p.Raw != nil {
		if err := p.Raw(Production, b); err != nil {
			return err
		}
	}
	return p.Check(&s, t)
}

// bodies are the bodies of the properties of scenarios, by ID. Each property has one.
var bodies = map[string]Property{
	"P1":  {Body: both(contractCoalesce, contractSegment), Raw: raw, Batches: true, Supers: true},
	"P2":  {Body: equation, Batches: true},
	"P3":  {Body: order, Batches: true},
	"P4":  {Body: both(agreeCoalesce, agreeSegment), Batches: true, Supers: true},
	"P5":  {Body: both(repairCoalesce, repairSegment), Batches: true, Supers: true},
	"P6":  {Body: interleave, Batches: true},
	"P7":  {Body: both(memoryCoalesce, memorySegment), Batches: true, Supers: true},
	"P11": {Body: wellFormed, Batches: true},
	"P12": {Body: alike, Batches: true},
	"P13": {Body: tunnelled, Supers: true},
}

// Properties are all properties of scenarios, in the order of record.Properties. P8 is not
// among them, because it is about bytes: see Checksum.
var Properties = attach()

// attach joins each row of the table with its body.
func attach() []Property {
	var list []Property
	for _, row := range record.OfKind(record.Scenarios) {
		p := bodies[row.ID]
		if p.Body == nil || !p.Batches && !p.Supers {
			panic("law: " + row.ID + " needs an entry in bodies, with a Body, and Batches or Supers")
		}
		p.Property = row
		list = append(list, p)
	}
	if len(list) != len(bodies) {
		panic("law: bodies has an ID that is no property of scenarios in record.Properties")
	}
	return list
}

// Named returns the property whose fuzz target has the given name, without "Fuzz". It
// panics if there is none: names are constants.
func Named(name string) Property {
	at := slices.IndexFunc(Properties, func(p Property) bool { return p.Name == name })
	if at < 0 {
		panic("law: no property named " + name)
	}
	return Properties[at]
}

// both returns a body that runs f and, if f returns nil, g.
func both(f, g func(Subject, *scenario.Scenario, *Tally) error) func(Subject, *scenario.Scenario, *Tally) error {
	return func(u Subject, s *scenario.Scenario, t *Tally) error {
		if err := f(u, s, t); err != nil {
			return err
		}
		return g(u, s, t)
	}
}

// Checksum checks P8 on bytes: two of a seed, one of an alignment, then the data. It
// returns nil or a *Violation.
func Checksum(b []byte) error {
	if len(b) < 3 {
		return produced.check(b, 0, 0)
	}
	return produced.check(b[3:], int(b[2]%64), binary.LittleEndian.Uint16(b))
}

// Codec decodes b to a scenario s and checks that Decode(Encode(s)) is s. It returns nil
// or a *Violation.
func Codec(b []byte) error {
	s := scenario.Decode(b)
	if got := scenario.Decode(scenario.Encode(s)); !s.Equal(got) {
		return Violatedf("codec", "Decode(Encode(s)) differs from s, a scenario of %d batches and %d superpackets", len(s.Batches), len(s.Supers))
	}
	return nil
}

// decodeLE returns the VnetHdr in the first 10 bytes, in little-endian order.
func decodeLE(b []byte) pkts.VnetHdr {
	return pkts.VnetHdr{Flags: b[0], GSOType: b[1], HdrLen: binary.LittleEndian.Uint16(b[2:]),
		GSOSize: binary.LittleEndian.Uint16(b[4:]), CsumStart: binary.LittleEndian.Uint16(b[6:]),
		CsumOffset: binary.LittleEndian.Uint16(b[8:])}
}
