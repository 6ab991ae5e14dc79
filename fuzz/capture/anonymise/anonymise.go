// Package anonymise replaces the addresses and the payload of packets, and keeps
// everything that an offload looks at: lengths, flags, numbers and options, which
// packets are of one flow, which payloads are equal, and whether a checksum is right,
// partial, absent or wrong. A wrong checksum stays wrong by as much.
package anonymise

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"slices"

	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/packet"
)

// Anonymiser anonymises packets. It replaces equal addresses by equal ones and equal
// payloads by equal ones, in all its packets. Its key is random and never leaves it.
type Anonymiser struct {
	// Whole counts the UDP superpackets whose datagrams have an unknown length. They
	// are enciphered as a whole, so they no longer have the bytes of their datagrams.
	Whole int

	block cipher.Block
	size  int // payload bytes of the datagrams in a UDP superpacket; 0 if unknown
	addrs map[netip.Addr]int
	most  int // how many addresses are replaced at most
}

// longestPlain is the length of the longest UDP packet that may have a partial
// checksum without being a superpacket.
const longestPlain = 1500

// maxAddresses bounds the number of addresses, and with it the memory.
const maxAddresses = 1 << 20

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
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return &Anonymiser{block: block, size: size, addrs: map[netip.Addr]int{}, most: maxAddresses}, nil
}

// Packet returns p anonymised, in a new slice. It keeps only the VnetHdr of a comment.
// One that cannot be read is an error, and so are too many addresses.
func (a *Anonymiser) Packet(p pcap.Packet) (pcap.Packet, error) {
	b := bytes.Clone(p.Data)
	h := packet.Parse(b)
	vnet, hasVnet, err := pcap.Vnet(p.Comment)
	if err != nil {
		return p, fmt.Errorf("packet %d: %w", p.Number, err)
	}
	was := sums(h, p.Data)
	if err := a.addresses(h, b); err != nil {
		return p, fmt.Errorf("packet %d: %w", p.Number, err)
	}
	a.options(h, b)
	flow := h.Flow(b)
	at := payloadOff(h, b)
	if at < len(b) {
		size := a.size
		if hasVnet && vnet.GSOType != 0 {
			size = int(vnet.GSOSize)
		}
		if size == 0 && h.Proto == 17 && was.class == packet.Partial && len(b) > longestPlain {
			a.Whole++
		}
		a.payload(flow, h, size, seqOf(h, b), b[at:], p.Data[at:])
	}
	was.restore(h, b, at)
	p.Data = b
	p.Comment = ""
	if hasVnet {
		p.Comment = pcap.VnetComment(vnet)
	}
	return p, nil
}

// payloadOff returns the offset of the first byte to encipher. That is after the
// header of TCP or UDP, and after the type, code and checksum of other protocols. In a
// later fragment it is after the IP header. If the IP header is incomplete, it is where
// the addresses would be.
func payloadOff(h packet.Header, b []byte) int {
	if h.PayloadOff > 0 {
		return h.PayloadOff
	}
	ip := 0
	switch {
	case h.L4Off > 0 && h.Proto == 6: // the header is incomplete
		ip = h.L4Off + 20
	case h.L4Off > 0:
		ip = h.L4Off + 8
	case h.Version == 4:
		ip = 4 * int(b[0]&15)
		if binary.BigEndian.Uint16(b[6:])&0x1FFF == 0 {
			ip += 4
		}
	case h.Version == 6 && h.Proto == 44:
		ip = 40 + h.Extensions + 8 // the Fragment header
	case h.Version == 6:
		ip = 40 + h.Extensions + 4
	case len(b) > 0 && b[0]>>4 == 4:
		ip = 12
	case len(b) > 0 && b[0]>>4 == 6:
		ip = 8
	default:
		ip = 1 // the first byte stays: it has no IP version
	}
	return min(ip, len(b))
}

// addresses replaces the source and the destination by consecutive addresses of
// 10.0.0.0/8 or 2001:db8:ffff::/64. Addresses that identify nobody stay.
func (a *Anonymiser) addresses(h packet.Header, b []byte) error {
	at, n := 0, 0
	switch h.Version {
	case 4:
		at, n = 12, 4
	case 6:
		at, n = 8, 16
	}
	for range 2 {
		if n == 0 {
			break
		}
		addr, _ := netip.AddrFromSlice(b[at : at+n])
		if !impersonal(addr) && !addr.IsUnspecified() && !addr.IsLoopback() && addr != netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
			i, known := a.addrs[addr]
			if !known {
				if i = len(a.addrs) + 1; i > a.most {
					return fmt.Errorf("more than %d addresses: split the capture", a.most)
				}
				a.addrs[addr] = i
			}
			if n == 4 {
				binary.BigEndian.PutUint32(b[at:], 10<<24|uint32(i))
			} else {
				group := binary.BigEndian.Uint64(b[at:]) &^ (1<<48 - 1)
				binary.BigEndian.PutUint64(b[at:], 0x20010db8ffff<<16)
				if addr.IsMulticast() {
					binary.BigEndian.PutUint64(b[at:], group)
				}
				binary.BigEndian.PutUint64(b[at+8:], 1<<32|uint64(i))
			}
		}
		at += n
	}
	return nil
}

