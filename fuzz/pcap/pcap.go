// Package pcap reads and writes classic pcap files of IP packets: link types
// RAW (101, 12, 14) and ETHERNET (1) are read, either byte order, microseconds
// or nanoseconds.
package pcap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// Packet is an IP packet of a capture, without its link header.
type Packet struct {
	Number int // in the file, from 1
	Time   time.Time
	Data   []byte // owned by the caller
}

// Skipped is a record that is no whole IP packet.
type Skipped struct {
	Number int
	Why    string
}

const (
	magicMicro, magicNano = 0xa1b2c3d4, 0xa1b23c4d
	linkEthernet, linkRaw = 1, 101

	maxRecord = 1 << 18 // bytes; IP's limit is 65,575
)

// Reader reads a capture.
type Reader struct {
	r       io.Reader
	order   binary.ByteOrder
	nano    bool
	link    uint32
	n       int
	off     int64
	Skipped []Skipped // records left out so far, and why
}

// IsPcap says whether a file that starts with b is a classic pcap file.
func IsPcap(b []byte) bool {
	_, _, ok := magic(b)
	return ok
}

func magic(b []byte) (order binary.ByteOrder, nano, ok bool) {
	if len(b) < 4 {
		return nil, false, false
	}
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		if m := order.Uint32(b); m == magicMicro || m == magicNano {
			return order, m == magicNano, true
		}
	}
	return nil, false, false
}

// NewReader reads the file header. Errors say at which offset.
func NewReader(r io.Reader) (*Reader, error) {
	var h [24]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return nil, fmt.Errorf("offset 0: no pcap file header: %w", err)
	}
	order, nano, ok := magic(h[:])
	if !ok {
		return nil, fmt.Errorf("offset 0: magic %x is not a classic pcap file's", h[:4])
	}
	p := &Reader{r: r, order: order, nano: nano, off: 24}
	p.link = order.Uint32(h[20:]) & 0xFFFF
	switch p.link {
	case linkRaw, 12, 14, linkEthernet:
		return p, nil
	}
	return nil, fmt.Errorf("offset 20: link type %d: only RAW (101, 12, 14) and ETHERNET (1) are read", p.link)
}

// Next returns the next IP packet, or io.EOF. Records that the capture cut and
// frames that are not IP are left out and told in Skipped.
func (p *Reader) Next() (Packet, error) {
	for {
		var h [16]byte
		if _, err := io.ReadFull(p.r, h[:]); err != nil {
			if errors.Is(err, io.EOF) {
				return Packet{}, io.EOF
			}
			return Packet{}, fmt.Errorf("offset %d: record header cut short", p.off)
		}
		p.n++
		captured, length := p.order.Uint32(h[8:]), p.order.Uint32(h[12:])
		if captured > maxRecord {
			return Packet{}, fmt.Errorf("offset %d: record of %d bytes: the limit is %d", p.off, captured, maxRecord)
		}
		data := make([]byte, captured)
		if n, err := io.ReadFull(p.r, data); err != nil {
			return Packet{}, fmt.Errorf("offset %d: record of %d bytes has only %d", p.off, captured, n)
		}
		p.off += 16 + int64(captured)
		if captured < length {
			p.skip(fmt.Sprintf("cut by the capture to %d of %d bytes", captured, length))
			continue
		}
		data, why := p.ip(data)
		if why != "" {
			p.skip(why)
			continue
		}
		frac := time.Duration(p.order.Uint32(h[4:]))
		if !p.nano {
			frac *= time.Microsecond
		}
		return Packet{p.n, time.Unix(int64(p.order.Uint32(h[0:])), 0).Add(frac), data}, nil
	}
}

func (p *Reader) skip(why string) { p.Skipped = append(p.Skipped, Skipped{p.n, why}) }

// ip takes off the link header, and Ethernet's padding behind an IP packet that
// is shorter than a frame must be.
func (p *Reader) ip(b []byte) ([]byte, string) {
	if p.link != linkEthernet {
		return b, ""
	}
	if len(b) < 14 {
		return nil, "shorter than an Ethernet header"
	}
	etherType := binary.BigEndian.Uint16(b[12:])
	padded := len(b) <= 60
	b = b[14:]
	switch {
	case etherType == 0x0800 && len(b) >= 20:
		if n := int(binary.BigEndian.Uint16(b[2:])); padded && n >= 20 && n < len(b) {
			b = b[:n]
		}
	case etherType == 0x86DD && len(b) >= 40:
		if n := 40 + int(binary.BigEndian.Uint16(b[4:])); padded && n < len(b) {
			b = b[:n]
		}
	default:
		return nil, fmt.Sprintf("EtherType %#04x is not IP, or the packet is cut", etherType)
	}
	return b, ""
}

// ReadAll returns every IP packet of a capture.
func ReadAll(r io.Reader) ([]Packet, []Skipped, error) {
	p, err := NewReader(r)
	if err != nil {
		return nil, nil, err
	}
	var list []Packet
	for {
		packet, err := p.Next()
		if errors.Is(err, io.EOF) {
			return list, p.Skipped, nil
		}
		if err != nil {
			return nil, nil, err
		}
		list = append(list, packet)
	}
}

// Write writes IP packets as a capture of link type RAW, little-endian,
// microseconds.
func Write(w io.Writer, packets []Packet) error {
	h := binary.LittleEndian.AppendUint32(nil, magicMicro)
	h = append(h, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	h = binary.LittleEndian.AppendUint32(h, maxRecord)
	h = binary.LittleEndian.AppendUint32(h, linkRaw)
	for _, p := range packets {
		h = binary.LittleEndian.AppendUint32(h, uint32(p.Time.Unix()))
		h = binary.LittleEndian.AppendUint32(h, uint32(p.Time.Nanosecond()/1000))
		h = binary.LittleEndian.AppendUint32(h, uint32(len(p.Data)))
		h = binary.LittleEndian.AppendUint32(h, uint32(len(p.Data)))
		h = append(h, p.Data...)
		if _, err := w.Write(h); err != nil {
			return err
		}
		h = h[:0]
	}
	_, err := w.Write(h)
	return err
}
