// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"strings"

	"tunproof/fuzz/record"
)

// Claim is a statement about package offload that the evidence supports. An ID is never
// reused: a retired claim stays in the list.
type Claim struct {
	ID, Title  string
	Clauses    []Clause
	Properties []string // properties whose records support it; each must have run
	Limits     []string
	Retired    string // why the claim is no longer made, and its successor; "" if it is made
}

// Clause is a sentence of a claim, and the records that carry it. Each of By must have a
// record that holds. It is a property, or a property and the start of a method, or a command,
// a colon, and these.
type Clause struct {
	Says string
	By   []string
}

// Says returns the whole claim.
func (c Claim) Says() string {
	var list []string
	for _, x := range c.Clauses {
		list = append(list, x.Says)
	}
	return strings.Join(list, " ")
}

// carries reports whether a row is one of those that an element of By names.
func carries(by string, r Row) bool {
	if command, rest, is := strings.Cut(by, ": "); is {
		if r.Command != command {
			return false
		}
		by = rest
	}
	property, method, _ := strings.Cut(by, " ")
	return r.Property == property && strings.HasPrefix(r.Method, method)
}

// proofs is the limit of each claim that is proved.
const proofs = "docs/proofs.md lists each hypothesis, and what is trusted: Rocq, z3, the translator and Go's compiler."

// ModelLines bounds the lines of package model, without tests (C-05).
const ModelLines = 560