// impersonal reports whether addr is a multicast group that does not identify a
// network or a host, as some IPv6 groups do.
func impersonal(addr netip.Addr) bool {
	b := addr.As16()
	return addr.IsMulticast() && (addr.Is4() || [12]byte(b[2:14]) == [12]byte{})
}

// options enciphers the data of options, except those that offload and congestion
// control need. It keeps their kinds and lengths, and equal data stays equal.
func (a *Anonymiser) options(h packet.Header, b []byte) {
	if h.Version == 4 {
		a.hideOptions(b[20:4*int(b[0]&15)], 1, nil)
	}
	if h.Version == 6 {
		next, at := b[6], 40
		for at < 40+h.Extensions {
			n := 8 + 8*int(b[at+1])
			if next == 43 {
				a.hide(next, b[at+4:at+n]) // the addresses, after type and segments left
			} else {
				a.hideOptions(b[at+2:at+n], 0, map[byte][2]int{5: {4, 4}, 0xC2: {6, 6}}) // router alert, jumbo payload
			}
			next, at = b[at], at+n
		}
	}
	if h.Proto == 6 && h.PayloadOff > 0 {
		a.hideOptions(b[h.L4Off+20:h.PayloadOff], 1, map[byte][2]int{2: {4, 4}, 3: {3, 3}, 4: {2, 2}, 5: {10, 34}, 8: {10, 10}}) // MSS, window scale, SACK, timestamps
	}
}

// hide enciphers the data of an option of this kind.
func (a *Anonymiser) hide(kind byte, b []byte) { a.permute([]byte{kind}, b) }

// hideOptions enciphers the data in a list of options. Each has a kind, a length and
// data; the kinds up to single are one byte long. In IPv4 and TCP single is 1, and the
// length includes the bytes of kind and length. In IPv6 single is 0, and it does not.
// An option in keep stays if its length is within the limits given there.
func (a *Anonymiser) hideOptions(b []byte, single byte, keep map[byte][2]int) {
	for at := 0; at < len(b); {
		kind := b[at]
		if kind <= single {
			at++
			continue
		}
		n := 0
		if at+1 < len(b) {
			n = int(b[at+1])
			if single == 0 {
				n += 2
			}
		}
		if n < 2 || at+n > len(b) {
			a.hide(kind, b[at+1:]) // not a valid option
			return
		}
		if l, kept := keep[kind]; !kept || n < l[0] || n > l[1] {
			a.hide(kind, b[at+2:at+n])
		}
		at += n
	}
}

// payload enciphers the payload from into to. TCP's key stream depends on the sequence
// number, so bytes that are the same in segments with other boundaries stay the same,
// and a changed byte stays a changed byte. If two different payloads are at one place of a flow, their
// difference (xor) is not hidden: an offload may have changed bytes, or a connection
// may reuse the ports of an older one. Other payloads depend only on their contents.
func (a *Anonymiser) payload(flow packet.Flow, h packet.Header, size int, seq uint32, to, from []byte) {
	var id [38]byte
	id[0], id[1] = flow.Version, flow.Proto
	copy(id[2:], flow.Src[:])
	copy(id[18:], flow.Dst[:])
	binary.BigEndian.PutUint16(id[34:], flow.SrcPort)
	binary.BigEndian.PutUint16(id[36:], flow.DstPort)
	if h.Proto == 6 && flow.HasPorts() {
		a.encipher(id[:], seq, to, from)
		return
	}
	if size == 0 || h.Proto != 17 {
		size = len(from)
	}
	for len(to) > 0 {
		n := min(size, len(to))
		a.permute(id[:], to[:n])
		to = to[n:]
	}
}

// seqOf returns the sequence number of a TCP packet, or 0.
func seqOf(h packet.Header, b []byte) uint32 {
	if h.Proto != 6 || h.PayloadOff == 0 {
		return 0
	}
	return binary.BigEndian.Uint32(b[h.L4Off+4:])
}

// permute enciphers b in place with a Feistel network of four rounds, keyed by id:
// equal slices stay equal, different ones stay different, and nothing else shows. A
// single byte is enciphered with the key stream of id.
func (a *Anonymiser) permute(id, b []byte) {
	if len(b) < 2 {
		a.encipher(id, 0, b, b)
		return
	}
	left, right := b[:len(b)/2], b[len(b)/2:]
	for round := range byte(4) {
		a.encipher(slices.Concat(id, []byte{round}, right), 0, left, left)
		left, right = right, left
	}
}

// encipher enciphers from into to with AES in counter mode. id selects the key stream,
// and at is the offset in it.
func (a *Anonymiser) encipher(id []byte, at uint32, to, from []byte) {
	sum := sha256.Sum256(id)
	var iv [16]byte
	copy(iv[:8], sum[:])
	binary.BigEndian.PutUint64(iv[8:], uint64(at/16))
	stream := cipher.NewCTR(a.block, iv[:])
	var skipped [16]byte
	stream.XORKeyStream(skipped[:at%16], skipped[:at%16])
	stream.XORKeyStream(to, from)
}
