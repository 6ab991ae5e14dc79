// Package pkts is the text format of a case: packets that go into offload, what
// it was told of them, and what must come out. A file is one case:
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
// Everything that is not a byte of a packet is in a line "# key: value", so that
// text2pcap -l 101 reads the packets. The line "# fill: N XX" stands for N bytes
// that count up from XX, modulo 256, and "# pad: N XX" for N times XX. The keys of the head come in the order
// above; rules and config may be missing, and so may every expectation: what is
// not stated is not claimed. Nothing else is in a file: no unknown key, no
// comment, no byte out of place.
//
// The three kinds of case differ in what is behind "in" and "out":
//
//	coalesce  in: the Reason, then a packet; after the last of a batch one "out"
//	          for each superpacket: its packets' indices, its VnetHdr, its bytes
//	segment   in: a VnetHdr, then a superpacket; behind each either "out" lines,
//	          a segment each, or "error: CLASS"
//	checksum  in: seed=0x1234, then bytes; behind each "sum: 0x1234"
//
// What a Linux kernel does with the same input may stand behind all that: of a
// superpacket of op segment, or of a batch of op coalesce,
//
//	# kernel: if small-gso delivered
//	# kernel: if !small-gso other
//	# diverges: newer kernels raise a gso_size under 8 to 8
//
// The first line whose feature, a name of tunlive.FeatureTable, the kernel has,
// or with "!" has not, or that names none, must hold. Of op segment it says what
// becomes of the superpacket: "delivered" as the segments stated, "other" bytes,
// "refused", "frame-error", "rx-dropped" or "dropped". Of op coalesce it lists the
// packets that GRO hands out, in order, each as indices: "0,2 1". Where the
// kernel and the case disagree, diverges says why.
//
// The package imports nothing of the module, and carries no case.
package pkts

// The values of Op.
const (
	OpCoalesce = "coalesce"
	OpSegment  = "segment"
	OpChecksum = "checksum"
)

// VnetHdr is a virtio_net_hdr; fields are named in the file, so it has no byte
// order.
type VnetHdr struct {
	Flags, GSOType                         uint8
	HdrLen, GSOSize, CsumStart, CsumOffset uint16
}

// Config is the configuration of a Coalescer; zero limits mean the defaults.
type Config struct {
	Reorder, AtomicIDs                               bool
	MaxSegments, MaxUDPSegments, MaxOpen, MaxPerFlow int
	DisableTCPv4, DisableTCPv6, DisableUDP           bool
}

// Case is one file.
type Case struct {
	Op      string
	Why     string   // what must happen, and why, in one line
	Source  string   // where it was seen
	Rules   []string // rules it is a case of, each ending in the side: + or -
	Config  Config   // coalesce only
	Batches []Batch  // segment and checksum: one
}

// Batch is the packets of one call, and what comes of them.
type Batch struct {
	In  []In
	Out []Superpacket // coalesce only
	Asked
}

// Asked is what a kernel does when it is asked the same.
type Asked struct {
	Kernel   []Kernel
	Diverges string // why that is not what the case states, "" if it is
}

// Kernel is what kernels do that have a feature, or with "!" in front lack it, or
// all if the feature is "".
type Kernel struct{ Feature, Does string }

// In is one packet, superpacket or string of bytes.
type In struct {
	Data []byte

	Reason string // coalesce: expected; "" if not stated

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
