package check

import (
	"fmt"
	"hash/maphash"
	"time"
	"tunproof/fuzz/packet"
)

// flow is what is known of one direction.
type flow struct {
	last latest

	checksummed bool   // a datagram had a checksum
	opened      bool   // its SYN was seen, so that accECN is known
	accECN      bool   // CWR is part of a counter
	started     bool   // frontier is known
	frontier    uint32 // the sequence number behind all that was sent
	pushed      int    // segments in a row that have PSH and look like one superpacket's
	pushedFirst int    // the first of them
	full        int    // segments in a row of one size
	missing     []gap  // in runs of them
}

// latest is the flow's latest packet.
type latest struct {
	number, version  int
	at               time.Time
	ipLen, l4Len     int
	id, ipSum, l4Sum uint16
	df               bool
	seq, ack         uint32
	seqBytes         [4]byte
	flags            byte
	window           uint16
	payload          int
	sum              uint64 // of all bytes, to know a copy
	gso              bool
}

func (l *latest) remember(p *judged) {
	*l = latest{number: p.n, at: p.at, version: p.Version, ipLen: p.IPLen, gso: p.gso || p.csum == packet.Partial, sum: sum64(p.b)}
	if p.Version == 4 {
		l.id, l.ipSum, l.df = p.u16(4), p.u16(10), p.b[6]&0x40 != 0
	}
	if p.PayloadOff == 0 || p.Fragment {
		return
	}
	l.l4Len, l.payload = p.end-p.L4Off, p.end-p.PayloadOff
	if p.Proto == 17 {
		l.l4Sum = p.u16(p.L4Off + 6)
		return
	}
	l.seq, l.ack, l.flags = p.u32(p.L4Off+4), p.u32(p.L4Off+8), p.b[p.L4Off+13]
	l.window, l.l4Sum = p.u16(p.L4Off+14), p.u16(p.L4Off+16)
	copy(l.seqBytes[:], p.b[p.L4Off+4:])
}

var seed = maphash.MakeSeed()

func sum64(b []byte) uint64 { return maphash.Bytes(seed, b) }

const (
	fin, syn, rst, psh, ece, cwr = 1, 2, 4, 8, 0x40, 0x80

	fullSize  = 512  // payload bytes under which a segment is no superpacket's, for PSH
	longest   = 9216 // bytes of a segment
	pushedRun = 3

	together = time.Millisecond // segments of one superpacket are not further apart
)

// tcpRun judges a TCP segment beside the one before it.
func (p *judged) tcpRun(f *flow) {
	l := &f.last
	flags, at := p.b[p.L4Off+13], p.L4Off
	payload := p.end - p.PayloadOff
	seq := p.u32(at + 4)
	if p.b[at+12]&1 != 0 {
		f.accECN = true
		p.finds.flow(p.Flow(p.b).Reverse()).accECN = true
	}
	behind := l.number > 0 && l.payload > 0 && payload > 0 && (flags|l.flags)&(syn|rst) == 0 && seq == l.seq+uint32(l.payload)
	if flags&syn != 0 {
		f.opened = true
	}
	if behind && flags&cwr != 0 && l.flags&cwr != 0 && !f.accECN {
		kind := TCPCWRSuspect
		if f.opened && p.at.Sub(l.at) <= together && p.u32(at+8) == l.ack && (p.Version == 6 || p.u16(4) == l.id+1) {
			kind = TCPCWR
		}
		p.found(kind, "tcp.flags", "CWR", "", "packet %d, which it follows, has it too; only the first new segment may", l.number)
	}
	if behind && l.flags&fin != 0 {
		p.found(TCPFIN, "tcp.flags", fmt.Sprintf("FIN in packet %d", l.number), "no FIN", "this packet goes on where it ended")
	}
	p.pushes(f, behind, flags, payload)
	p.gaps(f, behind, payload)
	if p.Version == 4 && l.number > 0 && l.payload > 0 && payload > 0 && f.started && f.frontier == l.seq+uint32(l.payload) {
		if gap := int32(seq - f.frontier); gap > 0 && p.u16(4) == l.id+1 && !l.gso {
			p.found(SeqGap, "tcp.seq", fmt.Sprint(seq), fmt.Sprint(f.frontier), "%d bytes were never sent, while IDs count on from packet %d", gap, l.number)
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

// pushes looks for PSH on what looks like the inner segments of a superpacket.
func (p *judged) pushes(f *flow, behind bool, flags byte, payload int) {
	l := &f.last
	same := behind && payload == l.payload && payload >= fullSize && len(p.b) <= longest && p.csum != packet.Partial && !p.gso &&
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
		n := p.n
		p.n = f.pushedFirst
		p.found(TCPPSH, "tcp.flags", "PSH", "", "so has each segment of %d bytes from this to packet %d", payload, n)
		p.n = n
	}
}

// ids judges an IPv4 ID beside that of the packet before it.
func (p *judged) ids(f *flow) {
	l := &f.last
	payload := p.end - p.PayloadOff
	if l.number == 0 || payload == 0 || l.payload == 0 || l.gso || p.gso || p.csum == packet.Partial {
		return
	}
	id, df := p.u16(4), p.b[6]&0x40 != 0
	behind := p.Proto == 6 && p.u32(p.L4Off+4) == l.seq+uint32(l.payload)
	switch {
	case id == l.id && !df && !l.df && (behind || p.Proto == 17 && sum64(p.b) != l.sum):
		p.found(IDConstant, "ip.id", hex16(id), hex16(l.id+1), "packet %d has it too, and without DF a fragment may be of either", l.number)
	case behind && id == l.id-1:
		p.found(IDDescending, "ip.id", hex16(id), hex16(l.id+1), "against the sequence numbers: packet %d was sent later", l.number)
	}
}
