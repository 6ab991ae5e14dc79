// Package law holds the bodies of the properties: functions of one scenario, or
// of one []byte, that return an error, a *Violation, if the property does not
// hold. Fuzz targets, rapid checks, the command and the corpus test all call these.
//
// A property is checked on whatever a scenario holds. Any bytes are a scenario.
package law

import (
	"encoding/binary"
	"slices"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/record"
	"tunproof/fuzz/scenario"
)

// Property is a law that holds of every scenario: its row of the table of
// properties, and its body.
type Property struct {
	record.Property
	// Body returns nil or a *Violation of what u does with s, and counts what it
	// saw in t, which may be nil.
	Body func(u Subject, s *scenario.Scenario, t *Tally) error
	// Raw, which may be nil, is the law of bytes that are no scenario.
	Raw func(u Subject, b []byte) error
	// Batches and Supers report whether it is about batches, about superpackets.
	Batches, Supers bool
}

// Check returns nil or a *Violation of what production does with s.
func (p Property) Check(s *scenario.Scenario, t *Tally) error { return p.Body(Production, s, t) }

// Bytes returns nil or a *Violation of what production does with b: with the
// scenario that b decodes to, and with the bytes if the law is about those too.
func (p Property) Bytes(b []byte, t *Tally) error {
	s := scenario.Decode(b)
	if p.Raw != nil {
		if err := p.Raw(Production, b); err != nil {
			return err
		}
	}
	return p.Check(&s, t)
}

// bodies are the laws' bodies by ID. Each property of scenarios has one.
var bodies = map[string]Property{
	"P1":  {Body: both(contractCoalesce, contractSegment), Raw: raw, Batches: true, Supers: true},
	"P2":  {Body: equation, Batches: true},
	"P3":  {Body: order, Batches: true},
	"P4":  {Body: both(agreeCoalesce, agreeSegment), Batches: true, Supers: true},
	"P5":  {Body: both(repairCoalesce, repairSegment), Batches: true, Supers: true},
	"P6":  {Body: interleave, Batches: true},
	"P7":  {Body: both(memoryCoalesce, memorySegment), Batches: true, Supers: true},
	"P11": {Body: wellFormed, Batches: true},
}

// Properties are all properties of scenarios, in the table's order. P8 is of
// bytes: Checksum.
var Properties = attach()

func attach() []Property {
	var list []Property
	for _, row := range record.OfKind(record.Scenarios) {
		p := bodies[row.ID]
		p.Property = row
		list = append(list, p)
	}
	return list
}

// Named returns the property with a fuzz target's name. It panics if there is
// none: names are constants.
func Named(name string) Property {
	at := slices.IndexFunc(Properties, func(p Property) bool { return p.Name == name })
	if at < 0 {
		panic("law: no property named " + name)
	}
	return Properties[at]
}

func both(f, g func(Subject, *scenario.Scenario, *Tally) error) func(Subject, *scenario.Scenario, *Tally) error {
	return func(u Subject, s *scenario.Scenario, t *Tally) error {
		if err := f(u, s, t); err != nil {
			return err
		}
		return g(u, s, t)
	}
}

// Checksum is P8 of bytes: a seed, an alignment, then the data.
func Checksum(b []byte) error {
	if len(b) < 3 {
		return checksum(b, 0, 0)
	}
	return checksum(b[3:], int(b[2]%64), binary.LittleEndian.Uint16(b))
}

// Codec checks that what Decode reads is written so that it reads the same.
func Codec(b []byte) error {
	s := scenario.Decode(b)
	if got := scenario.Decode(scenario.Encode(s)); !s.Equal(got) {
		return Violatedf("codec", "Decode(Encode(s)) is not s, of %d batches and %d superpackets", len(s.Batches), len(s.Supers))
	}
	return nil
}

func decodeLE(b []byte) pkts.VnetHdr {
	return pkts.VnetHdr{Flags: b[0], GSOType: b[1], HdrLen: binary.LittleEndian.Uint16(b[2:]),
		GSOSize: binary.LittleEndian.Uint16(b[4:]), CsumStart: binary.LittleEndian.Uint16(b[6:]),
		CsumOffset: binary.LittleEndian.Uint16(b[8:])}
}
