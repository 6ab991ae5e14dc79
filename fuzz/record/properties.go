package record

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
)

// Property is a row of the one table of what this project checks. Everything
// that lists properties takes them from here: laws, fuzz targets, the tables
// and records of the commands, mutants, kernels, claims, conformance.
type Property struct {
	ID   string // of docs/properties.md and of records
	Name string // of its fuzz target and test, Fuzz<Name>; "" if it has none
	Law  string // what holds, in one line
	// Judge is what decides whether it holds.
	Judge string
	// Unit is what the kernel's tables count; "" for a property that is not the kernel's.
	Unit string
	// Asked is the law as it is asked of other implementations, "" if it is not.
	Asked string
	Claim string // of the evidence, "" if none rests on it
	Kind  Kind
}

// Kind says what kind of input a property is about.
type Kind int

// The kinds of properties.
const (
	Stated    Kind = iota + 1 // what files or documents of the repository state
	Scenarios                 // scenarios: package law has a body for each
	Bytes                     // bytes: package targets has a body for each
	Counted                   // a Go test or a loop that counts
	Kernel                    // the kernel is the judge: package kernel
	Device                    // the tests of the device, run in virtual machines
)

// Properties are all properties, in the order in which they are shown.
var Properties = []Property{
	{ID: "cases", Law: "every case of the corpus comes out as stated", Judge: "stated, model", Claim: "C-01", Kind: Stated},
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
	{ID: "codec", Name: "Codec", Law: "Decode(Encode(s)) == s", Judge: "its inverse", Claim: "C-14", Kind: Bytes},
	{ID: "pkts", Name: "Pkts", Law: "the .pkts parser takes or refuses any bytes", Judge: "its inverse", Claim: "C-14", Kind: Bytes},
	{ID: "pcap", Name: "Pcap", Law: "the pcap reader takes or refuses any bytes", Judge: "its inverse", Claim: "C-14", Kind: Bytes},
	{ID: "hexdump", Name: "Hexdump", Law: "the reader of packets as text takes or refuses any bytes", Judge: "itself", Claim: "C-14", Kind: Bytes},
	{ID: "judges", Name: "Judges", Law: "check, compare and anonymise take any packets; a capture compared with itself shows nothing",
		Judge: "itself", Claim: "C-14", Kind: Bytes},
	{ID: "K1", Law: "Segment == the kernel's", Judge: "kernel", Unit: "cut, every byte compared", Claim: "C-10", Kind: Kernel},
	{ID: "K2", Law: "superpackets come out of the kernel as the packets", Judge: "kernel", Unit: "batches through the kernel", Claim: "C-01", Kind: Kernel},
	{ID: "K3", Law: "the kernel's GRO makes the same superpackets", Judge: "kernel", Unit: "batches through its GRO", Claim: "C-11", Kind: Kernel},
	{ID: "K4", Law: "the kernel refuses what Segment refuses", Judge: "kernel", Unit: "refused, or diverging as stated", Claim: "C-10", Kind: Kernel},
	{ID: "K5", Law: "sockets on both ends get every byte", Judge: "sockets", Unit: "packets between sockets", Claim: "C-12", Kind: Kernel},
	{ID: "device", Law: "the tests of offload/tun pass", Judge: "kernel", Unit: "tests of the device", Claim: "C-13", Kind: Device},
	{ID: "harness", Law: "the tests of tunlive pass", Judge: "kernel", Unit: "tests of the harness", Claim: "C-13", Kind: Device},
	{ID: "features", Law: "the kernel does what is expected of it", Judge: "kernel", Unit: "features as expected", Claim: "C-13", Kind: Device},
	{ID: "canary", Law: "a bug that is planted is found, so the campaign can see", Judge: "planted bug", Kind: Stated},
	{ID: "mutants", Law: "bugs that are planted one at a time are detected (docs/mutation.md)", Judge: "harness", Claim: "C-15", Kind: Stated},
}

// PropertyOf returns the row of an ID. It panics if there is none: IDs are constants.
func PropertyOf(id string) Property {
	at := Order(id)
	if at == len(Properties) {
		panic("record: no property " + id)
	}
	return Properties[at]
}

// OfKind returns the properties of a kind, in order.
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

// Order returns where the property of an ID is shown: its index in Properties,
// len(Properties) for any other ID.
func Order(id string) int {
	if i := slices.IndexFunc(Properties, func(p Property) bool { return p.ID == id }); i >= 0 {
		return i
	}
	return len(Properties)
}

// LawOf returns the law of an ID, "" if no property has it.
func LawOf(id string) string {
	if i := Order(id); i < len(Properties) {
		return Properties[i].Law
	}
	return ""
}

// Seed returns the seed of one part of a run: the first 8 bytes, little-endian, of
// the SHA-256 of "seed row part". The row is a record's property and method, such as
// "P3 rapid"; part counts the chunks of a long run from 0. This is the only way in
// which seeds are derived, so that a row draws the same whatever else runs, and no
// two rows draw the same.
func Seed(seed uint64, row string, part int) uint64 {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s %d", seed, row, part))
	return binary.LittleEndian.Uint64(sum[:])
}
