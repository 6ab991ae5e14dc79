// SPDX-License-Identifier: MIT

package law

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
	"tunproof/model"
	"tunproof/offload"
)

// Violation is the error of a property that does not hold.
type Violation struct {
	Property string // its ID
	Msg      string
	Want     []byte // the packet that was expected; nil if no packets were compared
	Got      []byte // the packet that was there instead
}

// Error returns the property, the message, and a line for each field that differs.
func (v *Violation) Error() string {
	s := v.Property + " violated: " + v.Msg
	for _, d := range packet.Diff(v.Want, v.Got) {
		s += "\n\t" + d.String()
	}
	return s
}

// Fields returns the fields in which Want and Got differ.
func (v *Violation) Fields() []packet.Difference { return packet.Diff(v.Want, v.Got) }

// Violatedf returns a Violation of the property with a formatted message.
func Violatedf(property, format string, args ...any) *Violation {
	return &Violation{Property: property, Msg: fmt.Sprintf(format, args...)}
}

// Mismatchf returns a Violation with the two packets that differ.
func Mismatchf(property string, want, got []byte, format string, args ...any) *Violation {
	v := Violatedf(property, format, args...)
	v.Want, v.Got = want, got
	return v
}

// Attempt calls f and returns its error. If f panics, it returns a Violation of P1.
func Attempt(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = Violatedf("P1", "panic: %v\n%s", r, debug.Stack())
		}
	}()
	return f()
}

// Tally counts the outcomes that a property's inputs reached. A nil *Tally counts
// nothing.
type Tally struct {
	Batches, Merged    int            // batches of two or more packets; batches in which packets merged
	Packets, Supers    int            // packets of all batches; superpackets that they became
	Segments, Accepted int            // segments of the accepted superpackets; accepted superpackets
	Reasons            map[string]int // packets by Reason
	Refusals           map[string]int // refused superpackets by error class
}

// NewTally returns an empty Tally.
func NewTally() *Tally {
	return &Tally{Reasons: map[string]int{}, Refusals: map[string]int{}}
}

// batch counts a batch that was coalesced.
func (t *Tally) batch(packets, supers int, reasons []string) {
	if t == nil {
		return
	}
	t.Packets += packets
	t.Supers += supers
	if packets > 1 {
		t.Batches++
	}
	if supers < packets {
		t.Merged++
	}
	for _, r := range reasons {
		t.Reasons[r]++
	}
}

// super counts a superpacket that was segmented, or refused if refusal is not "".
func (t *Tally) super(segments int, refusal string) {
	switch {
	case t == nil:
	case refusal != "":
		t.Refusals[refusal]++
	default:
		t.Accepted++
		t.Segments += segments
	}
}

// Add adds the counts of u to t.
func (t *Tally) Add(u *Tally) {
	t.Batches += u.Batches
	t.Merged += u.Merged
	t.Packets += u.Packets
	t.Supers += u.Supers
	t.Segments += u.Segments
	t.Accepted += u.Accepted
	for k, v := range u.Reasons {
		t.Reasons[k] += v
	}
	for k, v := range u.Refusals {
		t.Refusals[k] += v
	}
}

// OffloadConfig returns c as a configuration of package offload.
func OffloadConfig(c pkts.Config) offload.Config {
	o := offload.Config{
		AtomicIDs: c.AtomicIDs, AbsentChecksums: c.AbsentChecksums, MaxSegments: c.MaxSegments, MaxUDPSegments: c.MaxUDPSegments,
		MaxOpen: c.MaxOpen, MaxPerFlow: c.MaxPerFlow,
		DisableTCPv4: c.DisableTCPv4, DisableTCPv6: c.DisableTCPv6, DisableUDP: c.DisableUDP,
	}
	if c.Reorder {
		o.Order = offload.Reorder
	}
	return o
}

// ModelConfig returns c as a configuration of package model, with offload's defaults in
// place of zeros.
func ModelConfig(c pkts.Config) model.Config {
	m := model.Config{Reorder: c.Reorder, AtomicIDs: c.AtomicIDs, AbsentChecksums: c.AbsentChecksums}
	for _, l := range []struct {
		to       *int
		v, unset int
	}{{&m.MaxSegments, c.MaxSegments, 256}, {&m.MaxUDPSegments, c.MaxUDPSegments, 64},
		{&m.MaxOpen, c.MaxOpen, 1024}, {&m.MaxPerFlow, c.MaxPerFlow, 4}} {
		*l.to = l.v
		if l.v == 0 {
			*l.to = l.unset
		}
	}
	for _, d := range []struct {
		off     bool
		gsoType uint8
	}{{c.DisableTCPv4, 1}, {c.DisableTCPv6, 4}, {c.DisableUDP, 5}} {
		if d.off {
			m.Disabled = append(m.Disabled, d.gsoType)
		}
	}
	return m
}

// Super is a superpacket that production or the model made of a batch.
type Super struct {
	scenario.Super
	Members []int // its packets, as indices into the batch
}

