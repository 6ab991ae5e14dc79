// SPDX-License-Identifier: MIT

package pcap

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"time"
	"unicode/utf8"
)

// Format is a file format of captures. A Writer writes both formats little-endian, with
// link type RAW and time stamps in nanoseconds.
type Format uint8

const (
	Classic Format = iota // classic pcap, which has no comments
	NG                    // pcapng, which keeps comments
)

// Writer writes a capture.
type Writer struct {
	w      io.Writer
	format Format
	b      []byte
}

// NewWriter returns a Writer and writes the header of the capture, with one call of
// w.Write.
func NewWriter(w io.Writer, f Format) (*Writer, error) {
	p := &Writer{w: w, format: f}
	switch f {
	case Classic:
		p.b = appendHeader(nil, magicNano)
	case NG:
		le := binary.LittleEndian
		var body []byte
		body = le.AppendUint32(body, byteOrderMagic)
		body = append(body, 1, 0, 0, 0)              // version 1.0
		body = le.AppendUint64(body, math.MaxUint64) // the section's length is left open
		p.b = appendBlock(nil, blockSection, body)
		body = le.AppendUint32(body[:0], linkRaw)
		body = le.AppendUint32(body, maxRecord)
		body = appendOption(body, optionTsresol, "\x09")
		body = le.AppendUint32(body, optionEnd)
		p.b = appendBlock(p.b, blockInterface, body)
	default:
		return nil, fmt.Errorf("format %d of a capture is unknown", f)
	}
	if _, err := w.Write(p.b); err != nil {
		return nil, err
	}
	return p, nil
}

// Write writes a packet, with one call of the io.Writer's Write. The packet's number is
// not written. A time before 1970, or after the last time of the format (2106, in pcapng
// 2554), is written as the Unix epoch. A comment is cut to 65,535 bytes. A packet that a
// Reader would refuse is an error and is not written.
func (p *Writer) Write(packet Packet) error {
	if len(packet.Data) > maxRecord {
		return fmt.Errorf("packet of %d bytes: the limit is %d", len(packet.Data), maxRecord)
	}
	return p.write(packet, len(packet.Data))
}

// WriteLeftOut writes a record that holds no byte of its packet, with one call of the
// io.Writer's Write. A Reader leaves it out, but counts it. So the packets after it have the
// numbers that they have in another capture.
func (p *Writer) WriteLeftOut(at time.Time) error { return p.write(Packet{Time: at}, 1) }

// WriteCut writes a record of a packet of which a capture had only the first n bytes. They are
// zeros. A Reader counts it among its Cuts.
func (p *Writer) WriteCut(at time.Time, n int) error {
	return p.write(Packet{Time: at, Data: make([]byte, n)}, n+1)
}

// write writes a record of a packet that had length bytes.
func (p *Writer) write(packet Packet, length int) error {
	le, b := binary.LittleEndian, p.b[:0]
	if p.format == Classic {
		t := within(packet.Time, math.MaxUint32)
		b = le.AppendUint32(b, uint32(t.Unix()))
		b = le.AppendUint32(b, uint32(t.Nanosecond()))
		b = le.AppendUint32(b, uint32(len(packet.Data)))
		b = le.AppendUint32(b, uint32(length))
		b = append(b, packet.Data...)
	} else {
		t := within(packet.Time, math.MaxUint64/1_000_000_000-1)
		ts := uint64(t.Unix())*1e9 + uint64(t.Nanosecond())
		b = append(b, blockEnhanced, 0, 0, 0, 0, 0, 0, 0)
		b = le.AppendUint32(b, 0) // the interface
		b = le.AppendUint32(b, uint32(ts>>32))
		b = le.AppendUint32(b, uint32(ts))
		b = le.AppendUint32(b, uint32(len(packet.Data)))
		b = le.AppendUint32(b, uint32(length))
		b = pad(append(b, packet.Data...))
		if packet.Comment != "" {
			b = appendOption(b, optionComment, cutText(packet.Comment, math.MaxUint16))
			b = le.AppendUint32(b, optionEnd)
		}
		le.PutUint32(b[4:], uint32(len(b)+4))
		b = le.AppendUint32(b, uint32(len(b)+4))
	}
	p.b = b
	_, err := p.w.Write(b)
	return err
}

// Write writes IP packets as a classic capture, little-endian, with link type RAW and
// time stamps in microseconds.
func Write(w io.Writer, packets []Packet) error {
	h := appendHeader(nil, magicMicro)
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

// appendHeader appends the header of a classic file.
func appendHeader(b []byte, magic uint32) []byte {
	b = binary.LittleEndian.AppendUint32(b, magic)
	b = append(b, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, maxRecord)
	return binary.LittleEndian.AppendUint32(b, linkRaw)
}

// appendBlock appends a pcapng block; body is a multiple of 4 bytes long.
func appendBlock(b []byte, kind uint32, body []byte) []byte {
	n := uint32(12 + len(body))
	b = binary.LittleEndian.AppendUint32(b, kind)
	b = binary.LittleEndian.AppendUint32(b, n)
	b = append(b, body...)
	return binary.LittleEndian.AppendUint32(b, n)
}

// appendOption appends a pcapng option.
func appendOption(b []byte, code uint16, value string) []byte {
	b = binary.LittleEndian.AppendUint16(b, code)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
	return pad(append(b, value...))
}

// pad fills b up to a multiple of 4 bytes.
func pad(b []byte) []byte { return append(b, make([]byte, -len(b)&3)...) }

// within returns t if it is between the epoch and the second last, or else the epoch.
func within(t time.Time, last uint64) time.Time {
	if s := t.Unix(); s < 0 || uint64(s) > last {
		return time.Unix(0, 0)
	}
	return t
}

// cutText returns at most the first n bytes of s, without cutting a character.
func cutText(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for back := range utf8.UTFMax {
		if utf8.RuneStart(s[n-back]) {
			return s[:n-back]
		}
	}
	return s[:n]
}
