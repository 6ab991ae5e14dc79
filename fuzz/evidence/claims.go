package main

import "tunproof/fuzz/record"

// Claim is a statement about package offload that the evidence supports. An ID is never
// reused: a retired claim stays in the list.
type Claim struct {
	ID, Title  string
	Says       string
	Properties []string // properties whose records support it; each must have run
	Limits     []string
	Retired    string // why the claim is no longer made, and its successor; "" if it is made
}

// Claims has all claims, in order of their IDs.
var Claims = withProperties([]Claim{
	{ID: "C-01", Title: "round trip",
		Says: "If Segment cuts the output of Coalesce for a batch, the packets of the batch come back, byte for byte and each flow in order. This holds in production, in the model, for each of them with the other, and through the kernel.",
		Limits: []string{"With AtomicIDs the IPv4 ID and header checksum of packets with DF are exempt (RFC 6864).",
			"Inputs are random, enumerated in small scopes, or recorded. They are not all inputs."}},
	{ID: "C-02", Title: "order",
		Says:   "No two packets that belong, or may belong, to one flow change places. None is lost or doubled.",
		Limits: []string{"With Order = Reorder, pairs with a TCP packet are exempt.", "The proof in docs/design.md is not machine-checked."}},
	{ID: "C-03", Title: "any bytes",
		Says:   "No input causes a panic, a hang, or a write outside the memory that the contract allows. The previous contents of memory change nothing.",
		Limits: []string{"Canaries around buffers check memory. The race detector and AddressSanitizer run in CI, without records here."}},
	{ID: "C-04", Title: "nothing repaired",
		Says:   "Joining repairs no wrong checksum and invents no absent one.",
		Limits: []string{"Segment writes the lengths and the IPv4 header checksum of segments, as the kernel does."}},
	{ID: "C-05", Title: "production is the model",
		Says:   "offload gives the same bytes, groups, Reasons and refusals as a model of under 400 lines, also on every batch of a small scope.",
		Limits: []string{"docs/properties.md defines the scope of P10. Beyond it inputs are random."}},
	{ID: "C-06", Title: "flows apart",
		Says:   "Packets of other flows change neither how a flow is joined nor its Reasons.",
		Limits: []string{"Fewer than MaxOpen superpackets are open."}},
	{ID: "C-07", Title: "checksums",
		Says:   "Every implementation of the checksum agrees with the model, at every length and alignment.",
		Limits: []string{"Only implementations for amd64 that the processor has. CI runs those of arm64 and s390x under qemu-user."}},
	{ID: "C-08", Title: "no allocation",
		Says:   "In steady state nothing is allocated, not even for refusals.",
		Limits: []string{"Go's runtime counts the allocations."}},
	{ID: "C-09", Title: "well formed",
		Says:   "Every superpacket has the right lengths, header checksum, pseudo-header sum and VnetHdr.",
		Limits: []string{"hdr_len is the length of the headers. No kernel requires this exact value."}},
	{ID: "C-10", Title: "segmentation is Linux's",
		Says:   "If Segment accepts a superpacket, Linux cuts it to the same bytes. If Segment refuses it, Linux refuses or drops it. This holds on each kernel that was asked.",
		Limits: []string{"The divergences in docs/kernel.md are exempt, and asserted.", "No kernel is asked about fragments with a GSO type, because they can crash kernels (docs/kernel.md).", "This is software segmentation. Hardware may differ."}},
	{ID: "C-11", Title: "coalescing is within Linux's GRO",
		Says:   "The kernel's GRO joins the packets of each superpacket to the same bytes. If only the kernel joins two packets, a rule forbids it here.",
		Limits: []string{"The kernel is not asked about hdr_len, batches of more than 62 packets, and superpackets of AtomicIDs.", "On Linux 5.10 only one of the two oracles exists."}},
	{ID: "C-12", Title: "end to end",
		Says:   "Sockets at both ends of two TUNs, with offload between them, receive every byte of a stream, even with loss, duplicates and reordering. They receive every datagram unchanged, unless it is lost on purpose.",
		Limits: []string{"Both ends are namespaces of one machine."}},
	{ID: "C-13", Title: "the device",
		Says:   "offload/tun works on every kernel that was asked, with and without USO. Each kernel has the expected features.",
		Limits: []string{"Tests of multi-queue devices check the data, not the speed."}},
	{ID: "C-14", Title: "formats",
		Says:   "The parsers of cases, captures and packets as text accept or refuse any bytes without a panic. The judges of captures accept any packets.",
		Limits: []string{"Inputs are fuzzed, not enumerated."}},
	{ID: "C-15", Title: "the harness detects bugs",
		Says: "Every planted bug is detected. So is every small change of offload that is not listed as equivalent, with an argument.",
		Limits: []string{"Changes are made one at a time, and not in assembly or arm64 code.", "Equivalence is argued, not proved.",
			"The planted bugs are those that people thought of."}},
})

// withProperties gives each claim the properties that rest on it by record.Properties.
func withProperties(list []Claim) []Claim {
	for i := range list {
		for _, p := range record.Properties {
			if p.Claim == list[i].ID {
				list[i].Properties = append(list[i].Properties, p.ID)
			}
		}
	}
	return list
}

// NotCovered has the subjects that no claim covers.
var NotCovered = []string{
	"Speed: docs/bench.md has ratios from one machine and one day.",
	"Hardware offload beyond the TUN, and kernels with changes by other vendors.",
	"Tunnelled superpackets (UDP_TUNNEL_GSO), UFO and RSC_INFO: they are refused, and only this is tested.",
	"The encapsulation, encryption and sockets of a VPN that uses offload.",
	"Windows, macOS and arm64 hardware: CI runs the tests there, without records here.",
	"Big-endian hardware: tests run only on an emulated processor.",
	"Timing side channels.",
}
