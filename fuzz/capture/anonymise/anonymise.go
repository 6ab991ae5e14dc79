// SPDX-License-Identifier: MIT

// Package anonymise replaces the addresses and the payload of packets, so that a capture
// can be published. It keeps what an offload looks at, so that a tool says of the copy what
// it says of the original.
//
// These stay:
//
//   - the length of each packet, its time and its place in the capture;
//   - every field of the IP, TCP and UDP headers except addresses and checksums: lengths,
//     flags, IDs, ports, sequence numbers, windows;
//   - the type and code of ICMP messages, and the Fragment headers of IPv6;
//   - the kind and length of each option, and the data of MSS, window scale, SACK and
//     timestamp options, of router alerts and of jumbo payloads;
//   - how far a source route has been followed;
//   - the VnetHdr in a packet's comment;
//   - addresses that identify nobody: loopback, unspecified, broadcast, and multicast
//     groups that everybody uses;
//   - zeros after the end of a packet;
//   - which packets are of one flow, which addresses, payloads and options are equal, and
//     which bytes of a TCP stream are equal to those sent at the same place before. That
//     holds too between two captures with a translation of addresses or ports (NAT) between
//     them, if compare finds it;
//   - whether a checksum is right, partial, absent or wrong. A wrong checksum keeps the error
//     that makes it, or is wrong by as much.
//
// Nothing else of a packet stays. Addresses get new ones. All other bytes are enciphered
// with a random key that never leaves the Anonymiser: payload, the data of other options,
// all headers inside a tunnel or inside an ICMP message, and bytes after the end of a
// packet. Link headers, other comments, and the names of interfaces are left out.
//
// The key streams of two flows have nothing in common. If two different payloads are at one
// place of a TCP stream, their difference (xor) is not hidden: an offload may have changed
// bytes, or a connection may use the ports of an older one again. Nor is it hidden if compare
// finds that a packet of one capture is that of another with some bytes changed.
package anonymise

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"

	"tunproof/fuzz/capture/check"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/packet"
)

// Anonymiser anonymises packets. Its key is random and never leaves it.
type Anonymiser struct {
	// Whole counts the UDP superpackets whose datagrams have an unknown length. They
	// are enciphered as a whole, so they no longer have the bytes of their datagrams.
	Whole int
	// Unlike counts the wrong checksums of which check says something else in the copy, and
	// the old addresses that are also new ones.
	Unlike int

	first  [32]byte // the first key
	key    [32]byte
	same   map[packet.Flow]packet.Flow // flows that are another flow of an earlier capture: they have its key streams
	before map[string][]byte           // payloads that are another one of an earlier capture, with changed bytes, by flow and payload
	short  map[string]bool             // those that are too short for that, by flow and payload
	origin map[[2]int]original         // what a changed packet was in the first capture, by capture and number
	copies map[int][]byte              // the copies of those in the first capture, by number
	file   int                         // the number of the capture in Files, from 0
	size   int                         // payload bytes of the datagrams in a UDP superpacket; 0 if unknown
	most   int                         // how many addresses are replaced at most
	search int                         // how many bytes of packets explain may still judge

	block   cipher.Block
	was, is *check.Checker    // of the packets of this capture so far, and of their copies
	wrong   map[string][]byte // copies of packets with wrong checksums
	longest []map[string]int  // the payload of the longest datagram of each flow, by capture
	addresses
}

// original is a packet of the first capture.
type original struct {
	data   []byte
	number int
}

// longestPlain is the length of the longest UDP packet that may have a partial
// checksum without being a superpacket.
const longestPlain = 1500

// New returns an Anonymiser. size is the payload length in bytes of the datagrams of a UDP
// superpacket that has no VnetHdr; one with a VnetHdr has its own gso_size. With the size,
// a superpacket and its datagrams are enciphered alike. 0 means that it is unknown. An
// error means that no random key could be made.
func New(size int) (*Anonymiser, error) {
	var key [32]byte
	if _, err := io.ReadFull(rand.Reader, key[:]); err != nil {
		return nil, err
	}
	return keyed(key, size)
}

func keyed(key [32]byte, size int) (*Anonymiser, error) {
	a := &Anonymiser{first: key, size: size, most: maxAddresses}
	return a, a.restart(key)
}

// restart forgets all packets and begins with another key.
func (a *Anonymiser) restart(key [32]byte) error {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return err
	}
	a.Whole, a.Unlike, a.key, a.block = 0, 0, key, block
	a.wrong, a.longest = map[string][]byte{}, nil
	a.addresses = addresses{new: map[netip.Addr]netip.Addr{}, made: map[netip.Addr]bool{}}
	a.xor(a.stream("addresses"), a.random[:], a.random[:])
	if a.net = 10; key != a.first && a.random[0]&1 == 1 {
		a.net = 240 // the sums are larger
	}
	a.Begin()
	return nil
}

