// SPDX-License-Identifier: MIT

package record

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
)

// Property is a property that the project checks: a row of the table Properties. Laws,
// fuzz targets, records, mutants, the kernels' tables, claims and conformance all take
// their properties from that table.
type Property struct {
	ID   string // its name in docs/properties.md and in records
	Name string // the name of its fuzz target, without "Fuzz"; "" if it has none
	Law  string // the statement that must hold, in one line
	// Judge decides whether the law holds: the model, the kernel, the input itself.
	Judge string
	// Unit is the unit of the counts in the tables of kernels; "" if the kernel is not
	// the judge.
	Unit string
	// Asked is the law in the words used for other implementations; "" if they are not
	// checked for it.
	Asked string
	Claim string // the claim of docs/evidence that rests on it, "" if none does
	Kind  Kind
}

// Kind is the kind of a property: what it is about and which package checks it.
type Kind int

// The kinds of properties.
const (
	Stated    Kind = iota + 1 // about statements in files of the repository
	Scenarios                 // about scenarios: package law has a body for each
	Bytes                     // about bytes: package targets has a body for each
	Counted                   // checked by a Go test or a loop that counts
	Kernel                    // judged by the kernel: package kernel
	Device                    // tests of the device, run in virtual machines
)

// Properties are all properties, in the order in which they are shown.
var Properties = []Property{
	{ID: "cases", Law: "every case of the corpus gives the results that it states", Judge: "stated, model", Claim: "C-01", Kind: Stated},
	{ID: "P1", Name: "Total", Law: "no input causes a panic, a hang, or a write that the contract does not allow",
		Judge: "contract", Asked: "no input panics", Claim: "C-03", Kind: Scenarios},
	{ID: "P2", Name: "Equation", Law: "Segment(Coalesce(batch)) == batch, in all four pairings with the model",
		Judge: "the batch", Asked: "what was joined comes back, byte for byte; nothing is lost or doubled", Claim: "C-01", Kind: Scenarios},
	{ID: "P3", Name: "Order", Law: "no two conflicting packets change places; no packet is lost or doubled",
		Judge: "the batch", Asked: "no two conflicting packets change places", Claim: "C-02", Kind: Scenarios},
	{ID: "P4", Name: "Agree", Law: "production and model agree on every byte, header, group, Reason and error",
		Judge: "model", Asked: "superpackets that a kernel hands out are cut as the kernel cuts them", Claim: "C-05", Kind: Scenarios},
	{ID: "P5", Name: "Repair", Law: "Coalesce repairs nothing, Segment only what the rules say",
		Judge: "the damage done", Asked: "what was damaged stays damaged, what was absent absent", Claim: "C-04", Kind: Scenarios},
	{ID: "P6", Name: "Interleave", Law: "packets of other flows change no grouping; cutting a batch in two keeps order and content",
		Judge: "the flow alone", Claim: "C-06", Kind: Scenarios},
	{ID: "P7", Name: "Buffers", Law: "dirty, spare, shared and reused memory change no result",
		Judge: "clean buffers", Claim: "C-03", Kind: Scenarios},
	{ID: "P8", Name: "Checksum", Law: "every checksum is the model's, at every length and alignment",
		Judge: "model", Asked: "checksums are right", Claim: "C-07", Kind: Bytes},
	{ID: "P9", Law: "no allocation in steady state, errors included", Judge: "runtime", Claim: "C-08", Kind: Counted},
	{ID: "P10", Law: "every input of a small scope", Judge: "model", Claim: "C-05", Kind: Counted},
	{ID: "P11", Name: "WellFormed", Law: "every superpacket's lengths, header checksum, pseudo-header sum and VnetHdr are right",
		Judge: "recomputed", Asked: "what is written is what a kernel takes, and cuts", Claim: "C-09", Kind: Scenarios},
	{ID: "P12", Name: "Alike", Law: "a field that is only compared, altered alike in all packets, changes no grouping and no Reason",
		Judge: "the batch before", Claim: "C-06", Kind: Scenarios},
	{ID: "P13", Name: "Tunnel", Law: "a superpacket in a tunnel is cut as its inner packet alone, and each segment has right outer headers",
		Judge: "the inner packet, recomputed", Claim: "C-09", Kind: Scenarios},
	{ID: "codec", Name: "Codec", Law: "Decode(Encode(s)) == s", Judge: "its inverse", Claim: "C-14", Kind: Bytes},
	{ID: "pkts", Name: "Pkts", Law: "the .pkts parser takes or refuses any bytes", Judge: "its inverse", Claim: "C-14", Kind: Bytes},
	{ID: "pcap", Name: "Pcap", Law: "the pcap reader takes or refuses any bytes", Judge: "its inverse", Claim: "C-14", Kind: Bytes},
	{ID: "hexdump", Name: "Hexdump", Law: "the reader of packets as text takes or refuses any bytes", Judge: "itself", Claim: "C-14", Kind: Bytes},
	{ID: "judges", Name: "Judges", Law: "check, compare and anonymise take any packets; a capture compared with itself shows nothing",
		Judge: "itself", Claim: "C-14", Kind: Bytes},
	{ID: "faults", Name: "Faults", Law: "check finds a fault that is planted in right traffic, and nothing certain in what is right",
		Judge: "the fault planted", Claim: "C-14", Kind: Bytes},
	{ID: "K1", Law: "Segment == the kernel's", Judge: "kernel", Unit: "cut, every byte compared", Claim: "C-10", Kind: Kernel},
	{ID: "K2", Law: "the kernel cuts superpackets back into the original packets", Judge: "kernel", Unit: "batches through the kernel", Claim: "C-01", Kind: Kernel},
	{ID: "K3", Law: "the kernel's GRO makes the same superpackets", Judge: "kernel", Unit: "batches through its GRO", Claim: "C-11", Kind: Kernel},
	{ID: "K4", Law: "the kernel refuses what Segment refuses", Judge: "kernel", Unit: "refused, or diverging as stated", Claim: "C-10", Kind: Kernel},
	{ID: "K5", Law: "sockets on both ends get every byte", Judge: "sockets", Unit: "packets between sockets", Claim: "C-12", Kind: Kernel},
	{ID: "device", Law: "the tests of offload/tun pass", Judge: "kernel", Unit: "tests of the device", Claim: "C-13", Kind: Device},
	{ID: "harness", Law: "the tests of tunlive pass", Judge: "kernel", Unit: "tests of the harness", Claim: "C-13", Kind: Device},
	{ID: "features", Law: "the kernel has the features expected of its release", Judge: "kernel", Unit: "features as expected", Claim: "C-13", Kind: Device},
	{ID: "canary", Law: "a planted bug is found, which shows that the campaign can detect bugs", Judge: "planted bug", Kind: Stated},
	{ID: "mutants", Law: "bugs planted one at a time are detected (docs/mutation.md)", Judge: "harness", Claim: "C-15", Kind: Stated},
	{ID: "proof", Law: "statements about offload are proved for all inputs (docs/proofs.md)", Judge: "Rocq and z3", Unit: "theorems", Claim: "C-16", Kind: Stated},
}