// Claims has all claims, in order of their IDs.
var Claims = withProperties([]Claim{
	{ID: "C-01", Title: "round trip", Clauses: []Clause{
		{"If Segment cuts the output of Coalesce for a batch, the packets of the batch come back, byte for byte and each flow in order. None is lost or doubled. This holds in production, in the model, and for each of them with the other.", []string{"P2 rapid", "P2 captures"}},
		{"It also holds if the kernel cuts the output of Coalesce.", []string{"K2 random"}},
		{"Every case of the corpus gives what it states.", []string{"cases"}}},
		Limits: []string{"With AtomicIDs the IPv4 ID and header checksum of packets with DF are exempt (RFC 6864).",
			"With AbsentChecksums an IPv4 datagram without a checksum may come back with the right one (RFC 768).",
			"Inputs are random, enumerated in small scopes, or recorded. They are not all inputs."}},
	{ID: "C-02", Title: "order", Clauses: []Clause{
		{"No two packets that belong, or may belong, to one flow change places.", []string{"P3"}}},
		Limits: []string{"With Order = Reorder, pairs with a TCP packet are exempt.", "It is about what goes through one Coalescer; a device has one for each queue.", "docs/proofs.md says which part of this is proved."}},
	{ID: "C-03", Title: "any bytes", Clauses: []Clause{
		{"No input causes a panic, a hang, or a write outside the memory that the contract allows.", []string{"P1 rapid", "P1 fuzz"}},
		{"The previous contents of memory change nothing.", []string{"P7"}}},
		Limits: []string{"Canaries around buffers check memory. The race detector and AddressSanitizer run in CI, without records here."}},
	{ID: "C-04", Title: "nothing repaired", Clauses: []Clause{
		{"Joining repairs no wrong checksum and, without AbsentChecksums, invents no absent one.", []string{"P5"}}},
		Limits: []string{"Segment writes the lengths and the IPv4 header checksum of segments, as the kernel does."}},
	{ID: "C-05", Title: "production is the model", Clauses: []Clause{
		{fmt.Sprintf("offload gives the same bytes, groups, Reasons and refusals as a model of under %d lines.", ModelLines), []string{"P4"}},
		{"So it does on every batch of a small scope.", []string{"P10"}}},
		Limits: []string{"docs/properties.md defines the scope of P10. Beyond it inputs are random."}},
	{ID: "C-06", Title: "flows apart", Clauses: []Clause{
		{"Packets of other flows change neither how a flow is joined nor its Reasons.", []string{"P6"}},
		{"Nor does a field that is only compared, if it is altered alike in all packets.", []string{"P12"}}},
		Limits: []string{"Fewer than MaxOpen superpackets are open."}},
	{ID: "C-07", Title: "checksums", Clauses: []Clause{
		{"Every implementation of the checksum agrees with the model, at every length and alignment.", []string{"P8 every length"}}},
		Limits: []string{"Only implementations for amd64 that the processor has. CI runs those of arm64 and s390x under qemu-user."}},
	{ID: "C-08", Title: "no allocation", Clauses: []Clause{
		{"In steady state nothing is allocated, not even for refusals.", []string{"P9"}}},
		Limits: []string{"Go's runtime counts the allocations."}},
	{ID: "C-09", Title: "well formed", Clauses: []Clause{
		{"Every superpacket has the right lengths, header checksum, pseudo-header sum and VnetHdr.", []string{"P11"}},
		{"A superpacket in a UDP tunnel is cut as its inner packet alone, and each segment has the right outer headers.", []string{"P13"}}},
		Limits: []string{"hdr_len is the length of the headers. No kernel requires this exact value."}},
	{ID: "C-10", Title: "segmentation is Linux's", Clauses: []Clause{
		{"If Segment accepts a superpacket, Linux cuts it to the same bytes.", []string{"K1 random"}},
		{"If Segment refuses it, Linux refuses or drops it.", []string{"K4 random"}},
		{"Both hold on each kernel that was asked.", []string{"kernels: K1", "kernels: K4"}}},
		Limits: []string{"The divergences in docs/kernel.md are exempt, and asserted.", "No kernel is asked about fragments with a GSO type, because they can crash kernels (docs/kernel.md).", "This is software segmentation. Hardware may differ."}},
	{ID: "C-11", Title: "coalescing is within Linux's GRO", Clauses: []Clause{
		{"The kernel's GRO joins the packets of each superpacket to the same bytes.", []string{"K3 superpackets alone"}},
		{"If only the kernel joins two packets, a rule forbids it here.", []string{"K3 whole batches"}}},
		Limits: []string{"The kernel is not asked about hdr_len, batches of more than 62 packets, and superpackets of AtomicIDs.", "On Linux 5.10 only one of the two oracles exists."}},
	{ID: "C-12", Title: "end to end", Clauses: []Clause{
		{"Sockets at both ends of two TUNs, with offload between them, receive every byte of a stream.", []string{"K5 tcp4 udp4", "K5 tcp6 udp6", "K5 complete checksums"}},
		{"They do so even with loss, duplicates and reordering.", []string{"K5 loss, duplicates, reordering, IPv4", "K5 loss, duplicates, reordering, IPv6"}},
		{"They receive every datagram unchanged, unless it is lost on purpose.", []string{"K5 plain datagrams"}}},
		Limits: []string{"Both ends are namespaces of one machine."}},
	{ID: "C-13", Title: "the device", Clauses: []Clause{
		{"The tests of offload/tun pass on every kernel that was asked, with and without USO.", []string{"device"}},
		{"So do the tests of the harness that asks the kernel.", []string{"harness"}},
		{"Each kernel has the expected features.", []string{"features"}}},
		Limits: []string{"Tests of multi-queue devices check the data, not the speed."}},
	{ID: "C-14", Title: "formats", Clauses: []Clause{
		{"The parsers of cases, captures and packets as text accept or refuse any bytes without a panic.", []string{"codec", "pkts", "pcap", "hexdump"}},
		{"The judges of captures accept any packets.", []string{"judges"}},
		{"check finds a fault that is planted in right traffic, and nothing certain in what is right.", []string{"faults"}}},
		Limits: []string{"Inputs are fuzzed, not enumerated."}},
	{ID: "C-15", Title: "the harness detects bugs", Clauses: []Clause{
		{"Every planted bug is detected.", []string{"mutants planted bugs"}}},
		Limits: []string{"Bugs are planted one at a time.", "They are those that people thought of.",
			"docs/mutation.md has further results, of the trees that it names: small changes of offload and of the model, and sabotage of the harness."}},
	{ID: "C-16", Title: "order, proved", Clauses: []Clause{
		{"For all batches: by rule C4, two packets that conflict leave in the order in which they came, and nothing is lost or doubled.", []string{"proof Order.v"}},
		{"Joining each packet as it comes gives the fewest superpackets, of all groupings of a flow's packets that keep C4 and their order.", []string{"proof Greedy.v"}},
		{"A payload is cut where packets were joined, if all but the last have the size of the cut and the last is not longer.", []string{"proof Cut.v"}}},
		Limits: []string{"With Reorder, TCP packets may leave in another order. The theories are about rules C4, C5 and S1. That the flow table follows them is tested: P3, P4, P6 and P10.",
			"The fewest superpackets is about InOrder, TCP over IPv4 and packets with payload, while MaxOpen closes none, and without AtomicIDs and C2.small_first. That such packets fulfil the theorem's hypothesis is by hand.", proofs}},
	{ID: "C-17", Title: "checksums, proved", Clauses: []Clause{
		{"For all inputs of up to 64 KiB: folding, chaining, the order of additions, odd lengths, byte order, the vectors' lanes and updates keep the sum.", []string{"proof Sum.v"}},
		{"offload's fold, fold64, neg, halves, sumIPv4 and flowKey.pseudoHeaderSum compute what the theory is about.", []string{"proof sums"}}},
		Properties: []string{"proof"},
		Limits:     []string{"The assembly, PseudoHeaderSum and Checksum are tested by P8. The theory proves the assembly's method and bounds, not its instructions.", proofs}},
	{ID: "C-18", Title: "joins if and only if, proved", Clauses: []Clause{
		{"For all packets: offload's comparison accepts a packet if and only if the limits of C2 hold, S1 cuts where the packets end, and each packet has the header fields that rules S2 to S4 give it in the whole.", []string{"proof joins", "proof extends"}},
		{"Before that, offload admits the packets of rules C1, C10 and C11, and no other.", []string{"proof parse", "proof verify"}},
		{"What it keeps of a superpacket is true of its packets.", []string{"proof isOpen", "proof start", "proof add", "proof prepend"}}},
		Properties: []string{"proof"},
		Limits:     []string{"The fields that C6 (AtomicIDs) and C11 (AbsentChecksums) name may differ.", "Headers of every length on amd64; on other architectures the shortest and the longest.", "That the functions which this is about are called as rules C4 and C5 say is tested. Checksums are functions of which only the theory's lemmas are assumed.", "That the superpacket which is written is this whole is tested, and so are the sums that a new superpacket keeps. The step from one packet to all is by hand, and so is that the packets' lengths and checksums then are equal too.", proofs}},
	{ID: "C-19", Title: "segments, proved", Clauses: []Clause{
		{"For all superpackets: if Reset leaves what docs/proofs.md assumes, Next writes the headers, the lengths and both checksums of rules S2, S4, S5, S6.partial, S6.computed and S6.zero, and gives copySum the right bytes of the payload.", []string{"proof segment"}}},
		Properties: []string{"proof"},
		Limits:     []string{"Not proved on amd64: IPv6 extension headers over 24 bytes; TCP after IP options or extension headers of a middle length, or together with TCP options; TCP without NEEDS_CSUM with any options. On other architectures proved only for UDP, and TCP without options, after the shortest IP headers.", "That the product of index and size does not overflow is by hand. What is refused, packets that are not split, tunnels, InPlace, what Reset hands to Next, the results of copySum, Sum and PseudoHeaderSum, and that copySum copies, are tested only. The buffer must not overlap the superpacket.", proofs}},
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
	"UFO and RSC_INFO: they are refused, and only this is tested.",
	"Superpackets in tunnels are cut, and none is made: Coalesce does not look into tunnels.",
	"The encapsulation, encryption and sockets of a VPN that uses offload.",
	"Windows, macOS and arm64 hardware: CI runs the tests there, without records here.",
	"Big-endian hardware: tests run only on an emulated processor.",
	"Timing side channels.",
}
