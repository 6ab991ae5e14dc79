// SPDX-License-Identifier: MIT

// Package conform judges any implementation of packet offload for TUN devices from
// outside: only its output counts. It calls up to three functions of the implementation
// and knows nothing else about it. Use it in a test:
//
//	func TestOffload(t *testing.T) {
//		conform.Run(t, conform.Impl{
//			Name: "mine",
//			NewCoalescer: func() conform.Coalesce {
//				c := mine.New()
//				return func(batch [][]byte) ([][]byte, error) { return c.Join(batch) }
//			},
//		}, conform.Options{})
//	}
//
// The batch itself, package model, which cuts as Linux does, and the RFCs define which
// output is right.
package conform

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/record"
	"tunproof/fuzz/scenario"
)

// Coalesce joins a batch of IP packets and returns the frames that would be written to a
// TUN. A frame is a virtio_net_hdr of 10 bytes, in the byte order of the machine, and an
// IP packet. The callee owns the batch: it may write to it, keep it until the next call,
// and return slices of it. Each packet has capacity for an IP packet of any size.
type Coalesce func(batch [][]byte) (frames [][]byte, err error)

// Segment cuts a frame that was read from a TUN, a virtio_net_hdr of 10 bytes and an IP
// packet. It returns the packets, which are valid until its next call. The callee owns
// the frame.
type Segment func(frame []byte) (segments [][]byte, err error)

// Impl is an implementation. A function that it does not have is nil.
type Impl struct {
	Name    string
	Version string

	NewCoalescer func() Coalesce
	NewSegmenter func() Segment
	// Sum returns the folded one's-complement sum of initial and the big-endian words of
	// b, not complemented. An odd last byte is the high byte of a word.
	Sum func(b []byte, initial uint16) uint16

	MaxBatch  int // most packets in a batch; 0 for 512
	MaxPacket int // longest packet in a batch or among segments, in bytes; 0 for 65535
	// AtomicIDs is set if it joins packets with DF whatever their IPv4 IDs. These IDs have
	// no meaning (RFC 6864), so they and the header checksum may change.
	AtomicIDs bool
	// NoECN is set if it does not ask for TUN_F_TSO_ECN. No kernel then hands it a GSO type
	// with the ECN bit.
	NoECN bool
	// Takes reports whether it is given a packet, alone or as a segment of a superpacket.
	// It is nil if it is given any packet. If it is set, all superpackets are of a kind
	// that every kernel passes on: two segments or more, with 8 bytes or more in each.
	Takes func(packet []byte) bool
	// Known lists the keys of violations (Violation.Key) that Fuzz passes over, because they are
	// known and not mended yet.
	Known []string
	// Stack is set if it joins for its own network stack and not for a TUN. Then only the
	// payload of each TCP flow is compared.
	Stack bool
}

// Properties returns the IDs of the properties that other implementations are judged by.
// P4 compares, for superpackets that a kernel hands out, the segments with the model's.
func Properties() []string {
	return record.IDs(slices.DeleteFunc(slices.Clone(record.Properties), func(p record.Property) bool { return p.Asked == "" }))
}

// About returns the wording of a property for other implementations, in one line.
func About(id string) string { return record.PropertyOf(id).Asked }

// Violation is something that an implementation does wrong.
type Violation struct {
	Property string `json:"property"`
	// What distinguishes the violations of one property: it names the field that changes,
	// or the packet that overtakes another.
	What string `json:"what"`
	Rule string `json:"rule,omitempty"` // ID of a rule in docs/rules.md
	Text string `json:"text"`           // the details of this input
	Want []byte `json:"-"`              // the expected packet, if packets differ
	Got  []byte `json:"-"`              // the actual packet
}

// Key returns the property and What. Violations with the same key count as one cause.
func (v Violation) Key() string { return v.Property + ": " + v.What }

// Fields returns the fields in which the packets differ.
func (v Violation) Fields() []packet.Difference { return packet.Diff(v.Want, v.Got) }