// Begin says that the next packets are those of another capture.
func (a *Anonymiser) Begin() {
	a.longest = append(a.longest, map[string]int{})
	nothing := func(check.Finding) {}
	a.was, a.is = check.New(check.Config{}, nothing), check.New(check.Config{}, nothing)
}

// maxFlows bounds the flows of which a capture's longest datagram is remembered.
const maxFlows = 1 << 16

// Joined returns the number of flows whose longest datagram is longer in one capture than in
// another. If datagrams were joined between the captures, and no size is known, the copy of
// the long one does not show that.
func (a *Anonymiser) Joined() int {
	all := map[string][2]int{} // the shortest and the longest
	for _, of := range a.longest {
		for id, n := range of {
			x, has := all[id]
			if !has {
				x = [2]int{n, n}
			}
			all[id] = [2]int{min(x[0], n), max(x[1], n)}
		}
	}
	joined := 0
	for _, x := range all {
		if x[0] < x[1] {
			joined++
		}
	}
	return joined
}

// Packet returns p anonymised, in a new slice. It keeps only the VnetHdr of a comment.
// One that cannot be read is an error, and so are too many addresses.
func (a *Anonymiser) Packet(p pcap.Packet) (pcap.Packet, error) {
	vnet, hasVnet, err := pcap.Vnet(p.Comment)
	if err != nil {
		return p, fmt.Errorf("packet %d: %w", p.Number, err)
	}
	p = a.padded(p)
	h, b := packet.Parse(p.Data), bytes.Clone(p.Data)
	if err := a.replaceAddresses(h, b); err != nil {
		return p, fmt.Errorf("packet %d: %w", p.Number, err)
	}
	at := a.options(h, b)
	size := a.size
	if hasVnet && vnet.GSOType != 0 {
		size = int(vnet.GSOSize)
	}
	if size == 0 && h.Proto == 17 && packet.Checksum(p.Data) == packet.Partial && len(b) > longestPlain && at < len(b) {
		a.Whole++
	}
	if size == 0 && h.Proto == 17 && h.PayloadOff > 0 && !h.Fragment {
		of, id := a.longest[len(a.longest)-1], a.flowID(h, p.Data)
		if _, has := of[id]; has || len(of) < maxFlows {
			of[id] = max(of[id], len(b)-h.PayloadOff)
		}
	}
	was := p
	origin := a.origin[[2]int{a.file, p.Number}]
	if copied := a.copies[origin.number]; a.file > 0 && onlyHeader(h, p.Data, origin.data) && len(copied) == len(b) {
		copy(b[ipHeader(h, b):], copied[ipHeader(h, b):])
		header, _ := a.was.Explain(p)
		a.headerSum(h, header, p, b)
	} else {
		of := p.Data
		if origin.data != nil {
			of = origin.data
		}
		a.payload(h, at, size, b, p.Data, of)
		a.sums(h, p, b, at)
	}
	if _, kept := a.copies[p.Number]; kept && a.file == 0 {
		a.copies[p.Number] = bytes.Clone(b)
	}
	p.Data, p.Trailer, p.Comment = b, nil, ""
	if hasVnet {
		p.Comment = pcap.VnetComment(vnet)
	}
	if err := errors.Join(a.was.Packet(was), a.is.Packet(p)); err != nil {
		return was, err
	}
	return p, nil
}

// padded returns p with the padding of its frame after its own bytes, if its checksum is wrong
// because it covers them. A copy has no frame.
func (a *Anonymiser) padded(p pcap.Packet) pcap.Packet {
	if len(p.Trailer) == 0 || len(p.Data)+len(p.Trailer) > packet.ShortestFrame { // there it would look like a wrong length
		return p
	}
	_, with := a.was.Explain(p)
	if !with.Wrong { // as most are
		return p
	}
	alone := p
	alone.Trailer = nil
	if _, without := a.was.Explain(alone); with.Text != without.Text {
		p.Data, p.Trailer = slices.Concat(p.Data, p.Trailer), nil
	}
	return p
}

// onlyHeader reports whether b, whose Header is h, differs from was in the IP header only, and
// has its other bytes in other roles than was: it became a fragment, or has another protocol.
func onlyHeader(h packet.Header, b, was []byte) bool {
	o := packet.Parse(was)
	if h.Version == 0 || o.Version != h.Version || len(b) != len(was) || ipHeader(h, b) != ipHeader(o, was) {
		return false
	}
	same := o.Fragment == h.Fragment && o.Proto == h.Proto && o.L4Off == h.L4Off && o.PayloadOff == h.PayloadOff
	return !same && bytes.Equal(b[ipHeader(h, b):], was[ipHeader(h, b):])
}

