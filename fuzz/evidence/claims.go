package main

// Claim is a statement about package offload that the evidence is for. Its ID is never
// given to another: one that is no longer made stays here, with what replaced it.
type Claim struct {
	ID, Title  string
	Says       string
	Properties []string // of the records that it rests on, of each of which something ran
	Limits     []string
	Retired    string // why it is no longer made
}

// Claims are all that are made, in order of their IDs.
var Claims = []Claim{
	{ID: "C-01", Title: "round trip", Properties: []string{"P2", "K2", "cases"},
		Says: "What Coalesce makes of a batch, cut by Segment, is the batch: the same packets, byte for byte, each flow in order; in production, in the model, in each with the other, and through the kernel.",
		Limits: []string{"With AtomicIDs the IPv4 ID and header checksum of packets with DF are exempt (RFC 6864).",
			"Inputs are drawn, enumerated in small scopes, and recorded; they are not all inputs."}},
	{ID: "C-02", Title: "order", Properties: []string{"P3"},
		Says:   "No two packets of a flow, or that may be of one flow, change places; none is lost or doubled.",
		Limits: []string{"With Order = Reorder a pair with a TCP packet is exempt.", "docs/design.md has the proof; it is not machine-checked."}},
	{ID: "C-03", Title: "any bytes", Properties: []string{"P1", "P7"},
		Says:   "No input panics, hangs, or makes anything be written but where the contract says; what was in memory before changes nothing.",
		Limits: []string{"Memory is checked by canaries around buffers; race detector and AddressSanitizer run in CI, not here."}},
	{ID: "C-04", Title: "nothing repaired", Properties: []string{"P5"},
		Says:   "What was damaged leaves damaged, what was absent absent: no checksum is made right or invented by joining.",
		Limits: []string{"Segment writes lengths and the IPv4 header checksum of what it splits, as the kernel does."}},
	{ID: "C-05", Title: "production is the model", Properties: []string{"P4", "P10"},
		Says:   "offload does what a model of under 400 lines does: bytes, grouping, Reasons, refusals; on every batch of a small scope, too.",
		Limits: []string{"P10's scope is what docs/properties.md says; beyond it inputs are drawn."}},
	{ID: "C-06", Title: "flows apart", Properties: []string{"P6"},
		Says:   "Packets of other flows in between change neither how a flow is joined nor why not.",
		Limits: []string{"As long as fewer than MaxOpen superpackets are opened."}},
	{ID: "C-07", Title: "checksums", Properties: []string{"P8"},
		Says:   "Every implementation of the checksum is the model's, at every length and alignment.",
		Limits: []string{"Those of amd64, and of the processor that it ran on; CI runs those of arm64 and s390x under qemu-user."}},
	{ID: "C-08", Title: "no allocation", Properties: []string{"P9"},
		Says:   "In steady state nothing is allocated, refusals included.",
		Limits: []string{"As Go's runtime counts."}},
	{ID: "C-09", Title: "well formed", Properties: []string{"P11"},
		Says:   "Lengths, header checksum, pseudo-header sum and VnetHdr of every superpacket are right.",
		Limits: []string{"hdr_len is the length of the headers, which no kernel asks for exactly."}},
	{ID: "C-10", Title: "segmentation is Linux's", Properties: []string{"K1", "K4"},
		Says:   "What Segment accepts Linux cuts to the same bytes, and what it refuses Linux refuses or drops, on each kernel that was asked.",
		Limits: []string{"But for the divergences that docs/kernel.md lists and asserts.", "Fragments with a GSO type are never asked about: they can crash kernels (docs/kernel.md).", "Software segmentation; a device's may differ."}},
	{ID: "C-11", Title: "coalescing is within Linux's GRO", Properties: []string{"K3"},
		Says:   "The packets of each superpacket are joined by the kernel's GRO to the same bytes; what only the kernel joins carries the rule that forbids it here.",
		Limits: []string{"hdr_len, batches of more than 62 packets, and superpackets of AtomicIDs are not asked about.", "On Linux 5.10 by one of the two ways of asking only."}},
	{ID: "C-12", Title: "end to end", Properties: []string{"K5"},
		Says:   "Sockets at both ends of a link of two TUNs, with offload between them, get every byte of a stream, under loss, duplicates and reordering too, and every datagram where none is lost on purpose, with what was sent.",
		Limits: []string{"Between namespaces of one machine."}},
	{ID: "C-13", Title: "the device", Properties: []string{"device", "harness", "features"},
		Says:   "offload/tun works on every kernel that was asked, with and without USO; each kernel does what is expected of it.",
		Limits: []string{"Multi-queue devices are tested for what is written and read, not for speed."}},
	{ID: "C-14", Title: "formats", Properties: []string{"codec", "pkts", "pcap", "hexdump", "judges"},
		Says:   "Readers of cases, captures and packets as text take or refuse any bytes; what judges captures takes any packets.",
		Limits: []string{"Fuzzed, not enumerated."}},
	{ID: "C-15", Title: "the harness notices", Properties: []string{"mutants"},
		Says: "Every bug that was planted is noticed, and every small change of offload, or it is listed as equivalent with an argument.",
		Limits: []string{"One change at a time; assembly and arm64 code are not mutated.", "Equivalence is argued, not proved.",
			"Bugs that were planted are those that people thought of."}},
}

// NotCovered is what no claim is about.
var NotCovered = []string{
	"Speed: docs/bench.md has ratios, of one machine and one day.",
	"Hardware offload behind the TUN, and kernels with other vendors' changes.",
	"Tunnelled superpackets (UDP_TUNNEL_GSO), UFO, RSC_INFO: refused, and only that is tested.",
	"Encapsulation, encryption and sockets of a VPN around offload.",
	"Windows, macOS, and arm64 hardware: CI runs the tests there, without records here.",
	"Big-endian hardware: an emulated processor only.",
	"Timing side channels.",
}
