package mutants

// Equivalent is a mutation that no input can show. An entry applies only while its line is
// unchanged.
type Equivalent struct {
	ID     string
	Source string // the line
	Why    string // key of Arguments
}

// Arguments has the reasons why mutations are equivalent, by key. Besides, each of these
// mutations was run against the small exhaustive sets of P10, like every other. make
// mutants OF=offload DEEP=1 runs it against the large ones. No input differs from the
// original.
var Arguments = map[string]string{
	"add":       "Coalesce(pkts) is Add of each packet, then Flush. With this change Coalesce does it that way. Only the time differs. TestReuse compares the results of both ways.",
	"again":     "What is written only into the last segment would be written into every one. The others are as long as the headers say that they are copied from, so the same values are written again.",
	"assertion": "The mutated code asserts something that holds: with the tag invariants it panics otherwise. Mutations of the asserted code test that it would panic.",
	"bounds":    "The two conditions are about two slices of the same length, so they have the same result. Both are there so that the compiler needs no other bounds checks.",
	"carry":     "There are eight additions with carry. Each leaves at most 2^64-2 if it gives a carry (by induction: TestCarry, for all words of 8 bits). So the carry of the last can be added without giving another.",
	"decided":   "Another condition of the code decides the same. extends refuses an empty payload. Two packets without a conflict are both \"none\". A fragment is found before the evil bit. In UDP, extends has accepted every packet that joins. An incomplete header is shorter than IHL says (TestHeaderLengths). A version that is neither 4 nor 6 has no protocol. A superpacket of two or more packets is not shorter than one of them. Whatever makes another slot recent sets the last superpacket to none.",
	"endian":    "The code is for big-endian machines, and this machine is not one. In a program for s390x (.ci/qemu) TestImplementations detects each of these mutations.",
	"hash":      "It gives another hash. Results depend on no hash. For the keys with which TestWork seeks collisions, this hash spreads as well, within the same limits, and TestHash finds every bit in it.",
	"model":     "These are mutations of the model. Two packets without addresses are alone anyway, and a packet is compared only with those before it. An older superpacket is closed if a newer one is. A candidate has a payload. A refused packet has no segments. Byte 6 of IPv6 is 6 or 17. The other bit belongs to a fragment, which is no candidate. A first packet with FIN or PSH comes back from no superpacket. A version that is neither 4 nor 6 has no protocol. Without a GSO type no payload can be longer. The IPv6 lengths are written over what was put there.",
	"sum":       "It computes the same sum with another implementation, or in other pieces. TestImplementations compares all of them with the plain sum at every length.",
	"tag":       "The value must only differ from certain others. For a key, no other key has the value in this place. For \"none\", no index has it. For a version, it is only compared with 4.",
	"unused":    "Nothing reads the value: an IPv4 value in an IPv6 packet; a limit of 1 or 0 where there is one packet already.",
}