// String returns the violation and the fields in which the packets differ.
func (v Violation) String() string {
	s := v.Key()
	if v.Text != "" {
		s += ": " + v.Text
	}
	for _, d := range v.Fields() {
		s += "\n\t" + d.String()
	}
	if v.Rule != "" {
		s += " [" + v.Rule + "]"
	}
	return s
}

// Judge gives the implementation the batches and superpackets of a scenario, but not its
// configuration. It returns the violations, and the properties that were checked. Inputs
// that are larger than the implementation accepts are left out.
func (i Impl) Judge(s *scenario.Scenario) (list []Violation, asked []string) {
	if i.NewCoalescer != nil && len(s.Batches) > 0 {
		n := 1 // after a panic it counts as one batch
		list = append(list, guard("Coalesce", func() (list []Violation) { list, n = i.batches(s.Batches); return list })...)
		if n > 0 {
			asked = i.applies()
		}
	}
	if i.NewSegmenter != nil && len(s.Supers) > 0 {
		given, compared := 1, 0
		list = append(list, guard("Segment", func() (list []Violation) { list, given, compared = i.supers(s.Supers); return list })...)
		if given > 0 {
			asked = append(asked, "P1")
		}
		if compared > 0 {
			asked = append(asked, "P4")
		}
	}
	return list, asked
}

// guard calls f and turns a panic into a violation.
func guard(what string, f func() []Violation) (list []Violation) {
	defer func() {
		if r := recover(); r != nil {
			list = append(list, Violation{Property: "P1", What: what + " panics: " + unnumbered(fmt.Sprint(r)), Rule: "A1"})
		}
	}()
	return f()
}

// unnumbered returns the first line of s without digits, since the numbers of two panics
// with one cause differ.
func unnumbered(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return strings.Map(func(r rune) rune {
		if '0' <= r && r <= '9' {
			return -1
		}
		return r
	}, s)
}

// Frame returns what is read from a TUN or written to it: header and packet.
func Frame(h pkts.VnetHdr, packet []byte) []byte {
	b := append(make([]byte, 0, hdrLen+len(packet)), h.Flags, h.GSOType)
	for _, v := range []uint16{h.HdrLen, h.GSOSize, h.CsumStart, h.CsumOffset} {
		b = binary.NativeEndian.AppendUint16(b, v)
	}
	return append(b, packet...)
}

// Split undoes Frame. The frame must have at least 10 bytes.
func Split(frame []byte) (h pkts.VnetHdr, packet []byte) {
	n := binary.NativeEndian
	h = pkts.VnetHdr{Flags: frame[0], GSOType: frame[1], HdrLen: n.Uint16(frame[2:]), GSOSize: n.Uint16(frame[4:]), CsumStart: n.Uint16(frame[6:]), CsumOffset: n.Uint16(frame[8:])}
	return h, frame[hdrLen:]
}

// applies returns the properties of joining that the implementation is judged by.
func (i Impl) applies() []string {
	if i.Stack {
		return []string{"P1", "P2"}
	}
	return []string{"P1", "P2", "P3", "P5", "P11"}
}

// given returns the packets of a batch that the implementation accepts. ok is false if
// the batch has too many packets, or too long ones, or none that is accepted.
func (i Impl) given(batch [][]byte) (accepted [][]byte, ok bool) {
	most, longest := i.MaxBatch, i.MaxPacket
	if most == 0 {
		most = 512
	}
	if longest == 0 {
		longest = 65535
	}
	if len(batch) > most || slices.ContainsFunc(batch, func(p []byte) bool { return len(p) > longest }) {
		return nil, false
	}
	if i.Takes == nil {
		return batch, true
	}
	batch = slices.DeleteFunc(slices.Clone(batch), func(p []byte) bool { return !i.Takes(p) })
	return batch, len(batch) > 0
}

// caseOf returns a scenario as a case of the corpus. Its title names the violation.
func caseOf(s scenario.Scenario, v Violation, source string) *pkts.Case {
	line, _, _ := strings.Cut(v.Key()+": "+v.Text, "\n")
	return s.Cases(strings.TrimSuffix(line, ": "), source)[0]
}