// Coalesce runs a batch through co. It returns copies of the superpackets, and the
// Reason of each packet.
func Coalesce(co Coalescer, batch [][]byte) ([]Super, []string) {
	out := co.Coalesce(batch)
	supers := make([]Super, len(out))
	total := 0
	for _, p := range out {
		total += p.Len() + offload.VnetHdrLen
	}
	memory := make([]byte, 0, total) // one allocation for all superpackets
	for i, p := range out {
		at := len(memory)
		memory = p.AppendTo(memory)
		supers[i] = Super{scenario.Super{Hdr: PktsHdr(p.VnetHdr()), Data: memory[at+offload.VnetHdrLen:]}, p.Packets()}
	}
	reasons := make([]string, len(batch))
	for i := range batch {
		reasons[i] = co.Reason(i).String()
	}
	return supers, reasons
}

// CoalesceModel runs a batch through the model. It returns the superpackets and the
// Reason of each packet.
func CoalesceModel(c pkts.Config, batch [][]byte) ([]Super, []string) {
	out, reasons := model.Coalesce(ModelConfig(c), batch)
	supers := make([]Super, len(out))
	for i, p := range out {
		supers[i] = Super{scenario.Super{Hdr: pkts.VnetHdr(p.Hdr), Data: p.Bytes}, p.Members}
	}
	return supers, reasons
}

// PktsHdr returns h as the header of a case.
func PktsHdr(h offload.VnetHdr) pkts.VnetHdr {
	return pkts.VnetHdr{Flags: uint8(h.Flags), GSOType: uint8(h.GSOType), HdrLen: h.HdrLen, GSOSize: h.GSOSize,
		CsumStart: h.CsumStart, CsumOffset: h.CsumOffset, OuterTHOffset: h.OuterTHOffset, InnerNHOffset: h.InnerNHOffset}
}

// OffloadHdr returns h as a header of package offload.
func OffloadHdr(h pkts.VnetHdr) offload.VnetHdr {
	return offload.VnetHdr{Flags: offload.Flags(h.Flags), GSOType: offload.GSOType(h.GSOType), HdrLen: h.HdrLen,
		GSOSize: h.GSOSize, CsumStart: h.CsumStart, CsumOffset: h.CsumOffset,
		OuterTHOffset: h.OuterTHOffset, InnerNHOffset: h.InnerNHOffset}
}

// refusals are the error classes: the names that model.Refusal gives to the errors of
// offload.Segmenter.
var refusals = map[error]string{
	offload.ErrRSCInfo: "RSCInfo", offload.ErrGSOType: "GSOType", offload.ErrGSOSize: "GSOSize",
	offload.ErrNoCsum: "NoCsum", offload.ErrTooLong: "TooLong", offload.ErrIPHeader: "IPHeader",
	offload.ErrFragment: "Fragment", offload.ErrProtocol: "Protocol", offload.ErrL4Header: "L4Header", offload.ErrTunnel: "Tunnel",
	offload.ErrCsumStart: "CsumStart", offload.ErrCsumOffset: "CsumOffset", offload.ErrSegments: "Segments",
	offload.ErrCsumRange: "CsumRange",
}

// RefusalNames returns the names of all error classes, in no order.
func RefusalNames() []string {
	var names []string
	for _, name := range refusals {
		names = append(names, name)
	}
	return names
}

// Segment runs a superpacket through s. It returns copies of the segments, or the error
// class if s refuses the superpacket. err is a *Violation: s breaks its contract.
func Segment(s Segmenter, p scenario.Super) (segments [][]byte, refused string, err error) {
	if err := s.Reset(OffloadHdr(p.Hdr), p.Data); err != nil {
		name, known := refusals[err]
		if !known {
			return nil, "", Violatedf("P1", "Reset returned %v, which is not one of the package's errors", err)
		}
		return nil, name, nil
	}
	return next(s)
}

// next returns copies of the segments that are left in s.
func next(s Segmenter) ([][]byte, string, error) {
	segments := make([][]byte, 0, s.Len())
	for s.Len() > 0 {
		b := make([]byte, s.NextLen())
		n, err := s.Next(b)
		if err != nil || n != len(b) {
			return nil, "", Violatedf("P1", "Next into %d bytes: %d, %v", len(b), n, err)
		}
		segments = append(segments, b)
	}
	if n, err := s.Next(nil); n != 0 || !errors.Is(err, io.EOF) {
		return nil, "", Violatedf("P1", "Next after the last segment: %d, %v, want io.EOF", n, err)
	}
	return segments, "", nil
}

// SegmentModel runs a superpacket through the model. It returns the segments, or the
// error class if the model refuses the superpacket.
func SegmentModel(p scenario.Super) (segments [][]byte, refused string) {
	segments, err := model.Segment(model.VnetHdr(p.Hdr), p.Data)
	if err != nil {
		return nil, string(err.(model.Refusal))
	}
	return segments, ""
}

// Count runs a scenario through production and counts the outcomes.
func (t *Tally) Count(s *scenario.Scenario) {
	if t == nil {
		return
	}
	co := NewCoalescer(s.Config)
	for _, batch := range s.Batches {
		supers, reasons := Coalesce(co, batch)
		t.batch(len(batch), len(supers), reasons)
	}
	var seg offload.Segmenter
	for _, p := range s.Supers {
		if segments, refusal, err := Segment(&seg, p); err == nil {
			t.super(len(segments), refusal)
		}
	}
}
