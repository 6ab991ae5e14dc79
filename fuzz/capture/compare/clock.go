// SPDX-License-Identifier: MIT

package compare

import (
	"errors"
	"hash/maphash"
	"io"
	"iter"
	"slices"
	"sort"
	"time"

	"tunproof/fuzz/capture"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/packet"
)

// clock reads the packets of two captures in the order of their times. If a capture has
// no times, or times mislead, it reads in the order of the packets that are in both
// captures.
//
// The packets in both captures show how far the clocks are apart. Without such packets,
// the clocks are taken to agree if the first packets are less than an hour apart. If they
// are further apart, both captures are taken to start together.
type clock struct {
	in     [2]*capture.Source
	ahead  [2][]pcap.Packet // read and not yet taken
	end    [2]error         // the error that ended reading
	taken  [2]int           // packets taken
	offset time.Duration    // the second clock minus the first
	none   bool             // a capture has no times
	adrift bool             // the clocks run at different rates
}

const (
	clocksApart = time.Hour
	aheadBytes  = 16 << 20 // read ahead at most, of each capture
)

// newClock returns a clock and reads this many packets of each capture ahead. far is
// the limit of misleads.
func newClock(in [2]*capture.Source, packets, far int) *clock {
	c := &clock{in: in}
	for side := range in {
		for n := 0; len(c.ahead[side]) < packets && n < aheadBytes && c.end[side] == nil; {
			n += c.read(side)
		}
	}
	c.offset = c.apart()
	for _, list := range c.ahead {
		c.none = c.none || len(list) > 1 && list[0].Time.Equal(list[len(list)-1].Time)
	}
	c.adrift = c.misleads(far)
	return c
}

// misleads reports whether reading by time would read packets that are in both
// captures more than limit packets apart. It looks at the packets read ahead.
func (c *clock) misleads(limit int) bool {
	at := map[mark]int{}
	for i, p := range c.ahead[0] {
		at[marks(p.Data)[0]] = i
	}
	far := 0
	for j, p := range c.ahead[1] {
		i, is := at[marks(p.Data)[0]]
		if !is {
			continue
		}
		t := c.ahead[0][i].Time.Add(c.offset)
		taken := sort.Search(len(c.ahead[1]), func(k int) bool { return c.ahead[1][k].Time.After(t) })
		before := sort.Search(len(c.ahead[0]), func(k int) bool { return c.ahead[0][k].Time.Add(c.offset).After(p.Time) })
		if max(taken-j, before-i) > limit {
			far++
		}
	}
	return far >= limit/8
}

// read reads one packet ahead and returns its length.
func (c *clock) read(side int) int {
	p, err := c.in[side].Next()
	if err != nil {
		c.end[side] = err
		return 0
	}
	c.ahead[side] = append(c.ahead[side], p)
	return len(p.Data)
}

// apart estimates the clocks' offset. It is the median time difference of packets that
// are in both captures: first within the read-ahead, then between one side's
// read-ahead and all of the other side.
func (c *clock) apart() time.Duration {
	if len(c.ahead[0]) == 0 || len(c.ahead[1]) == 0 {
		return 0
	}
	var times [2]map[mark]time.Time
	for side := range times {
		times[side] = map[mark]time.Time{}
		for _, p := range c.ahead[side] {
			for _, m := range marks(p.Data) {
				if _, twice := times[side][m]; twice {
					times[side][m] = time.Time{}
				} else {
					times[side][m] = p.Time
				}
			}
		}
	}
	differences := c.common(times[0], slices.Values(c.ahead[1]), 1)
	for side := 0; side < 2 && differences == nil && !c.in[1-side].Live(); side++ {
		differences = c.common(times[side], c.again(1-side), 1-side)
	}
	if differences != nil {
		slices.Sort(differences)
		return differences[len(differences)/2]
	}
	if d := c.ahead[1][0].Time.Sub(c.ahead[0][0].Time); d.Abs() >= clocksApart {
		return d
	}
	return 0
}

// mark identifies a packet in both captures: by its bytes, or, in TCP, by its flow and
// sequence number, which also finds superpackets with other boundaries.
type mark [2]uint64

var markSeed = maphash.MakeSeed()

// marks returns the marks of a packet.
func marks(b []byte) []mark {
	list := []mark{{0, maphash.Bytes(markSeed, b)}}
	if h := packet.Parse(b); h.Proto == 6 && h.PayloadOff > 0 && h.PayloadOff < len(b) {
		list = append(list, mark{maphash.Comparable(markSeed, h.Flow(b)), maphash.Bytes(markSeed, b[h.L4Off+4:h.L4Off+8])})
	}
	return list
}

// enough is how many time differences are collected. Their median is the clocks'
// offset.
const enough = 101

// common returns time differences: the second side's time minus the first's. It compares
// the packets of a side that are among those known from the other side.
func (c *clock) common(known map[mark]time.Time, packets iter.Seq[pcap.Packet], side int) (differences []time.Duration) {
	for p := range packets {
		for _, m := range marks(p.Data) {
			at, is := known[m]
			if !is || at.IsZero() {
				continue
			}
			d := p.Time.Sub(at)
			if side == 0 {
				d = -d
			}
			differences = append(differences, d)
			break
		}
		if len(differences) == enough {
			break
		}
	}
	return differences
}

// again reads a capture once more from its start, up to its end or an error.
func (c *clock) again(side int) iter.Seq[pcap.Packet] {
	return func(yield func(pcap.Packet) bool) {
		in, err := capture.Open(c.in[side].Name, nil)
		if err != nil {
			return
		}
		defer in.Close()
		for {
			p, err := in.Next()
			if err != nil || !yield(p) {
				return
			}
		}
	}
}

// take returns the next packet and its side; nil at the end of both. If there are no
// times, or they mislead, it takes the side that has read fewer packets since its last
// matched one.
func (c *clock) take(m *Matcher) (int, *pcap.Packet, error) {
	for side := range c.ahead {
		if len(c.ahead[side]) == 0 && c.end[side] == nil {
			c.read(side)
		}
		if err := c.end[side]; len(c.ahead[side]) == 0 && !errors.Is(err, io.EOF) {
			return side, nil, err
		}
	}
	side := 0
	switch a, b := c.ahead[0], c.ahead[1]; {
	case len(a) == 0 && len(b) == 0:
		return 0, nil, nil
	case len(a) == 0:
		side = 1
	case len(b) == 0:
	default:
		d := int(b[0].Time.Add(-c.offset).Sub(a[0].Time))
		if c.adrift = c.adrift || m.Adrift(); c.none || c.adrift {
			lag := m.Lag()
			d = lag[1] - lag[0]
		}
		if d < 0 || d == 0 && c.taken[1] < c.taken[0] {
			side = 1
		}
	}
	p := c.ahead[side][0]
	c.ahead[side] = c.ahead[side][1:]
	c.taken[side]++
	return side, &p, nil
}

// note returns a note for the report if times mislead, or "".
func (c *clock) note() string {
	if !c.adrift || c.none {
		return ""
	}
	return "the clocks of the captures run at different rates, or one capture has invented times: packets were read in the order of those that are in both captures"
}
