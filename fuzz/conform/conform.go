// Package conform judges any implementation of packet offload for TUN devices, from
// outside: by what it makes of packets. It needs nothing of the implementation but
// three functions, and knows nothing of how it works. In a test of yours:
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
// What is right is said by the batch itself, by package model, which cuts as Linux does,
// and for the rest by RFCs.
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

// Coalesce joins a batch of IP packets and returns what would be written to a TUN: each
// a virtio_net_hdr of 10 bytes, in the byte order of the machine, and an IP packet. The
// batch is the callee's: it may write to it, keep it until the next call, and return
// slices of it; each packet has room behind it (capacity) for an IP packet of any size.
type Coalesce func(batch [][]byte) (frames [][]byte, err error)

// Segment cuts what was read from a TUN, a virtio_net_hdr of 10 bytes and an IP packet,
// and returns the packets, which are valid until its next call. The frame is the callee's.
type Segment func(frame []byte) (segments [][]byte, err error)

// Impl is an implementation. What it does not do is nil.
type Impl struct {
	Name    string
	Version string

	NewCoalescer func() Coalesce
	NewSegmenter func() Segment
	// Sum is the one's-complement sum of b's big-endian words and initial, folded, not
	// complemented; an odd last byte is the high one of a word.
	Sum func(b []byte, initial uint16) uint16

	MaxBatch  int // packets that it is given at once, 0 for 512
	MaxPacket int // bytes of a packet that it is given to join, or that it has to cut to, 0 for 65535
	// AtomicIDs says that it joins packets with DF whatever their IPv4 IDs, which mean
	// nothing then (RFC 6864): they and the header checksum may come back as others.
	AtomicIDs bool
	// NoECN says that it does not ask for TUN_F_TSO_ECN: no kernel then hands it a type
	// with the ECN bit.
	NoECN bool
	// Takes says whether it is given a packet, alone or as a segment of a superpacket, nil
	// for any. With it superpackets are such as every kernel passes on: they have two
	// segments at least, and 8 bytes in each.
	Takes func(packet []byte) bool
	// Stack says that it joins for a network stack of its own and not for a TUN: of what
	// it joined only the payload of each TCP flow is compared.
	Stack bool
}

// Properties returns the IDs of the properties that are asked of other
// implementations. P4 is here what is cut otherwise than the model cuts it, of
// superpackets that a kernel hands out.
func Properties() []string {
	return record.IDs(slices.DeleteFunc(slices.Clone(record.Properties), func(p record.Property) bool { return p.Asked == "" }))
}

// About returns a property as it is asked, in a line.
func About(id string) string { return record.PropertyOf(id).Asked }

// Violation is what an implementation does that it should not.
type Violation struct {
	Property string `json:"property"`
	// What tells violations of one property apart: what happens to which field, or which
	// packet overtakes which.
	What string `json:"what"`
	Rule string `json:"rule,omitempty"` // of docs/rules.md
	Text string `json:"text"`           // of this one
	Want []byte `json:"-"`              // packets that differ
	Got  []byte `json:"-"`
}

// Key is what violations with one cause have in common.
func (v Violation) Key() string { return v.Property + ": " + v.What }

// Fields are those in which the packets differ.
func (v Violation) Fields() []packet.Difference { return packet.Diff(v.Want, v.Got) }

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

// Judge gives an implementation what is in a scenario (its configuration is not for it)
// and returns what it does wrong, and the properties that something was asked about. What
// is more than it takes is left out.
func (i Impl) Judge(s *scenario.Scenario) (list []Violation, asked []string) {
	if i.NewCoalescer != nil && len(s.Batches) > 0 {
		n := 1 // a panic was asked for
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

// guard makes a panic a violation.
func guard(what string, f func() []Violation) (list []Violation) {
	defer func() {
		if r := recover(); r != nil {
			list = append(list, Violation{Property: "P1", What: what + " panics: " + unnumbered(fmt.Sprint(r)), Rule: "A1"})
		}
	}()
	return f()
}

// unnumbered leaves out what differs between two panics with one cause.
func unnumbered(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return strings.Map(func(r rune) rune {
		if '0' <= r && r <= '9' {
			return -1
		}
		return r
	}, s)
}

// Frame is what is read from a TUN, or written to it.
func Frame(h pkts.VnetHdr, packet []byte) []byte {
	b := append(make([]byte, 0, hdrLen+len(packet)), h.Flags, h.GSOType)
	for _, v := range []uint16{h.HdrLen, h.GSOSize, h.CsumStart, h.CsumOffset} {
		b = binary.NativeEndian.AppendUint16(b, v)
	}
	return append(b, packet...)
}

// Split undoes Frame, of a frame that is long enough.
func Split(frame []byte) (h pkts.VnetHdr, packet []byte) {
	n := binary.NativeEndian
	h = pkts.VnetHdr{Flags: frame[0], GSOType: frame[1], HdrLen: n.Uint16(frame[2:]), GSOSize: n.Uint16(frame[4:]), CsumStart: n.Uint16(frame[6:]), CsumOffset: n.Uint16(frame[8:])}
	return h, frame[hdrLen:]
}

// applies are the properties that are about joining.
func (i Impl) applies() []string {
	if i.Stack {
		return []string{"P1", "P2"}
	}
	return []string{"P1", "P2", "P3", "P5", "P11"}
}

// given is what of a batch it is given; nothing, and false, of one with more packets than
// it takes, or longer ones.
func (i Impl) given(batch [][]byte) ([][]byte, bool) {
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

// caseOf is a scenario as a case that says what is violated.
func caseOf(s scenario.Scenario, v Violation, source string) *pkts.Case {
	line, _, _ := strings.Cut(v.Key()+": "+v.Text, "\n")
	return s.Cases(strings.TrimSuffix(line, ": "), source)[0]
}
