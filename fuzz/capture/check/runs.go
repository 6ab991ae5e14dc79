// SPDX-License-Identifier: MIT

package check

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"slices"
	"time"

	"tunproof/fuzz/packet"
	"tunproof/fuzz/record"
)

// flow is the state of one direction of a connection.
type flow struct {
	last latest

	base        uint16     // its last wrong checksum without protocol and length
	baseRest    int        // the sum of these
	baseAt      int        // the number of that packet
	counts      bool       // its IDs count up; with DF they may be random
	swapped     int        // segments in a row whose IDs count up with their bytes swapped
	ids         []numbered // IDs of the latest full segments without DF
	off         [2]offBy   // of the IPv4 header's checksum and of that of TCP or UDP
	headed      bool       // an IPv4 header had the right checksum
	checksummed bool       // a packet had the right checksum of TCP or UDP
	opened      bool       // its SYN was seen, so accECN is known
	accECN      bool       // accurate ECN was negotiated: CWR is part of a counter
	started     bool       // frontier is known
	frontier    uint32     // the sequence number after the last byte sent
	stream      uint64     // hash of the payload at the latest sequence number
	pushed      int        // segments in a row with PSH that look like those of one superpacket
	pushedFirst int        // the number of the first of these
	full        int        // segments in a row with one size
	missing     []gap      // in runs of full segments
	sizes       []int      // the latest different payload lengths of its segments
	run         run        // the latest segments in a row
	behind      int        // the number of the latest segment whose checksum shows that its sequence number is too low
	uncut       bool       // checksums had the length of a superpacket
	constant    []byte     // the payload of the latest segment whose sequence number did not advance
}

// run is segments of one length that follow each other, as those of superpackets do.
type run struct {
	numbers   []int // of their packets, the latest mostRun
	size      int   // of their payload
	next, ack uint32
}

// mostRun is how many segments of a run are remembered: more than most superpackets have.
const mostRun = 64

// follows reports whether a TCP segment goes on where the run ends. The last one may be
// shorter than the others.
func (r *run) follows(p *judged) bool {
	n := p.end - p.PayloadOff
	return len(r.numbers) > 0 && n > 0 && n <= r.size && p.u32(p.L4Off+4) == r.next && p.u32(p.L4Off+8) == r.ack
}

// remember adds a TCP segment to the run, or starts another one with it. An empty segment
// is part of none.
func (r *run) remember(p *judged) {
	n := p.end - p.PayloadOff
	if p.Proto != 6 || p.PayloadOff == 0 || p.Fragment || n == 0 {
		return
	}
	if !r.follows(p) || n != r.size {
		*r = run{size: n, ack: p.u32(p.L4Off + 8)}
	}
	r.numbers = append(r.numbers[max(0, len(r.numbers)-mostRun+1):], p.n)
	r.next = p.u32(p.L4Off+4) + uint32(n)
}

// offBy is by how much a checksum that nothing explains was off, and the number of its
// packet, the latest of its flow.
type offBy struct {
	by     uint16
	packet int
	sum    uint16 // of the packet, without its checksum
	l4Len  int    // of the packet

	otherBy     uint16 // the same of the latest one before it that had another sum
	otherPacket int
}

// numbered is an ID and its packet.
type numbered struct {
	id     uint16
	packet int
	sum    uint64 // of the bytes of the packet
}

// latest holds the fields of a flow's latest packet.
type latest struct {
	number           int
	at               time.Time
	ipLen, l4Len     int
	id, ipSum, l4Sum uint16
	l4Right          uint16 // what l4Sum should be, if it is complete
	df               bool
	seq, ack         uint32
	seqBytes         [4]byte
	flags            byte
	window           uint16
	payload          int
	sum              uint64 // hash of all bytes, to recognise a copy
	gso              bool
	wrong            bool   // perhaps one of these fields is wrong: the checksum of TCP or UDP is, or another packet contradicts
	bytes            []byte // of a full segment's payload
}

// remember makes p the latest packet.
func (l *latest) remember(p *judged) {
	kept := l.bytes[:0]
	*l = latest{number: p.n, at: p.at, ipLen: p.IPLen, gso: p.gso || p.csum == packet.Partial, wrong: p.csum == packet.Wrong || p.doubtful, bytes: kept, sum: sum64(p.b)}
	if p.Version == 4 {
		l.id, l.ipSum, l.df = p.u16(4), p.u16(10), p.b[6]&0x40 != 0
	}
	if p.PayloadOff == 0 || p.Fragment {
		return
	}
	l.l4Len, l.payload, l.l4Right = p.end-p.L4Off, p.end-p.PayloadOff, p.rightSum
	if p.Proto == 17 {
		l.l4Sum = p.u16(p.L4Off + 6)
		return
	}
	l.seq, l.ack, l.flags = p.u32(p.L4Off+4), p.u32(p.L4Off+8), p.b[p.L4Off+13]
	l.window, l.l4Sum = p.u16(p.L4Off+14), p.u16(p.L4Off+16)
	copy(l.seqBytes[:], p.b[p.L4Off+4:])
	if l.payload >= fullSize && l.payload <= longest {
		l.bytes = append(l.bytes, p.b[p.PayloadOff:p.end]...)
	}
}

