// SPDX-License-Identifier: MIT

package page

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"tunproof/fuzz/capture"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/record"
)

// These are what a bar of a picture can be, besides the values of compare.Finding.What.
const (
	Wrong   = "wrong"
	suspect = "suspect"
)

// sign marks a packet of a capture in a picture.
type sign struct {
	what    string
	segment int // the number of a segment of it, from 1; 0 for all of it
}

const maxSigns = 100_000 // marks of a capture

// signs are the marked packets of a capture, by number.
type signs struct {
	of   map[int][]sign
	n    int
	more int // marks that were not added
}

// add marks a packet, unless there are maxSigns marks already.
func (s *signs) add(number int, x sign) {
	if slices.Contains(s.of[number], x) {
		return
	}
	if s.n == maxSigns {
		s.more++
		return
	}
	if s.of == nil {
		s.of = map[int][]sign{}
	}
	s.of[number] = append(s.of[number], x)
	s.n++
}

// note returns what must be known about the marks, "" if nothing must.
func (s *signs) note() string {
	if s.more == 0 {
		return ""
	}
	return fmt.Sprintf("%s not marked in the pictures, of %d", record.Count(s.more, "finding"), s.n+s.more)
}

// input is a capture that was judged and is read again.
type input struct {
	name   string
	most   int // packets that were judged
	signs  signs
	wanted map[int]bool
	kept   map[int]pcap.Packet // the packets that are wanted
	sizes  map[int]int         // the segment sizes of superpackets without a VnetHdr, by number
	all    string              // what is said of all packets of the capture, "" for nothing
}

// want asks for a packet's bytes, for a dump.
func (in *input) want(number int) {
	if in.wanted == nil {
		in.wanted, in.kept = map[int]bool{}, map[int]pcap.Packet{}
	}
	if number > 0 {
		in.wanted[number] = true
	}
}

// each calls f with each packet that was judged.
func (in *input) each(f func(p pcap.Packet)) error {
	src, err := capture.Open(in.name, nil)
	if err != nil {
		return fmt.Errorf("-html: the capture cannot be read a second time: %w", err)
	}
	defer src.Close()
	for range in.most {
		p, err := src.Next()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("-html: %s became shorter while it was judged", in.name)
		}
		if err != nil {
			return fmt.Errorf("-html: the capture cannot be read a second time: %w", err)
		}
		f(p)
	}
	return nil
}

// count counts the flows of a capture, and keeps the packets that are wanted. A flow that
// was translated is counted as the flow that it was.
func (in *input) count(flows map[packet.Flow]*tally, was map[string]packet.Flow) error {
	return in.each(func(p pcap.Packet) {
		if in.wanted[p.Number] {
			in.kept[p.Number] = p
		}
		key := original(keyOf(p.Data), was)
		t := flows[key]
		if t == nil && (len(flows) < maxFlows || in.signs.of[p.Number] != nil) {
			t = &tally{flow: key, first: len(flows)}
			flows[key] = t
		}
		if t != nil {
			t.bytes += len(p.Data)
			t.signs += len(in.signs.of[p.Number])
		}
	})
}
