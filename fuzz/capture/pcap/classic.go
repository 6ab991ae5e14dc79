// SPDX-License-Identifier: MIT

package pcap

import (
	"errors"
	"io"
	"time"
)

// The magic numbers of classic files, by their time stamps. Modified is another format.
const (
	magicMicro    = 0xa1b2c3d4
	magicNano     = 0xa1b23c4d
	magicModified = 0xa1b2cd34
)

var classicFormat = format{is: isClassic, open: (*Reader).readHeader, next: (*Reader).nextClassic}

// isClassic reports whether head is the magic number of a classic file, modified ones
// included.
func isClassic(head []byte) bool {
	for _, order := range orders {
		switch order.Uint32(head) {
		case magicMicro, magicNano, magicModified:
			return true
		}
	}
	return false
}

// readHeader reads the header of a classic file.
func (p *Reader) readHeader() error {
	h, err := p.in.take(24)
	if err != nil {
		return cut(0, err, "no pcap file header: %w", io.ErrUnexpectedEOF)
	}
	for _, order := range orders {
		switch order.Uint32(h) {
		case magicMicro:
			p.order = order
		case magicNano:
			p.order, p.nano = order, true
		case magicModified:
			return errorf(0, "magic %x: the modified pcap format is not supported: convert the file to pcapng", h[:4])
		}
	}
	if p.order == nil {
		return errorf(0, "magic %x is neither that of a classic pcap file nor that of a pcapng file", h[:4])
	}
	// The high bits hold the length of the checksum after each frame, in 16-bit words.
	word := p.order.Uint32(h[20:])
	l := link{kind: uint16(word), fcs: word>>26&1 == 1 && word>>28 == 2}
	if !l.supported() {
		return errorf(20, "link type %d is not supported, only %s", l.kind, linkNames)
	}
	p.ports = []port{{link: l}}
	p.most = p.order.Uint32(h[16:])
	return nil
}

// nextClassic reads a record. ok is false if it was left out.
func (p *Reader) nextClassic() (packet Packet, ok bool, err error) {
	off := p.in.off
	h, err := p.in.take(16)
	if len(h) == 0 && errors.Is(err, io.EOF) {
		return Packet{}, false, io.EOF
	}
	if err != nil {
		return Packet{}, false, cut(off, err, "record header cut short")
	}
	p.n++
	seconds, frac := p.order.Uint32(h), time.Duration(p.order.Uint32(h[4:]))
	captured, length := p.order.Uint32(h[8:]), p.order.Uint32(h[12:])
	if captured > maxRecord {
		return Packet{}, false, errorf(off, "record of %d bytes: the limit is %d", captured, maxRecord)
	}
	b, err := p.in.take(int(captured))
	if err != nil {
		err = cut(off, err, "record of %d bytes has only %d", captured, len(b))
		if captured > length || p.most > 0 && captured > p.most { // no writer states that
			err = damaged(err)
		}
		return Packet{}, false, err
	}
	packet, ok = p.packet(&p.ports[0], b, length)
	if !p.nano {
		frac *= time.Microsecond
	}
	packet.Time = time.Unix(int64(seconds), 0).Add(frac)
	return packet, ok, nil
}

// packet returns the IP packet in a record, which had length bytes on the wire, without its
// time. If there is none, it counts the record as left out and returns false.
func (p *Reader) packet(from *port, record []byte, length uint32) (Packet, bool) {
	if uint32(len(record)) < length {
		p.cuts.add(p.n, len(record))
		p.skip(reason{cutShort, uint32(len(record)), length})
		return Packet{}, false
	}
	b, why := from.ip(record)
	if why != (reason{}) {
		p.skip(why)
		return Packet{}, false
	}
	packet := Packet{Number: p.n, Data: append(make([]byte, 0, len(b)), b...)}
	if end := cap(record) - cap(b) + len(b); end < len(record) {
		packet.Trailer = append([]byte(nil), record[end:]...)
	}
	return packet, true
}