// Equivalents has all mutations of offload and of the model that survive and are
// equivalent.
var Equivalents = []Equivalent{
	{"candidate.go:parsed.parse:literal:5a849cb2", `p.version, p.proto, p.l4Off = 6, pkt[6], ipv6HdrLen`, "tag"},
	{"candidate.go:parsed.setFlow:literal:ba2253fc", `p.key.ports |= uint64(p.proto)<<32 | uint64(be32(pkt[p.l4Off:]))`, "tag"},
	{"checksum_amd64.go:sumOther:true:0095a2fc", `if !hasAVX2 {`, "sum"},
	{"checksum_amd64.go:sumOther:boundary:feedccf9", `for len(b) > maxVector {`, "sum"},
	{"checksum_generic.go:sumGeneric:false:8ade1589", `for len(b) >= 64 {`, "sum"},
	{"checksum_generic.go:sumGeneric:boundary:08db3fa0", `for len(b) >= 64 {`, "sum"},
	{"checksum_generic.go:sumGeneric:literal:33629005", `for len(b) >= 64 {`, "sum"},
	{"checksum_generic.go:sumGeneric:delete:3e2d34fe", `sum, carry = bits.Add64(sum, 0, carry)`, "carry"},
	{"checksum_generic.go:sumGeneric:delete:bab9acd5", `sum += carry`, "carry"},
	{"checksum_generic.go:sumGeneric:assign:c93ddcbb", `sum += carry`, "carry"},
	{"checksum_generic.go:-:literal:6f2c6bef", `var bigEndian = binary.NativeEndian.Uint16([]byte{0, 1}) == 1`, "endian"},
	{"checksum_generic.go:-:literal:94c0fcb5", `var bigEndian = binary.NativeEndian.Uint16([]byte{0, 1}) == 1`, "endian"},
	{"checksum_generic.go:-:literal:6c2696fe", `var bigEndian = binary.NativeEndian.Uint16([]byte{0, 1}) == 1`, "endian"},
	{"checksum_generic.go:-:literal:25f59fd3", `var bigEndian = binary.NativeEndian.Uint16([]byte{0, 1}) == 1`, "endian"},
	{"checksum_generic.go:-:literal:db73fd3f", `var bigEndian = binary.NativeEndian.Uint16([]byte{0, 1}) == 1`, "endian"},
	{"checksum_generic.go:native:false:a719de5c", `if bigEndian {`, "endian"},
	{"coalesce.go:Coalescer.Coalesce:true:8dce042e", `if c.adding {`, "add"},
	{"coalesce.go:Coalescer.place:boundary:fceca71c", `if keepOrder && lastOfPair > lastOfFlow {`, "decided"},
	{"coalesce.go:Coalescer.start:true:8fbe97df", `if p.version == 4 {`, "unused"},
	{"coalesce.go:Coalescer.start:literal:6a6142cd", `r.most = 1`, "unused"},
	{"coalesce.go:Coalescer.prepend:true:1bc527e8", `r.sealed = q.sealed || q.n == 1 && q.payload < r.size`, "decided"},
	{"coalesce.go:Coalescer.joins:true:f93230ce", `a.proto == protoTCP && a.seq+uint32(a.payload) != b.seq ||`, "decided"},
	{"flow.go:-:literal:a5cb72e0", `const ipv6Ports = 1 << 40`, "tag"},
	{"flow.go:-:literal:04d9c899", `const ipv6Ports = 1 << 40`, "tag"},
	{"flow.go:-:literal:1e9d5eab", `const none int32 = -1`, "tag"},
	{"flow.go:flowTable.hash:literal:0a588ea2", `h := m[0] + product(k.ports, m[1], m[2]) + product(k.srcHi, m[3], m[4])`, "hash"},
	{"flow.go:flowTable.hash:arithmetic:f528a3d8", `h := m[0] + product(k.ports, m[1], m[2]) + product(k.srcHi, m[3], m[4])`, "hash"},
	{"flow.go:flowTable.hash:literal:50dae91e", `h := m[0] + product(k.ports, m[1], m[2]) + product(k.srcHi, m[3], m[4])`, "hash"},
	{"flow.go:flowTable.hash:literal:18b1b8b8", `h := m[0] + product(k.ports, m[1], m[2]) + product(k.srcHi, m[3], m[4])`, "hash"},
	{"flow.go:flowTable.hash:literal:bf05e1b4", `h := m[0] + product(k.ports, m[1], m[2]) + product(k.srcHi, m[3], m[4])`, "hash"},
	{"flow.go:flowTable.hash:arithmetic:a03852b6", `h := m[0] + product(k.ports, m[1], m[2]) + product(k.srcHi, m[3], m[4])`, "hash"},
	{"flow.go:flowTable.hash:true:2fcee9a3", `if k.ports&ipv6Ports != 0 {`, "hash"},
	{"flow.go:flowTable.hash:bits:6a06b36a", `if k.ports&ipv6Ports != 0 {`, "hash"},
	{"flow.go:flowTable.hash:literal:d3ad555d", `if k.ports&ipv6Ports != 0 {`, "hash"},
	{"flow.go:flowTable.hash:assign:07cb2756", `h += product(k.srcLo, m[5], m[6]) + product(k.dstHi, m[7], m[8]) + product(k.dstLo, m[9], m[10])`, "hash"},
	{"flow.go:flowTable.hash:literal:b2089acb", `h += product(k.srcLo, m[5], m[6]) + product(k.dstHi, m[7], m[8]) + product(k.dstLo, m[9], m[10])`, "hash"},
	{"flow.go:flowTable.hash:arithmetic:524e8087", `h += product(k.srcLo, m[5], m[6]) + product(k.dstHi, m[7], m[8]) + product(k.dstLo, m[9], m[10])`, "hash"},
	{"flow.go:flowTable.hash:literal:e769c187", `h += product(k.srcLo, m[5], m[6]) + product(k.dstHi, m[7], m[8]) + product(k.dstLo, m[9], m[10])`, "hash"},
	{"flow.go:flowTable.hash:literal:eed8a2dc", `h += product(k.srcLo, m[5], m[6]) + product(k.dstHi, m[7], m[8]) + product(k.dstLo, m[9], m[10])`, "hash"},
	{"flow.go:flowTable.hash:arithmetic:f2c58526", `h += product(k.srcLo, m[5], m[6]) + product(k.dstHi, m[7], m[8]) + product(k.dstLo, m[9], m[10])`, "hash"},
	{"flow.go:flowTable.hash:literal:a4060a00", `h += product(k.srcLo, m[5], m[6]) + product(k.dstHi, m[7], m[8]) + product(k.dstLo, m[9], m[10])`, "hash"},
	{"flow.go:product:arithmetic:455b612e", `func product(w, a, b uint64) uint64 { return (a + w>>32) * (b + w&0xFFFFFFFF) }`, "hash"},
	{"flow.go:product:arithmetic:35024548", `func product(w, a, b uint64) uint64 { return (a + w>>32) * (b + w&0xFFFFFFFF) }`, "hash"},
	{"headers.go:sameHeaders:true:8ab48369", `for i := tcpHdrLen; i+4 <= len(a) && i+4 <= len(b); i += 4 {`, "bounds"},
	{"headers.go:sameHeaders:arithmetic:b238038b", `for i := tcpHdrLen; i+4 <= len(a) && i+4 <= len(b); i += 4 {`, "bounds"},
	{"headers.go:sameHeaders:true:f5bc911a", `for i := tcpHdrLen; i+4 <= len(a) && i+4 <= len(b); i += 4 {`, "bounds"},
	{"headers.go:sameHeaders:logic:2ed315a3", `for i := tcpHdrLen; i+4 <= len(a) && i+4 <= len(b); i += 4 {`, "bounds"},
	{"headers.go:sameHeaders:arithmetic:b9aa60de", `for i := tcpHdrLen; i+4 <= len(a) && i+4 <= len(b); i += 4 {`, "bounds"},
	{"packet.go:-:literal:e4396325", `ipv4MF, ipv4DF, ipv4Evil = 0x2000, 0x4000, 0x8000 // in the word at offset 6`, "decided"},
	{"packet.go:parseIP:false:5ff28a41", `if len(pkt) < ipv4HdrLen {`, "decided"},
	{"segment.go:Segmenter.checkGSO:false:d4c2ae75", `if l.version == 0 || version != 0 && l.version != version || l.proto != proto {`, "decided"},
	{"segment.go:Segmenter.checkGSO:literal:d03d5932", `if l.version == 0 || version != 0 && l.version != version || l.proto != proto {`, "decided"},
	{"segment.go:Segmenter.outer:true:e242c330", `if s.i == s.n-1 {`, "again"},
	{"tunnel.go:tunnel.wrap:true:78637cdb", `if longer != 0 {`, "again"},
	{"tunnel.go:tunnel.wrap:literal:bdcc9416", `if longer != 0 {`, "again"},
	{"work_invariants.go:invariant:false:51e139aa", `if !holds {`, "assertion"},
	{"work_invariants.go:invariant:delete:a172560e", `panic("offload: " + what)`, "assertion"},
	{"admission.go:Identify:literal:1a584554", `id = Identity{6, int(b[6]), get16(b, 4) + 40, "6" + string(b[8:40]), ""}`, "tag"},
	{"admission.go:Identity.Conflicts:true:fcf1101c", `if p.flow != "" && q.flow != "" {`, "model"},
	{"admission.go:Identity.Conflicts:true:432eb81b", `return p.addresses != "" && p.addresses == q.addresses`, "model"},
	{"coalesce.go:coalescer.settle:branch:f6aaa496", `break`, "model"},
	{"coalesce.go:verdict:literal:df709499", `most, least = cfg.MaxUDPSegments, 1`, "model"},
	{"coalesce.go:verdict:false:0fee6e21", `if err != nil || !slices.EqualFunc(segments, members, same) {`, "model"},
	{"coalesce.go:Config.same:true:e39ce519", `if cfg.AtomicIDs && b[0]>>4 == 4 && dontFragment(b) {`, "model"},
	{"coalesce.go:Join:bits:b1bc5faa", `whole.l4[13] = whole.l4[13]&^(fin|psh) | last.l4[13]&(fin|psh)`, "model"},
	{"packet.go:parse:literal:f824bf60", `n := 0`, "model"},
	{"packet.go:dontFragment:literal:e136c3de", `func dontFragment(b []byte) bool { return b[6]&0x40 != 0 }`, "model"},
	{"packet.go:evilBit:literal:cb942f73", `func evilBit(b []byte) bool      { return b[6]&0x80 != 0 }`, "model"},
	{"segment.go:Segment:false:975fa290", `case h.GSOType == gsoNone || len(p.payload) <= int(h.GSOSize):`, "model"},
	{"segment.go:split:true:abaaebd7", `if s.version == 4 {`, "model"},
}

// EquivalentIDs returns Equivalents by ID.
func EquivalentIDs() map[string]Equivalent {
	ids := map[string]Equivalent{}
	for _, e := range Equivalents {
		ids[e.ID] = e
	}
	return ids
}