// mostSizes bounds how many payload lengths of a flow are remembered.
const mostSizes = 8

// hasSize remembers a payload length of the flow.
func (f *flow) hasSize(n int) {
	if n > 0 && !slices.Contains(f.sizes, n) {
		f.sizes = append(f.sizes[max(0, len(f.sizes)-mostSizes+1):], n)
	}
}

// payloadSum returns a hash of the payload.
func (p *judged) payloadSum() uint64 { return sum64(p.b[p.PayloadOff:p.end]) }

var seed = maphash.MakeSeed()

func sum64(b []byte) uint64 { return maphash.Bytes(seed, b) }

const (
	fin, syn, rst, psh, ece, cwr = 1, 2, 4, 8, 0x40, 0x80

	fullSize  = 512  // smallest payload of a segment that may be from a superpacket
	longest   = 9216 // bytes of a packet that may be one segment
	pushedRun = 3    // segments in a row with PSH that are a finding

	together = time.Millisecond // the longest time between two segments of one superpacket
)

// tcpRun judges a TCP segment together with the one before it in its flow.
func (p *judged) tcpRun(f *flow) {
	l := &f.last
	flags, at := p.b[p.L4Off+13], p.L4Off
	payload := p.end - p.PayloadOff
	seq := p.u32(at + 4)
	if p.b[at+12]&1 != 0 {
		f.accECN = true
		p.check.flow(p.Flow(p.b).Reverse()).accECN = true
	}
	follows := l.number > 0 && l.payload > 0 && payload > 0 && (flags|l.flags)&(syn|rst) == 0 && seq == l.seq+uint32(l.payload)
	if flags&syn != 0 {
		f.opened = true
	}
	if follows && flags&cwr != 0 && l.flags&cwr != 0 && !f.accECN {
		kind := TCPCWRSuspect
		if f.opened && p.at.Sub(l.at) <= together && p.u32(at+8) == l.ack && (p.Version == 6 || p.u16(4) == l.id+1) {
			kind = TCPCWR
		}
		p.found(kind, "tcp.flags", "CWR", "", "packet %d, the segment before it, has it too; only the first segment may", l.number)
	}
	if follows && l.flags&fin != 0 {
		p.foundAt(l.number, TCPFIN, "tcp.flags", "FIN", "no FIN", "packet %d goes on where it ends", p.n)
	}
	if l.number > 0 && seq != l.seq {
		f.constant = nil
	}
	if p.overlaps(l) {
		p.doubtful = true
		p.found(SeqOverlap, "tcp.seq", fmt.Sprint(seq), fmt.Sprint(l.seq+uint32(l.payload)), "packet %d has other bytes at the same place of the stream: one of the two is not where it belongs, or too long", l.number)
	}
	switch sum := p.payloadSum(); {
	case p.csum == packet.Wrong:
		f.stream = 0 // damaged
	case f.constant != nil && payload > 0 && payload < len(f.constant) && !bytes.HasPrefix(f.constant, p.b[p.PayloadOff:p.end]):
		p.found(SeqConstant, "tcp.seq", fmt.Sprint(seq), fmt.Sprint(l.seq+uint32(l.payload)), "packet %d has other bytes at the same place of the stream: the sequence number does not advance", l.number)
		f.constant = nil
	case l.number == 0 || seq != l.seq || payload != l.payload || payload < fullSize || f.stream == 0:
		f.stream = sum
	case sum != f.stream:
		p.found(SeqConstant, "tcp.seq", fmt.Sprint(seq), fmt.Sprint(l.seq+uint32(l.payload)), "packet %d has other bytes at the same place of the stream: the sequence number does not advance", l.number)
		f.frontier += uint32(payload) // as it should have
		f.constant = bytes.Clone(p.b[p.PayloadOff:p.end])
	}
	p.pushes(f, follows, flags, payload)
	p.gaps(f, follows, payload)
	if p.Version == 4 && l.number > 0 && l.payload > 0 && payload > 0 && f.started && f.frontier == l.seq+uint32(l.payload) {
		if gap := int32(seq - f.frontier); gap > 0 && p.u16(4) == l.id+1 && !l.gso && !l.wrong && p.csum != packet.Wrong {
			p.found(SeqGap, "tcp.seq", fmt.Sprint(seq), fmt.Sprint(f.frontier), "the sender skipped %s, while the IPv4 IDs count on from packet %d without a gap", record.Count(int(gap), "byte"), l.number)
		}
	}
	end := seq + uint32(payload)
	if flags&syn != 0 {
		end++
	}
	if !f.started || int32(end-f.frontier) > 0 || flags&syn != 0 {
		f.started, f.frontier = true, end
	}
}