// ipHeader returns the length of an IP header without extension headers.
func ipHeader(h packet.Header, b []byte) int {
	if h.Version == 4 {
		return 4 * int(b[0]&15)
	}
	return 40
}

// flowID returns bytes that identify the flow of a packet and the kind of its payload. They
// are as long for each flow. A flow whose addresses or ports were translated between the
// captures is that of the first.
func (a *Anonymiser) flowID(h packet.Header, b []byte) string {
	flow, kind, version := h.Flow(b), byte(0), byte(0)
	if before, translated := a.same[flow]; translated {
		flow = before
	}
	if h.Fragment {
		kind = 1
	}
	if len(b) > 0 {
		version = b[0] >> 4 // which a packet without a complete IP header may have too
	}
	id := append([]byte{flow.Version, version, h.Proto, kind}, flow.Src[:]...)
	id = append(id, flow.Dst[:]...)
	return string(binary.BigEndian.AppendUint32(id, uint32(flow.SrcPort)<<16|uint32(flow.DstPort)))
}

// payload enciphers the bytes of from from an offset on into to, where the addresses have
// been replaced. TCP's key stream depends on the sequence number, so bytes that are the
// same in segments with other boundaries stay the same, and a changed byte stays a changed
// byte. The sequence number is that of was: from itself, or what it was in the first capture.
// Other payloads, in pieces of size bytes, depend only on their flow and contents.
func (a *Anonymiser) payload(h packet.Header, at, size int, to, from, was []byte) {
	end := len(from)
	if h.IPLen >= at && h.IPLen < end && isZero(from[h.IPLen:]) {
		end = h.IPLen // padding
	}
	id := a.flowID(h, from)
	switch {
	case at >= end:
		return
	case h.Proto == 6 && h.PayloadOff > 0 && !h.Fragment:
		s := a.stream(id)
		s.off = binary.BigEndian.Uint32(from[h.L4Off+4:])
		if o := packet.Parse(was); o.Proto == 6 && o.PayloadOff > 0 && !o.Fragment {
			s.off = binary.BigEndian.Uint32(was[o.L4Off+4:])
		}
		a.xor(s, to[at:end], from[at:end])
	default:
		if size == 0 || h.Proto != 17 || h.PayloadOff == 0 {
			size = end - at
		}
		for i := at; i < end; i += size {
			piece := from[i:min(i+size, end)]
			of := piece
			if before, changed := a.before[id+"/"+string(piece)]; changed {
				of = before
			}
			a.xor(a.datagram(id, of), to[i:], piece)
		}
	}
	if h.IPLen >= at && h.IPLen < end && isZero(to[h.IPLen:]) {
		to[len(to)-1] = 1 // so that the bytes do not look like padding
	}
}

const (
	maxOrigins   = 1 << 24 // bytes of packets that were changed after the first capture
	maxChanged   = 1 << 12 // findings of compare of which the payloads are kept
	leastChanged = 8       // bytes of a payload that may share a key stream: no other becomes equal to it
)

// changes takes a datagram of two captures that has other bytes in the second. There it gets
// the key stream that it has in the first, so that compare recognises it.
func (a *Anonymiser) changes(data [2][]byte) {
	var id [2]string
	var payload [2][]byte
	for side, b := range data {
		h := packet.Parse(b)
		if h.Version == 0 || h.Proto == 6 && h.PayloadOff > 0 && !h.Fragment {
			return // TCP's key stream depends on the sequence number
		}
		id[side], payload[side] = a.flowID(h, b), b[a.options(h, bytes.Clone(b)):]
	}
	was, is := payload[0], payload[1]
	if id[0] != id[1] || bytes.Equal(was, is) {
		return
	}
	if min(len(was), len(is)) < leastChanged {
		a.short[id[1]+"/"+string(is)] = true
		return
	}
	if older, changed := a.before[id[0]+"/"+string(was)]; changed {
		was = older
	}
	if !bytes.Equal(was, is) {
		a.before[id[1]+"/"+string(is)] = bytes.Clone(was)
	}
}

// Short returns the number of datagrams that compare finds changed between the captures, and
// cannot recognise in the copies, because they have hardly any bytes.
func (a *Anonymiser) Short() int { return len(a.short) }

// isZero reports whether all bytes are zero.
func isZero(b []byte) bool { return bytes.Count(b, []byte{0}) == len(b) }
