// SPDX-License-Identifier: MIT

package pcap

import (
	"encoding/binary"
	"errors"
	"io"
	"math/bits"
	"strings"
)

// The pcapng block types that are read. Blocks of other types are discarded.
const (
	blockSection   = 0x0a0d0d0a // the same in either byte order
	blockInterface = 1
	blockOldPacket = 2 // obsolete, in files from before 2012
	blockSimple    = 3
	blockEnhanced  = 6
)

// Values of pcapng: the magic number of a section, the codes of the options that are read,
// and the limits of this reader.
const (
	byteOrderMagic = 0x1a2b3c4d

	optionEnd      = 0
	optionComment  = 1
	optionTsresol  = 9
	optionFCSLen   = 13
	optionTsoffset = 14

	maxPorts    = 1 << 16 // interfaces of a section
	maxComments = 1 << 18 // bytes of a packet's comments

	longestBlock = 1 << 20 // bytes of a block that is taken for a cut one, and not for a damaged one
)

// block is a block whose body is being read.
type block struct {
	off    int64
	kind   uint32
	length uint32
	left   int64 // bytes of the body that are not read yet
}

var ngFormat = format{
	is:   func(head []byte) bool { return binary.LittleEndian.Uint32(head) == blockSection },
	open: func(p *Reader) error { _, _, err := p.nextNG(); return err },
	next: (*Reader).nextNG,
}

// nextNG reads a block. ok is false if it holds no packet or was left out.
func (p *Reader) nextNG() (packet Packet, ok bool, err error) {
	b, err := p.openBlock()
	if err != nil {
		return Packet{}, false, err
	}
	switch b.kind {
	case blockSection:
		err = p.readSection(&b)
	case blockInterface:
		err = p.readInterface(&b)
	case blockEnhanced, blockOldPacket:
		packet, ok, err = p.readPacket(&b)
	case blockSimple:
		packet, ok, err = p.readSimple(&b)
	}
	if err == nil {
		err = p.closeBlock(&b)
	}
	return packet, ok, err
}

// openBlock reads the start of a block, and in a section header also the byte order.
func (p *Reader) openBlock() (block, error) {
	b := block{off: p.in.off}
	h, err := p.in.take(8)
	if len(h) == 0 && errors.Is(err, io.EOF) {
		return b, io.EOF
	}
	if err != nil {
		return b, cut(b.off, err, "block header cut short")
	}
	kind, length, least := binary.LittleEndian.Uint32(h), binary.LittleEndian.Uint32(h[4:]), uint32(12)
	if kind == blockSection {
		magic, err := p.in.take(4)
		if err != nil {
			return b, cut(b.off, err, "section header cut short")
		}
		p.order = nil
		for _, order := range orders {
			if order.Uint32(magic) == byteOrderMagic {
				p.order = order
			}
		}
		if p.order == nil {
			return b, errorf(b.off+8, "the section has an unknown byte-order magic %x", magic)
		}
		least = 28
	}
	if p.order == binary.BigEndian {
		kind, length = bits.ReverseBytes32(kind), bits.ReverseBytes32(length)
	}
	b.kind, b.length = kind, length
	if b.length < least || b.length%4 != 0 {
		return b, errorf(b.off, "block of %d bytes: the length must be a multiple of 4, and at least %d", b.length, least)
	}
	b.left = b.off + int64(b.length) - 4 - p.in.off
	return b, nil
}

// body reads n bytes of a block's body. They are valid until the next call.
func (p *Reader) body(b *block, n int) ([]byte, error) {
	if int64(n) > b.left {
		return nil, errorf(b.off, "block of type %d and %d bytes is too short for its contents", b.kind, b.length)
	}
	body, err := p.in.take(n)
	b.left -= int64(len(body))
	if err != nil {
		return nil, p.cutBlock(b, err)
	}
	return body, nil
}

// closeBlock discards the rest of a block and checks the length at its end.
func (p *Reader) closeBlock(b *block) error {
	if err := p.in.discard(b.left); err != nil {
		return p.cutBlock(b, err)
	}
	end, err := p.in.take(4)
	if err != nil {
		return p.cutBlock(b, err)
	}
	if n := p.order.Uint32(end); n != b.length {
		return errorf(b.off, "block of %d bytes has another length at its end: %d", b.length, n)
	}
	return nil
}

// cutBlock returns the error of a block that came out short.
func (p *Reader) cutBlock(b *block, err error) error {
	err = cut(b.off, err, "block of %d bytes has only %d", b.length, p.in.off-b.off)
	if b.length > longestBlock {
		err = damaged(err)
	}
	return err
}

