// Package target holds the bodies of the fuzz targets and properties: functions
// of one []byte, or of one Scenario, that return an error, a *Violation, if a
// property does not hold. The native fuzz functions, the rapid properties, the
// command, the corpus test and every other engine call these.
//
// A property is checked on whatever a scenario holds; any bytes are a scenario.
package target

import (
	"bytes"
	"encoding/binary"
	"io"
	"slices"
	"strings"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/pcap"
	"tunproof/fuzz/scenario"
)

// Property is a law that holds of every scenario.
type Property struct {
	ID   string // of docs/properties.md
	Name string // of the fuzz target, as Fuzz<Name>
	Law  string
	// Judge is what says that it holds.
	Judge string
	// Check returns nil or a *Violation, and counts what it saw in t, which may
	// be nil.
	Check func(s *scenario.Scenario, t *Tally) error
	// Batches and Supers say which scenarios it is about.
	Batches, Supers bool
}

// Properties are all properties of scenarios. P8 is of bytes: Checksum.
var Properties = []Property{
	{"P1", "Total", "no input panics, hangs, or is written where the contract says it is not", "contract",
		both(func(s *scenario.Scenario, t *Tally) error { return totalCoalesce("P1", s, t) },
			func(s *scenario.Scenario, t *Tally) error { return totalSegment("P1", s, t) }), true, true},
	{"P2", "Equation", "Segment(Coalesce(batch)) == batch, in all four pairings with the model", "the batch", equation, true, false},
	{"P3", "Order", "no two conflicting packets change places; no packet is lost or doubled", "the batch", order, true, false},
	{"P4", "Agree", "production and model agree on every byte, header, group, Reason and error", "model", both(agreeCoalesce, agreeSegment), true, true},
	{"P5", "Repair", "Coalesce repairs nothing, Segment only what the rules say", "the damage done", both(repairCoalesce, repairSegment), true, true},
	{"P6", "Interleave", "packets of other flows change no grouping; cutting a batch in two keeps order and content", "the flow alone", interleave, true, false},
	{"P7", "Buffers", "dirty, spare, shared and used memory change nothing", "clean buffers",
		both(func(s *scenario.Scenario, t *Tally) error { return totalCoalesce("P7", s, t) },
			func(s *scenario.Scenario, t *Tally) error { return totalSegment("P7", s, t) }), true, true},
	{"P11", "WellFormed", "every superpacket's lengths, header checksum, pseudo sum and VnetHdr are right", "recomputed", wellFormed, true, false},
}

func both(f, g func(*scenario.Scenario, *Tally) error) func(*scenario.Scenario, *Tally) error {
	return func(s *scenario.Scenario, t *Tally) error {
		if err := f(s, t); err != nil {
			return err
		}
		return g(s, t)
	}
}

// Target is a fuzz target.
type Target struct {
	ID, Name, Judge string
	// Body returns nil or a *Violation, and counts what it saw in t, which may
	// be nil.
	Body func(b []byte, t *Tally) error
}

// Targets returns every fuzz target: the properties, P8, the scenario codec and
// the parsers.
func Targets() []Target {
	var list []Target
	for _, p := range Properties {
		list = append(list, Target{p.ID, p.Name, p.Judge, p.bytes})
	}
	return append(list,
		Target{"P8", "Checksum", "model", plain(Checksum)},
		Target{"codec", "Codec", "its inverse", plain(Codec)},
		Target{"pkts", "Pkts", "its inverse", plain(Pkts)},
		Target{"pcap", "Pcap", "its inverse", plain(Pcap)},
		Target{"hexdump", "Hexdump", "itself", plain(Hexdump)},
		Target{"judges", "Judges", "itself", plain(func(b []byte) error {
			s := scenario.Decode(b)
			return Judges(&s)
		})})
}

// Named returns the target of a name.
func Named(name string) (Target, bool) {
	list := Targets()
	at := slices.IndexFunc(list, func(t Target) bool { return t.Name == name })
	if at < 0 {
		return Target{}, false
	}
	return list[at], true
}

// plain is a body that counts nothing.
func plain(f func(b []byte) error) func([]byte, *Tally) error {
	return func(b []byte, _ *Tally) error { return f(b) }
}

// bytes is the property of the scenario that b decodes to; P1 is of b itself
// too.
func (p Property) bytes(b []byte, t *Tally) error {
	s := scenario.Decode(b)
	if p.ID == "P1" {
		if err := raw(b); err != nil {
			return err
		}
	}
	return p.Check(&s, t)
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
		return Violated("codec", "Decode(Encode(s)) is not s, of %d batches and %d superpackets", len(s.Batches), len(s.Supers))
	}
	return nil
}

// Pkts checks that what Parse reads is written so that it reads the same.
func Pkts(b []byte) error {
	c, err := pkts.Parse("fuzz", b)
	if err != nil {
		return nil
	}
	text := pkts.Format(c)
	again, err := pkts.Parse("formatted", text)
	if err != nil {
		return Violated("pkts", "Parse does not read what Format wrote: %v", err)
	}
	if second := pkts.Format(again); string(second) != string(text) {
		return Violated("pkts", "Format writes a case that it wrote and Parse read otherwise")
	}
	return nil
}

func decodeLE(b []byte) pkts.VnetHdr {
	return pkts.VnetHdr{Flags: b[0], GSOType: b[1], HdrLen: binary.LittleEndian.Uint16(b[2:]),
		GSOSize: binary.LittleEndian.Uint16(b[4:]), CsumStart: binary.LittleEndian.Uint16(b[6:]),
		CsumOffset: binary.LittleEndian.Uint16(b[8:])}
}

// Pcap checks that what the reader takes is written, in every form, so that it
// reads the same.
func Pcap(b []byte) error {
	packets, _, err := pcap.ReadAll(bytes.NewReader(b))
	if err != nil {
		if !strings.HasPrefix(err.Error(), "offset ") {
			return Violated("pcap", "an error that names no offset: %v", err)
		}
		return nil
	}
	for _, f := range []pcap.Format{pcap.Classic, pcap.NG} {
		var file bytes.Buffer
		w, err := pcap.NewWriter(&file, f)
		for _, p := range packets {
			if err == nil {
				err = w.Write(p)
			}
		}
		if err != nil {
			return Violated("pcap", "writing to memory: %v", err)
		}
		if err := readAs(packets, &file); err != nil {
			return err
		}
	}
	var file bytes.Buffer
	if err := pcap.Write(&file, packets); err != nil {
		return Violated("pcap", "Write to memory: %v", err)
	}
	return readAs(packets, &file)
}

// readAs checks that a capture has these packets.
func readAs(packets []pcap.Packet, file io.Reader) error {
	again, skipped, err := pcap.ReadAll(file)
	if err != nil || len(skipped) > 0 || len(again) != len(packets) {
		return Violated("pcap", "%d packets written, %d read, %d skipped: %v", len(packets), len(again), len(skipped), err)
	}
	for i := range packets {
		if !bytes.Equal(packets[i].Data, again[i].Data) {
			return Differ("pcap", packets[i].Data, again[i].Data, "packet %d", i)
		}
	}
	return nil
}