// overlaps reports whether p begins inside the full segment before it in its flow, and has
// other bytes there. One byte is how a keepalive begins before its place.
func (p *judged) overlaps(l *latest) bool {
	payload := p.b[p.PayloadOff:p.end]
	from := int64(int32(p.u32(p.L4Off+4) - l.seq))
	if l.number == 0 || l.wrong || p.csum == packet.Wrong || len(payload) < 2 || from <= 0 || from >= int64(len(l.bytes)) {
		return false
	}
	old := l.bytes[from:]
	n := min(len(old), len(payload))
	return n > 1 && !bytes.Equal(old[:n], payload[:n])
}

// pushes looks for PSH on segments that look like inner ones of a superpacket.
func (p *judged) pushes(f *flow, follows bool, flags byte, payload int) {
	l := &f.last
	same := follows && payload == l.payload && payload >= fullSize && len(p.b) <= longest && p.csum != packet.Partial && !p.gso &&
		p.u32(p.L4Off+8) == l.ack && p.u16(p.L4Off+14) == l.window && (p.Version == 6 || p.u16(4) == l.id+1)
	switch {
	case flags&psh == 0:
		f.pushed = 0
	case f.pushed > 0 && same:
		f.pushed++
	default:
		f.pushed, f.pushedFirst = 1, p.n
	}
	if f.pushed == pushedRun {
		p.foundAt(f.pushedFirst, TCPPSH, "tcp.flags", "PSH", "", "each segment of %d bytes from this one to packet %d has it", payload, p.n)
	}
}

// sameID reports whether two packets in a row that have one ID are certainly segments of
// one superpacket: full ones of one length, close in time. Small or slow datagrams, such
// as those of HSRP, BFD and DHCP, may all have one ID (RFC 6864 allows it, as they are
// never cut into fragments).
func (p *judged) sameID(l *latest, payload int, follows bool) bool {
	if follows {
		return true
	}
	return p.Proto == 17 && sum64(p.b) != l.sum && payload == l.payload && payload >= fullSize && p.at.Sub(l.at).Abs() <= together
}

// ids judges an IPv4 ID together with those of the packets before it in its flow.
func (p *judged) ids(f *flow) {
	l := &f.last
	payload := p.end - p.PayloadOff
	id, df := p.u16(4), p.b[6]&0x40 != 0
	if payload == 0 || p.gso || p.csum == packet.Partial {
		return
	}
	before := 0 // the packet that has this ID too
	if at := slices.IndexFunc(f.ids, func(n numbered) bool { return n.id == id }); at >= 0 {
		if n := f.ids[at]; n.sum != sum64(p.b) { // a copy of a packet is no second packet
			before = n.packet
		}
	}
	if !df && payload >= fullSize {
		f.ids = append(f.ids[max(0, len(f.ids)-mostIDs+1):], numbered{id, p.n, sum64(p.b)})
	}
	if l.number == 0 || l.payload == 0 || l.gso {
		return
	}
	follows := p.Proto == 6 && p.u32(p.L4Off+4) == l.seq+uint32(l.payload)
	if follows && swap(id) == swap(l.id)+1 && id != l.id+1 {
		f.swapped++
	} else {
		f.swapped = 0
	}
	switch {
	case id == l.id && !df && !l.df && p.sameID(l, payload, follows):
		p.found(IDConstant, "ip.id", hex16(id), hex16(l.id+1), "packet %d has the same ID; without DF, fragments of the two can be mixed up", l.number)
	case follows && !df && f.counts && before > 0:
		p.found(IDRepeated, "ip.id", hex16(id), hex16(l.id+1), "packet %d has the same ID: the IDs start again, as if for each batch; without DF, fragments of the two can be mixed up", before)
	case follows && id == l.id-1 && (!df || f.counts):
		p.found(IDDescending, "ip.id", hex16(id), hex16(l.id+1), "against the sequence numbers: by its ID, packet %d was sent after this one", l.number)
	case follows && id == l.id+1:
		f.counts = true
	case f.swapped == swappedRun:
		p.found(IDSwapped, "ip.id", hex16(id), hex16(l.id+1), "the IDs count up with their bytes swapped")
	}
}

const (
	swappedRun = 3  // segments in a row with swapped IDs that are a finding
	mostIDs    = 64 // IDs that are remembered of each flow
)