// readSection starts a section, which has its own interfaces. The section's length is
// ignored: a section ends where the next one starts.
func (p *Reader) readSection(b *block) error {
	h, err := p.body(b, 12)
	if err != nil {
		return err
	}
	if major, minor := p.order.Uint16(h), p.order.Uint16(h[2:]); major != 1 {
		return errorf(b.off, "pcapng version %d.%d is not supported, only 1", major, minor)
	}
	p.ports = p.ports[:0]
	return nil
}

// readInterface adds an interface to the section.
func (p *Reader) readInterface(b *block) error {
	if len(p.ports) == maxPorts {
		return errorf(b.off, "more than %d interfaces in a section", maxPorts)
	}
	h, err := p.body(b, 8)
	if err != nil {
		return err
	}
	// A link type that is not supported is reported packet by packet.
	to := port{link: link{kind: p.order.Uint16(h)}, snapLen: p.order.Uint32(h[4:]), clock: clock{resolution: 6}}
	err = p.options(b, func(code uint16, value []byte) error {
		switch {
		case code == optionTsresol && len(value) == 1:
			to.resolution = value[0]
		case code == optionTsoffset && len(value) == 8:
			to.offset = int64(p.order.Uint64(value))
		case code == optionFCSLen && len(value) == 1:
			to.fcs = value[0] == 32 || value[0] == 4 // in bits; some writers take it for bytes
		}
		return nil
	})
	p.ports = append(p.ports, to)
	return err
}

// readPacket reads a packet that names its interface, and its comments.
func (p *Reader) readPacket(b *block) (Packet, bool, error) {
	h, err := p.body(b, 20)
	if err != nil {
		return Packet{}, false, err
	}
	iface := p.order.Uint32(h)
	if b.kind == blockOldPacket { // a count of lost packets follows in the same word
		iface = uint32(p.order.Uint16(h))
	}
	ts := uint64(p.order.Uint32(h[4:]))<<32 | uint64(p.order.Uint32(h[8:]))
	captured, length := p.order.Uint32(h[12:]), p.order.Uint32(h[16:])
	from, packet, ok, err := p.data(b, iface, captured, length)
	if !ok || err != nil {
		return Packet{}, false, err
	}
	var comments []string
	size := 0
	err = p.options(b, func(code uint16, value []byte) error {
		if code != optionComment {
			return nil
		}
		if size += len(value) + 1; size > maxComments {
			return errorf(b.off, "comments of more than %d bytes", maxComments)
		}
		comments = append(comments, string(value))
		return nil
	})
	packet.Time, packet.Comment = from.time(ts), strings.Join(comments, "\n")
	return packet, true, err
}

// readSimple reads a packet of the first interface. It has no time, so its time is the
// Unix epoch. The captured length follows from the interface's snap length.
func (p *Reader) readSimple(b *block) (Packet, bool, error) {
	h, err := p.body(b, 4)
	if err != nil {
		return Packet{}, false, err
	}
	length := p.order.Uint32(h)
	captured := length
	if len(p.ports) > 0 && p.ports[0].snapLen > 0 {
		captured = min(length, p.ports[0].snapLen)
	}
	_, packet, ok, err := p.data(b, 0, captured, length)
	packet.Time = clock{}.time(0)
	return packet, ok, err
}

// data reads the data of a packet, padded to a multiple of 4 bytes, from a block.
func (p *Reader) data(b *block, iface, captured, length uint32) (*port, Packet, bool, error) {
	p.n++
	if int64(iface) >= int64(len(p.ports)) {
		return nil, Packet{}, false, errorf(b.off, "packet of interface %d: the section has defined %d so far", iface, len(p.ports))
	}
	if captured > maxRecord {
		return nil, Packet{}, false, errorf(b.off, "record of %d bytes: the limit is %d", captured, maxRecord)
	}
	record, err := p.body(b, int(captured+3)&^3)
	if err != nil {
		return nil, Packet{}, false, err
	}
	from := &p.ports[iface]
	packet, ok := p.packet(from, record[:captured], length)
	return from, packet, ok, nil
}

// options calls f for each option of a block. The value belongs to the Reader.
func (p *Reader) options(b *block, f func(code uint16, value []byte) error) error {
	for b.left > 0 {
		h, err := p.body(b, 4) // left is a multiple of 4
		if err != nil {
			return err
		}
		code, n := p.order.Uint16(h), int(p.order.Uint16(h[2:]))
		if code == optionEnd {
			return nil
		}
		if int64(n) > b.left {
			return errorf(b.off, "option %d of %d bytes: the block has %d left", code, n, b.left)
		}
		value, err := p.body(b, (n+3)&^3)
		if err != nil {
			return err
		}
		if err := f(code, value[:n]); err != nil {
			return err
		}
	}
	return nil
}
