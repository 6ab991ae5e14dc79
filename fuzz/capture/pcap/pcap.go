// SPDX-License-Identifier: MIT

// Package pcap reads and writes captures of IP packets as streams. It reads classic
// pcap and pcapng files of the usual link types, and writes both formats. A file is not
// trusted: an error in its structure is returned with the offset, and memory depends on
// the bytes read, never on a length that the file claims.
package pcap

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"
)

// Packet is an IP packet of a capture, without its link header.
type Packet struct {
	Number  int // of the record, or of the block among packet blocks, from 1
	Time    time.Time
	Data    []byte // owned by the caller
	Trailer []byte // what follows the packet in its frame: padding and a frame check sequence; nil if nothing does
	Comment string // pcapng only; several comments are joined by "\n"
}

// Skipped is a record that was left out: it does not hold a complete IP packet.
type Skipped struct {
	Number int
	Why    string
}

// cutShort is why a record is left out of which the capture has only the first bytes.
const cutShort = "cut by the capture to %d of %d bytes"

// Cut reports whether the capture has some bytes of the record, but not all.
func (s Skipped) Cut() bool {
	var has, of uint32
	n, _ := fmt.Sscanf(s.Why, cutShort, &has, &of)
	return n == 2 && has > 0
}

const (
	maxRecord  = 1 << 18 // captured bytes of a record; IP's limit is 65,575
	maxSkipped = 100     // skipped records that a Reader keeps
	bufferLen  = 1 << 17
)

// Reader reads a capture. However long the file is, a Reader keeps only one buffer, the
// interfaces of the section, and the first records left out.
type Reader struct {
	format *format
	in     source
	order  binary.ByteOrder // of the file, or of the section
	nano   bool             // classic: fractions of a second are nanoseconds
	most   uint32           // classic: captured bytes of a record, by the file header; 0 if that does not say
	ports  []port           // the interfaces; a classic file has one

	n       int // records so far
	keep    int // how many skipped records to keep
	left    int // records left out so far
	skipped []Skipped
	cuts    Cuts
	err     error // the error that ended reading
}

// port is an interface of a capture.
type port struct {
	link
	snapLen uint32
	clock
}

// format is a file format of captures. Add one to formats, and everything reads it.
type format struct {
	// is reports whether a file that starts with head, which has 4 bytes, has the format.
	is func(head []byte) bool
	// open reads the file header.
	open func(p *Reader) error
	// next reads a record. ok is false if it holds no packet or was left out.
	next func(p *Reader) (packet Packet, ok bool, err error)
}

// formats are the formats that are read.
var formats = []*format{&ngFormat, &classicFormat}

// formatOf returns the format of a file that starts with head, nil if there is none.
func formatOf(head []byte) *format {
	if len(head) < 4 {
		return nil
	}
	at := slices.IndexFunc(formats, func(f *format) bool { return f.is(head) })
	if at < 0 {
		return nil
	}
	return formats[at]
}

// IsPcap reports whether a file that starts with b is a capture, classic or pcapng.
// Four bytes are enough. It is true for the modified pcap format too, which NewReader
// refuses by name.
func IsPcap(b []byte) bool { return formatOf(b) != nil }

var orders = [2]binary.ByteOrder{binary.LittleEndian, binary.BigEndian}

// NewReader returns a Reader and reads the file header; in pcapng, the header of the
// first section. Errors name the offset. The Reader reads ahead from r.
func NewReader(r io.Reader) (*Reader, error) { return newReader(r, bufferLen) }

func newReader(r io.Reader, buffer int) (*Reader, error) {
	p := &Reader{in: source{b: bufio.NewReaderSize(r, buffer)}, keep: maxSkipped}
	head, _ := p.in.b.Peek(4)
	if p.format = formatOf(head); p.format == nil {
		p.format = &classicFormat // which reports a short file, and any other
	}
	if err := p.format.open(p); err != nil {
		return nil, err
	}
	return p, nil
}

// Next returns the next IP packet, or io.EOF at the end. Records that the capture cut
// and frames that are not IP are left out; Skipped returns them. After an error, every
// call returns that error.
func (p *Reader) Next() (Packet, error) {
	for p.err == nil {
		var packet Packet
		var ok bool
		packet, ok, p.err = p.format.next(p)
		if ok && p.err == nil {
			return packet, nil
		}
	}
	return Packet{}, p.err
}

// Offset returns the number of bytes of the file that were used so far.
func (p *Reader) Offset() int64 { return p.in.off }

// NG reports whether the file is pcapng.
func (p *Reader) NG() bool { return p.format == &ngFormat }

// Skipped returns the first 100 records left out so far, and the number of all records
// left out. The slice belongs to the Reader.
func (p *Reader) Skipped() (first []Skipped, n int) { return p.skipped, p.left }

// Cuts are the records of which the capture has only the first bytes: those of packets longer
// than its snap length.
type Cuts struct {
	N, First, Last int // how many, and their numbers
	Least, Most    int // bytes that were captured
}

// Cuts returns the records so far of which the capture has only the first bytes. Those of
// which it has none are not among them.
func (p *Reader) Cuts() Cuts { return p.cuts }

// add counts a record with n bytes.
func (c *Cuts) add(number, n int) {
	if n == 0 {
		return
	}
	if c.N++; c.N == 1 {
		c.First, c.Least = number, n
	}
	c.Last, c.Least, c.Most = number, min(c.Least, n), max(c.Most, n)
}

// skip counts a record that is left out.
func (p *Reader) skip(why reason) {
	p.left++
	if len(p.skipped) < p.keep {
		p.skipped = append(p.skipped, Skipped{p.n, why.String()})
	}
}

// ReadAll returns all IP packets of a capture, and all records left out.
func ReadAll(r io.Reader) ([]Packet, []Skipped, error) { return readAll(r, bufferLen) }

func readAll(r io.Reader, buffer int) ([]Packet, []Skipped, error) {
	p, err := newReader(r, buffer)
	if err != nil {
		return nil, nil, err
	}
	p.keep = math.MaxInt
	var list []Packet
	for {
		packet, err := p.Next()
		if errors.Is(err, io.EOF) {
			return list, p.skipped, nil
		}
		if err != nil {
			return nil, nil, err
		}
		list = append(list, packet)
	}
}

// errorf returns an error in the file's structure.
func errorf(off int64, format string, args ...any) error {
	return fmt.Errorf("offset %d: %w", off, fmt.Errorf(format, args...))
}
