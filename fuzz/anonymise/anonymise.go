// Package anonymise replaces what packets say and between whom, and keeps how
// they are built: every length, flag, number and option that offload looks at,
// which packets are of one flow, which payloads are equal, and whether each
// checksum is right, partial, absent or wrong, and then by how much.
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
	"strings"

	"tunproof/fuzz/compare"
	"tunproof/fuzz/pcap"
)

// Anonymiser replaces, the same by the same, in all packets that it is given. Its
// key is drawn and never leaves it.
type Anonymiser struct {
	block cipher.Block
	size  int // payload bytes of the datagrams in a UDP superpacket; 0: not known
	addrs map[netip.Addr]int
}

// maxAddresses bounds the memory.
const maxAddresses = 1 << 20

// New returns one. size is the payload of the datagrams that UDP superpackets are
// of, so that datagram and superpacket keep the same bytes; 0 if not known.
func New(size int) (*Anonymiser, error) {
	var key [32]byte
	if _, err := io.ReadFull(rand.Reader, key[:]); err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return &Anonymiser{block: block, size: size, addrs: map[netip.Addr]int{}}, nil
}

// Packet returns a packet in the place of p. Of a comment it keeps the VnetHdr.
func (a *Anonymiser) Packet(p pcap.Packet) (pcap.Packet, error) {
	b := bytes.Clone(p.Data)
	h := compare.Parse(b)
	was := sums(h, p.Data)
	if err := a.addresses(h, b); err != nil {
		return p, fmt.Errorf("packet %d: %w", p.Number, err)
	}
	a.options(h, b)
	flow := h.Flow(b)
	at := payloadOff(h, b)
	if at < len(b) {
		a.payload(flow, h, seqOf(h, b), b[at:], p.Data[at:])
	}
	was.restore(h, b, at)
	p.Data = b
	p.Comment = vnetLines(p.Comment)
	return p, nil
}

// payloadOff is where what is secret starts: behind the headers of TCP and UDP,
// behind the type, code and checksum of others, in a later fragment at once; and
// where the addresses would be, if the IP header is not whole.
func payloadOff(h compare.Header, b []byte) int {
	if h.PayloadOff > 0 {
		return h.PayloadOff
	}
	ip := 0
	switch {
	case h.L4Off > 0 && h.Proto == 6: // a header that is not whole
		ip = h.L4Off + 20
	case h.L4Off > 0:
		ip = h.L4Off + 8
	case h.Version == 4:
		ip = 4 * int(b[0]&15)
		if binary.BigEndian.Uint16(b[6:])&0x1FFF == 0 {
			ip += 4
		}
	case h.Version == 6:
		ip = 40 + h.Extensions + 8 // a Fragment header, or type, code and checksum
	case len(b) > 0 && b[0]>>4 == 4:
		ip = 12
	case len(b) > 0 && b[0]>>4 == 6:
		ip = 8
	default:
		ip = 1 // of no IP version, as it was
	}
	return min(ip, len(b))
}

// addresses replaces them: by 10.0.0.0/8 and 2001:db8:ffff::/64, counted up. Those
// that everybody has stay.
func (a *Anonymiser) addresses(h compare.Header, b []byte) error {
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
		if !addr.IsMulticast() && !addr.IsUnspecified() && !addr.IsLoopback() && addr != netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
			i, known := a.addrs[addr]
			if !known {
				if i = len(a.addrs) + 1; i > maxAddresses {
					return fmt.Errorf("more than %d addresses: split the capture", maxAddresses)
				}
				a.addrs[addr] = i
			}
			if n == 4 {
				binary.BigEndian.PutUint32(b[at:], 10<<24|uint32(i))
			} else {
				binary.BigEndian.PutUint64(b[at:], 0x20010db8ffff<<16)
				binary.BigEndian.PutUint64(b[at+8:], uint64(i))
			}
		}
		at += n
	}
	return nil
}

// options enciphers what options say, all but those that offload and congestion
// control live by, and keeps their kinds and lengths, and which are equal.
func (a *Anonymiser) options(h compare.Header, b []byte) {
	if h.Version == 4 {
		a.hideOptions(b[20:4*int(b[0]&15)], 1, nil)
	}
	if h.Version == 6 {
		next, at := b[6], 40
		for at < 40+h.Extensions {
			n := 8 + 8*int(b[at+1])
			if next == 43 {
				a.hide(next, b[at+4:at+n]) // behind type and segments left: addresses
			} else {
				a.hideOptions(b[at+2:at+n], 0, []byte{0, 1, 5, 0xC2}) // padding, router alert, jumbo payload
			}
			next, at = b[at], at+n
		}
	}
	if h.Proto == 6 && h.PayloadOff > 0 {
		a.hideOptions(b[h.L4Off+20:h.PayloadOff], 1, []byte{2, 3, 4, 5, 8}) // MSS, window scale, SACK, timestamps
	}
}

// hide enciphers a few bytes, by what kind they are of.
func (a *Anonymiser) hide(kind byte, b []byte) { a.encipher([]byte{kind}, 0, b, b) }

// hideOptions walks options of kind, length and data, of which the kinds up to
// single are one byte long; the length counts kind and length itself if single
// is 1, as in IPv4 and TCP, and does not in IPv6, where it is 0.
func (a *Anonymiser) hideOptions(b []byte, single byte, keep []byte) {
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
			a.hide(kind, b[at+1:]) // no option: nobody reads it
			return
		}
		if bytes.IndexByte(keep, kind) < 0 {
			a.hide(kind, b[at+2:at+n])
		}
		at += n
	}
}

// payload enciphers: TCP's by its place in the flow, so that what is cut
// otherwise has the same bytes, and a changed byte is a changed byte; others' by
// what they are, so that equal ones stay equal. Of a few bytes, different ones may
// become equal.
func (a *Anonymiser) payload(flow compare.Flow, h compare.Header, seq uint32, to, from []byte) {
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
	size := len(from)
	if a.size > 0 && h.Proto == 17 {
		size = a.size
	}
	for len(from) > 0 {
		n := min(size, len(from))
		a.encipher(append(id[:len(id):len(id)], from[:n]...), 0, to[:n], from[:n])
		to, from = to[n:], from[n:]
	}
}

func seqOf(h compare.Header, b []byte) uint32 {
	if h.Proto != 6 || h.PayloadOff == 0 {
		return 0
	}
	return binary.BigEndian.Uint32(b[h.L4Off+4:])
}

// encipher is AES in counter mode, from any byte of the key stream that id names.
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

// vnetLines keeps of a comment what tunproof reads.
func vnetLines(comment string) string {
	var list []string
	for line := range strings.Lines(comment) {
		if strings.HasPrefix(line, "vnet ") {
			list = append(list, strings.TrimSpace(line))
		}
	}
	return strings.Join(list, "\n")
}
