// SPDX-License-Identifier: MIT

// Package pkts is the text format of cases: packets for offload, its settings, and
// the expected result. Each file is one case:
//
//	# format: 1
//	# op: coalesce
//	# why: a first fragment (MF set) is not a TCP segment and must not join
//	# source: wireguard-go before 052af4a
//	# rules: C1.fragment-
//	# config: order=reorder atomic_ids=true
//	# batch:
//	# in: First
//	0000  45 00 00 2c ...
//	# in: Fragment
//	0000  45 00 00 2c ...
//	# out: packets=0 flags=0 gso_type=0 hdr_len=0 gso_size=0 csum_start=0 csum_offset=0
//	0000  45 00 00 2c ...
//
// All lines but the bytes of packets have the form "# key: value", so that text2pcap
// -l 101 can read the packets. The line "# fill: N XX" stands for N bytes that count
// up from XX, modulo 256. "# pad: N XX" stands for N times XX. The keys of the head
// have the order above. rules and config are optional, and so is every expectation: a
// case claims only what it states. A file contains nothing else: no unknown key, no
// comment, no misplaced byte.
//
// The three kinds of case differ in the values of "in" and "out":
//
//	coalesce  in: the Reason, then a packet; after the last of a batch one "out"
//	          for each superpacket: its packets' indices, its VnetHdr, its bytes
//	segment   in: a VnetHdr, then a superpacket; after each either "out" lines,
//	          one for each segment, or "error: CLASS"
//	checksum  in: seed=0x1234, then bytes; after each "sum: 0x1234"
//
// The last lines may state what a Linux kernel does with the same input: with a
// superpacket in op segment, or with a batch in op coalesce:
//
//	# kernel: if small-gso delivered
//	# kernel: if !small-gso other
//	# diverges: newer kernels raise a gso_size under 8 to 8
//
// The first line that applies must hold. A line applies if the kernel has its
// feature, or lacks it if "!" precedes the name, or if the line names none. Features
// are those of tunlive.FeatureTable. In op segment the line has the outcome of the
// superpacket: "delivered" as the stated segments, "other" bytes, "refused",
// "frame-error", "rx-dropped" or "dropped". In op coalesce it lists the packets that
// GRO hands out, in order, each as indices: "0,2 1". If the kernel and the case
// disagree, diverges has the reason.
//
// The package imports nothing of the module and contains no cases.
package pkts

// These are the values of Op.
const (
	OpCoalesce = "coalesce"
	OpSegment  = "segment"
	OpChecksum = "checksum"
)

// VnetHdr is a virtio_net_hdr. Files have its fields by name, so it has no byte
// order. OuterTHOffset and InnerNHOffset are for superpackets in tunnels: a file has
// them only if one of them is not 0.
type VnetHdr struct {
	Flags, GSOType                         uint8
	HdrLen, GSOSize, CsumStart, CsumOffset uint16
	OuterTHOffset, InnerNHOffset           uint16
}

// Config is the configuration of a Coalescer. Zero limits mean the defaults.
type Config struct {
	Reorder, AtomicIDs, AbsentChecksums              bool
	MaxSegments, MaxUDPSegments, MaxOpen, MaxPerFlow int
	DisableTCPv4, DisableTCPv6, DisableUDP           bool
}

// Case is one file.
type Case struct {
	Op      string
	Why     string   // the required behaviour and its reason, in one line
	Source  string   // where the behaviour was seen
	Rules   []string // the rules it tests, each ending in its side: + or -
	Config  Config   // coalesce only
	Batches []Batch  // only one for segment and checksum
}

// Batch has the packets of one call and their expected outcome.
type Batch struct {
	In  []In
	Out []Superpacket // coalesce only
	Asked
}

// Asked is the outcome of the same input in a kernel.
type Asked struct {
	Kernel   []Kernel
	Diverges string // why that differs from the case; "" if it does not
}

// Kernel is the outcome in kernels that have a feature, or lack it if "!" precedes
// its name, or in all kernels if Feature is "".
type Kernel struct{ Feature, Does string }

// In is one packet, one superpacket or one string of bytes.
type In struct {
	Data []byte

	Reason string // coalesce: the expected Reason; "" if not stated

	Vnet     VnetHdr  // segment
	Error    string   // segment: the expected error class, or
	Segments [][]byte // the expected segments
	Asked

	Seed, Sum uint16 // checksum
	HasSum    bool
}

// Superpacket is an expected result of Coalesce.
type Superpacket struct {
	Packets []int
	Vnet    VnetHdr
	Data    []byte
}