// PropertyOf returns the property with an ID. It panics if there is none: IDs are constants.
func PropertyOf(id string) Property {
	at := Order(id)
	if at == len(Properties) {
		panic("record: no property " + id)
	}
	return Properties[at]
}

// OfKind returns the properties of a kind, in the order of Properties.
func OfKind(k Kind) []Property {
	return slices.DeleteFunc(slices.Clone(Properties), func(p Property) bool { return p.Kind != k })
}

// IDs returns the IDs of properties.
func IDs(list []Property) []string {
	var ids []string
	for _, p := range list {
		ids = append(ids, p.ID)
	}
	return ids
}

// Order returns the index in Properties of the property with an ID, or len(Properties) if
// there is none.
func Order(id string) int {
	if i := slices.IndexFunc(Properties, func(p Property) bool { return p.ID == id }); i >= 0 {
		return i
	}
	return len(Properties)
}

// LawOf returns the law of the property with an ID, or "" if there is none.
func LawOf(id string) string {
	if i := Order(id); i < len(Properties) {
		return Properties[i].Law
	}
	return ""
}

// Seed returns the seed for one part of a run: the first 8 bytes, little-endian, of the
// SHA-256 of "seed row part". row is a record's property and method, such as "P3 rapid".
// part counts the parts of a long run from 0. All seeds are derived in this way: a row
// draws the same input whatever else runs, and no two rows draw the same.
func Seed(seed uint64, row string, part int) uint64 {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s %d", seed, row, part))
	return binary.LittleEndian.Uint64(sum[:])
}
